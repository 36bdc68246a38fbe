"""`convnet models list` and `convnet models show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from convnet.cli.options import Json, print_json

if TYPE_CHECKING:
    from convnet.models import PublishedFile

app = typer.Typer(help="Networks.", no_args_is_help=True)


@app.command("list")
def list_models(as_json: Json = False) -> None:
    """List the networks: parameters, image sizes, source, and public weights with their preprocessing."""
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
    print("\nImageNet weights (--weights imagenet):\n")
    known = [row for row in rows if row["weights"] is not None]
    widest = max(len(row["weights"]["at"]) for row in known)
    print(f"{'':<{width}} {'top-1':<6} {'license':<13} {'weights':<{widest}} images")
    for row in known:
        weights = row["weights"]
        print(
            f"{row['name']:<{width}} {weights['accuracy']:<6.1%} {weights['license']:<13} "
            f"{weights['at']:<{widest}} {weights['images']}"
        )


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
    from convnet.models import MODELS

    if name not in MODELS:
        return {}
    facts = MODELS.facts(name)
    found = {key: value for key, value in vars(facts).items() if key not in ("rename", "weights")}
    return {**found, "smallest": facts.smallest_for(), "weights": _weights(facts.weights)}


def _weights(published: PublishedFile | None) -> dict[str, Any] | None:
    """What is known of public weights, and where they are."""
    from convnet.recipes.pretrained import whereabouts

    if published is None:
        return None
    return {
        "file": published.name,
        "accuracy": published.accuracy,
        "license": published.license,
        "at": whereabouts(published),
        "package": published.package,
        "address": published.address,
        "images": str(published.input),
    }


def _by_number(name: str) -> tuple[str, int]:
    """resnet18 before resnet110."""
    stem = name.rstrip("0123456789")
    return stem, int(name[len(stem) :] or 0)


def _summary(name: str) -> str:
    from convnet.models import MODELS

    return (MODELS[name].__doc__ or "").strip().splitlines()[0]
