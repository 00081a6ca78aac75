"""Methods, which learn a personalization from a user. They return values and never touch the store."""
