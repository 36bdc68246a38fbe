"""`convnet models list` and `convnet models show`."""

from __future__ import annotations

from typing import Annotated

import typer

from convnet.cli.options import Json, print_json

app = typer.Typer(help="Networks.", no_args_is_help=True)


@app.command("list")
def list_models(as_json: Json = False) -> None:
    """Which networks there are."""
    from convnet.models import MODELS

    rows = [{"name": name, "summary": _summary(name)} for name in MODELS]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        print(f"{row['name']:<18} {row['summary']}")


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="A name that 'convnet models list' prints.")],
    as_json: Json = False,
) -> None:
    """What a network is, and its options with their defaults."""
    import inspect

    from convnet.models import MODELS

    options = MODELS.options(name, {})
    text = inspect.getdoc(MODELS[name]) or ""
    if as_json:
        print_json({"name": name, "text": text, "options": options})
        return
    print(f"{name}\n\n{text}\n\noptions (--set model.OPTION=VALUE):")
    for option, default in options.items():
        print(f"  {option} = {default}")


def _summary(name: str) -> str:
    from convnet.models import MODELS

    return (MODELS[name].__doc__ or "").strip().splitlines()[0]
