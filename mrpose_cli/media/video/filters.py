"""What is done to a clip's pictures before anybody looks at them: fields made frames, HDR made SDR."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from av import VideoFrame
from av.error import BlockingIOError as NothingYetError
from av.error import EOFError as AtEndError
from av.filter import Graph
from numpy.typing import NDArray

T = TypeVar("T")
_Item = tuple[
    int | None, Fraction | None, int, T
]  # a picture's pts, time base, duration, and what belongs to it

# Codes of AVColorTransferCharacteristic.
PQ: Final = 16
HLG: Final = 18
HDR: Final = {PQ: "PQ", HLG: "HLG"}
"""How HDR pictures are encoded, and what that is called."""

_LEAST: Final = 16  # rows and columns from which the deinterlacer works, whatever the format
_WHITE: Final = 203.0  # cd/m² of paper white in HDR by ITU-R BT.2408; it becomes SDR's near-white
_KNEE: Final = 0.7  # of SDR's white, linear: darker light is kept as it is, brighter is compressed
_GAMMA: Final = 2.4  # of SDR displays, ITU-R BT.1886
_NODES: Final = 65  # of the table, along each axis
# Linear light from the primaries of BT.2020 to those of BT.709.
_TO_709: Final = np.array(
    [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]]
)
_LUMINANCE_2020: Final = np.array([0.2627, 0.6780, 0.0593])


class Deinterlacer:
    """Turns interlaced frames into whole ones, one for one; others pass as they are.

    Attributes:
        used: Whether there was an interlaced picture so far.
    """

    def __init__(self) -> None:
        self.used = False

    def __call__(self, pictures: Iterator[tuple[VideoFrame, T]]) -> Iterator[tuple[VideoFrame, T]]:
        """Yield the frames in their order, each with the item that belongs to it."""
        graph: Graph | None = None
        kind: tuple[Any, ...] = ()
        waiting: deque[_Item[T]] = deque()
        for number, (picture, item) in enumerate(pictures):
            if graph is not None and kind != _kind(picture):
                yield from _drained(graph, waiting)
                graph = None
            if graph is None and picture.interlaced_frame and min(picture.width, picture.height) >= _LEAST:
                self.used = True
                kind = _kind(picture)
                # Pictures without fields go through unchanged.
                graph = _graph(picture, "bwdif", mode="send_frame", deint="interlaced")
            if graph is None:
                yield picture, item
                continue
            waiting.append((picture.pts, picture.time_base or Fraction(1), picture.duration, item))
            picture.pts, picture.time_base = number, Fraction(1)
            graph.vpush(picture)
            yield from _filtered(graph, waiting)
        if graph is not None:
            yield from _drained(graph, waiting)


def _kind(picture: VideoFrame) -> tuple[Any, ...]:
    return picture.width, picture.height, picture.format.name


def _graph(picture: VideoFrame, name: str, **options: str) -> Graph:
    """Build a graph of one filter for frames like this one."""
    graph = Graph()
    source = graph.add_buffer(
        width=picture.width, height=picture.height, format=picture.format, time_base=Fraction(1)
    )
    graph.link_nodes(source, graph.add(name, **options), graph.add("buffersink")).configure()
    return graph


def _filtered(graph: Graph, waiting: deque[_Item[T]]) -> Iterator[tuple[VideoFrame, T]]:
    while True:
        try:
            picture = graph.vpull()
        except (NothingYetError, AtEndError):
            return
        picture.pts, picture.time_base, picture.duration, item = waiting.popleft()
        yield picture, item


def _drained(graph: Graph, waiting: deque[_Item[T]]) -> Iterator[tuple[VideoFrame, T]]:
    graph.vpush(None)
    yield from _filtered(graph, waiting)


class ToneMap:
    """Maps HDR frames to SDR, as an SDR display shows them. Not to be shared between threads.

    Light up to 0.7 of paper white is kept; brighter light, up to what the encoding can hold, is compressed
    into what remains, all three colors by the same factor.
    """

    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._kind: tuple[Any, ...] = ()

    def __call__(self, picture: VideoFrame) -> VideoFrame:
        """Convert a gbrp16le frame in HDR to BT.709's primaries and gamma."""
        kind = (*_kind(picture), picture.color_trc, picture.color_primaries)
        if self._graph is None or kind != self._kind:
            with tempfile.TemporaryDirectory(prefix="mrpose-lut-") as folder:
                path = Path(folder) / "table.cube"
                path.write_text(_cube(picture.color_trc, wide=picture.color_primaries != 1))
                self._graph, self._kind = _graph(picture, "lut3d", file=str(path)), kind
        picture.time_base = Fraction(1)
        self._graph.vpush(picture)
        return self._graph.vpull()


def _cube(transfer: int, *, wide: bool) -> str:
    """Write the table in the format that FFmpeg reads."""
    rows = _table(transfer, wide=wide)
    return f"LUT_3D_SIZE {_NODES}\n" + "%.6f %.6f %.6f\n" * len(rows) % tuple(rows.ravel().tolist())


def _table(transfer: int, *, wide: bool) -> NDArray[np.float64]:
    """Compute SDR for every HDR color of a grid, red the fastest; (nodes³, 3), 0..1."""
    axis = np.linspace(0, 1, _NODES)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")
    signal = np.stack([red, green, blue], -1).reshape(-1, 3)
    light, peak = (_pq(signal), 10_000 / _WHITE) if transfer == PQ else (_hlg(signal), 1000 / _WHITE)
    if wide:
        light = light @ _TO_709.T
    light = light.clip(0)
    brightest = light.max(1, keepdims=True)
    shown = light * (_compressed(brightest, peak) / np.maximum(brightest, 1e-9))
    return np.asarray(shown.clip(0, 1) ** (1 / _GAMMA), np.float64)


def _compressed(light: NDArray[np.float64], peak: float) -> NDArray[np.float64]:
    """Compress light: linear up to the knee, then bent so that the peak becomes 1; smooth and monotone."""
    room = 1 - _KNEE
    beyond, most = np.maximum(light - _KNEE, 0) / room, (peak - _KNEE) / room
    return np.minimum(light, _KNEE) + room * beyond * (1 + beyond / most**2) / (1 + beyond)


def _pq(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert a signal by SMPTE ST 2084 to light, in paper whites."""
    root = signal ** (32 / 2523)
    light = np.maximum(root - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * root)
    return np.asarray(light ** (16384 / 2610) * 10_000 / _WHITE, np.float64)


def _hlg(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert a signal by ARIB STD-B67 to light on the nominal 1000 cd/m² display, in paper whites."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    luminance = scene @ _LUMINANCE_2020
    return np.asarray(scene * (luminance**0.2)[:, None] * 1000 / _WHITE, np.float64)
