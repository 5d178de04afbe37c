"""Output folders that one run at a time writes into."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self
from weakref import finalize

from mrpose_cli.atomic import writing
from mrpose_cli.errors import UsageError, parameter

if TYPE_CHECKING:
    from filelock import FileLock

_LOCK = ".mrpose.lock"
# What `atomic.replacing` and `disk.Reserve` name their hidden files.
LEFTOVER = re.compile(r"\.mrpose-[0-9a-f]{16}\.(part|space)")


class Claim:
    """The right of this process to write into a folder, held until :meth:`release` or the process's end.

    The operating system drops the lock of a process that dies, so a lock file that was left behind stops
    nobody. Whoever holds the claim knows that hidden temporary files in the folder belong to runs that were
    killed, and removes them.

    Args:
        folder: The folder; created if missing.

    Raises:
        UsageError: another run is writing into it.
        OutputError: the folder cannot be created or written to.
    """

    def __init__(self, folder: Path) -> None:
        from filelock import FileLock, Timeout

        self.folder = folder
        made = not folder.exists()
        lock = FileLock(folder / _LOCK, timeout=0)
        # From before it is held, so that no moment is left at which Ctrl-C could leave it behind.
        self._release = finalize(self, _drop, lock, made)
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire()
            except Timeout:
                raise UsageError(
                    f"another run of mrpose is writing into {folder}; wait for it, or choose another folder "
                    f"with {parameter('out')}"
                ) from None
        self.clean([folder])

    @classmethod
    def first_free(cls, name: str) -> Claim:
        """Claim the folder ``name``, or the first of ``name-2``, ``name-3``, ... that is empty and unclaimed.

        Raises:
            OutputError: the folder cannot be created or written to.
        """
        for number in count(1):
            folder = Path(name if number == 1 else f"{name}-{number}")
            if is_free(folder):
                try:
                    claim = cls(folder)
                except UsageError:
                    continue
                # Another run may have filled the folder and finished between the look and the claim.
                if is_free(folder):
                    return claim
                claim.release()
        raise AssertionError

    def clean(self, folders: Iterable[Path]) -> None:
        """Remove temporary files of killed runs.

        Args:
            folders: The claimed folder or folders below it; they need not exist.

        Raises:
            OutputError: a file cannot be removed.
        """
        for folder in folders:
            with writing(folder):
                for path in folder.glob(".mrpose-*"):
                    if LEFTOVER.fullmatch(path.name):
                        path.unlink(missing_ok=True)

    def release(self) -> None:
        """Let other runs write into the folder; one that was made for this claim and is empty is removed."""
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def is_free(folder: Path) -> bool:
    """Return whether nothing has been written into a folder yet; it need not exist."""
    return not folder.exists() or (folder.is_dir() and all(entry.name == _LOCK for entry in folder.iterdir()))


def _drop(lock: FileLock, made: bool) -> None:
    if lock.is_locked:
        path = Path(lock.lock_file)
        # While the lock is held: whoever opened the file before finds it unlinked and tries again.
        path.unlink(missing_ok=True)
        lock.release()
        if made:
            with suppress(OSError):
                path.parent.rmdir()
