"""The official code, tensor by tensor.

``MASKADAPTER_FIXTURES=<folder> pytest tests/parity`` follows every recording in the folder from the image to the
results; without the variable the golden files beside this one are used.
"""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from parity.fixture import COVERED, GOLDEN, Recording, read_golden, read_official
from parity.stages import Comparison, compare_case
from parity.training import compare_matching, compare_step
from parity.warmup_evaluation import compare_ground_truth_masks

# Float32 with the same operations in another order: measured at 1e-5 or better, after up to 40 layers.
TOLERANCE = 1e-4
# Losses, and what one step makes of the parameters.
TIGHT = {"loss_": 1e-5, "after_step.": 1e-5}
# Behind a location that another processor may see or not, with nothing recorded to put in: one attended location more
# or less moved the mask logits by 4.7e-3.
AMBIGUOUS = 2e-2
# Single pixels flip where two proposals tie to the last bit.
SHARE = 1e-3


def _folders() -> list[Path]:
    root = os.environ.get("MASKADAPTER_FIXTURES")
    folder = Path(root) if root else GOLDEN
    if (folder / "config.json").exists():
        return [folder]
    return sorted(path for path in folder.iterdir() if path.is_dir())


def _why_not_covered(folder: Path) -> str | None:
    if (folder / "settings.json").exists():
        return None
    if not (folder / "config.json").exists():
        return "no config.json"
    config = json.loads((folder / "config.json").read_text())
    architecture = yaml.safe_load(config["cfg"])["MODEL"]["META_ARCHITECTURE"]
    if architecture not in COVERED:
        return f"{architecture} is not covered yet"
    return None if (folder / "model.pth").exists() else "no checkpoint"


def _read(folder: Path) -> Recording:
    return read_golden(folder) if (folder / "settings.json").exists() else read_official(folder)


def _comparison_of(recording: Recording, case: str) -> Callable[[Recording, str, set[str]], Iterator[Comparison]]:
    """Case ``train`` is a step of training, ``match`` the matcher alone, the others an image with its results."""
    if case in ("train", "match"):
        return {"train": compare_step, "match": compare_matching}[case]
    return compare_ground_truth_masks if recording.settings.package == "mask_adapter" else compare_case


def _allowed(comparison: Comparison) -> float:
    if comparison.ambiguous:
        return AMBIGUOUS
    tight = [tolerance for start, tolerance in TIGHT.items() if comparison.stage.startswith(start)]
    return SHARE if comparison.share else min([TOLERANCE, *tight])


def test_there_is_something_to_compare_with() -> None:
    assert [folder for folder in _folders() if _why_not_covered(folder) is None]


@pytest.mark.parametrize("folder", _folders(), ids=lambda folder: folder.name)
def test_every_stage(folder: Path, report) -> None:
    reason = _why_not_covered(folder)
    if reason:
        report.skipped.append(f"{folder.name}: skipped, {reason}")
        pytest.skip(f"{folder.name}: {reason}")
    recording = _read(folder)
    met: set[str] = set()
    comparisons = []
    cases = sorted({key.split(".")[0] for key in recording.tensors})
    for case in cases:
        for comparison in _comparison_of(recording, case)(recording, case, met):
            comparisons.append((case, comparison))
            report.rows.append((recording.name, case, *comparison[:3]))
    unmet = [key for key in recording.tensors if key not in met]

    assert comparisons
    assert not unmet, f"recorded tensors that no stage looked at: {unmet}"
    wrong = [(case, c) for case, c in comparisons if not c.error <= _allowed(c)]
    assert not wrong, f"beyond {TOLERANCE} (floats) or {SHARE} of entries (ids, masks): {wrong}"
