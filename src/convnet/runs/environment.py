"""Facts about the machine and the installed versions that results depend on."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from convnet.cores import available_cores
from convnet.device import default_device, has_native_bf16

PACKAGES = ("convnet", "torch", "numpy", "pillow", "pydantic", "safetensors")


def describe_environment() -> dict[str, Any]:
    """Versions, processor, cores, device and precision support, as plain values."""
    device = default_device()
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": available_cores(),
        "threads": torch.get_num_threads(),
        "device": device,
        "device_name": torch.cuda.get_device_name() if device == "cuda" else _processor(),
        "native_bf16": has_native_bf16(device),
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


def _processor() -> str:
    """The processor's name, or its architecture if the name is unknown."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
