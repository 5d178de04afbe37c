"""A window that shows frames as they are done, in a process of its own.

PyAV and OpenCV each bring their own copy of the libraries that talk to the screen, and in one process
OpenCV's window hangs over that. A screen that cannot be reached would abort the process, too.
"""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import subprocess
import sys
import threading
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.errors import UsageError, parameter

_HEADER: Final = struct.Struct("<II")  # height and width of the RGB pixels that follow
_READY: Final = b"ready\n"
_NO_WINDOWS: Final = b"no windows\n"
_QUIT_KEYS: Final = frozenset({ord("q"), ord("Q"), 27})
_LARGEST: Final = (1600, 900)  # pixels; larger frames are shown smaller
_LOOK: Final = 20  # milliseconds between two looks at the keyboard


def check_display() -> None:
    """Check, without opening anything, whether a window can be shown.

    Raises:
        UsageError: this machine has no display.
    """
    if sys.platform.startswith("linux") and not any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    ):
        raise UsageError(f"{parameter('show')} needs a display, and this machine has none; leave it away")


class PreviewWindow:
    """Shows frames.

    Args:
        title: What stands above it.

    Raises:
        UsageError: this machine, or this build of OpenCV, shows no windows.
    """

    def __init__(self, title: str) -> None:
        check_display()
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, title],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # Qt speaks of its fonts
        )
        assert self._process.stdout is not None
        with self._process.stdout as answers:
            answer = answers.readline()
        if answer != _READY:
            self.close()
        if answer == _NO_WINDOWS:
            raise UsageError(
                f"{parameter('show')} needs an OpenCV with windows, and opencv-python-headless has none; "
                "leave it away, or "
                "run: pip uninstall -y opencv-python-headless && pip install opencv-python"
            )
        if answer != _READY:
            raise UsageError(
                f"{parameter('show')} needs a display, and the one there is cannot be used; leave it away"
            )

    def show(self, image: NDArray[np.uint8]) -> bool:
        """Show a frame (H, W, 3) uint8 RGB; return False once the user closed it or pressed q or Esc."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(_HEADER.pack(*image.shape[:2]))
            self._process.stdin.write(np.ascontiguousarray(image).data)
            self._process.stdin.flush()
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Close the window."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it may be gone already
            self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class _Screen:
    """The newest of the frames that come in; older ones are dropped."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._newest: NDArray[np.uint8] | None = None
        self.ended = False

    def receive(self) -> None:
        while len(header := self._source.read(_HEADER.size)) == _HEADER.size:
            height, width = _HEADER.unpack(header)
            data = self._source.read(3 * height * width)
            with self._lock:
                self._newest = np.frombuffer(data, np.uint8).reshape(height, width, 3)
        self.ended = True

    def take(self) -> NDArray[np.uint8] | None:
        with self._lock:
            newest, self._newest = self._newest, None
        return newest


def _run(title: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other process ends this one
    import cv2

    try:
        cv2.namedWindow(title, cv2.WINDOW_AUTOSIZE)
    except cv2.error:
        _answer(_NO_WINDOWS)
        return
    _answer(_READY)
    screen = _Screen(sys.stdin.buffer)
    threading.Thread(target=screen.receive, daemon=True).start()
    shown = False
    while not screen.ended:
        image = screen.take()
        if image is not None:
            cv2.imshow(title, _fitted(image)[..., ::-1])
            shown = True
        if cv2.waitKey(_LOOK) & 0xFF in _QUIT_KEYS:
            return
        if shown and cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) < 1:
            return


def _answer(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


def _fitted(image: NDArray[np.uint8]) -> Any:
    import cv2

    height, width = image.shape[:2]
    scale = min(_LARGEST[0] / width, _LARGEST[1] / height, 1.0)
    if scale == 1:
        return image
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


if __name__ == "__main__":
    _run(sys.argv[1])
    os._exit(0)  # the thread that reads may still be waiting
