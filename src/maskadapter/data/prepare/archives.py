"""Published archives: finding, downloading and safely unpacking them."""

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import IO

from maskadapter.data.catalog import Archive
from maskadapter.errors import DatasetError, DownloadError
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.http_download import fetch, forget
from maskadapter.system.progress import bar

FETCH_AGAIN = "remove it, and the same command downloads it again"
_MOST_BYTES = 8_000_000_000  # of one file in an archive; the largest known one has 1.1 GB
_SPARE = 64 << 20  # bytes that have to stay free on the disk
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, NotImplementedError, ValueError)


def find_archive(archive: Archive, folders: Sequence[Path]) -> Path | None:
    """Return the archive's file in one of the folders; one behind a registration has any name, but known members."""
    for folder in folders:
        if (folder / archive.file).is_file():
            return folder / archive.file
    if not archive.address:
        for path in (path for folder in folders if folder.is_dir() for path in sorted(folder.glob("*.zip"))):
            try:
                with zipfile.ZipFile(path) as opened:
                    if any(_place(name, archive.members, archive.endings) for name in opened.namelist()):
                        return path
            except (zipfile.BadZipFile, OSError):
                continue
    return None


def download_archive(archive: Archive, folder: Path) -> Path:
    """Download an archive to ``folder``, resuming an earlier download; return its path. Raises DatasetError."""
    path, part = folder / archive.file, folder / f"{archive.file}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fetch(archive.address, part, archive.file)
        part.replace(path)
        forget(part)
    except OSError as error:
        raise DatasetError(f"cannot write {path}: {error.strerror or error}") from None
    except DownloadError as error:
        reason = str(error).partition(";")[0]  # the advice after it is for weights: no command here takes --source
        advice = f"download {archive.address} by other means and put it into {folder}"
        raise DatasetError(f"{reason}; the same command resumes the download, or {advice}") from None
    return path


def unpack(archive: Archive, path: Path, folder: Path) -> None:
    """Unpack the members of ``archive`` from its file ``path`` into ``folder``; files that exist are kept.

    A plain file is copied. Files appear whole or not at all, only regular ones, and only inside ``folder``.
    Raises DatasetError: damaged archive, members that are links or lead outside, disk full.
    """
    if archive.is_plain:
        if path != folder / path.name:
            with write_atomically(folder / path.name) as temporary:
                shutil.copyfile(path, temporary)
        return
    try:
        _unpack(path, archive.members, archive.endings, folder)
        for inner, members in archive.inner.items():
            place = folder / PurePosixPath(inner).name
            _unpack(path, {inner: place.name}, ("",), folder)
            if place.is_file():
                _unpack(place, members, archive.endings, folder)
                place.unlink()  # unpacked above; ``path`` still holds it
    except _DAMAGED as error:
        raise DatasetError(f"{path} is damaged or not an archive ({error}): {FETCH_AGAIN}") from None


def _unpack(path: Path, members: Mapping[str, str], endings: tuple[str, ...], folder: Path) -> None:
    if not members:
        return
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as opened:
            _unpack_zip(opened, path, members, endings, folder)
    else:
        _unpack_tar(path, lambda name: _place(name, members, endings), folder)


def unpack_chosen(path: Path, place_of: Callable[[str], str | None], folder: Path) -> None:
    """Unpack from a tar archive what ``place_of`` maps to a path in ``folder``, by its name; as ``unpack`` does."""
    try:
        _unpack_tar(path, place_of, folder)
    except _DAMAGED as error:
        raise DatasetError(f"{path} is damaged or not an archive ({error}): download it again") from None


class _Member(tarfile.TarInfo):
    """A member of a tar archive; a damaged header is an error, where tarfile would see the end of the archive."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Member":
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if buf.strip(b"\0"):  # an archive ends in zeros, or in nothing
                raise tarfile.ReadError(str(error)) from None
            raise


def _unpack_tar(path: Path, place_of: Callable[[str], str | None], folder: Path) -> None:
    with tarfile.open(path, "r|*", tarinfo=_Member) as stream, bar(f"unpacking {path.name}", None) as step:
        for member in stream:
            step(1)
            place = None if member.isdir() else place_of(member.name)
            if place is not None:
                content = stream.extractfile(member) if member.isreg() else None
                if content is None:
                    raise _not_regular(path, member.name)
                _write(content, folder / place, member.size)


def _unpack_zip(
    opened: zipfile.ZipFile, path: Path, members: Mapping[str, str], endings: tuple[str, ...], folder: Path
) -> None:
    wanted: list[tuple[zipfile.ZipInfo, Path]] = []
    for info in opened.infolist():
        place = None if info.is_dir() else _place(info.filename, members, endings)
        if place is not None and stat.S_ISLNK(info.external_attr >> 16):
            raise _not_regular(path, info.filename)
        if place is not None and not _is_there(folder / place, info.file_size):
            wanted.append((info, folder / place))
    folder.mkdir(parents=True, exist_ok=True)
    needed, free = sum(info.file_size for info, _ in wanted), shutil.disk_usage(folder).free
    if needed + _SPARE > free:
        takes = f"unpacking {path.name} takes {needed / 1e9:.2f} GB"
        raise DatasetError(f"{takes} and {folder} has {free / 1e9:.2f} GB free")
    with bar(f"unpacking {path.name}", len(wanted)) as step:
        for info, target in wanted:
            with opened.open(info) as content:
                _write(content, target, info.file_size)
            step(1)


def _not_regular(path: Path, member: str) -> DatasetError:
    return DatasetError(f"{path} holds {member}, which is not a regular file: the archive is refused")


def _place(name: str, members: Mapping[str, str], endings: tuple[str, ...]) -> str | None:
    """Return where a member goes, relative to the data set's own folder; None for one that is not unpacked."""
    name = name.removeprefix("./")
    for prefix, place in members.items():
        if name == prefix:
            return place
        if prefix.endswith("/") and name.startswith(prefix) and name.endswith(endings):
            rest = PurePosixPath(name.removeprefix(prefix))
            if rest.is_absolute() or ".." in rest.parts or "\\" in name or ":" in name:
                raise DatasetError(f"an archive holds {name!r}, which leads out of the folder: the archive is refused")
            return f"{place}/{rest}"
    return None


def _is_there(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _write(content: IO[bytes], path: Path, size: int) -> None:
    """Write one member. size: in bytes, from its header."""
    if size > _MOST_BYTES:
        raise DatasetError(f"an archive holds {path.name} of {size / 1e9:.1f} GB, more than any file of a data set has")
    if _is_there(path, size):
        return
    with write_atomically(path) as temporary, temporary.open("wb") as file:
        shutil.copyfileobj(content, file, 1 << 20)
        if file.tell() != size:
            raise EOFError(f"{path.name} ends early")
