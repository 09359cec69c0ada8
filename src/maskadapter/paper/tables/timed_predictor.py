"""Time every call of a predictor, and keep the seconds in a file that a later run continues."""

import math
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from maskadapter.benchmark import Clock


class TimedPredictor:
    """Call ``predict`` and append the seconds of each call to a file, one line a call.

    device: its work is waited for before the time is read.
    """

    def __init__(self, predict: Callable[..., Any], path: Path, device: torch.device) -> None:
        self.predict, self.path, self.device = predict, path, device

    def __call__(self, *arguments: np.ndarray) -> Any:
        clock = Clock(self.device)
        with clock.part("image"):
            result = self.predict(*arguments)
        with self.path.open("a", encoding="ascii") as file:
            file.write(f"{clock.seconds['image']:.6f}\n")
        return result

    def median(self) -> float:
        """Return the median of all seconds in the file; NaN where there are none."""
        if not self.path.is_file():
            return math.nan
        # A last line without its end was cut off.
        lines = self.path.read_text(encoding="ascii").split("\n")[:-1]
        return statistics.median(map(float, lines)) if lines else math.nan
