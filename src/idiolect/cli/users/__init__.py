"""Commands of `idiolect users`."""
