"""``python -m mrpose_cli`` and the console script ``mrpose``."""

import signal
import sys


def main() -> None:
    """Run the command line."""
    try:
        from mrpose_cli.cli import app

        app()
    except KeyboardInterrupt:  # while the commands are still being imported
        sys.exit(130)
    finally:
        # Everything is done; the interpreter would only print what it was doing when Ctrl-C came.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    main()
