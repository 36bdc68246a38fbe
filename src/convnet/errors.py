"""Exceptions that a user can act on: each message says what is wrong, where, and what to do."""


class ConvnetError(Exception):
    """Base of every error that is shown to a user as one message (exit status 2)."""


class UnknownNameError(ConvnetError):
    """A name is not registered; the message suggests the nearest known names."""


class RecipeError(ConvnetError):
    """A recipe, an override or an option is unknown, out of range or does not apply."""


class DataError(ConvnetError):
    """A data set or one of its files is missing, damaged or not what it claims to be."""


class ServerError(ConvnetError):
    """A server cannot be started."""


class ModelError(ConvnetError):
    """A network cannot be built for these images or classes."""


class RunError(ConvnetError):
    """A run folder is missing, damaged, locked, of another version or not writable."""


class RunExistsError(RunError):
    """The folder of a new run already exists."""


class DivergedError(ConvnetError):
    """The loss became NaN or infinite."""


class InterruptedRunError(ConvnetError):
    """Training was stopped by the user; the run can be resumed (exit status 130)."""


def in_one_line(error: Exception) -> str:
    """The message of another library's error on one line, at most 200 characters."""
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else text[:199] + "…"
