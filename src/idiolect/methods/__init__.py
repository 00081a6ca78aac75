"""Methods: turn a user into a personalization. They return values and never touch the store."""
