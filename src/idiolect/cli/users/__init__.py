"""The commands of `idiolect users`."""
