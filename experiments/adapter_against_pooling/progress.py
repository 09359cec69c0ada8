"""Steps that can be stopped at any time: a checkpoint that is whole or not there, and a log of one line a report."""

import json
import os
import time
from pathlib import Path
from typing import Any

import torch


def save(path: Path, state: dict[str, Any]) -> None:
    """Replace the checkpoint in one move."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)


def load(path: Path) -> dict[str, Any] | None:
    return torch.load(path, weights_only=True) if path.exists() else None


def report(path: Path, **values: Any) -> None:
    """Append to the log, and print."""
    line = json.dumps({"at": time.strftime("%H:%M:%S"), **values})
    print(path.stem, line, flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as log:
        log.write(line + "\n")


def minutes(path: Path) -> float:
    """Processor time of what a log reports: lost work between a checkpoint and a stop is not in it."""
    return sum(json.loads(line)["cpu_seconds"] for line in path.read_text(encoding="utf-8").splitlines()) / 60


def rate(step: int, steps: int, peak: float, warmup: int = 200) -> float:
    """Learning rate: up in a line, down along a cosine to 0."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + float(torch.cos(torch.tensor(torch.pi * (step - warmup) / (steps - warmup)))))
