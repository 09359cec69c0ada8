"""What a benchmark ran on: processor, device, threads, library versions."""

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch


def machine_facts(device: str) -> dict[str, Any]:
    """Describe the hardware and the libraries, ready for JSON."""
    return {
        "device": torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else device,
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "libraries": {name: version(name) for name in ("maskadapter", "torch", "timm", "open_clip_torch")},
        "python": platform.python_version(),
    }


def processor() -> str:
    """Name the processor and count its cores: from ``/proc/cpuinfo`` on Linux, else from Python's ``platform``."""
    listed = Path("/proc/cpuinfo")
    found = re.search(r"^model name.*?: *(.*)", listed.read_text("utf-8") if listed.is_file() else "", re.MULTILINE)
    name = found[1] if found else platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"
