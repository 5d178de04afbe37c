"""The plan of a batch: which shards there are, and what everybody who works on them has to agree on.

``plan.json`` is created once, when the lists of inputs that it names are written. Whoever comes later finds
it and goes on with it, or is refused because the options are others.
"""

from __future__ import annotations

import io
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from mrpose_cli.errors import OutputError, UsageError, parameter
from mrpose_cli.jobs.batch.inputs import Item
from mrpose_cli.jobs.batch.place import Place, read
from mrpose_cli.jobs.spool import short
from mrpose_cli.version import __version__

PLAN_FILE: Final = "plan.json"
PARTS: Final = "parts"
_FORMAT: Final = 1
_EACH: Final = 1000  # shards in one file of inputs
_LARGEST, _SMALLEST, _SHARDS = 512, 8, 64  # photos in a shard, and how many shards small batches get
_COLUMNS: Final = pa.schema(
    [
        ("kind", pa.string()),
        ("location", pa.string()),
        ("name", pa.string()),
        ("start", pa.float64()),
        ("end", pa.float64()),
    ]
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What everybody agrees on.

    Attributes:
        place: Where the outputs are.
        shards: How many there are.
        items: Photos, clips and tars in all of them.
        lists: The folder of the lists of inputs.
        inputs: As they were typed.
        settings: What the rows depend on, by flag.
        models: SHA-256 of the weights by what they are.
        model: The name of the pose network; None for the user's own.
        version: Of mrpose.
    """

    place: Place = field(compare=False)
    shards: int
    items: int
    lists: str
    inputs: Sequence[str]
    settings: Mapping[str, Any]
    models: Mapping[str, str]
    model: str | None
    version: str = __version__
    _open: dict[int, pq.ParquetFile] = field(default_factory=dict, repr=False, compare=False)

    def read(self, shard: int) -> list[Item]:
        """Read the items of a shard, in order.

        Raises:
            OutputError: they cannot be read.
        """
        number, row_group = divmod(shard, _EACH)
        if number not in self._open:
            self._open.clear()  # shards mostly come in order
            data = read(self.place, _list_name(self.lists, number))
            if data is None:
                raise OutputError(f"{self.place.address}/{_list_name(self.lists, number)} is gone")
            self._open[number] = pq.ParquetFile(io.BytesIO(data))
        rows = self._open[number].read_row_group(row_group).to_pylist()
        return [Item(**row) for row in rows]

    def missing(self, share: Iterable[int]) -> list[int]:
        """List the shards of a share that have no part yet."""
        parts = self.place.names(PARTS)
        return [shard for shard in share if part_name(shard) not in parts]


def part_name(shard: int) -> str:
    """Name a shard's part."""
    return f"part-{shard:07}.parquet"


def shard_of(name: str) -> int | None:
    """Tell whose part a file is by its name; None if it is none."""
    number = name.removeprefix("part-").removesuffix(".parquet")
    return int(number) if number.isdecimal() and name == part_name(int(number)) else None


def read_plan(place: Place) -> Plan | None:
    """Read the plan; None if there is none.

    Raises:
        UsageError: it is of another version, or damaged.
        OutputError: it cannot be read.
    """
    data = read(place, PLAN_FILE)
    if data is None:
        return None
    try:
        told = json.loads(data)
        if told.pop("format") != _FORMAT:
            raise UsageError(
                f"{place.address} was planned by mrpose {told['version']}, which is not {__version__}; "
                f"use that version, or choose another place with {parameter('out')}"
            )
        return Plan(place, **told)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise UsageError(f"{place.address}/{PLAN_FILE} is damaged") from None


def make_plan(
    place: Place,
    items: Iterable[Item],
    *,
    size: int | None,
    inputs: Sequence[str],
    settings: Mapping[str, Any],
    models: Mapping[str, str],
    model: str | None,
) -> Plan | None:
    """Write a plan, unless another run has written one meanwhile, which then counts.

    Args:
        place: Where.
        items: What is to be read.
        size: Photos in a shard; None for what suits the number of photos.
        inputs: As they were typed.
        settings: What the rows depend on.
        models: The weights.
        model: The pose network.

    Returns:
        The plan; None if there is nothing to be read.

    Raises:
        OutputError: it cannot be written.
        UsageError: another run has written one with other options.
    """
    lists = f"lists/{secrets.token_hex(4)}"
    shards = total = 0
    sharded = _sharded(items, size)
    for number, group in enumerate(iter(lambda: list(islice(sharded, _EACH)), [])):
        sink = io.BytesIO()
        with pq.ParquetWriter(sink, _COLUMNS, compression="zstd") as writer:
            for shard in group:
                columns = [[getattr(item, name) for item in shard] for name in _COLUMNS.names]
                writer.write_table(pa.table(columns, _COLUMNS))
                shards, total = shards + 1, total + len(shard)
        place.put(_list_name(lists, number), sink.getvalue())
    if not shards:
        return None
    plan = Plan(place, shards, total, lists, list(inputs), settings, models, model)
    told = {name: getattr(plan, name) for name in Plan.__slots__ if name not in ("place", "_open")}
    if place.create(PLAN_FILE, json.dumps({"format": _FORMAT, **told}, indent=1).encode()):
        return plan
    for number in range(-(-shards // _EACH)):
        place.remove(_list_name(lists, number))
    first = read_plan(place)
    assert first is not None
    check_same(first, inputs, settings)
    return first


def check_same(plan: Plan, inputs: Sequence[str], settings: Mapping[str, Any]) -> None:
    """See that a plan was made for the same inputs, if any are given, and options.

    Raises:
        UsageError: it was not.
    """
    if plan.version != __version__:
        raise UsageError(
            f"{plan.place.address} was planned by mrpose {plan.version}, and this is {__version__}; use that "
            f"version, or choose another place with {parameter('out')}"
        )
    planned = {**plan.settings, "inputs": plan.inputs}
    wanted = {**settings, "inputs": inputs or plan.inputs}
    for name in (*wanted, *planned):
        theirs, ours = planned.get(name), wanted.get(name)
        if theirs != json.loads(json.dumps(ours)):
            raise UsageError(
                f"{plan.place.address} holds a batch with other options: {name} was {short(theirs)}, is now "
                f"{short(ours)}; repeat the first command, or choose another place with {parameter('out')}"
            )


def _list_name(lists: str, number: int) -> str:
    return f"{lists}/{number:05}.parquet"


def _sharded(items: Iterable[Item], size: int | None) -> Iterator[list[Item]]:
    """Items in shards: photos by the dozens, everything else for itself."""
    stream = iter(items)
    begin: list[Item] = []
    if size is None:  # it depends on the inputs alone, not on who works on them
        begin = list(islice(stream, _LARGEST * _SHARDS))
        size = min(max(-(-len(begin) // _SHARDS), _SMALLEST), _LARGEST)
    shard: list[Item] = []
    for item in chain(begin, stream):
        if item.kind != "photo":
            if shard:
                yield shard
                shard = []
            yield [item]
            continue
        shard.append(item)
        if len(shard) == size:
            yield shard
            shard = []
    if shard:
        yield shard
