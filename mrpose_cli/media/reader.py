"""Loading things ahead of their use, in worker threads, in order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def read_ahead(
    sources: Iterable[T], load: Callable[[T], R], *, workers: int = 2, ahead: int = 8
) -> Generator[tuple[T, R | Exception], None, None]:
    """Loads sources in background threads and hands them out in their order.

    While the caller works on one result, at most `ahead` further ones are loaded or being loaded. `sources`
    is drawn from only as far as that. Closing the generator early drops what has not begun and does not wait
    for what has.

    Args:
        sources: what to load; may be endless.
        load: called with one source, in a worker thread.
        workers: number of threads, at least 1.
        ahead: number of sources to be ahead of the caller, at least 1.

    Yields:
        Each source with what `load` returned for it, or with the exception it raised.

    Raises:
        ValueError: `workers` or `ahead` is below 1.
    """
    if ahead < 1:
        raise ValueError(f"ahead must be at least 1, not {ahead}")
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
            # KeyboardInterrupt and SystemExit are no results: they end the run.
            if error is not None and not isinstance(error, Exception):
                raise error
            start(1)
            yield source, future.result() if error is None else error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
