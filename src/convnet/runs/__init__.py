"""Runs on disk: the folder, checkpoints, logs and tables of baselines."""

from convnet.runs.baselines import BaselineRow, Baselines, baselines_beside, split_fingerprint
from convnet.runs.checkpoint import load_checkpoint, save_checkpoint
from convnet.runs.folder import FORMAT, RunFolder, as_file_name
from convnet.runs.logs import MetricsLog, StepLog

__all__ = [
    "FORMAT",
    "BaselineRow",
    "Baselines",
    "MetricsLog",
    "RunFolder",
    "StepLog",
    "as_file_name",
    "baselines_beside",
    "load_checkpoint",
    "save_checkpoint",
    "split_fingerprint",
]
