"""Audit the images of data, with embeddings by a pretrained network where its weights are installed."""

from __future__ import annotations

from convnet.data import Data, audit_data
from convnet.data.audit.audit import Audit
from convnet.recipes.imagenet import embed_files
from convnet.types import Annotation, Progress, unseen


def audit_images(
    options: Data,
    annotation: Annotation | None = None,
    *,
    check_labels: bool = True,
    progress: Progress = unseen,
) -> Audit:
    """Check the images of data, with their classes, labels, masks or partner images.

    Args:
        options: The data and how it is read.
        annotation: What belongs to an image. Default: what the data offers.
        check_labels: Whether to check the classes.
        progress: Shows the progress of decoding.

    Raises:
        DataError: The data cannot be listed.
    """
    return audit_data(options, annotation, check_labels=check_labels, embed=embed_files, progress=progress)
