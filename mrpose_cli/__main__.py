"""``python -m mrpose_cli`` and the console script ``mrpose``."""

import _thread
import os
import signal
import sys
import threading


def main() -> None:
    """Run the command line."""
    sys.unraisablehook = _interrupt_again
    try:
        from mrpose_cli.cli import app

        app()
    except KeyboardInterrupt:  # while the commands are still being imported
        sys.exit(130)
    except SystemExit as end:
        if isinstance(end.code, int | None):
            _leave_threads_behind(end.code or 0)
        raise
    finally:
        # Everything is done; the interpreter would only print what it was doing when Ctrl-C came.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _interrupt_again(caught: "sys.UnraisableHookArgs") -> None:
    """Repeat a Ctrl-C that came within a callback of a C or Rust library, which could not pass it on."""
    if issubclass(caught.exc_type, KeyboardInterrupt):
        threading.Timer(0.01, _thread.interrupt_main).start()  # at once, it would come within this function
    else:
        sys.__unraisablehook__(caught)


def _leave_threads_behind(code: int) -> None:
    """End the process at once if threads still read what nobody waits for.

    The interpreter would end them within the libraries that they are in, and C++ answers that with an abort.
    """
    if any(thread.daemon and thread.name.startswith("mrpose") for thread in threading.enumerate()):
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
