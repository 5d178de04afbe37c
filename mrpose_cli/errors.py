"""Errors whose message is written for the user: one line that says what happened and what to do."""

from __future__ import annotations

import re

_MARKED = re.compile("\0([a-z_]+)\0")  # no file name has a NUL in it


def parameter(name: str) -> str:
    """Name a parameter within what becomes a :class:`Message`, as errors do."""
    return f"\0{name}\0"


class Message(str):
    """Text that names parameters as Python does, ``overwrite``, and can name their flags instead."""

    __slots__ = ("as_flags",)
    as_flags: str

    def __new__(cls, text: str) -> Message:
        """Take text that contains results of :func:`parameter`; ``as_flags`` holds it with flags instead."""
        if isinstance(text, Message):
            return text
        message = super().__new__(cls, _MARKED.sub(r"`\1`", text))
        message.as_flags = _MARKED.sub(lambda found: f"--{found[1].replace('_', '-')}", text)
        return message


class MrposeError(Exception):
    """An error the user can act on; the command line prints its message and no traceback."""

    def __init__(self, message: str) -> None:
        super().__init__(Message(message))


class UsageError(MrposeError):
    """The command was asked for something impossible; exit code 2."""


def contradiction(one: str, other: str) -> UsageError:
    """Make the error for two parameters of which only one may be given."""
    return UsageError(f"{parameter(one)} and {parameter(other)} contradict each other; pass one of them")


class InputError(MrposeError):
    """One input (a photo, a link, a boxes file) could not be used; the others still can."""


class ManifestError(MrposeError):
    """The checkpoint manifest, or one entry of it, is not valid."""


class WeightsError(MrposeError):
    """A checkpoint is missing, could not be fetched, or is not what it should be."""


class OutputError(MrposeError):
    """An output could not be written: the disk is full, the folder is not writable."""


class DiskFullError(OutputError):
    """There is no space left on the disk."""
