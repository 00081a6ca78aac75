"""Simulated strong models for `strong_models.py`: people with hidden stances, responders, optimizers, and the arms."""
