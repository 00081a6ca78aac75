"""The commands of `idiolect groups`."""
