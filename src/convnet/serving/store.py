"""`ModelStore`: the models of a server by name and version, replaced while they are used."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import inf
from pathlib import Path

from convnet.cores import available_cores
from convnet.errors import ConvnetError, ModelError, in_one_line
from convnet.export import load_bundle
from convnet.export.bundle import CHECKSUMS
from convnet.serving.errors import ApiError
from convnet.serving.limits import Limits
from convnet.serving.metrics import Metrics
from convnet.serving.served_model import ServedModel

POLLED = 1.0
"""Seconds between two looks at the folders."""
LONGEST_WAIT = 60.0
"""Seconds between two attempts to open a damaged bundle, at most."""
logger = logging.getLogger(__name__)

Stamp = tuple[int, int, int] | None


@dataclass
class _Place:
    """The folder of a bundle, what stood there when it was read, and the model.

    A bundle that cannot be opened is tried again at the time `retry`, because it may be copied at the moment.
    """

    folder: Path
    stamp: Stamp
    model: ServedModel
    retry: float = inf
    wait: float = POLLED


class ModelStore:
    """The models of a server.

    Args:
        folders: The folders of the bundles. Of several versions of a model the last is the default.
        limits: The limits of the server.
        metrics: The metrics of the server.
        backend: The backend of all; see `load_bundle`.
        precision: "fp32" or "int8".
        threads: The number of threads of each.

    Raises:
        ModelError: A bundle is damaged, or two have the same name and version.
    """

    def __init__(
        self,
        folders: list[Path],
        limits: Limits,
        metrics: Metrics,
        *,
        backend: str | None = None,
        precision: str = "fp32",
        threads: int | None = None,
    ) -> None:
        self._limits, self._metrics = limits, metrics
        self._options = {"backend": backend, "precision": precision, "threads": threads}
        self._decoders = ThreadPoolExecutor(available_cores(), thread_name_prefix="decode")
        self._places: list[_Place] = []
        for folder in folders:
            stamp = _stamp(folder)
            model = self._open(folder)
            if (model.name, model.version) in {(p.model.name, p.model.version) for p in self._places}:
                raise ModelError(
                    f"{folder}: model {model.name} {model.version} is served already; export it with another "
                    "--name or --model-version"
                )
            self._places.append(_Place(folder, stamp, model))

    def _open(self, folder: Path) -> ServedModel:
        bundle = load_bundle(folder, **self._options)  # type: ignore[arg-type]
        return ServedModel(bundle, self._limits, self._metrics, self._decoders)

    @property
    def models(self) -> list[ServedModel]:
        """All models."""
        return [place.model for place in self._places]

    def get(self, name: str, version: str | None = None) -> ServedModel:
        """A model.

        Args:
            name: Its name.
            version: Its version. Default: the last.

        Raises:
            ApiError: There is none (404).
        """
        named = [model for model in self.models if model.name == name]
        found = [model for model in named if version in (None, model.version)]
        if found:
            return found[-1]
        if named:
            known = ", ".join(model.version for model in named)
            raise ApiError(404, f"model '{name}' has no version '{version}' (known: {known})")
        known = ", ".join(sorted({model.name for model in self.models}))
        raise ApiError(404, f"there is no model '{name}' (known: {known})")

    async def watch(self) -> None:
        """Replace models whose folders have changed, until cancelled; a damaged bundle is left out."""
        while True:
            await asyncio.sleep(POLLED)
            for place in self._places:
                stamp = _stamp(place.folder)
                if stamp is None or (stamp == place.stamp and time.monotonic() < place.retry):
                    continue  # None while a folder is being replaced
                place.stamp = stamp
                await self._replace(place)

    async def _replace(self, place: _Place) -> None:
        old = place.model
        try:
            new = await asyncio.to_thread(self._open, place.folder)
        except Exception as error:  # memory may be short; the old model stays, whatever the reason
            reason = error if isinstance(error, ConvnetError) else in_one_line(error)
            self._metrics.reloads.labels(old.name, "failed").inc()
            logger.error("%s %s stays: %s", old.name, old.version, reason)
            place.wait = min(2 * place.wait, LONGEST_WAIT)
            place.retry = time.monotonic() + place.wait
            return
        place.retry, place.wait = inf, POLLED
        place.model = new
        old.close()
        self._metrics.reloads.labels(new.name, "done").inc()
        logger.info("%s %s replaces %s", new.name, new.version, old.version)

    def close(self) -> None:
        """End all threads."""
        for model in self.models:
            model.close()
        self._decoders.shutdown(wait=False)


def _stamp(folder: Path) -> Stamp:
    """What changes when the bundle in a folder is replaced."""
    try:
        found = (folder / CHECKSUMS).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
