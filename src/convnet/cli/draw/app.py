"""The commands of `convnet draw`."""

from __future__ import annotations

import typer

from convnet.cli.draw import images, networks, numbers, training

app = typer.Typer(no_args_is_help=True, help="Draw an idea from your own numbers, image or network.")
app.command("activations")(numbers.activations)
app.command("loss")(numbers.loss)
app.command("graph")(numbers.graph)
app.command("pooling")(numbers.pooling)
app.command("normalization")(numbers.normalization)
app.command("toeplitz")(numbers.toeplitz)
app.command("optimizers")(training.optimizers)
app.command("initialization")(training.initialization)
app.command("regularization")(training.regularization)
app.command("colors")(images.colors)
app.command("receptive-field")(networks.receptive_field)
app.command("equivariance")(networks.equivariance)
app.command("unit")(networks.unit)
app.command("weights")(networks.weights)
