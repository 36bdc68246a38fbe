"""Runs on disk: the folder, checkpoints, logs and tables of baselines."""

from convnet.runs.baselines import BaselineRow, Baselines, baselines_beside, split_fingerprint
from convnet.runs.change_log import Change, changes_as_csv, read_changes, write_changes
from convnet.runs.checkpoint import load_checkpoint, save_checkpoint
from convnet.runs.folder import FORMAT, RunFolder, as_file_name
from convnet.runs.logs import MetricsLog, StepLog

__all__ = [
    "FORMAT",
    "BaselineRow",
    "Baselines",
    "Change",
    "MetricsLog",
    "RunFolder",
    "StepLog",
    "as_file_name",
    "baselines_beside",
    "changes_as_csv",
    "load_checkpoint",
    "read_changes",
    "save_checkpoint",
    "split_fingerprint",
    "write_changes",
]
