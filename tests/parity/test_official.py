"""The official code, tensor by tensor.

``MASKADAPTER_FIXTURES=<folder> pytest tests/parity`` follows every recording in the folder from the picture to the
results; without the variable the golden files beside this one are used.
"""

import json
import os
from collections import Counter
from pathlib import Path

import pytest
import yaml

from parity.fixture import COVERED, GOLDEN, Recording, read_golden, read_official
from parity.stages import compare_case

# Float32 with the same operations in another order: measured at 1e-5 or better, after up to 40 layers.
TOLERANCE = 1e-4
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
    return None if config.get("ckpt") else "no checkpoint"


def _read(folder: Path) -> Recording:
    return read_golden(folder) if (folder / "settings.json").exists() else read_official(folder)


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
    for case in recording.settings.frames:
        for comparison in compare_case(recording, case, met):
            comparisons.append((case, comparison))
            report.rows.append((recording.name, case, *comparison))
    cases = tuple(f"{case}." for case in recording.settings.frames)
    unmet = [key for key in recording.tensors if key.startswith(cases) and key not in met]
    others = Counter(key.split(".")[0] for key in recording.tensors if not key.startswith(cases))
    report.skipped.extend(f"{folder.name}: {n} tensors of '{kind}' not covered yet" for kind, n in others.items())

    assert comparisons
    assert not unmet, f"recorded tensors that no stage looked at: {unmet}"
    wrong = [(case, c) for case, c in comparisons if not c.error <= (SHARE if c.share else TOLERANCE)]
    assert not wrong, f"beyond {TOLERANCE} (floats) or {SHARE} of entries (ids, masks): {wrong}"
