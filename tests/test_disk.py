import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mrpose_cli.disk import Reserve, SteadyFile
from mrpose_cli.errors import OutputError

_FILL = """
import sys
from pathlib import Path
from mrpose_cli.disk import Reserve, SteadyFile
folder = Path(sys.argv[1])
reserve = Reserve(folder, 300_000)
file = SteadyFile((folder / "data").open("xb", buffering=0), reserve)
rows = 0
while not reserve.spent:
    file.write(b"x" * 1000)
    rows += 1
for _ in range(200):  # what is put together at the end
    file.write(b"y" * 1000)
print(rows, (folder / "data").stat().st_size, [path.name for path in folder.iterdir()])
try:
    while True:
        file.write(b"z" * 1000)
except OSError as error:
    print(error.errno)
"""


def test_the_reserve_is_there_when_the_disk_is_full(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=1m tmpfs {disk}"
    if subprocess.run(["unshare", "--mount", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("mounting a small disk needs the rights for it")
    (tmp_path / "fill.py").write_text(_FILL)
    script = f"{mount} && {sys.executable} {tmp_path}/fill.py {disk}"
    run = subprocess.run(["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    counts, code = run.stdout.splitlines()
    rows, size, *names = counts.split(maxsplit=2)
    assert 600 < int(rows) < 760  # of 1 MB without the reserve's 0.3
    assert int(size) == 1000 * (int(rows) + 200)
    assert names == ["['data']"]
    assert int(code) == 28


def test_it_takes_space_and_gives_it_back(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path, 100_000)
    [held] = tmp_path.iterdir()
    assert held.stat().st_size == 100_000
    assert held.name.startswith(".")
    reserve.grow(50_000)
    assert held.stat().st_size == 100_000
    reserve.grow(200_000)
    assert held.stat().st_size >= 200_000
    assert not reserve.spent
    assert reserve.release()
    assert not reserve.release()
    assert list(tmp_path.iterdir()) == []
    reserve.grow(10**6)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_to_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        Reserve(tmp_path / "none", 1)


def test_a_steady_file_is_a_file(tmp_path: Path) -> None:
    with (tmp_path / "data").open("w+b", buffering=0) as raw:
        text = io.TextIOWrapper(io.BufferedRandom(SteadyFile(raw, None)), encoding="utf-8")
        text.write("one\ntwö\n" * 10_000)
        text.seek(0)
        assert text.readlines() == ["one\n", "twö\n"] * 10_000
        text.close()
        assert raw.closed
    steady = SteadyFile((tmp_path / "data").open("r+b", buffering=0), None)
    assert steady.seek(4) == 4
    assert steady.write(memoryview(b"six")) == 3
    assert steady.tell() == 7
    assert steady.seek(0, os.SEEK_SET) == 0
    assert steady.read(7) == b"one\nsix"
    assert steady.truncate(3) == 3
    steady.close()
    assert (tmp_path / "data").read_bytes() == b"one"


_SHARE = """
import sys
from pathlib import Path
from mrpose_cli.disk import Reserve, SteadyFile
from mrpose_cli.errors import OutputError
folder = Path(sys.argv[1])
everything = (folder / "everything").open("wb", buffering=0)
try:
    while True:
        everything.write(bytes(4096))
except OSError:
    pass
try:
    Reserve(folder, 8_000_000)
except OutputError as error:
    print(str(error).split(":")[0])
everything.truncate(0)

reserve = Reserve(folder, 8_000_000)
file = SteadyFile((folder / "data").open("xb", buffering=0), reserve)
for row in range(400):
    file.write(b"x" * 1000)
    reserve.grow(8_000_000 + 10 * row)
if not reserve.spent:
    print("fits")
for row in range(300):
    file.write(b"x" * 1000)
reserve.grow(8_300_000)
if reserve.spent and len(list(folder.iterdir())) == 2:
    print("full")
"""


def test_a_small_disk_is_shared_with_the_outputs(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=1m tmpfs {disk}"
    if subprocess.run(["unshare", "--mount", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("mounting a small disk needs the rights for it")
    (tmp_path / "fill.py").write_text(_SHARE)
    script = f"{mount} && {sys.executable} {tmp_path}/fill.py {disk}"
    run = subprocess.run(["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == ["no space left on the disk", "fits", "full"]
