"""What a benchmark ran on: processor, device, threads, library versions."""

import os
import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch


def machine_facts(device: str) -> dict[str, Any]:
    """Describe the hardware and the libraries, ready for JSON."""
    on_gpu = torch.device(device).type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if on_gpu else device,
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "libraries": {name: version(name) for name in ("maskadapter", "torch", "timm", "open_clip_torch")},
        "python": platform.python_version(),
    }


def processor() -> str:
    """Name the processor and count its cores: from ``/proc/cpuinfo`` on Linux, else from Python's ``platform``."""
    try:
        lines: Iterator[str] = iter(Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines())
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"
