"""The revisions, numbered; a released one is never changed."""
