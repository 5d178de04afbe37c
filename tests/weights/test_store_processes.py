"""Several processes, killed processes, full disks: each case runs real Python processes."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from weights_entries import content, sha
from weights_server import FileServer, Served

DATA = content()

RESOLVE = """
import sys
from pathlib import Path
from mrpose_cli.errors import WeightsError
from mrpose_cli.weights.manifest import find_entry, load_manifest
from mrpose_cli.weights.store import WeightsStore

manifest_path, home, limit = sys.argv[1:]
if int(limit):
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
manifest = load_manifest(Path(manifest_path))
store = WeightsStore(home=Path(home), shipped=Path(home), manifest=manifest)
print("ready", flush=True)
try:
    print(store.resolve(find_entry("net", manifest)))
except WeightsError as error:
    print("error:", error)
"""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with FileServer() as running:
        yield running


def start(tmp_path: Path, server: FileServer, limit: int = 0) -> subprocess.Popen[str]:
    """A process that resolves the one entry of a manifest; it prints "ready", then the path."""
    manifest = tmp_path / "manifest.toml"
    manifest.write_text(
        f'[[backbone]]\nname = "net"\nfile = "net.bin"\nlicence = "MIT"\narch = "net"\n'
        f'sha256 = "{sha(DATA)}"\nsources = [{{ url = "{server.url("/net")}" }}]\n'
    )
    command = [sys.executable, "-c", RESOLVE, str(manifest), str(tmp_path / "home"), str(limit)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def wait_for(condition: Callable[[], object], what: str, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)


def test_two_processes_fetch_a_file_once(tmp_path: Path, server: FileServer) -> None:
    gate = threading.Event()
    server.files["/net"] = Served(DATA, gate=gate)
    first = start(tmp_path, server)
    wait_for(lambda: server.requests, "the first request")
    second = start(tmp_path, server)
    time.sleep(0.2)  # for the second process to reach the lock; were there none, it would make a request
    gate.set()
    place = tmp_path / "home" / "weights" / "net.bin"
    assert [process.communicate(timeout=10)[0].strip() for process in (first, second)] == [str(place)] * 2
    assert place.read_bytes() == DATA
    assert server.ranges("/net") == [None]


def test_a_killed_process_leaves_no_file_and_the_next_goes_on(tmp_path: Path, server: FileServer) -> None:
    gate = threading.Event()
    server.files["/net"] = Served(DATA, gate=gate)
    folder = tmp_path / "home" / "weights"
    process = start(tmp_path, server)
    wait_for(lambda: sum(part.stat().st_size for part in folder.glob("*.part")), "the first bytes")
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    gate.set()
    assert not (folder / "net.bin").exists()
    [part] = folder.glob("*.part")
    done = part.stat().st_size

    printed, _ = start(tmp_path, server).communicate(timeout=10)
    assert printed.strip() == str(folder / "net.bin")
    assert (folder / "net.bin").read_bytes() == DATA
    assert server.ranges("/net") == [None, f"bytes={done}-"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_disk_that_is_full_is_one_line(tmp_path: Path, server: FileServer) -> None:
    server.files["/net"] = Served(DATA)
    printed, _ = start(tmp_path, server, limit=len(DATA) // 2).communicate(timeout=10)
    folder = tmp_path / "home" / "weights"
    assert printed.strip() == (
        f"error: cannot keep weights in {folder} (File too large); "
        "make room there, or set MRPOSE_HOME to another folder"
    )
    assert not (folder / "net.bin").exists()
