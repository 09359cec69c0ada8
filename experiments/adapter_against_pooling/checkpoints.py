"""Checkpoints that are written whole or not at all, logs of JSON lines, and the learning rate."""

import json
import os
import time
from pathlib import Path
from typing import Any

import torch

from maskadapter.system import json_lines


def save(path: Path, state: dict[str, Any]) -> None:
    """Replace the checkpoint in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)


def load(path: Path) -> dict[str, Any] | None:
    """The checkpoint, or None without one."""
    return torch.load(path, weights_only=True) if path.exists() else None


def report(path: Path, **values: Any) -> None:
    """Append to the log, and print."""
    entry = {"at": time.strftime("%H:%M:%S"), **values}
    print(path.stem, json.dumps(entry), flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    json_lines.append(path, entry)


def minutes(path: Path) -> float:
    """Processor time in a log; work lost between a checkpoint and a stop is not in it."""
    return sum(entry["cpu_seconds"] for entry in json_lines.read(path)) / 60


def rate(step: int, steps: int, peak: float, warmup: int = 200) -> float:
    """Learning rate: linear warm-up, then a cosine to 0."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + float(torch.cos(torch.tensor(torch.pi * (step - warmup) / (steps - warmup)))))
