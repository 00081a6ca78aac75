"""Fermi (arXiv 2406.18678), which learns a set of prompts per user from mis-aligned responses."""
