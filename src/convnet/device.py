"""Device, precision, threads, seeds and memory allocation."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from convnet.cores import available_cores
from convnet.errors import RecipeError

Precision = Literal["auto", "fp32", "bf16"]
INFERENCE: Precision = "fp32"
"""The precision of evaluation and prediction, so that both give the same figures on every machine."""

MOST_PER_CORE = 8
"""The most threads per core; tens of thousands end in a crash of the system's libraries."""
logger = logging.getLogger(__name__)

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3


def derived_seed(seed: int, *purpose: str | int) -> int:
    """A seed for one purpose (for example "augment", epoch 3, batch 17), independent of all others."""
    words = ":".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.blake2b(words.encode(), digest_size=7).digest())


def seed_draws(seed: int, device: torch.device) -> None:
    """Seed the generator that random layers on `device` use.

    Unlike torch.manual_seed it seeds one device only: seeding all of them costs a tenth of a step.
    """
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


def default_device() -> str:
    """The fastest available device: "cuda", "mps" or "cpu"."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def has_native_bf16(device: str) -> bool:
    """Whether the device has bfloat16 instructions, so that it is faster than float32."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False


def resolve_precision(precision: Precision, device: str) -> Literal["fp32", "bf16"]:
    """The precision to use: "auto" is bf16 where it is native (measured in benchmarks/README.md)."""
    if precision == "auto":
        return "bf16" if has_native_bf16(device) else "fp32"
    return precision


@dataclass(frozen=True)
class Compute:
    """A device and the precision of arithmetic on it."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: Literal["fp32", "bf16"] = "fp32"

    def autocast(self) -> AbstractContextManager[Any]:
        """A context that computes matrix products in bfloat16 if `precision` is "bf16"."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def cast(self, images: Tensor) -> Tensor:
        """Round floating-point images to bfloat16 if `precision` is "bf16".

        Lightning Fabric does so in training, so runs that it trained resume with the same weights.
        """
        return images.bfloat16() if self.precision == "bf16" and images.is_floating_point() else images


def make_compute(device: str, precision: Precision) -> Compute:
    """Resolve a device name and a precision.

    Raises:
        RecipeError: The device is unknown or not available.
    """
    if device not in ("cpu", "cuda", "mps"):
        raise RecipeError(f"device is 'cpu', 'cuda' or 'mps', got '{device}'")
    if device != "cpu" and device != default_device():
        raise RecipeError(f"there is no {device} device here; use --device {default_device()}")
    return Compute(torch.device(device), resolve_precision(precision, device))


def set_threads(threads: int | None) -> int:
    """Set the number of threads for tensor arithmetic (None: OMP_NUM_THREADS, else one per core)."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    count = threads or (int(asked) if asked.isdecimal() and int(asked) else available_cores())
    most = MOST_PER_CORE * available_cores()
    if count > most:
        logger.warning(
            "%s threads for %s cores are too many; using %s", f"{count:,}", available_cores(), most
        )
        count = most
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)
    return count


def keep_freed_memory() -> None:
    """Let glibc keep large freed blocks instead of returning them to the system at every step.

    This changes the whole process, so training calls it and imports do not. CONVNET_MALLOC=system turns it
    off.
    """
    if not sys.platform.startswith("linux") or os.environ.get("CONVNET_MALLOC") == "system":
        return
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
    libc.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
    libc.mallopt(_M_TOP_PAD, 64 << 20)
