import json
import threading
from pathlib import Path

import pytest

from mrpose_cli.errors import UsageError
from mrpose_cli.formats.flags import PersonFlag, change_flags, flagged_people, read_flags


def flag(person: int, kind: str = "nobody", result: str = "poses.json") -> PersonFlag:
    return PersonFlag.model_validate({"result": result, "kind": kind, "image": 1, "person": person})


def test_flags_are_added_once_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "flags.json"
    assert read_flags(path) == []
    change_flags(path, [flag(1), flag(2)], [])
    assert change_flags(path, [flag(2), flag(3)], [flag(1)]) == [flag(2), flag(3)] == read_flags(path)
    assert json.loads(path.read_text())["flags"][0] == {
        "result": "poses.json", "kind": "nobody", "image": 1, "file_name": "", "person": 2,
    }  # fmt: skip
    change_flags(path, [], [flag(2), flag(3)])
    assert read_flags(path) == []
    assert list(tmp_path.iterdir()) == [path]


def test_who_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "flags.json"
    track = PersonFlag(result="poses.json", kind="same_person", track=7, other=8)
    change_flags(path, [flag(1), flag(5, result="other.json"), track], [])
    left_out = flagged_people(path, tmp_path / "poses.json")
    assert [left_out(person, None) for person in (1, 2, 5)] == [True, False, False]
    assert left_out(2, 7) and not left_out(2, 8)
    assert flagged_people(path, tmp_path / "elsewhere" / "poses.json")(1, None)  # it may be a copy
    assert not flagged_people(path, tmp_path / "third.json")(1, 7)
    with pytest.raises(UsageError, match="no file"):
        flagged_people(tmp_path / "none.json", tmp_path / "poses.json")


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"format": 2, "flags": []}', '{"format": 1, "flags": [{"kind": "x"}]}']
)
def test_what_is_no_file_of_flags_is_never_replaced(tmp_path: Path, text: str) -> None:
    path = tmp_path / "flags.json"
    path.write_text(text)
    with pytest.raises(UsageError):
        change_flags(path, [flag(1)], [])
    assert path.read_text() == text


def test_readers_never_see_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "flags.json"
    change_flags(path, [flag(0)], [])
    stop = threading.Event()
    seen: list[int] = []

    def look() -> None:
        while not stop.is_set():
            seen.append(len(read_flags(path)))

    thread = threading.Thread(target=look)
    thread.start()
    for number in range(1, 60):
        change_flags(path, [flag(number)], [])
    stop.set()
    thread.join()
    assert seen and seen == sorted(seen)
