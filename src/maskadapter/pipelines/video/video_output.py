"""Which files a segmented video is written as, and where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from maskadapter.errors import MaskAdapterError
from maskadapter.results import check_formats
from maskadapter.system.paths import check_folder, user_path

VIDEO_FORMATS: Mapping[str, str] = {"overlay": "-overlay.mp4", "coco": "-tracks.json", "mot": "-tracks.txt"}
"""What a segmented video may be written as, and what the files are called after the stem."""

_WRITTEN = (".mp4", ".mkv", ".mov")
_OTHERS = (".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".wmv", ".flv", ".gif", ".ogv")


@dataclass(frozen=True)
class VideoOutput:
    """folder: where the files are put. names: of each format's file."""

    folder: Path
    names: Mapping[str, str]

    def stopped(self, format: str) -> Path:
        """Where a part is put when the run is stopped: under a name that nobody takes for the whole."""
        name = Path(self.names[format])
        return self.folder / f"{name.stem}-stopped{name.suffix}"


def check_video_output(
    output: str | Path, video: str | Path, formats: str | Sequence[str], overwrite: bool = False
) -> VideoOutput:
    """Return what will be written where. output: a folder, or a file that ends in .mp4, .mkv or .mov, beside which the
    others are put. Raises MaskAdapterError: an unknown format; another kind of file; one that exists, unless
    ``overwrite``, or that is the video itself; a folder that cannot be written."""
    path, source = user_path(output, MaskAdapterError), user_path(video, MaskAdapterError)
    chosen = check_formats(formats, tuple(VIDEO_FORMATS))
    if not chosen:
        raise MaskAdapterError(f"nothing to save: choose from {', '.join(VIDEO_FORMATS)}")
    suffix = path.suffix.lower()
    if suffix in _OTHERS and not path.is_dir():
        raise MaskAdapterError(f"{output} ends in {path.suffix}: H.264 is written to {', '.join(_WRITTEN)}")
    if suffix in _WRITTEN and not path.is_dir():
        folder, stem = path.parent, path.stem
        names = {name: path.name if name == "overlay" else f"{stem}{VIDEO_FORMATS[name]}" for name in chosen}
    else:
        folder, names = path, {name: f"{source.stem}{VIDEO_FORMATS[name]}" for name in chosen}
    for name in names.values():
        place = folder / name
        if place.exists() and source.exists() and place.samefile(source):
            raise MaskAdapterError(f"{place} is the video itself: choose another output")
        if place.exists() and not overwrite:
            raise MaskAdapterError(f"{place} exists already: choose another output, or overwrite it (--overwrite)")
    check_folder(folder)
    return VideoOutput(folder, names)
