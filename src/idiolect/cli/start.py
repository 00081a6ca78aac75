"""Entry point of the command `idiolect`: Ctrl-C is answered from the first moment, while the command's modules load."""

from __future__ import annotations

import sys

_STOPPED = 130  # as in `boundary`, which is not loaded yet


def main() -> None:
    """Run the command line; never returns.

    Raises:
        SystemExit: always, with the exit status.
    """
    try:
        from idiolect.cli.app import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        sys.exit(_STOPPED)


if __name__ == "__main__":
    main()
