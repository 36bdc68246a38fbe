"""Exceptions that a user can act on: each message says what is wrong, where, and what to do."""


class ConvnetError(Exception):
    """Base of every error that is shown to a user as one message (exit status 2)."""


class UnknownNameError(ConvnetError):
    """A name is in no registry; the message names the nearest known ones."""


class RecipeError(ConvnetError):
    """A recipe, an override or an option is misspelt, out of range or does not apply."""


class DataError(ConvnetError):
    """A data set or one of its files is missing, damaged or not what it claims to be."""


class ModelError(ConvnetError):
    """A network cannot be built for these images or classes."""


class RunError(ConvnetError):
    """A run folder is missing, damaged, locked, of another version or not writable."""


class RunExistsError(RunError):
    """Something is already where a new run was to be."""


class DivergedError(ConvnetError):
    """The loss became NaN or infinite."""


class MissingExtraError(ConvnetError):
    """An optional dependency is not installed; the message holds the install command."""


class InterruptedRunError(ConvnetError):
    """Training was stopped by the user; the run can be resumed (exit status 130)."""


def in_one_line(error: Exception) -> str:
    """What an error of another library says, without its line breaks, at most 200 characters of it."""
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else text[:199] + "…"
