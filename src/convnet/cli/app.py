"""The command line: commands, and how errors leave it."""

from __future__ import annotations

import errno
import io
import os
import sys
import warnings
from typing import Annotated, NoReturn

import typer

from convnet.cli import (
    arithmetic,
    baselines,
    cache,
    compare,
    data,
    doctor,
    draw,
    dream,
    evaluate,
    explain,
    export,
    features,
    filter,
    lr_find,
    models,
    plane,
    predict,
    recipes,
    report,
    resume,
    retrieve,
    review,
    runs,
    serve,
    studio,
    summary,
    train,
)
from convnet.errors import ConvnetError, InterruptedRunError

app = typer.Typer(
    name="convnet",
    help="From images to a convolutional network that you understand, trust and can ship.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("train", options_metavar="[OPTIONS]...")(train.train)
app.command("compare")(compare.compare)
app.command("baselines")(baselines.baselines)
app.command("resume")(resume.resume)
app.command("lr-find", options_metavar="[OPTIONS]...")(lr_find.lr_find)
app.command("evaluate")(evaluate.evaluate)
app.command("predict")(predict.predict)
app.command("explain")(explain.explain)
app.command("dream")(dream.dream)
app.command("export")(export.export)
app.command("serve")(serve.serve)
app.command("studio")(studio.studio)
app.command("report")(report.report)
app.command("review")(review.review)
app.command("runs")(runs.runs)
app.command("features")(features.features)
app.command("retrieve")(retrieve.retrieve)
app.command("plane")(plane.plane)
app.command("summary")(summary.summary)
app.command("arithmetic")(arithmetic.arithmetic)
app.command("filter")(filter.filter_image)
app.add_typer(draw.app, name="draw")
app.add_typer(data.app, name="data")
app.add_typer(recipes.app, name="recipes")
app.add_typer(models.app, name="models")
app.add_typer(cache.app, name="cache")
app.command("doctor")(doctor.doctor)

GLOBAL_OPTIONS = ("--quiet", "-q", "--verbose", "-v", "--version")
_NO_MEMORY = (
    "can't allocate memory", "not enough memory", "failed to map segment", "can't start new thread",
    "could not create a primitive", "Unable to allocate",
)  # fmt: skip
"""Parts of the messages with which libraries say that memory or threads are exhausted."""


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"convnet {version('convnet')}")
        raise typer.Exit


@app.callback()
def _options(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also print debug messages.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print results and errors only, no progress.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    from convnet.log import set_up_logging

    set_up_logging(verbose=verbose, quiet=quiet)


def main() -> None:
    """Run the command line; errors that a user can act on end in one message and exit status 2."""
    from convnet.settings import use_settings

    warnings.filterwarnings("ignore", module=r"PIL\.")  # its remarks on odd metadata
    for stream in (sys.stdout, sys.stderr):  # a terminal may know only ASCII, and names may not be UTF-8
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with use_settings():
            app(_global_options_first(sys.argv[1:]))
    except InterruptedRunError as stop:
        _fail(str(stop), 130)
    except ConvnetError as error:
        _fail(f"error: {error}", 2)
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except BrokenPipeError:  # the reader of the output has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except (MemoryError, RuntimeError, ImportError, OSError) as error:
        message = _system_trouble(error)
        if message is None:
            raise
        _fail(f"error: {message}", 2)


def _global_options_first(words: list[str]) -> list[str]:
    """The arguments with --quiet, --verbose and --version before the command, wherever they stand."""
    end = words.index("--") if "--" in words else len(words)
    first = [word for word in words[:end] if word in GLOBAL_OPTIONS]
    return [*first, *(word for word in words[:end] if word not in GLOBAL_OPTIONS), *words[end:]]


def _system_trouble(error: BaseException) -> str | None:
    """A message for exhausted memory, threads or disks and for names that the system refuses; else None."""
    text = str(error)
    if isinstance(error, MemoryError) or any(sign in text for sign in _NO_MEMORY):
        return "not enough memory; use smaller images or batches (--batch-size), or fewer --threads"
    if isinstance(error, OSError) and error.errno is not None:
        what = "; choose a shorter name" if error.errno == errno.ENAMETOOLONG else ""
        name = str(error.filename or "a file")
        return f"{name if len(name) < 200 else name[:200] + '…'}: {error.strerror}{what}"
    return None


def _fail(message: str, status: int) -> NoReturn:
    print(f"convnet: {message}", file=sys.stderr)
    sys.exit(status)
