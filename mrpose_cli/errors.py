"""Errors whose message is written for the user: one line that says what happened and what to do."""


class MrposeError(Exception):
    """Something the user can act on; the command line prints its message and no traceback."""


class UsageError(MrposeError):
    """The command was asked for something that cannot be; exit code 2."""


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
