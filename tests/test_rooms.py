"""CONTRIBUTING's table of rooms holds: every import leads down, and there are no circles."""

import ast
import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = "mrpose_cli"

Imports = dict[str, set[str]]


def read_table(text: str) -> dict[str, int]:
    """The height of each room, 0 for those of the last row."""
    section = text.partition("## The rooms\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]*) \|", section, flags=re.MULTILINE)
    return {
        room.removesuffix("/").removesuffix(".py"): len(rows) - 1 - number
        for number, row in enumerate(rows)
        for room in re.findall(r"`([^`]*)`", row)
    }


def read_imports(root: Path) -> Imports:
    """What each module imports of the package, be it within a function or for types alone."""
    modules = {_module(path, root): path for path in sorted((root / PACKAGE).rglob("*.py"))}
    return {
        name: {imported for imported in _imported(path, name, set(modules)) if imported != name}
        for name, path in modules.items()
    }


def _module(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def _imported(path: Path, name: str, modules: set[str]) -> Iterator[str]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom):
            origin = resolve_name("." * node.level + (node.module or ""), package)
            for alias in node.names:
                yield from [one for one in (f"{origin}.{alias.name}", origin) if one in modules][:1]


def room_of(module: str) -> str:
    return (module.split(".")[1:] or ["__init__"])[0]


def wrong_arrows(imports: Imports, heights: Mapping[str, int]) -> list[str]:
    """Imports that do not lead down, and rooms that are not in the table."""
    unknown = {room_of(module) for module in imports} - set(heights)
    found = [f"{room} is not in the table" for room in sorted(unknown)]
    for module in imports:
        for imported in sorted(imports[module]):
            above, below = room_of(module), room_of(imported)
            if above == below or {above, below} & unknown:
                continue
            # What everybody uses, the last row, is single files, which may use each other.
            if heights[below] >= heights[above] and (heights[below] or heights[above]):
                found.append(f"{module} imports {imported}")
    return found


def circle(imports: Imports) -> list[str]:
    """Modules that import each other, first and last the same; empty if there are none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_every_import_leads_down() -> None:
    heights = read_table((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    imports = read_imports(ROOT)
    assert set(heights) == {room_of(module) for module in imports}
    assert wrong_arrows(imports, heights) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    imports = read_imports(ROOT)
    assert sum(map(len, imports.values())) > 300  # it does see them
    assert circle(imports) == []


TABLE = """## The rooms

| room | what is in it |
|---|---|
| `__init__.py`, `cli/` | commands |
| `jobs/` | jobs |
| `formats/`, `media/` | files |
| `poses.py`, `errors.py` | what everybody uses |
"""

GOOD = {
    "__init__.py": "",
    "cli/__init__.py": "def run():\n    from mrpose_cli.jobs import work\n",
    "jobs/__init__.py": "",
    "jobs/work.py": "from ..media.clip import Clip\nimport mrpose_cli.formats.reader\n",
    "formats/__init__.py": "",
    "formats/reader.py": "from mrpose_cli.errors import InputError\n",
    "media/__init__.py": "",
    "media/clip.py": "from mrpose_cli import poses\nimport numpy\n",
    "poses.py": "from mrpose_cli.errors import InputError\n",
    "errors.py": "",
}


def planted(folder: Path, **changed: str) -> tuple[list[str], list[str]]:
    """The wrong arrows and the circle of a small package in which some files are others."""
    for name, text in {**GOOD, **changed}.items():
        path = folder / PACKAGE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    imports = read_imports(folder)
    return wrong_arrows(imports, read_table(TABLE)), circle(imports)


def test_a_good_tree_passes(tmp_path: Path) -> None:
    assert planted(tmp_path) == ([], [])


def test_an_arrow_that_runs_up_is_found(tmp_path: Path) -> None:
    found, _ = planted(tmp_path, **{"media/clip.py": "from mrpose_cli.jobs.work import go\n"})
    assert found == ["mrpose_cli.media.clip imports mrpose_cli.jobs.work"]


def test_an_arrow_within_a_function_is_found(tmp_path: Path) -> None:
    text = "class Clip:\n    def go(self):\n        from mrpose_cli import jobs\n"
    assert planted(tmp_path, **{"media/clip.py": text})[0] == [
        "mrpose_cli.media.clip imports mrpose_cli.jobs"
    ]


def test_an_arrow_for_types_alone_is_found(tmp_path: Path) -> None:
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import mrpose_cli.jobs.work\n"
    assert planted(tmp_path, **{"poses.py": text})[0] == ["mrpose_cli.poses imports mrpose_cli.jobs.work"]


def test_an_arrow_to_a_room_of_the_same_row_is_found(tmp_path: Path) -> None:
    found, _ = planted(tmp_path, **{"media/clip.py": "from ..formats import reader\n"})
    assert found == ["mrpose_cli.media.clip imports mrpose_cli.formats.reader"]


def test_a_room_that_the_table_lacks_is_found(tmp_path: Path) -> None:
    assert planted(tmp_path, **{"attic/__init__.py": ""})[0] == ["attic is not in the table"]


def test_a_circle_within_a_room_is_found(tmp_path: Path) -> None:
    files = {
        "media/clip.py": "from . import photo\n",
        "media/photo.py": "def f():\n    from .clip import Clip\n",
    }
    found, modules = planted(tmp_path, **files)
    assert found == []
    assert set(modules) == {"mrpose_cli.media.clip", "mrpose_cli.media.photo"}
