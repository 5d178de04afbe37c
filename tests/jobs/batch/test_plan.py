"""Plans: what goes into which shard, and who may go on with them."""

import threading
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mrpose_cli.errors import UsageError
from mrpose_cli.jobs.batch.inputs import Inputs, Item
from mrpose_cli.jobs.batch.place import open_place
from mrpose_cli.jobs.batch.plan import Plan, check_same, make_plan, part_name, read_plan, shard_of

SETTINGS = {"--detector": "yolo26n"}


def numbered(count: int) -> Iterable[Item]:
    return (Item("photo", f"/photos/{number}.jpg", f"{number}.jpg") for number in range(count))


def planned(out: Path, items: Iterable[Item], size: int | None = None, **more: object) -> Plan:
    plan = make_plan(
        open_place(str(out)),
        items,
        size=size,
        inputs=["photos"],
        settings={**SETTINGS, **more},
        models={},
        model="rtmpose-s",
    )
    assert plan is not None
    return plan


@pytest.mark.parametrize(
    ("count", "shards", "first"), [(3, 1, 3), (363, 46, 8), (10_000, 64, 157), (40_000, 79, 512)]
)
def test_small_batches_have_many_shards_and_large_ones_large_ones(
    tmp_path: Path, count: int, shards: int, first: int
) -> None:
    plan = planned(tmp_path, numbered(count))
    assert (plan.shards, plan.items, len(plan.read(0))) == (shards, count, first)


def test_every_input_is_in_one_shard_in_order(tmp_path: Path) -> None:
    made = planned(tmp_path, numbered(2500), size=2)
    assert made.shards == 1250  # in two lists
    plan = read_plan(open_place(str(tmp_path)))
    assert plan == made
    assert [item for shard in range(plan.shards) for item in plan.read(shard)] == list(numbered(2500))


def test_clips_and_tars_are_shards(tmp_path: Path) -> None:
    clip, tar = Item("clip", "/c.mp4", "c.mp4", 1.5, 60.0), Item("tar", "s3://b/t.tar", "t.tar")
    first, *rest = numbered(4)
    plan = planned(tmp_path, [first, clip, *rest, tar])
    assert [plan.read(shard) for shard in range(plan.shards)] == [[first], [clip], rest, [tar]]


def test_other_options_are_refused_in_one_line(tmp_path: Path) -> None:
    plan = planned(tmp_path, numbered(3))
    check_same(plan, ["photos"], SETTINGS)
    check_same(plan, [], SETTINGS)
    with pytest.raises(UsageError, match="--detector was yolo26n, is now yolox-tiny") as error:
        check_same(plan, ["photos"], {**SETTINGS, "--detector": "yolox-tiny"})
    assert "\n" not in str(error.value)
    with pytest.raises(UsageError, match='inputs was \\["photos"\\]'):
        check_same(plan, ["other"], SETTINGS)


def test_of_many_who_plan_at_once_one_counts(tmp_path: Path) -> None:
    plans: list[Plan] = []
    start = threading.Barrier(8)

    def plan(number: int) -> None:
        start.wait()
        plans.append(planned(tmp_path, numbered(100 + number)))

    threads = [threading.Thread(target=plan, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({(one.lists, one.items) for one in plans}) == 1
    assert len(list((tmp_path / "lists").glob("*/*"))) == 1  # those of the others are gone
    assert {path.name for path in tmp_path.iterdir()} == {"plan.json", "lists"}


def test_who_plans_something_else_at_the_same_time_is_refused(tmp_path: Path) -> None:
    planned(tmp_path, numbered(3))
    with pytest.raises(UsageError, match="--every was null, is now 2"):
        planned(tmp_path, numbered(3), **{"--every": 2})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', "nonsense", '{"format": 1, "shards": 2}'])
def test_a_damaged_plan_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(UsageError, match="is damaged"):
        read_plan(open_place(str(tmp_path)))


def test_parts_are_named_by_their_shards() -> None:
    assert shard_of(part_name(12)) == 12
    for name in ("part-12.parquet", "part-0000012.parquet.tmp", ".mrpose-00.part", "part-x.parquet"):
        assert shard_of(name) is None


def found(*entries: str, out: str = "out", recursive: bool = False) -> tuple[list[Item], dict[str, str]]:
    inputs = Inputs(entries, recursive=recursive, out=out)
    return list(inputs), {problem.name: problem.message for problem in inputs.problems}


def test_folders_give_photos_clips_and_tars(tmp_path: Path) -> None:
    for name in ("b/2.jpg", "b/10.jpg", "c.mp4", "d.tar", "notes.txt.bak", ".hidden.jpg", "out/3.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    items, problems = found(str(tmp_path), out=str(tmp_path / "out"), recursive=True)
    assert [(item.kind, item.name) for item in items] == [
        ("photo", "b/2.jpg"),
        ("photo", "b/10.jpg"),
        ("clip", "c.mp4"),
        ("tar", "d.tar"),
    ]
    assert items[0].location == str(tmp_path / "b/2.jpg")
    assert problems == {}
    assert found(str(tmp_path / "gone"))[1] == {str(tmp_path / "gone"): "no such file or folder"}


def test_lists_are_read_without_looking_at_what_they_name(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("# photos\na.jpg\n\ns3://bucket/b.mp4\n/c/d.tar\n")
    expected = [
        Item("photo", str(tmp_path / "a.jpg"), "a.jpg"),
        Item("clip", "s3://bucket/b.mp4", "s3://bucket/b.mp4"),
        Item("tar", "/c/d.tar", "/c/d.tar"),
    ]
    assert found(str(tmp_path / "list.txt")) == (expected, {})
    table = pa.table({"id": ["x", "y", "z"], "url": [item.name for item in expected]})
    pq.write_table(table, tmp_path / "list.parquet")
    assert found(str(tmp_path / "list.parquet")) == (expected, {})


def test_what_is_no_list_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "b.parquet").write_bytes(b"no")
    (tmp_path / "c.txt").write_text("# nothing\n")
    pq.write_table(pa.table({"x": ["a"], "y": ["b"]}), tmp_path / "d.parquet")
    items, problems = found(*(str(path) for path in sorted(tmp_path.iterdir())))
    assert items == []
    messages = list(problems.values())
    assert messages[0] == "not a list: it is not UTF-8 text"
    assert messages[1].startswith("the list cannot be read")
    assert messages[2] == "there is no photo, clip or tar in it"
    assert messages[3].startswith("it has no column of text called")
