"""Commands of `idiolect groups`."""
