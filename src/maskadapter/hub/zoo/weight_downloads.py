"""Downloads published weights into the cache, checks them, and records their sha256."""

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from maskadapter.errors import DownloadError, MaskAdapterError
from maskadapter.hub.zoo.model_zoo import HUB_REPOSITORY, ClipWeights, Weights
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.cache_folder import cache_folder
from maskadapter.system.error_text import first_line
from maskadapter.system.http_download import fetch, forget
from maskadapter.system.progress import busy

SourceName = Literal["hub", "drive"]
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Remote:
    """A file at its source. fetch: downloads it to a path. sha256: what the source states, if anything."""

    place: str
    fetch: Callable[[Path], None]
    suffix: str
    sha256: str | None = None


@dataclass(frozen=True)
class Record:
    """Facts about a downloaded file, kept beside it as JSON. stated: whether the source stated the sha256."""

    place: str
    sha256: str
    stated: bool
    size: int


def models_folder() -> Path:
    """Return the folder that downloaded weights are kept in."""
    return cache_folder() / "models"


def present(weights: Weights) -> Path | None:
    """Return the downloaded file, or None."""
    paths = (models_folder() / f"{weights.stem}{suffix}" for suffix in SUFFIXES)
    return next(filter(Path.is_file, paths), None)


def present_clip(image_encoder: ClipWeights) -> Path | None:
    """Return a pretrained CLIP's file in the cache that open_clip shares with other programs, or None."""
    from huggingface_hub import try_to_load_from_cache

    for name in ("open_clip_model.safetensors", "open_clip_pytorch_model.bin"):
        if isinstance(path := try_to_load_from_cache(image_encoder.repository, name), str):
            return Path(path)
    return None


def read_record(path: Path) -> Record | None:
    """Return what was recorded when ``path`` was downloaded, or None."""
    try:
        return Record(**json.loads(_record_path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def sha256_of(path: Path) -> str:
    """Return a file's sha256 in hexadecimal. Raises MaskAdapterError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MaskAdapterError(f"cannot read {path}: {error.strerror or error}") from None


def folder_sha256(folder: Path) -> str:
    """Return one sha256 of all files in a folder, names included, without subfolders. Raises as ``sha256_of``."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return hashlib.sha256(repr([(path.name, sha256_of(path)) for path in files]).encode()).hexdigest()


def locate(weights: Weights, source: SourceName | None, file: str | None) -> Remote:
    """Find where a published file is downloaded from.

    source: None takes the hub, which states a sha256, when exactly one of its files fits, and Google Drive when not.
    file: the name on the hub. Raises DownloadError: hub not reachable, no file or several that fit.
    """
    if file is not None or source == "hub":
        if source == "drive":
            raise DownloadError("--file names a file of the hub, and --source drive was given: leave one of them out")
        return _on_hub(weights, file)
    if source is None and weights.hub_words:
        try:
            return _on_hub(weights, None)
        except DownloadError as error:
            _log.info("%s. Google Drive is tried instead.", error)
    return _on_drive(weights)


def download(weights: Weights, remote: Remote, accept: Callable[[Path], None]) -> tuple[Path, Record]:
    """Download a file into the cache; return its path and its record. Raises DownloadError, and what ``accept`` raises.

    accept: called with the complete file before it gets its name; where it raises, nothing is kept.
    """
    path = models_folder() / f"{weights.stem}{remote.suffix}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(f"cannot make {path.parent}: {error.strerror}; set MASKADAPTER_CACHE") from None
    try:
        # Several processes may ask for the same file at once.
        with FileLock(path.with_name(f".{weights.stem}.lock")):
            done = read_record(path)
            if done and done.place == remote.place and path.is_file():
                return path, done
            part = path.with_name(f"{path.stem}.part{path.suffix}")
            remote.fetch(part)
            with busy("computing the sha256"):
                record = Record(remote.place, sha256_of(part), remote.sha256 is not None, part.stat().st_size)
            try:
                _refuse_change(record, remote, path)
                accept(part)
            except MaskAdapterError:
                forget(part)
                raise
            with write_atomically(_record_path(path)) as temporary:
                temporary.write_text(json.dumps(asdict(record), indent=1) + "\n", encoding="utf-8")
            part.replace(path)
            forget(part)
            return path, record
    except OSError as error:
        raise DownloadError(f"cannot write {path}: {error.strerror or error}; set MASKADAPTER_CACHE") from None


def _refuse_change(record: Record, remote: Remote, path: Path) -> None:
    earlier, got = read_record(path), f"the file from {record.place} has sha256 {record.sha256[:12]}..."
    if remote.sha256 is not None and record.sha256 != remote.sha256.lower():
        raise DownloadError(
            f"{got}, {remote.sha256[:12]}... is stated: it was damaged on the way and is not kept; download it again"
        )
    if remote.sha256 is None and earlier and earlier.place == record.place and earlier.sha256 != record.sha256:
        raise DownloadError(
            f"{got}, the first download had {earlier.sha256[:12]}...: it is not kept; if the change is right, remove "
            f"{_record_path(path)} and download it again"
        )


def _on_drive(weights: Weights) -> Remote:
    # confirm=t answers the question whether to download a file that is too large for Google's virus scan.
    endpoint = (os.environ.get("MASKADAPTER_DRIVE_ENDPOINT") or "https://drive.usercontent.google.com").rstrip("/")
    address = f"{endpoint}/download?id={weights.drive_id}&export=download&confirm=t"

    def fetch_from_drive(part: Path) -> None:
        try:
            fetch(address, part, weights.stem)
        except DownloadError as error:
            other = "; maskadapter models download has another source, --source hub" if weights.hub_words else ""
            raise DownloadError(f"{error}{other}") from error

    return Remote(f"Google Drive, id {weights.drive_id}", fetch_from_drive, ".pth")


def _on_hub(weights: Weights, file: str | None) -> Remote:
    from huggingface_hub import HfApi, hf_hub_download

    endpoint = os.environ.get("HF_ENDPOINT") or None  # the library reads it once, when it is imported
    try:
        # token=False: the repository is public, and a mirror need not see the user's token.
        info = HfApi(endpoint=endpoint, token=False).model_info(HUB_REPOSITORY, files_metadata=True, timeout=30)
    except Exception as error:  # the library's HTTP client brings its own kinds
        reason = re.sub(r"\[Errno -?\d+\] ", "", first_line(error))
        raise DownloadError(f"the Hugging Face repository {HUB_REPOSITORY} cannot be listed ({reason})") from None
    entries = {entry.rfilename: entry for entry in info.siblings or []}
    names = [name for name in entries if name.endswith(SUFFIXES)]
    chosen = [file] if file is not None else [name for name in names if _fits(name, weights.hub_words)]
    if len(chosen) != 1 or chosen[0] not in names:
        count = f"{len(chosen)} files that fit" if chosen else "no file that fits"
        found = count if file is None else f"no file '{file}' for"
        raise DownloadError(
            f"the Hugging Face repository {HUB_REPOSITORY} has {found} {weights.stem}: name one by "
            f"--file NAME; it holds {', '.join(names) or 'no weights'}"
        )
    name, lfs = chosen[0], entries[chosen[0]].lfs

    def fetch_from_hub(part: Path) -> None:  # the library resumes and tries again by itself
        folder = part.with_name(f"{part.stem}-from-hub")  # on the disk of the cache: the file is moved, not copied
        try:
            options: dict[str, Any] = {"revision": info.sha, "local_dir": folder, "endpoint": endpoint, "token": False}
            Path(hf_hub_download(HUB_REPOSITORY, name, **options)).replace(part)
        except Exception as error:  # the library's HTTP client brings its own kinds
            raise DownloadError(
                f"cannot download {name} from the Hugging Face repository {HUB_REPOSITORY} ({first_line(error)}); try "
                "again, or take the other source by --source drive"
            ) from error
        shutil.rmtree(folder, ignore_errors=True)

    place, sha256 = f"Hugging Face {HUB_REPOSITORY}, {name}", lfs.sha256 if lfs else None
    return Remote(place, fetch_from_hub, Path(name).suffix, sha256)


def _fits(name: str, words: Sequence[str]) -> bool:
    letters = re.sub(r"[^a-z0-9]", "", name.lower())
    return bool(words) and all(word in letters for word in words)


def _record_path(path: Path) -> Path:
    return path.with_name(path.name + ".json")
