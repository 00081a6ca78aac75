"""The methods that an evaluation compares. Each learns from one person, and answers for the same person or another."""
