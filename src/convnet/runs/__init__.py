"""A run on disk: its folder, checkpoints and logs."""

from convnet.runs.atomic import write_atomically
from convnet.runs.checkpoint import load_checkpoint, save_checkpoint
from convnet.runs.folder import FORMAT, RunFolder, as_file_name, next_free_folder
from convnet.runs.logs import EPOCH_COLUMNS, MetricsLog, StepLog

__all__ = [
    "EPOCH_COLUMNS",
    "FORMAT",
    "MetricsLog",
    "RunFolder",
    "StepLog",
    "as_file_name",
    "load_checkpoint",
    "next_free_folder",
    "save_checkpoint",
    "write_atomically",
]
