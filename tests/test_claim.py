import gc
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mrpose_cli.atomic import replacing
from mrpose_cli.claim import Claim, is_free
from mrpose_cli.disk import Reserve
from mrpose_cli.errors import OutputError, UsageError

HOLD = """
import sys
from pathlib import Path
from mrpose_cli.claim import Claim
claim = Claim(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def holder(folder: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_folder_that_another_process_claims_is_refused(tmp_path: Path) -> None:
    with holder(tmp_path) as other:
        with pytest.raises(UsageError, match=r"another run of mrpose is writing into .*`out`"):
            Claim(tmp_path)
        other.kill()


def test_the_claim_of_a_killed_process_is_gone(tmp_path: Path) -> None:
    with holder(tmp_path) as other:
        other.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
        other.wait()
    with Claim(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_claim_leaves_nothing_and_can_be_taken_again(tmp_path: Path) -> None:
    for _ in range(2):
        with Claim(tmp_path / "new" / "out") as claim:
            assert claim.folder.is_dir()
        assert not claim.folder.exists()
    with Claim(tmp_path / "new"):
        pass
    assert (tmp_path / "new").is_dir()  # was there before


def test_temporary_files_of_killed_runs_are_removed_and_no_others(tmp_path: Path) -> None:
    below = tmp_path / "sub"
    below.mkdir()
    with pytest.raises(KeyError), replacing(below / "mine.json"):
        names = [path.name for path in below.iterdir()]
        raise KeyError
    reserve = Reserve(tmp_path, 10)  # whose process is killed before it can release it
    (below / names[0]).write_text("cut off")
    mine = [tmp_path / ".mrpose-notes.part", below / ".mrpose", tmp_path / "x.part"]
    for path in mine:
        path.write_text("mine")
    with Claim(tmp_path) as claim:
        claim.clean([below, tmp_path / "missing"])
        left = {path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".mrpose.lock"}
    reserve.release()
    assert left == set(mine)


def test_the_first_free_folder_is_neither_used_nor_claimed(tmp_path: Path) -> None:
    name = str(tmp_path / "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "poses.json").write_text("{}")
    with Claim.first_free(name) as second:
        assert second.folder == tmp_path / "out-2"
        with Claim.first_free(name) as third:
            assert third.folder == tmp_path / "out-3"
            (third.folder / "poses.json").write_text("{}")
    assert is_free(tmp_path / "out-2") and not is_free(tmp_path / "out-3")


def test_a_file_in_the_folders_place_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="cannot write"):
        Claim(tmp_path / "out")


def test_an_interrupted_claim_leaves_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(claim: Claim, folders: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Claim, "clean", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Claim(tmp_path / "out")
    gc.collect()
    assert not (tmp_path / "out").exists()
