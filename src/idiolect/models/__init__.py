"""Models: what answers, optimizes and embeds, behind small async Protocols. Only `local` and `embedding` need torch."""
