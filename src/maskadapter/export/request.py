"""Mistakes in what is asked to be exported, found before PyTorch is imported."""

from pathlib import Path

from maskadapter.errors import MaskAdapterError
from maskadapter.system.paths import check_folder

OPSETS = (18, 20)
CONFIG = "config.json"


def check_request(output: str | Path, opset: int, check: bool) -> Path:
    """Return the folder to write. Raises MaskAdapterError, one line, for an opset that was not tried, a folder that
    cannot be written or is not empty; one that holds an export may be checked."""
    if opset not in OPSETS:
        raise MaskAdapterError(f"opset is {opset}: 20 is needed, or 18 for TensorRT")
    folder = check_folder(output)
    if folder.resolve() == Path.cwd():
        raise MaskAdapterError(f"{folder} is the current folder: name a new one, which appears whole")
    if folder.exists() and any(folder.iterdir()) and not (check and (folder / CONFIG).exists()):
        todo = f"there is no {CONFIG} of an earlier export to compare" if check else "choose another folder"
        raise MaskAdapterError(f"{folder} is not empty: {todo}")
    return folder
