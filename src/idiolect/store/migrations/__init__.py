"""Alembic's environment for the store: `env.py` runs the numbered files of `versions/`; nothing else imports them."""
