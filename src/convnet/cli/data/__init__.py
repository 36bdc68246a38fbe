"""`convnet data …`."""

import typer

from convnet.cli.data import audit, pack, preview, sets, split

app = typer.Typer(help="List, check, split, cache and preview data.", no_args_is_help=True)
app.command("list")(sets.list_sets)
app.command("get")(sets.get)
app.command("audit")(audit.audit)
app.command("split")(split.split)
app.command("pack")(pack.pack)
app.command("preview")(preview.preview)
