"""Entries and stores for the tests of the weights room, in temporary folders."""

from __future__ import annotations

import hashlib
from pathlib import Path

from mrpose_cli.download import Pace
from mrpose_cli.progress import Progress, silent
from mrpose_cli.weights.fetch import HttpSettings
from mrpose_cli.weights.manifest import BackboneEntry, Manifest, PoseEntry
from mrpose_cli.weights.sources import Source
from mrpose_cli.weights.store import WeightsStore

QUICK = HttpSettings(connect_timeout=2.0, read_timeout=0.3, pause=0.0, pace=Pace(100_000, 0.5))


def content(size: int = 200_000, seed: int = 0) -> bytes:
    """Bytes in which every position differs from its neighbors', so that misplaced parts show."""
    block = hashlib.sha256(str(seed).encode()).digest()
    return b"".join(hashlib.sha256(block + i.to_bytes(4, "big")).digest() for i in range(size // 32 + 1))[
        :size
    ]


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def entry(
    *sources: Source,
    sha256: str | None = None,
    size: int | None = None,
    name: str = "net",
    file: str = "net.bin",
) -> BackboneEntry:
    return BackboneEntry(
        name=name, file=file, sha256=sha256, size=size, licence="MIT", arch="net", sources=sources
    )


def pose(*sources: Source, sha256: str | None = None) -> PoseEntry:
    return PoseEntry(
        name="posenet",
        file="posenet.bin",
        sha256=sha256,
        licence="MIT",
        sources=sources,
        format="torch",
        arch="net",
        joints=17,
        input_size=(256, 192),
        color="rgb",
        mean=(1.0, 1.0, 1.0),
        std=(1.0, 1.0, 1.0),
        codec="udp",
        flip_test=False,
    )


def store(
    tmp_path: Path,
    *,
    offline: bool = False,
    progress: Progress = silent,
    manifest: Manifest | None = None,
    http: HttpSettings = QUICK,
) -> WeightsStore:
    """A store with its cache in ``tmp_path/home/weights`` and its shipped folder ``tmp_path/shipped``."""
    shipped = tmp_path / "shipped"
    shipped.mkdir(exist_ok=True)
    return WeightsStore(
        home=tmp_path / "home",
        offline=offline,
        progress=progress,
        manifest=manifest or Manifest(),
        shipped=shipped,
        http=http,
    )


def cached(tmp_path: Path, data: bytes, file: str = "net.bin") -> Path:
    """Put a file into the cache by hand."""
    path = tmp_path / "home" / "weights" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
