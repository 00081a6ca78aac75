"""Models that answer, optimize and embed, behind small async Protocols. Only local models and embeddings need torch."""
