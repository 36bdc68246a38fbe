"""The command line: commands, and how errors leave it."""

from __future__ import annotations

import errno
import sys
import warnings
from typing import Annotated

import typer

from convnet.cli import (
    baselines,
    compare,
    data,
    doctor,
    evaluate,
    features,
    filter,
    models,
    plane,
    predict,
    recipes,
    report,
    resume,
    retrieve,
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
app.command("evaluate")(evaluate.evaluate)
app.command("predict")(predict.predict)
app.command("report")(report.report)
app.command("features")(features.features)
app.command("retrieve")(retrieve.retrieve)
app.command("plane")(plane.plane)
app.command("summary")(summary.summary)
app.command("filter")(filter.filter_image)
app.add_typer(data.app, name="data")
app.add_typer(recipes.app, name="recipes")
app.add_typer(models.app, name="models")
app.command("doctor")(doctor.doctor)

_DISK_TROUBLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}


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
    from convnet.cli.progress import set_up_logging

    set_up_logging(verbose=verbose, quiet=quiet)


def main() -> None:
    """Run the command line; errors that a user can act on end in one message and exit status 2."""
    from convnet.settings import use_settings

    warnings.filterwarnings("ignore", module=r"PIL\.")  # its remarks on odd metadata
    try:
        with use_settings():
            app()
    except InterruptedRunError as stop:
        _print_error(str(stop))
        sys.exit(130)
    except ConvnetError as error:
        _print_error(f"error: {error}")
        sys.exit(2)
    except KeyboardInterrupt:
        _print_error("interrupted")
        sys.exit(130)
    except OSError as error:
        if error.errno not in _DISK_TROUBLE:
            raise
        _print_error(f"error: {error.filename or 'a file'}: {error.strerror}; the file was not modified")
        sys.exit(2)


def _print_error(message: str) -> None:
    print(f"convnet: {message}", file=sys.stderr)
