"""Loading things ahead of their use, in worker threads or processes, in order."""

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context, parent_process
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def read_ahead(
    sources: Iterable[T],
    load: Callable[[T], R],
    *,
    workers: int = 2,
    ahead: int = 8,
    processes: bool = False,
) -> Generator[tuple[T, R | Exception], None, None]:
    """Loads sources in the background and hands them out in their order.

    While the caller works on one result, at most `ahead` further ones are loaded or being loaded. `sources`
    is drawn from only as far as that. Closing the generator early drops what has not begun and does not wait
    for what has.

    Args:
        sources: what to load; may be endless.
        load: called with one source, in a worker thread.
        workers: number of threads or processes, at least 1.
        ahead: number of sources to be ahead of the caller, at least 1.
        processes: work in processes instead of threads. `load`, its argument and its result then travel
            by pickle; processes that are killed end the reading.

    Yields:
        Each source with what `load` returned for it, or with the exception it raised.

    Raises:
        ValueError: `workers` or `ahead` is below 1.
        BrokenProcessPool: a worker process was killed, for instance for want of memory.
    """
    if ahead < 1:
        raise ValueError(f"ahead must be at least 1, not {ahead}")
    pool: Executor
    if processes:
        # Fork would copy a process full of threads; a fresh one only imports what `load` needs.
        pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_follow_the_parent)
    else:
        pool = ThreadPoolExecutor(workers, thread_name_prefix="mrpose-read")
    waiting: deque[tuple[T, Future[R]]] = deque()
    upcoming = iter(sources)

    def start(count: int) -> None:
        for source in islice(upcoming, count):
            waiting.append((source, pool.submit(load, source)))

    try:
        start(ahead)
        while waiting:
            source, future = waiting.popleft()
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


def _follow_the_parent() -> None:
    """Runs first in a worker process: Ctrl-C is the parent's to handle, and its death is ours."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_the_parent, daemon=True).start()


def _die_with_the_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
