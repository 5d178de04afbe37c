"""Workers as processes of this machine, each with its share of the cores or a GPU of its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Final, NoReturn

from mrpose_cli.errors import MrposeError, OutputError
from mrpose_cli.jobs.batch.crew import BatchReport, Crew
from mrpose_cli.jobs.batch.task import Count, ShardDone, Task
from mrpose_cli.read_ahead import follow_the_parent

_CORES_EACH: Final = 4  # of a worker on the CPU, unless the user says how many workers there are
_GLANCE: Final = 0.2  # seconds between looks at whether the user wants to stop
_STARTS: Final = 3  # workers in a row that may die before one asks for work
_PATIENCE: Final = 10.0  # seconds that a worker with nothing left to do may take to end


@dataclass(frozen=True, slots=True)
class Share:
    """What of this machine a worker has.

    Attributes:
        cores: Numbers of the cores, as far as the system can be told.
        gpu: Number of the GPU; None for none of its own.
    """

    cores: tuple[int, ...]
    gpu: int | None = None


def shares(workers: int | None, cores: Sequence[int], gpus: Sequence[int]) -> list[Share]:
    """Divide a machine among workers.

    Args:
        workers: How many; None for one a GPU, else one for some cores.
        cores: Numbers of the cores.
        gpus: Numbers of the GPUs.
    """
    count = workers or len(gpus) or max(len(cores) // _CORES_EACH, 1)
    return [
        Share(
            tuple(cores[number::count]) or (cores[number % len(cores)],),
            gpus[number % len(gpus)] if gpus else None,
        )
        for number in range(count)
    ]


@dataclass(slots=True, eq=False)
class _Seat:
    """A worker's place, taken by one process after another."""

    share: Share
    process: SpawnProcess | None = None
    pipe: Connection | None = None
    asked: bool = False
    last_words: str = ""


@dataclass(slots=True, eq=False)
class _Pool:
    task: Task
    crew: Crew
    seats: list[_Seat] = field(default_factory=list)
    failed_starts: int = 0
    fatal: MrposeError | None = None

    def start(self, seat: _Seat) -> None:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        first = seat is self.seats[0]
        seat.process = context.Process(
            target=_serve, args=(theirs, self.task, seat.share, first), daemon=True, name="mrpose-worker"
        )
        seat.asked, seat.last_words = False, ""
        seat.process.start()
        theirs.close()
        seat.pipe = ours

    def glance(self) -> None:
        """Wait a little for news, and take them in."""
        pipes = {seat.pipe: seat for seat in self.seats if seat.pipe is not None}
        for pipe in wait(list(pipes), _GLANCE):
            self._receive(pipes[pipe])  # type: ignore[index]

    def _receive(self, seat: _Seat) -> None:
        assert seat.pipe is not None
        try:
            message = seat.pipe.recv()
        except (EOFError, OSError):
            self._gone(seat)
            return
        if message is None:
            seat.asked, self.failed_starts = True, 0
            try:
                seat.pipe.send(self.crew.ask(seat))
            except OSError:
                self._gone(seat)
        elif isinstance(message, ShardDone | Count):
            self.crew.hear(seat, message)
        elif isinstance(message, MrposeError):
            self.fatal = message
        elif isinstance(message, _Remark):
            self.crew.remark(message.text)
        else:
            seat.last_words = str(message)

    def _gone(self, seat: _Seat) -> None:
        """Take note that a process ended, because nothing is left or because it died."""
        assert seat.process is not None and seat.pipe is not None
        seat.pipe.close()
        seat.pipe = None
        seat.process.join(_PATIENCE)
        code = seat.process.exitcode
        if code == 0:
            return
        how = seat.last_words or (f"killed by signal {-code}" if code and code < 0 else f"exit code {code}")
        if not seat.asked:
            self.failed_starts += 1
            if self.failed_starts >= _STARTS:
                self.fatal = OutputError(f"workers do not start ({how})")
                return
        self.crew.mourn(seat, how)
        self.start(seat)

    def kill(self) -> None:
        for seat in self.seats:
            if seat.process is not None:
                seat.process.kill()
                seat.process.join()


@dataclass(frozen=True, slots=True)
class _Remark:
    text: str


def run_processes(task: Task, crew: Crew, seats: Sequence[Share], stop: threading.Event) -> BatchReport:
    """Do the shards of a crew in processes.

    A process that dies is replaced. Whatever ends the run, no process stays behind, and a shard whose part is
    not there yet is done by the next run.

    Args:
        task: What is to be done.
        crew: Who does what.
        seats: What each process has of this machine.
        stop: Ends the run at once when it is set.

    Raises:
        MrposeError: the models cannot be loaded, or parts not be written.
    """
    pool = _Pool(task, crew, [_Seat(share) for share in seats])
    try:
        for seat in pool.seats:
            pool.start(seat)
        while any(seat.pipe for seat in pool.seats) and not stop.is_set() and pool.fatal is None:
            pool.glance()
            crew.keep()
            if crew.dispatcher.waiting:  # left by a worker that died when others had gone home
                for seat in pool.seats:
                    if seat.pipe is None:
                        pool.start(seat)
    finally:
        pool.kill()
    report = crew.close(interrupted=stop.is_set())
    if pool.fatal is not None:
        raise pool.fatal
    return report


def _serve(pipe: Connection, task: Task, share: Share, first: bool) -> None:
    """Run a worker; the main function of a process."""
    follow_the_parent()
    _confine(share)
    lock = threading.Lock()

    def tell(message: Any) -> None:
        with lock:
            pipe.send(message)

    try:
        from mrpose_cli.jobs.batch.start import work_on

        def ask() -> Any:
            tell(None)
            return pipe.recv()

        if share.gpu is not None:
            task = replace(task, models=replace(task.models, device="cuda"))
        work_on(task, ask, tell, remark=(lambda text: tell(_Remark(text))) if first else (lambda text: None))
    except (EOFError, ConnectionError):
        os._exit(1)  # the first process is gone
    except MrposeError as error:
        _last_words(tell, type(error)(error.args[0]), 0)
    except Exception as error:
        from mrpose_cli.jobs.common import reason_of

        _last_words(tell, reason_of(error), 1)


def _last_words(tell: Callable[[Any], None], words: Any, code: int) -> NoReturn:
    with suppress(OSError):
        tell(words)
    raise SystemExit(code)


def _confine(share: Share) -> None:
    """Keep this process to its share, before libraries that start threads are loaded."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, share.cores)
    os.environ["OMP_NUM_THREADS"] = str(len(share.cores))
    if share.gpu is not None:
        seen = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        os.environ["CUDA_VISIBLE_DEVICES"] = seen[share.gpu] if seen != [""] else str(share.gpu)
