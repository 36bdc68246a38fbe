"""The command line: commands, and how errors leave it."""

from __future__ import annotations

import errno
import sys
import warnings

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
app.command("train")(train.train)
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


def main() -> None:
    """Run the command line; errors that a user can act on end in one message and exit status 2."""
    warnings.filterwarnings("ignore", module=r"PIL\.")  # its remarks on odd metadata
    try:
        app()
    except InterruptedRunError as stop:
        _say(str(stop))
        sys.exit(130)
    except ConvnetError as error:
        _say(f"error: {error}")
        sys.exit(2)
    except KeyboardInterrupt:
        _say("interrupted")
        sys.exit(130)
    except OSError as error:
        if error.errno not in _DISK_TROUBLE:
            raise
        _say(f"error: {error.filename or 'a file'}: {error.strerror}; nothing was changed there")
        sys.exit(2)


def _say(message: str) -> None:
    print(f"convnet: {message}", file=sys.stderr)
