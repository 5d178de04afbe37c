"""The zoo as a list: networks, checkpoints, sizes, published figures; for the terminal, JSON and docs.

``python -m mrpose_cli.jobs.zoo`` rewrites ``docs/zoo.md`` and the table of sizes; a test sees to it
that both are current.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

from mrpose_cli.errors import UsageError
from mrpose_cli.models.registry import ModelInfo, list_models, model_info
from mrpose_cli.models.summary import ModelSummary, describe
from mrpose_cli.weights.manifest import PoseEntry, load_manifest
from mrpose_cli.weights.store import State, WeightsStore

# Counting the operations of the whole zoo takes 10 s, so what was counted is kept beside this module.
_SIZES = Path(__file__).with_name("zoo_sizes.json")
_DOCUMENT = Path(__file__).parents[2] / "docs" / "zoo.md"


@dataclass(frozen=True, slots=True)
class ZooRow:
    """One checkpoint.

    Attributes:
        entry: Its row of the manifest.
        info: Its network.
        size: What the network costs at the checkpoint's input size.
        state: Whether its file is on this machine, and how it can be had if not.
    """

    entry: PoseEntry
    info: ModelInfo
    size: ModelSummary
    state: State


def zoo(pattern: str = "*", store: WeightsStore | None = None) -> list[ZooRow]:
    """Return the checkpoints whose names match a shell pattern, family by family.

    Raises:
        UsageError: there is none.
    """
    store = store or WeightsStore()
    rows = [
        ZooRow(entry, model_info(entry.arch), _size(entry), store.state(entry))
        for entry in load_manifest().pose
        if fnmatch(entry.name, pattern)
    ]
    if not rows:
        raise UsageError(f"no model is called '{pattern}'; `mrpose models` lists all of them")
    families = list(dict.fromkeys(row.info.family for row in rows))
    return sorted(rows, key=lambda row: families.index(row.info.family))


def unpublished() -> list[str]:
    """Return the networks of the registry that no row of the manifest has weights for."""
    published = {entry.arch for entry in load_manifest().pose}
    return [name for name in list_models() if name not in published]


def as_json(row: ZooRow) -> dict[str, Any]:
    """Convert a row for ``mrpose models --json``."""
    return {
        "family": row.info.family,
        "paper": row.info.paper,
        "parameters": row.size.parameters,
        "gmacs": round(row.size.gmacs, 3),
        "state": row.state,
        **row.entry.model_dump(mode="json", exclude={"kind"}),
    }


def markdown() -> str:
    """Render ``docs/zoo.md``."""
    lines = [
        "# The zoo",
        "",
        "Generated from `weights/manifest.toml` by `python -m mrpose_cli.jobs.zoo`; do not edit.",
        "",
        "Every row is a checkpoint that `--model NAME` runs. *Input* is height x width. *GMACs* are billions",
        "of multiply-accumulates of convolutions and matrix products for one crop, without flip test. The",
        "published figure is that of whoever trained the checkpoint; *conditions* says how it was measured.",
        "*shipped* comes with mrpose; *by hand* means that the file lives where it cannot be fetched from:",
        "pass it with `--weights FILE`.",
    ]
    family = ""
    for row in zoo(store=WeightsStore(home=Path("nowhere"))):
        if row.info.family != family:
            family = row.info.family
            lines += [
                "",
                f"## {family}",
                "",
                f"{row.info.paper}",
                "",
                "| name | joints | input | parameters | GMACs | published | conditions | weights |",
                "|---|---|---|---|---|---|---|---|",
            ]
        lines.append("| " + " | ".join(_cells(row)) + " |")
    lines += [
        "",
        "## Networks without published weights",
        "",
        "They can be built (`create_model`), and run with weights of your own (`--weights FILE`):",
        "",
        ", ".join(f"`{name}`" for name in unpublished()) + ".",
        "",
    ]
    return "\n".join(lines)


def sizes() -> dict[str, list[float]]:
    """Count the parameters and GMACs of every row's network, by :func:`_key`."""
    counted: dict[str, list[float]] = {}
    for entry in load_manifest().pose:
        if _key(entry) not in counted:
            summary = describe(entry.arch, entry.joints, entry.input_size)
            counted[_key(entry)] = [summary.parameters, summary.gmacs]
    return counted


def _cells(row: ZooRow) -> Iterator[str]:
    entry = row.entry
    yield f"`{entry.name}`"
    yield str(entry.joints)
    yield f"{entry.input_size[0]}x{entry.input_size[1]}"
    yield f"{row.size.parameters / 1e6:.1f} M"
    yield f"{row.size.gmacs:.2f}"
    yield f"{entry.metrics[0].ap:.1f} {entry.metrics[0].metric}" if entry.metrics else "-"
    yield conditions(entry)
    yield "downloadable" if entry.sources else row.state


def conditions(entry: PoseEntry) -> str:
    """Describe in one line how the published figure was measured; empty if there is none."""
    if not entry.metrics:
        return ""
    metric = entry.metrics[0]
    flip = {True: "flip", False: "no flip", None: "flip not stated"}[metric.flip]
    decode = metric.decode or "decoding not stated"
    return f"{metric.dataset}, {metric.boxes}, {flip}, {decode} ({metric.source})"


def _key(entry: PoseEntry) -> str:
    return f"{entry.arch} {entry.joints} {entry.input_size[0]}x{entry.input_size[1]}"


def _size(entry: PoseEntry) -> ModelSummary:
    if kept := _kept_sizes().get(_key(entry)):
        return ModelSummary(int(kept[0]), kept[1])
    return describe(entry.arch, entry.joints, entry.input_size)


@cache
def _kept_sizes() -> dict[str, list[float]]:
    return json.loads(_SIZES.read_text(encoding="utf-8")) if _SIZES.is_file() else {}


if __name__ == "__main__":
    _SIZES.write_text(json.dumps(sizes(), indent=1) + "\n", encoding="utf-8")
    _kept_sizes.cache_clear()
    _DOCUMENT.write_text(markdown(), encoding="utf-8")
