"""Pictures, and files that may not be opened, also where the tests run as root."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_NOBODY = 65534


def pattern(height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """A smooth picture, no part of which looks like another, that JPEG keeps well."""
    y, x = np.mgrid[0:height, 0:width]
    planes = (255 * x / width, 255 * y / height, 255 - 127 * (x / width + y / height))
    return np.stack(planes, axis=-1).astype(np.uint8)


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that anyone may look into; unlike tmp_path, all of whose parents are root's alone."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def without_root() -> Iterator[None]:
    """Takes root's right to ignore permissions away, where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
