"""Loading things ahead of their use, in worker threads or processes, in order."""

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context, parent_process
from queue import Empty, SimpleQueue
from typing import Any, TypeVar, overload

T = TypeVar("T")
R = TypeVar("R")


@overload
def read_ahead(
    sources: Iterable[T],
    load: Callable[[T], R],
    *,
    workers: int = 2,
    ahead: int = 8,
    processes: bool = False,
    tick: None = None,
) -> Generator[tuple[T, R | Exception], None, None]: ...


@overload
def read_ahead(
    sources: Iterable[T],
    load: Callable[[T], R],
    *,
    workers: int = 2,
    ahead: int = 8,
    processes: bool = False,
    tick: float,
) -> Generator[tuple[T, R | Exception] | None, None, None]: ...


def read_ahead(
    sources: Iterable[T],
    load: Callable[[T], R],
    *,
    workers: int = 2,
    ahead: int = 8,
    processes: bool = False,
    tick: float | None = None,
) -> Generator[tuple[T, R | Exception] | None, None, None]:
    """Load sources in the background and yield them in their order.

    While the caller works on one result, at most `ahead` further ones are loaded or being loaded. `sources`
    is drawn from only as far as that. Closing the generator early drops what has not begun and does not wait
    for what has; nor does the end of the program, unless the work is done in processes.

    Args:
        sources: what to load; may be endless.
        load: called with one source, in a worker thread.
        workers: number of threads or processes, at least 1.
        ahead: number of sources to be ahead of the caller, at least 1.
        processes: work in processes instead of threads. `load`, its argument and its result then travel
            by pickle; processes that are killed end the reading.
        tick: seconds after which the caller gets None, again and again, while the next result is not there;
            None for never.

    Yields:
        Each source with what `load` returned for it, or with the exception it raised.

    Raises:
        ValueError: `workers` or `ahead` is below 1.
        BrokenProcessPool: a worker process was killed, for instance for want of memory.
    """
    if workers < 1 or ahead < 1:
        raise ValueError(f"workers and ahead must be at least 1, not {workers} and {ahead}")
    pool: Executor
    if processes:
        # Fork would copy a process full of threads; a fresh one only imports what `load` needs.
        pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=follow_the_parent)
    else:
        pool = _Threads(workers)
    waiting: deque[tuple[T, Future[R]]] = deque()
    upcoming = iter(sources)

    def start(count: int) -> None:
        for source in islice(upcoming, count):
            waiting.append((source, pool.submit(load, source)))

    try:
        start(ahead)
        while waiting:
            source, future = waiting.popleft()
            while tick is not None and not wait([future], tick).done:
                yield None
            error = future.exception()
            # KeyboardInterrupt and SystemExit are no results: they end the run, and so does a broken pool.
            if error is not None and (
                isinstance(error, BrokenProcessPool) or not isinstance(error, Exception)
            ):
                raise error
            start(1)
            yield source, future.result() if error is None else error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


class _Threads(Executor):
    """A pool whose threads do not delay the end of the program: a server may be slow for minutes."""

    def __init__(self, workers: int) -> None:
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._workers = workers
        for number in range(workers):
            threading.Thread(target=self._work, name=f"mrpose-read-{number}", daemon=True).start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()

        def run() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(fn(*args, **options))
                except BaseException as error:
                    future.set_exception(error)

        self._jobs.put(run)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Drop what has not begun, and let the threads finish."""
        while True:
            try:
                self._jobs.get_nowait()
            except Empty:
                break
        for _ in range(self._workers):
            self._jobs.put(None)

    def _work(self) -> None:
        while (run := self._jobs.get()) is not None:
            run()
            del run  # its result is not to be kept alive while the next job is waited for


def follow_the_parent() -> None:
    """Leave Ctrl-C to the parent, and die with it; runs first in a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_the_parent, daemon=True).start()


def _die_with_the_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
