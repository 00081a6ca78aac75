"""Evaluation: how well a method's answers match people's own answers, with confidence intervals."""
