"""Commands of `idiolect keys`."""
