from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from weights_entries import cached, content, entry, pose, sha, store

from mrpose_cli.errors import WeightsError
from mrpose_cli.weights.sources import UrlSource
from mrpose_cli.weights.store import WeightsStore

NOWHERE = UrlSource(url="http://127.0.0.1:9/net.bin")
DATA = content()


def test_shipped_files_come_before_cached_ones(tmp_path: Path) -> None:
    weights, net = store(tmp_path), entry(sha256=sha(DATA))
    assert weights.locate(net) is None
    in_cache = cached(tmp_path, DATA)
    assert (weights.locate(net), weights.state(net)) == (in_cache, "cached")
    shipped = tmp_path / "shipped" / "net.bin"
    shipped.write_bytes(DATA)
    assert (weights.locate(net), weights.state(net)) == (shipped, "shipped")
    assert weights.copies(net) == [shipped, in_cache]
    assert weights.resolve(net) == shipped


def test_states_of_what_is_not_here(tmp_path: Path) -> None:
    weights = store(tmp_path)
    assert weights.state(entry(NOWHERE, sha256=sha(DATA))) == "downloadable"
    assert weights.state(entry()) == "by hand"


def test_nothing_is_written_into_the_shipped_folder(tmp_path: Path) -> None:
    shipped = tmp_path / "shipped" / "net.bin"
    weights = store(tmp_path)
    shipped.write_bytes(DATA)
    weights.resolve(entry(sha256=sha(DATA)))
    assert list(shipped.parent.iterdir()) == [shipped]


def test_a_damaged_shipped_file_gives_way_to_a_sound_cached_one(tmp_path: Path) -> None:
    weights, net = store(tmp_path), entry(sha256=sha(DATA))
    (tmp_path / "shipped" / "net.bin").write_bytes(DATA[:-1])
    in_cache = cached(tmp_path, DATA)
    assert weights.resolve(net) == in_cache


def test_a_hash_prefix_is_enough(tmp_path: Path) -> None:
    path = cached(tmp_path, DATA)
    assert store(tmp_path).resolve(entry(sha256=sha(DATA)[:8])) == path


def test_without_a_hash_a_file_brought_by_hand_is_used(tmp_path: Path) -> None:
    path = cached(tmp_path, b"anything")
    assert store(tmp_path).resolve(entry()) == path
    assert [check.status for check in store(tmp_path).check(entry())] == ["unchecked"]


def test_a_verified_file_is_hashed_again_only_when_it_changed(tmp_path: Path) -> None:
    net, path = entry(sha256=sha(DATA)), cached(tmp_path, DATA)
    record = path.with_name("net.bin.verified.json")
    assert store(tmp_path).resolve(net) == path
    stat = path.stat()
    assert json.loads(record.read_text()) == {
        "path": str(path),
        "size": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
        "sha256": sha(DATA),
    }

    # The same size and time with other bytes goes unnoticed: proof that the file was not read again.
    path.write_bytes(content(seed=1))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert store(tmp_path).resolve(net) == path

    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    with pytest.raises(WeightsError, match="is damaged"):
        store(tmp_path).resolve(net)


def test_check_hashes_whatever_was_remembered(tmp_path: Path) -> None:
    net, path = entry(sha256=sha(DATA)), cached(tmp_path, DATA)
    store(tmp_path).resolve(net)
    stat = path.stat()
    path.write_bytes(content(seed=1))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    [check] = store(tmp_path).check(net)
    assert (check.path, check.sha256, check.status) == (path, sha(content(seed=1)), "damaged")
    with pytest.raises(WeightsError, match="is damaged"):  # and what it found is remembered in turn
        store(tmp_path).resolve(net)


@pytest.mark.parametrize("record", ["", "[]", "{}", '{"sha256": 1}', '{"path": "elsewhere", "sha256": "0"}'])
def test_an_unusable_record_only_means_hashing(tmp_path: Path, record: str) -> None:
    path = cached(tmp_path, DATA)
    path.with_name("net.bin.verified.json").write_text(record)
    assert store(tmp_path).resolve(entry(sha256=sha(DATA))) == path


def test_check_reports_every_copy(tmp_path: Path) -> None:
    weights, net = store(tmp_path), entry(sha256=sha(DATA))
    assert weights.check(net) == []
    (tmp_path / "shipped" / "net.bin").write_bytes(DATA)
    cached(tmp_path, DATA[1:])
    assert [check.status for check in weights.check(net)] == ["ok", "damaged"]


def test_the_users_own_file_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    own = tmp_path / "own.pth"
    own.write_bytes(b"not what the manifest says")
    weights, net = store(tmp_path), entry(NOWHERE, sha256=sha(DATA))
    assert weights.resolve(net, own) == own
    assert weights.resolve(net, Path("~/own.pth")) == own
    with pytest.raises(WeightsError, match="no weights file at"):
        weights.resolve(net, tmp_path)


def test_what_cannot_be_downloaded_says_where_to_put_it(tmp_path: Path) -> None:
    place = tmp_path / "home" / "weights" / "posenet.bin"
    with pytest.raises(WeightsError) as caught:
        store(tmp_path).resolve(pose())
    assert str(caught.value) == (
        "no weights for 'posenet': it is not on this machine; it has to be brought by hand; "
        f"put the file at {place} or pass `weights` PATH"
    )


def test_offline_fetches_nothing_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = pose(NOWHERE, sha256=sha(DATA))
    with pytest.raises(
        WeightsError, match=r"not on this machine; offline mode is on \(`offline` or MRPOSE_O"
    ):
        store(tmp_path, offline=True).resolve(net)
    monkeypatch.setenv("MRPOSE_OFFLINE", "1")
    with pytest.raises(WeightsError, match="offline mode is on"):
        store(tmp_path).resolve(net)
    assert not (tmp_path / "home").exists()
    monkeypatch.setenv("MRPOSE_OFFLINE", "0")
    assert not store(tmp_path).offline


def test_a_damaged_file_offline_is_named_with_both_hashes_and_kept(tmp_path: Path) -> None:
    path = cached(tmp_path, b"damaged")
    with pytest.raises(WeightsError) as caught:
        store(tmp_path, offline=True).resolve(entry(NOWHERE, sha256=sha(DATA)))
    for part in (f"{path} is damaged", sha(b"damaged"), sha(DATA), "offline mode is on"):
        assert part in str(caught.value)
    assert path.read_bytes() == b"damaged"


def test_a_damaged_file_is_kept_when_no_source_delivers(tmp_path: Path) -> None:
    path = cached(tmp_path, b"damaged")
    with pytest.raises(WeightsError) as caught:
        store(tmp_path).resolve(entry(NOWHERE, sha256=sha(DATA)))
    assert f"{path} is damaged" in str(caught.value)
    assert f"{NOWHERE}: " in str(caught.value)
    assert path.read_bytes() == b"damaged"


def test_a_home_that_is_no_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where the folder should be")
    with pytest.raises(WeightsError) as caught:
        store(tmp_path).resolve(entry(NOWHERE, sha256=sha(DATA)))
    assert str(caught.value) == (
        f"cannot keep weights in {tmp_path / 'home' / 'weights'} (Not a directory); "
        "make room there, or set MRPOSE_HOME to another folder"
    )


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MRPOSE_HOME", "~/own")
    assert WeightsStore(shipped=tmp_path).folder == tmp_path / "own" / "weights"
    assert WeightsStore(shipped=tmp_path, home=tmp_path / "x").folder == tmp_path / "x" / "weights"
    monkeypatch.delenv("MRPOSE_HOME")
    default = WeightsStore(shipped=tmp_path).folder
    assert default.is_absolute()
    assert default.name == "weights"
    assert "mrpose" in default.parts
