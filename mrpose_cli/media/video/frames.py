"""Pixels of a clip: upright RGB in, the clip's own kind of YUV out, colors unchanged by the way there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import cv2
import numpy as np
from av import VideoFrame
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from numpy.typing import NDArray

from mrpose_cli.errors import InputError
from mrpose_cli.media.video.filters import HDR, ToneMap

# Without accurate rounding swscale's result is 1 of 255 too dark on average, which adds up from
# generation to generation of a clip.
_EXACT: Final = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT

# AVColorSpace to swscale's matrices.
_MATRICES: Final = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
_BT709: Final = 1
_BT601: Final = 6
_BT2020: Final = 9
_TONE_MAPPED: Final = frozenset(
    {0, 1, 2, 9, 10}
)  # matrices of HDR that can be; ICtCp and Dolby Vision's cannot
_HD_HEIGHT: Final = 720


@dataclass(frozen=True, slots=True)
class Turn:
    """How stored pixels become upright ones, in this order.

    Attributes:
        transpose: Exchange rows and columns.
        flip_x: Mirror left and right.
        flip_y: Mirror top and bottom.
    """

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @classmethod
    def of(cls, frame: VideoFrame) -> Self:
        """Read the turn from the frame's display matrix, to the nearest quarter."""
        for index in range(len(frame.side_data)):
            data = frame.side_data[index]  # type: ignore[literal-required]  # the stubs know names only
            if data.type.name == "DISPLAYMATRIX":
                a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].tolist()
                # Pixel (x, y) goes to (a x + c y, b x + d y).
                if abs(b) + abs(c) > abs(a) + abs(d):
                    return cls(True, flip_x=c < 0, flip_y=b < 0)
                return cls(False, flip_x=a < 0, flip_y=d < 0)
        return cls()

    @property
    def degrees(self) -> int:
        """Clockwise, 0 to 270, mirroring aside."""
        if self.transpose:
            return 90 if self.flip_x else 270
        return 180 if self.flip_y else 0

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Turn an image upright; (H, W, 3) uint8."""
        if self.transpose:
            image = np.asarray(cv2.transpose(image), np.uint8)
        if self.flip_x or self.flip_y:
            image = np.asarray(
                cv2.flip(image, -1 if self.flip_x and self.flip_y else int(self.flip_x)), np.uint8
            )
        return image


@dataclass(frozen=True, slots=True)
class Color:
    """What the numbers of a clip's pixels mean, by FFmpeg's codes.

    Attributes:
        space: The YUV matrix (AVColorSpace); never left open.
        range: Limited (1) or full (2).
        primaries: AVColorPrimaries.
        transfer: AVColorTransferCharacteristic.
    """

    space: int
    range: int
    primaries: int
    transfer: int

    @classmethod
    def of(cls, frame: VideoFrame) -> Self:
        """Read the colors of a decoded frame; what the clip does not state is assumed as players do."""
        space = frame.colorspace
        if space not in _MATRICES and frame.color_trc in HDR:
            space = _BT2020
        elif space not in _MATRICES:
            space = _BT709 if frame.height >= _HD_HEIGHT else _BT601
        full = frame.color_range == ColorRange.JPEG
        if frame.color_range == ColorRange.UNSPECIFIED:
            full = frame.format.name.startswith(("yuvj", "gray"))
        if frame.format.is_rgb:
            full = False  # of the YUV that becomes of it
        return cls(
            space, int(ColorRange.JPEG if full else ColorRange.MPEG), frame.color_primaries, frame.color_trc
        )

    @classmethod
    def shown(cls, frame: VideoFrame) -> Self:
        """Return the colors that the frame's pixels have once :class:`FromYuv` has made them SDR.

        Raises:
            InputError: they are HDR of a kind that cannot be.
        """
        if frame.color_trc not in HDR:
            return cls.of(frame)
        if frame.colorspace not in _TONE_MAPPED:
            raise InputError(
                "its HDR colors (ICtCp, or Dolby Vision without a base layer) cannot be tone-mapped; "
                "convert it to SDR"
            )
        return cls(_BT709, int(ColorRange.MPEG), _BT709, _BT709)

    @property
    def matrix(self) -> int:
        """Swscale's number of the YUV matrix."""
        return _MATRICES[self.space]


class FromYuv:
    """Converts decoded frames to RGB. Not to be shared between threads."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()
        self._mapped_reformatter = VideoReformatter()
        self._tone_map = ToneMap()

    def __call__(self, frame: VideoFrame, turn: Turn) -> NDArray[np.uint8]:
        """Return the frame as (H, W, 3) uint8 RGB, upright, C-contiguous; HDR becomes SDR."""
        hdr = frame.color_trc in HDR
        target = "gbrp16le" if hdr else "rgb24"
        if frame.format.is_rgb:
            converted = self._reformatter.reformat(frame, format=target)
        else:
            color = Color.of(frame)
            converted = self._reformatter.reformat(
                frame,
                format=target,
                src_colorspace=color.matrix,
                src_color_range=color.range,
                dst_color_range=ColorRange.JPEG,
                interpolation=_EXACT,
            )
        if hdr:
            converted = self._mapped_reformatter.reformat(self._tone_map(converted), format="rgb24")
        return turn.apply(np.ascontiguousarray(converted.to_ndarray(), np.uint8))


class ToYuv:
    """Converts RGB to the frames an encoder takes. Not to be shared between threads.

    Args:
        color: What the pixels of the result shall mean.
    """

    def __init__(self, color: Color) -> None:
        self._color = color
        self._reformatter = VideoReformatter()

    def __call__(self, image: NDArray[np.uint8]) -> VideoFrame:
        """Convert an RGB image (H, W, 3) uint8 with even sides to a yuv420p frame."""
        frame = self._reformatter.reformat(
            VideoFrame.from_ndarray(image, format="rgb24"),
            format="yuv420p",
            src_color_range=ColorRange.JPEG,
            dst_colorspace=self._color.matrix,
            dst_color_range=self._color.range,
            interpolation=_EXACT,
        )
        frame.colorspace = self._color.space
        frame.color_range = self._color.range
        frame.color_primaries = self._color.primaries
        frame.color_trc = self._color.transfer
        return frame
