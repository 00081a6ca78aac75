"""Evaluation: how well answers match what people said, with honest intervals."""
