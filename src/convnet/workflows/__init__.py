"""Workflows: train, resume, compare, cross-validate, baselines, retrieve; called by the API and commands."""

from convnet.recipes.resolve import choose_recipe, resolve
from convnet.runs.environment import describe_environment
from convnet.workflows.baselines import baselines
from convnet.workflows.compare import compare
from convnet.workflows.comparison import Comparison, compare_runs
from convnet.workflows.cross_validation import CrossValidation, cross_validate
from convnet.workflows.embed import embed_data
from convnet.workflows.plane import plane
from convnet.workflows.predictors import load_predictor
from convnet.workflows.retrieve import retrieve
from convnet.workflows.run import Run, load_run
from convnet.workflows.train import resume, train

__all__ = [
    "Comparison",
    "CrossValidation",
    "Run",
    "baselines",
    "choose_recipe",
    "compare",
    "compare_runs",
    "cross_validate",
    "describe_environment",
    "embed_data",
    "load_predictor",
    "load_run",
    "plane",
    "resolve",
    "resume",
    "retrieve",
    "train",
]
