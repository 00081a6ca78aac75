"""Entry point of `python -m idiolect`, which is the command `idiolect` of that Python's environment."""

from __future__ import annotations

from idiolect.cli.start import main

if __name__ == "__main__":
    main()
