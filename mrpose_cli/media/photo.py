"""A photo that was read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """A photo as a viewer shows it.

    Attributes:
        image: RGB uint8 of shape (height, width, 3), C-contiguous, turned upright, opaque on white.
        format: the file's format by Pillow's name, such as "JPEG".
        icc_profile: the color profile that `image` is to be shown with, where the file holds one.
        notes: notes for the user, such as that only the first frame was used.
    """

    image: NDArray[np.uint8]
    format: str
    icc_profile: bytes | None = None
    notes: tuple[str, ...] = ()
