"""What can be known of a training set before a model is loaded: its folder is its own, its split has a format."""

from pathlib import Path

from maskadapter.errors import MaskAdapterError
from maskadapter.pipelines.run_record import RECORD
from maskadapter.system.working_folder import NAME as WORKING_FOLDER


def check_val(val: float, format: str) -> None:
    """Raise MaskAdapterError for a share ``val`` of images to hold out that is not 0 to 1, or not for this format."""
    if not 0 <= val <= 1:
        raise MaskAdapterError(f"val is {val}: a number from 0 to 1 is needed")
    if val and format != "yolo":
        raise MaskAdapterError(f"val is for the format yolo, and {format} was given: its files name no split")


def refuse_other_files(output: Path, resume: bool) -> None:
    """Raise MaskAdapterError for a folder that is not empty and not the set to resume."""
    try:
        empty = not output.exists() or all(path.name == WORKING_FOLDER for path in output.iterdir())
    except OSError as error:
        raise MaskAdapterError(f"cannot write {output}: {error.strerror}") from None
    if not empty and not (resume and (output / RECORD).exists()):
        raise MaskAdapterError(f"{output} is not empty: a training set needs its own folder; --resume goes on with one")
