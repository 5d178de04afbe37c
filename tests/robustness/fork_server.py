"""Runs `mrpose` many times without paying for its imports each time.

The server is a process that has imported everything and loaded no model. For each command it forks a child,
which runs the command line as a process of its own does, down to the interpreter's end, and which can be
killed at any moment. The server measures the child: how it ended, how long it took, how much memory it had.

    with ForkServer() as server:
        ending = server.run(Command(["image", "a.png"], cwd=folder, log=folder / "log", scratch=tmp))
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Self, TypeVar

from scale import HANG, SERVERS

_STOP_AT = 5000  # MB at which a child is stopped for the sake of the machine
_TICK = 0.004
_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}

# One thread each: sums come out the same every time, and the second core is the next child's.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "ORT_DISABLE_TELEMETRY": "1",  # a thread that would not outlive the fork
    "COLUMNS": "200",
    "PYTHONFAULTHANDLER": "1",
}
_IMPORTED = (
    *("cv2", "av", "onnxruntime", "torch", "torchvision", "pycocotools.cocoeval"),
    *("pydantic", "rich.progress", "rich.table", "filelock", "PIL.Image"),
    *("mrpose_cli.cli", "mrpose_cli.pipeline.factory", "mrpose_cli.weights.store"),
    *("mrpose_cli.jobs.images.plan", "mrpose_cli.jobs.video.clip", "mrpose_cli.jobs.evaluate.run"),
    *("mrpose_cli.jobs.evaluate.coco", "mrpose_cli.jobs.train"),
)


@dataclass(frozen=True)
class Command:
    """One run of mrpose.

    Attributes:
        argv: What comes after `mrpose`.
        cwd: The working folder.
        log: File for all that it prints.
        scratch: Its folder for temporary files.
        limit: Seconds after which it counts as hanging and is killed.
        signal: What is sent to it, if anything.
        after: Seconds after its start at which that happens.
    """

    argv: Sequence[str]
    cwd: Path
    log: Path
    scratch: Path
    limit: float = HANG
    signal: int = 0
    after: float = 0.0


@dataclass(frozen=True)
class Ending:
    """How a run ended.

    Attributes:
        code: Exit code; negative for the signal that it died of.
        seconds: Wall time.
        memory: Most MB it ever had.
        hung: Whether it was killed for taking too long.
        signalled: Whether it got the signal, not having ended before.
    """

    code: int
    seconds: float
    memory: int
    hung: bool
    signalled: bool


class ForkServer:
    """A server process and the line to it; ``prefix`` is a command that starts it in another way."""

    def __init__(self, prefix: Sequence[str] = ()) -> None:
        self._process = subprocess.Popen(
            [*prefix, sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **_ENVIRONMENT},
            start_new_session=True,
        )
        self.pid = int(self._read())

    def run(self, command: Command) -> Ending:
        """Run a command to its end."""
        assert self._process.stdin is not None
        command.log.touch()  # it may be killed before it opens that
        print(json.dumps(asdict(command), default=str), file=self._process.stdin, flush=True)
        return Ending(**json.loads(self._read()))

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the fork server died"
        return line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the server."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


Item = TypeVar("Item")
Result = TypeVar("Result")


class Servers:
    """Several servers side by side."""

    def __init__(self, count: int = SERVERS) -> None:
        with ThreadPoolExecutor(count) as pool:
            self._all = list(pool.map(lambda _: ForkServer(), range(count)))

    def map(self, function: Callable[[ForkServer, Item], Result], items: Iterable[Item]) -> list[Result]:
        """Results of a function of a server and an item, in order; each server does one at a time."""
        free: SimpleQueue[ForkServer] = SimpleQueue()
        for server in self._all:
            free.put(server)

        def work(item: Item) -> Result:
            server = free.get()
            try:
                return function(server, item)
            finally:
                free.put(server)

        with ThreadPoolExecutor(len(self._all)) as pool:
            return list(pool.map(work, items))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._all:
            server.close()


def _serve() -> Command | None:
    """Answer commands; returns a command in the child that has to run it, None at the end of all."""
    for module in _IMPORTED:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # else the end of each child goes over, and copies, all that was imported
    print(os.getpid(), flush=True)
    for line in sys.stdin:
        command = Command(**json.loads(line))
        started = time.monotonic()
        # A signal while Python sorts itself out after the fork would leave it broken; mrpose never forks.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        child = os.fork()
        if child == 0:
            return command
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        print(json.dumps(asdict(_watch(child, command, started))), flush=True)
    return None


def _watch(child: int, command: Command, started: float) -> Ending:
    hung = signalled = False
    ticks = 0
    while True:
        pid, status, usage = os.wait4(child, os.WNOHANG)
        seconds = time.monotonic() - started
        if pid:
            code = os.waitstatus_to_exitcode(status)
            return Ending(code, seconds, usage.ru_maxrss // 1024, hung, signalled)
        if command.signal and not signalled and seconds >= command.after:
            os.kill(child, command.signal)
            signalled = True
        hung = hung or seconds > command.limit
        ticks += 1
        if hung or (ticks % 16 == 0 and _resident(child) > _STOP_AT):
            os.kill(child, signal.SIGKILL)
        time.sleep(_TICK)


def _resident(pid: int) -> int:
    """MB that a process has now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


def _become(command: Command) -> None:
    """Make this process look as if a shell had started it."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    os.chdir(command.cwd)
    for target, name, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, command.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        opened = os.open(name, flags, 0o644)
        os.dup2(opened, target)
        os.close(opened)
    os.dup2(1, 2)
    os.environ["TMPDIR"] = str(command.scratch)
    tempfile.tempdir = None
    sys.argv = ["mrpose", *(os.fsdecode(word) for word in command.argv)]


def _main() -> None:
    sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
    with importlib.import_module("tiny").registered():  # a network that trains in seconds
        run: Any = importlib.import_module("mrpose_cli.__main__").main
        command = _serve()
        if command is not None:
            try:
                _become(command)
            except KeyboardInterrupt:  # it is not mrpose yet
                os._exit(130)
            run()


if __name__ == "__main__":
    # Shells start background jobs with SIGINT ignored, and that is inherited.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _main()
