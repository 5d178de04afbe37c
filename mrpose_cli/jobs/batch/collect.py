"""``mrpose batch collect``: one file of all parts, written in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mrpose_cli.errors import InputError, OutputError, UsageError, parameter
from mrpose_cli.formats.ids import NO_ID, assign, numeric_id
from mrpose_cli.formats.lines import JsonlWriter
from mrpose_cli.formats.webdataset import WebDatasetWriter
from mrpose_cli.formats.writer import DatasetWriter, PoseWriter, person_rows
from mrpose_cli.jobs.batch.place import in_threads
from mrpose_cli.jobs.batch.plan import PARTS, Plan, part_name, shard_of
from mrpose_cli.jobs.batch.rows import Picture, read_about, read_part
from mrpose_cli.jobs.batch.segments import TrackJoiner
from mrpose_cli.jobs.batch.tars import photos_in
from mrpose_cli.media.addresses import is_address
from mrpose_cli.media.images import read_bytes
from mrpose_cli.progress import Progress, Tally, silent
from mrpose_cli.skeletons import KEYPOINT_THRESHOLD, Skeleton, from_document

FormatName = Literal["coco", "jsonl", "webdataset"]
FORMATS: Final[dict[str, FormatName]] = {".json": "coco", ".jsonl": "jsonl", ".tar": "webdataset"}
_OF_PARTS: Final = ("schema_version", "skeleton", "pictures", "persons", "failed", "segment")


@dataclass(frozen=True, slots=True)
class Collecting:
    """The options of the run.

    Attributes:
        out: The file; for a WebDataset of several tars with a ``%`` format in its name.
        form: What it is; None for what its suffix says.
        threshold: Joints that score this or more get v = 2, others v = 0.
        images: Put photos into a WebDataset.
        overwrite: Replace what is there.
    """

    out: Path
    form: FormatName | None = None
    threshold: float = KEYPOINT_THRESHOLD
    images: bool = False
    overwrite: bool = False


@dataclass(slots=True)
class Collected:
    """What was collected.

    Attributes:
        written: The files.
        pictures: In them.
        persons: In all of them.
        failed: Inputs that failed and are not in the files.
        missing: Shards without a part.
    """

    written: list[Path] = field(default_factory=list)
    pictures: int = 0
    persons: int = 0
    failed: int = 0
    missing: int = 0


def collect(plan: Plan, job: Collecting, progress: Progress = silent) -> Collected:
    """Write all parts into one file.

    Args:
        plan: The plan.
        job: The options of the run.
        progress: Called with the progress.

    Raises:
        UsageError: the file exists, or its suffix does not tell what it is to be.
        OutputError: it cannot be written, or a part not be read.
        InputError: a photo for a WebDataset cannot be read any more.
    """
    form = job.form or FORMATS.get(job.out.suffix.lower())
    if form is None:
        suffixes = ", ".join(FORMATS)
        raise UsageError(f"{job.out} does not end in {suffixes}; {parameter('format')} says what it is")
    if job.images and form != "webdataset":
        raise UsageError(f"{parameter('images')} is for a WebDataset")
    if job.out.exists() and not job.overwrite:
        raise UsageError(f"{job.out} exists; replace it with {parameter('overwrite')}")
    shards = sorted(shard for name in plan.place.names(PARTS) if (shard := shard_of(name)) is not None)
    if not shards:
        raise UsageError(f"there are no parts in {plan.place.address} yet")
    about = _of_part(plan, shards[0], read_about)
    skeleton = from_document(about["skeleton"], "the parts")
    info = {key: value for key, value in about.items() if key not in _OF_PARTS}
    collected = Collected(missing=plan.shards - len(shards))
    tally = Tally(progress, "shards", len(shards))
    ids, joiner = iter(_ids(plan, shards)), TrackJoiner()
    with ExitStack() as stack:
        add, close = _writer(form, job, skeleton, info, stack)
        for shard in shards:
            told, pictures = _of_part(plan, shard, read_part)
            if pictures:
                joiner.begin(pictures[0].source, told)
            with closing(_photos(pictures, job.images)) as photos:
                for picture, photo in photos:
                    number = next(ids)
                    if picture.poses is None or picture.size is None:
                        collected.failed += 1
                        continue
                    people = person_rows(joiner.join(picture.poses, picture.frame), job.threshold)
                    add(_image(picture, number), people, photo)
                    collected.pictures += 1
                    collected.persons += len(picture.poses)
            tally.add()
        collected.written = close(bool(collected.missing))
    return collected


Add = Callable[[Mapping[str, Any], Sequence[Mapping[str, Any]], tuple[str, bytes] | None], None]


def _writer(
    form: FormatName, job: Collecting, skeleton: Skeleton, info: Mapping[str, Any], stack: ExitStack
) -> tuple[Add, Callable[[bool], list[Path]]]:
    """Open what is written; return what adds a picture and what finishes the files."""
    if form == "webdataset":
        tars = WebDatasetWriter(job.out)
        stack.callback(tars.discard)

        def close_tars(partial: bool) -> list[Path]:
            tars.close()
            return tars.written

        return tars.add, close_tars
    kind: type[PoseWriter] = DatasetWriter if form == "coco" else JsonlWriter
    writer = kind(job.out, skeleton, info)
    stack.callback(writer.discard)

    def close(partial: bool) -> list[Path]:
        writer.close(partial=partial)
        return [writer.written]

    return lambda image, people, photo: writer.add(image, people), close


def _image(picture: Picture, number: int) -> dict[str, Any]:
    assert picture.size is not None
    image: dict[str, Any] = {
        "id": number,
        "file_name": picture.name,
        "width": picture.size[0],
        "height": picture.size[1],
    }
    if picture.frame is not None:
        image |= {"frame_index": picture.frame, "timestamp": picture.time}
    return image


def _ids(plan: Plan, shards: Sequence[int]) -> Iterator[int]:
    """Assign the ids of all pictures, also of those that failed: numbers in names, else counted."""

    def numbers(shard: int) -> list[int]:
        table: pa.Table = _of_part(
            plan, shard, lambda file: pq.read_table(file, columns=["name", "person", "frame"])
        )
        rows = zip(*(table[name].to_pylist() for name in table.column_names), strict=True)
        return [
            NO_ID if frame is not None or (number := numeric_id(name)) is None else number
            for name, person, frame in rows
            if not person  # the first of a picture, or a row without people
        ]

    found = [np.array(some, np.int64) for some in in_threads(numbers, shards)]
    yield from map(int, assign(np.concatenate(found)))


def _of_part(plan: Plan, shard: int, read: Callable[[BinaryIO], Any]) -> Any:
    name = f"{PARTS}/{part_name(shard)}"
    try:
        with plan.place.open(name) as file:
            return read(file)
    except (ValueError, KeyError) as error:  # pyarrow's errors are ValueErrors
        raise OutputError(f"{plan.place.address}/{name} is damaged ({error})") from None


def _photos(
    pictures: Sequence[Picture], wanted: bool
) -> Generator[tuple[Picture, tuple[str, bytes] | None], None, None]:
    """Yield pictures with suffix and bytes of their files, if these are wanted and they are photos."""
    members: Iterator[tuple[str, bytes]] | None = None
    for picture in pictures:
        if not wanted or picture.poses is None or picture.frame is not None:
            yield picture, None
            continue
        suffix = PurePosixPath(picture.name).suffix.lower()
        if picture.source.endswith(".tar"):
            members = members or photos_in(picture.source)
            data = next((data for name, data in members if name == picture.name), None)
            if data is None:
                raise InputError(f"{picture.name} is no longer in {picture.source}")
        else:
            source = picture.source
            try:
                data = read_bytes(source if is_address(source) else Path(source))
            except InputError as error:
                raise InputError(f"{source}: {error}") from error
        yield picture, (suffix, data)
