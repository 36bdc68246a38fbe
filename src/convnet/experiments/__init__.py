"""The verbs: train, resume, compare, evaluate, predict, report, as the command line and Python call them."""

from convnet.experiments.baselines import baselines
from convnet.experiments.compare import Comparison, compare
from convnet.experiments.cross_validation import CrossValidation, cross_validate
from convnet.experiments.dense import DenseMap
from convnet.experiments.environment import describe_environment
from convnet.experiments.features import features
from convnet.experiments.plane import plane
from convnet.experiments.predict import Made, Mask, Prediction
from convnet.experiments.recipe_choice import choose_recipe
from convnet.experiments.retrieve import retrieve
from convnet.experiments.run import Run, load_run
from convnet.experiments.train import resume, train

__all__ = [
    "Comparison",
    "CrossValidation",
    "DenseMap",
    "Made",
    "Mask",
    "Prediction",
    "Run",
    "baselines",
    "choose_recipe",
    "compare",
    "cross_validate",
    "describe_environment",
    "features",
    "load_run",
    "plane",
    "resume",
    "retrieve",
    "train",
]
