"""Doing writes in the background, with a bound on how many wait."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import BoundedSemaphore
from types import TracebackType
from typing import Self, TypeVarTuple

Ts = TypeVarTuple("Ts")


class BackgroundWriter:
    """Runs jobs in background threads; a slow disk then slows the caller instead of filling the memory.

    Leaving the `with` block waits for all jobs. When KeyboardInterrupt or SystemExit leaves it, jobs that
    have not begun are dropped; the jobs themselves must write atomically.
    """

    def __init__(self, workers: int = 1, pending: int = 8) -> None:
        """Make a writer.

        Args:
            workers: number of threads, at least 1.
            pending: number of jobs that may wait for a thread, at least 0.
        """
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="mrpose-write")
        self._slots = BoundedSemaphore(workers + pending)
        self._errors: list[tuple[str, BaseException]] = []

    @property
    def errors(self) -> list[tuple[str, BaseException]]:
        """The label and the exception of each job that has failed so far."""
        return list(self._errors)

    def submit(self, label: str, job: Callable[[*Ts], object], *args: *Ts) -> None:
        """Queue a job; blocks while `pending` jobs wait.

        Args:
            label: what the job writes, for `errors`.
            job: called with `args` in a background thread.
            *args: handed to the job.

        Raises:
            RuntimeError: the writer is closed.
        """
        self._slots.acquire()
        try:
            future = self._pool.submit(job, *args)
        except BaseException:
            self._slots.release()
            raise
        future.add_done_callback(partial(self._finish, label))

    def close(self) -> list[tuple[str, BaseException]]:
        """Wait for all jobs.

        Returns:
            The label and the exception of each job that failed, in the order they failed.
        """
        self._pool.shutdown(wait=True)
        return self.errors

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        interrupted = kind is not None and not issubclass(kind, Exception)
        self._pool.shutdown(wait=True, cancel_futures=interrupted)

    def _finish(self, label: str, future: Future[object]) -> None:
        if not future.cancelled() and (error := future.exception()) is not None:
            self._errors.append((label, error))
        self._slots.release()
