import json
from pathlib import Path
from typing import Any

import pytest

from mrpose_cli.errors import UsageError
from mrpose_cli.formats.reader import stream_json


def members(path: Path) -> list[tuple[str, Any]]:
    return list(stream_json(path, "the file"))


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_members_are_those_of_the_whole_file(tmp_path: Path, indent: int | None, encoding: str) -> None:
    content: dict[str, Any] = {
        "info": {"a": [1, {"b": "é]}"}]},
        "images": [{"id": 1}, [2, "]"], 3],
        "none": [],
        "x": None,
    }
    path = tmp_path / "a.json"
    path.write_bytes(json.dumps(content, indent=indent, ensure_ascii=False).encode(encoding))
    expected = [("info", content["info"]), *(("images", one) for one in content["images"]), ("x", None)]
    assert members(path) == expected
    path.write_text(json.dumps(content["images"], indent=indent))
    assert members(path) == [("", one) for one in content["images"]]


BROKEN = ["", " ", "{", "[", "[1", "[1,", "[1 2]", "{} x", "[]]", "{1: 2}", "3"]
BROKEN += ['{"a"', '{"a":', '{"a" 1}', '{"a": 1', '{"a": [1}', '{"a": 1,}']


@pytest.mark.parametrize("text", BROKEN)
def test_what_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="is not JSON"):
        members(path)
