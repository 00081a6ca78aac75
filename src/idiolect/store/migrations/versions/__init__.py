"""The numbered revisions; a released one is never changed."""
