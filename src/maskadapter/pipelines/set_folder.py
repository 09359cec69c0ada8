"""The folder of a training set, which is its own."""

from pathlib import Path

from maskadapter.errors import MaskAdapterError
from maskadapter.pipelines.run_record import RECORD
from maskadapter.system.working_folder import NAME as WORKING_FOLDER


def refuse_other_files(output: Path, resume: bool) -> None:
    """Raise MaskAdapterError for a folder that is not empty and not the set to resume."""
    try:
        empty = not output.exists() or all(path.name == WORKING_FOLDER for path in output.iterdir())
    except OSError as error:
        raise MaskAdapterError(f"cannot write {output}: {error.strerror}") from None
    if not empty and not (resume and (output / RECORD).exists()):
        raise MaskAdapterError(f"{output} is not empty: a training set needs its own folder; --resume goes on with one")
