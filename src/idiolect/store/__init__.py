"""Store: what is known and learned about users, in SQLite by default; any SQLAlchemy URL works."""
