"""`convnet models list` and `convnet models show`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from convnet.cli.options import Json, print_json

app = typer.Typer(help="Networks.", no_args_is_help=True)


@app.command("list")
def list_models(as_json: Json = False) -> None:
    """List the networks: parameters, native image size, smallest image size, source."""
    from convnet.models import MODELS

    rows = [
        {"name": name, "summary": _summary(name), **_facts(name)} for name in sorted(MODELS, key=_by_number)
    ]
    if as_json:
        print_json(rows)
        return
    width = max(len(row["name"]) for row in rows)
    print(f"{'':<{width}} {'parameters':>12}  {'input':<12} {'smallest':<9} {'targets':<12} source")
    for row in rows:
        native, smallest = "×".join(map(str, row["native"])), f"{row['smallest']}×{row['smallest']}"
        facts = f"{native:<12} {smallest:<9} {', '.join(row['targets']):<12}"
        print(f"{row['name']:<{width}} {row['parameters']:>12,}  {facts} {row['source']}")


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="A name that 'convnet models list' prints.")],
    as_json: Json = False,
) -> None:
    """Describe a network and its options with their defaults."""
    import inspect

    from convnet.models import MODELS

    options = MODELS.options(name, {})
    text = inspect.getdoc(MODELS[name]) or ""
    if as_json:
        print_json({"name": name, "text": text, **_facts(name), "options": options})
        return
    print(f"{name}\n\n{text}\n\noptions (--set model.OPTION=VALUE):")
    for option, default in options.items():
        print(f"  {option} = {default}")


def _facts(name: str) -> dict[str, Any]:
    """The registry's facts about a network; empty for a user's own factory."""
    from dataclasses import asdict

    from convnet.models import MODELS

    if name not in MODELS:
        return {}
    facts = MODELS.facts(name)
    return {**asdict(facts), "smallest": facts.smallest_for()}


def _by_number(name: str) -> tuple[str, int]:
    """resnet18 before resnet110."""
    stem = name.rstrip("0123456789")
    return stem, int(name[len(stem) :] or 0)


def _summary(name: str) -> str:
    from convnet.models import MODELS

    return (MODELS[name].__doc__ or "").strip().splitlines()[0]
