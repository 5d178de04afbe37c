"""Workers as actors of a Ray cluster.

An actor is asked again and again what it has to tell, and answered with what it asked for, as a process of
this machine is over its pipe. What Ray moves is numbers of shards and counts: photos are read, and parts
written, by the actors themselves. So a part means the same as ever, and any run can go on from those that are
there.
"""

from __future__ import annotations

import os
import queue
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Final

import ray
from ray.exceptions import RayError

from mrpose_cli.errors import MrposeError, OutputError, UsageError, parameter
from mrpose_cli.jobs.batch.crew import BatchReport, Crew
from mrpose_cli.jobs.batch.task import Count, ShardDone, Task

_GLANCE: Final = 0.2  # seconds between looks at whether the user wants to stop
_PATIENCE: Final = 5.0  # seconds that an actor with nothing to tell waits before it says so
_CORES_EACH: Final = 4  # of an actor without a GPU, unless the user says how many actors there are
_CONNECT: Final = 10.0  # seconds
_STARTS: Final = 3  # actors in a row that may die before one asks for work


@dataclass(frozen=True, slots=True)
class _Ended:
    """An actor has nothing left to do, or cannot: the error says why."""

    error: MrposeError | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Remark:
    text: str


class RayWorker:
    """An actor: a worker in a thread, and what it tells and is told.

    Args:
        task: What is to be done.
        cores: How many threads its networks may use; 0 for a GPU's.
    """

    def __init__(self, task: Task, cores: int) -> None:
        self._told: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=self._work, args=(task, cores), daemon=True).start()

    def exchange(self, answers: list[Any]) -> list[Any]:
        """Take answers, and return what the worker has to tell: news, or None for each question."""
        for answer in answers:
            self._answers.put(answer)
        told = []
        with suppress(queue.Empty):
            told.append(self._told.get(timeout=_PATIENCE))
            while True:
                told.append(self._told.get_nowait())
        return told

    def _work(self, task: Task, cores: int) -> None:
        try:
            if cores:
                limit_threads(cores)
            from mrpose_cli.jobs.batch.start import work_on

            work_on(task, self._ask, self._told.put, remark=lambda text: self._told.put(_Remark(text)))
            self._told.put(_Ended())
        except MrposeError as error:
            self._told.put(_Ended(type(error)(error.args[0])))
        except Exception as error:
            self._told.put(_Ended(reason=f"{type(error).__name__}: {' '.join(str(error).split())}"))

    def _ask(self) -> Any:
        self._told.put(None)
        return self._answers.get()


def limit_threads(cores: int) -> None:
    """Keep the libraries of this process to so many threads; Ray counts cores but binds nobody to them."""
    os.environ["OMP_NUM_THREADS"] = str(cores)
    import torch

    torch.set_num_threads(cores)
    with suppress(ImportError):
        from mrpose_cli.pipeline.engines.openvino import core

        # Pinned threads of two processes would share the first cores and leave others idle.
        core().set_property("CPU", {"INFERENCE_NUM_THREADS": cores, "ENABLE_CPU_PINNING": False})


@dataclass(slots=True, eq=False)
class _Seat:
    """An actor's place, taken by one after another."""

    actor: Any = None
    asked: bool = False


class _Company:
    """The actors of a run."""

    def __init__(self, task: Task, crew: Crew, options: dict[str, Any], seats: int) -> None:
        self._task, self._crew, self._options = task, crew, options
        self._pending: dict[Any, _Seat] = {}
        self._failed_starts = 0
        self.fatal: MrposeError | None = None
        self._seats = [_Seat() for _ in range(seats)]
        for seat in self._seats:
            self._start(seat)

    @property
    def busy(self) -> bool:
        """Whether some actor has something to do."""
        return any(seat.actor is not None for seat in self._seats)

    def glance(self) -> None:
        """Wait a little for what actors tell, and take it in."""
        ready, _ = ray.wait(list(self._pending), timeout=_GLANCE)
        for reference in ready:
            seat = self._pending.pop(reference)
            try:
                told = ray.get(reference)
            except RayError as error:
                self._died(seat, _how(error))
                continue
            self._take(seat, told)
        if self._crew.dispatcher.waiting:  # left by an actor that died when others had gone home
            for seat in self._seats:
                if seat.actor is None:
                    self._start(seat)
        elif not self._crew.dispatcher.running:  # actors that have found no place yet are not wanted any more
            for seat in self._seats:
                if not seat.asked:
                    self._dismiss(seat)

    def _take(self, seat: _Seat, told: list[Any]) -> None:
        answers = []
        for message in told:
            if message is None:
                seat.asked, self._failed_starts = True, 0
                answers.append(self._crew.ask(seat))
            elif isinstance(message, ShardDone | Count):
                self._crew.hear(seat, message)
            elif isinstance(message, _Remark):
                self._crew.remark(message.text)
            elif message.reason:
                self._died(seat, message.reason)
                return
            else:
                self.fatal = message.error
                self._dismiss(seat)
                return
        self._listen(seat, answers)

    def _start(self, seat: _Seat) -> None:
        cores = 0 if self._options["num_gpus"] else int(self._options["num_cpus"])
        kind = ray.remote(RayWorker).options(**self._options)
        seat.actor, seat.asked = kind.remote(self._task, cores), False
        self._listen(seat, [])

    def _listen(self, seat: _Seat, answers: list[Any]) -> None:
        self._pending[seat.actor.exchange.remote(answers)] = seat

    def _died(self, seat: _Seat, how: str) -> None:
        if not seat.asked:
            self._failed_starts += 1
            if self._failed_starts >= _STARTS:
                self.fatal = OutputError(f"Ray's actors do not start ({how})")
        self._dismiss(seat)
        self._crew.mourn(seat, how)
        if self.fatal is None and self._crew.dispatcher.waiting:
            self._start(seat)

    def _dismiss(self, seat: _Seat) -> None:
        if seat.actor is not None:
            with suppress(RayError, ValueError):
                ray.kill(seat.actor)
            seat.actor = None
            self._pending = {reference: one for reference, one in self._pending.items() if one is not seat}

    def close(self) -> None:
        """Let all actors go."""
        for seat in self._seats:
            self._dismiss(seat)


def run_ray(
    task: Task,
    crew_of: Callable[[int], Crew],
    address: str | None,
    workers: int | None,
    stop: threading.Event,
) -> BatchReport:
    """Do shards in the actors of a cluster.

    An actor that dies, alone or with its node, is replaced wherever there is room. Whatever ends the run, a
    shard whose part is not there yet is done by the next run.

    Args:
        task: What is to be done.
        crew_of: Makes the crew for a number of actors.
        address: Of the cluster; None for that of ``RAY_ADDRESS``, or one of this machine alone.
        workers: The most actors at a time; None for one a GPU of the cluster, else one for some cores.
        stop: Ends the run at once when it is set.

    Raises:
        UsageError: the cluster cannot be reached, or has nothing to work with.
        MrposeError: the models cannot be loaded, or parts not be written.
    """
    with _connected(address):
        options, seats = _resources(task, workers)
        crew = crew_of(seats)
        if options["num_gpus"]:
            task = replace(task, models=replace(task.models, device="cuda"))
        company = _Company(task, crew, options, min(seats, max(len(crew.shards), 1)))
        try:
            while company.busy and not stop.is_set() and company.fatal is None:
                company.glance()
                crew.keep()
        finally:
            company.close()
        report = crew.close(interrupted=stop.is_set())
    if company.fatal is not None:
        raise company.fatal
    return report


def _see_to(address: str) -> None:
    """See that somebody listens at an address; Ray would try for minutes.

    Raises:
        OSError: nobody does.
    """
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT).close()


@contextmanager
def _connected(address: str | None) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # Without an address Ray would join whatever cluster was last started on this machine.
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    try:
        _see_to(address)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would send reports
        ray.init(address=address, log_to_driver=False, logging_level="error", include_dashboard=None)
    except (RayError, OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(
            f"the Ray cluster cannot be reached ({reason}); see {parameter('ray_address')}"
        ) from None
    if threading.current_thread() is threading.main_thread():
        for number, handler in before.items():
            signal.signal(number, handler)  # Ray has one of its own for SIGTERM
    try:
        yield
    finally:
        ray.shutdown()


def _resources(task: Task, workers: int | None) -> tuple[dict[str, Any], int]:
    """Decide what an actor is given, and how many there are."""
    there = ray.cluster_resources()
    gpus, cores = int(there.get("GPU", 0)), int(there.get("CPU", 0))
    if gpus and task.models.device in ("auto", "cuda"):
        return {"num_gpus": 1, "num_cpus": 1, "max_restarts": 0}, workers or gpus
    if not cores:
        raise UsageError("the Ray cluster has no cores")
    count = workers or max(cores // _CORES_EACH, 1)
    most = max(int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"])
    return {"num_gpus": 0, "num_cpus": max(min(cores // count, most), 1), "max_restarts": 0}, count


def _how(error: Exception) -> str:
    """Say why an actor died, in a line: what Ray says is several, the last ones of which tell."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("The actor") and "unexpectedly" not in line]
    return " ".join(told or lines)[:200]
