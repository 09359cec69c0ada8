"""The record of a run over many images: which images are done, and which files are as they were written."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from maskadapter.errors import MaskAdapterError
from maskadapter.io import ImageFile
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.working_folder import working_folder

RECORD = "run.json"
"""The file, in the folder of results, with the settings they were made with, the images and the files of each."""
_JOURNAL = "journal.jsonl"  # what has happened since the record was written: a killed run leaves it


class RunRecord:
    """What a run wrote into its folder: it tells files that are as they were written from files that people edited.

    An image is done when its content (size and SHA-256) is as recorded and its files are there. A file is named by its
    path below ``output``, with slashes. ``images``: of each image, by its stem, ``size`` and ``sha256`` where it is
    done, and ``files``: SHA-256 of each as it was written, empty for a file of somebody else that was in the way.
    ``files``: the same for files of the whole run. ``kept``: files that are not as they were written, and stay.
    """

    def __init__(self, output: Path, settings: Mapping[str, Any], staging: Path, resume: bool, record: bool):
        self.output, self.staging, self.recording = output, staging, record
        self.settings = json.loads(json.dumps(settings))
        self.images: dict[str, dict[str, Any]] = {}
        self.files: dict[str, str] = {}
        self.kept: set[str] = set()
        self._written: dict[str, set[str]] = {}
        self._journal = staging.parent / _JOURNAL
        earlier = self._read(resume)
        self._earlier, self._counts, self._resume, self._planned = earlier is not None, record, resume, False
        if earlier is not None and not record:
            self.settings, self.recording = earlier, True
        elif earlier is not None and earlier.get("command") != self.settings.get("command"):
            raise MaskAdapterError(f"{output} holds results of {earlier.get('command')}: choose another folder")

    def plan(self, images: Sequence[ImageFile], names: Callable[[ImageFile], Sequence[str]], resume: bool) -> set[str]:
        """Return the stems of the images that are done, and make the record ready for the others.

        Without ``resume`` none is. Raises MaskAdapterError if its results would overwrite a file that was edited.
        """
        resume = resume and self._earlier
        done = {image.stem for image in images if resume and self._is_done(image)}
        for image in images:
            if image.stem not in done:
                self._prepare(image.stem, () if resume else names(image), resume)
        if not resume and self._counts:  # what is there was made with other settings
            self.images = {stem: {"files": entry["files"]} for stem, entry in self.images.items()}
        self._planned = True
        self.save()
        return done

    def _prepare(self, stem: str, names: Sequence[str], resume: bool) -> None:
        """Record an image as not done. names: of its files, that may be there without a record of them."""
        entry = {key: value for key, value in self.images.pop(stem, {}).items() if key not in ("size", "sha256")}
        before, files = entry.get("files", {}), {}
        for name in {*before, *names}:
            now, written = file_hash(self.output / name), self._written.get(name)
            if now is None:
                continue
            if not resume and written and now not in written:
                problem = f"{self.output / name} is not as it was written and would be overwritten"
                raise MaskAdapterError(f"{problem}: --resume keeps it, or choose another folder")
            files[name] = before[name] if written and now not in written else now
            self._written.setdefault(name, set()).add(files[name])
        if files or entry:
            self.images[stem] = {**entry, "files": dict(sorted(files.items()))}

    def publish(self, image: ImageFile, content: Mapping[str, Any], folder: Path) -> None:
        """Move an image's files from ``folder`` to their places; files that were edited stay.

        The record comes first: wherever the process is killed, files are known as ours. With ``resume``, earlier files
        of the image that have no successor are removed then; otherwise they are of other formats, and stay.
        """
        entry = self.images.get(image.stem, {})
        before = entry.get("files", {})
        made = {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}
        edited = {name for name in made.keys() | before.keys() if self.is_edited(name)}
        files = {
            name: before.get(name, "") if name in edited else str(file_hash(path))
            for name, path in sorted(made.items())
        }
        if not self._resume:
            files = {**before, **files}
        entry = {**entry, **(content if self._counts else {}), "files": files}
        self._note({"image": image.stem, "entry": entry})
        self.kept |= edited & made.keys()
        try:
            for name, path in made.items():
                if name not in edited:
                    _move(path, self.output / name)
        except BaseException:
            self._prepare(image.stem, (), resume=True)  # some of its files may be those of before
            raise
        for name in before.keys() - made.keys() - edited if self._resume else ():
            with suppress(OSError):
                (self.output / name).unlink()

    def write(self, name: str, write: Callable[[Path], object]) -> None:
        """Write a file of the whole run, unless somebody edited it."""
        if self.is_edited(name):
            self.kept.add(name)
            return
        path = self._staged(name, write)
        self._note({"file": name, "sha256": file_hash(path)})
        _move(path, self.output / name)

    def replace(self, name: str, write: Callable[[Path], object]) -> None:
        """Write a file that somebody edited, with all that is in it; it counts as edited ever after."""
        _move(self._staged(name, write), self.output / name)

    def _staged(self, name: str, write: Callable[[Path], object]) -> Path:
        path = self.staging / Path(name).name
        with write_atomically(path) as temporary:
            write(temporary)
        return path

    def is_edited(self, name: str) -> bool:
        """Whether a file is there that is not as this run, or the one that it goes on with, wrote it."""
        now = file_hash(self.output / name)
        return now is not None and now not in self._written.get(name, ())

    def save(self) -> None:
        """Write the record, and remove the journal, which is in it."""
        if not self.recording or not self._planned:
            return
        images = {stem: dict(sorted(entry.items())) for stem, entry in sorted(self.images.items())}
        content = {**self.settings, "images": images}
        text = json.dumps(content | ({"files": self.files} if self.files else {}), ensure_ascii=False) + "\n"
        with write_atomically(self.staging / RECORD) as temporary:
            temporary.write_text(text, encoding="utf-8")
        if file_hash(self.staging / RECORD) != file_hash(self.output / RECORD):
            _move(self.staging / RECORD, self.output / RECORD)
        self._journal.unlink(missing_ok=True)

    def _is_done(self, image: ImageFile) -> bool:
        entry = self.images.get(image.stem, {})
        if "sha256" not in entry:
            return False
        edited = set[str]()
        for name, written in entry["files"].items():
            now = file_hash(self.output / name)
            if now is None or (now != written and now in self._written[name]):
                return False  # removed, or of the time before, when the run was killed
            if now != written:
                edited.add(name)
        content = image.content
        if not content or any(entry.get(key) != value for key, value in content.items()):
            return False
        self.kept |= edited
        return True

    def _note(self, change: dict[str, Any]) -> None:
        self._apply(change)
        if not self.recording:
            return
        try:
            new = not self._journal.exists()
            with self._journal.open("a", encoding="utf-8") as file:
                lines = ([{"settings": self.settings}] if new else []) + [change]
                file.write("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
        except OSError as error:
            raise MaskAdapterError(f"cannot write {self._journal}: {error.strerror}") from None

    def _apply(self, change: Mapping[str, Any]) -> None:
        if "image" in change:
            self.images[change["image"]] = change["entry"]
            written = change["entry"]["files"]
        else:
            written = {change["file"]: change["sha256"]}
            self.files |= written
        for name, sha256 in written.items():
            self._written.setdefault(name, set()).add(sha256)

    def _read(self, resume: bool) -> dict[str, Any] | None:
        """Read the record of an earlier run and its journal; return its settings, None without one.

        Raises MaskAdapterError if that run cannot be resumed: no record of a run, other settings.
        """
        path, record = self.output / RECORD, None
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            images, files = record.pop("images"), record.pop("files", {})
            for stem, entry in images.items():
                self._apply({"image": stem, "entry": {**entry, "files": dict(entry["files"])}})
            for name, sha256 in files.items():
                self._apply({"file": name, "sha256": sha256})
        except FileNotFoundError:
            return None
        except OSError as error:
            raise MaskAdapterError(f"cannot read {path}: {error.strerror}") from None
        except (ValueError, KeyError, AttributeError, TypeError):
            self.images, self.files, self._written = {}, {}, {}
            if not resume and isinstance(record, dict) and "maskadapter" in record:
                return None
            problem = f"{path} is not the record of a run of this version"
            advice = "resume needs the folder of one" if resume else "it would be overwritten"
            raise MaskAdapterError(f"{problem}: {advice}, choose a new folder") from None
        other = sorted(key for key in record.keys() | self.settings if record.get(key) != self.settings.get(key))
        if resume and other:
            changed = f"{self.output} was made with other settings ({', '.join(other)})"
            raise MaskAdapterError(f"{changed}: repeat them to resume, or choose another folder")
        self._read_journal(record)
        return record

    def _read_journal(self, settings: Mapping[str, Any]) -> None:
        try:
            header, *lines = self._journal.read_text(encoding="utf-8").splitlines()
            if json.loads(header)["settings"] != settings:
                return  # the record has what is in it
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return
        for line in lines:
            try:
                self._apply(json.loads(line))
            except (ValueError, KeyError, TypeError):
                return  # the last line, which the end of the process cut


@contextmanager
def open_record(output: Path, settings: Mapping[str, Any], resume: bool, record: bool) -> Iterator[RunRecord]:
    """Yield the record of the run in ``output``, in which no other run may go on, and save it at the end.

    record: write ``run.json``; otherwise it is only kept true, where there is one. Raises MaskAdapterError: as
    ``working_folder``, and with ``resume`` for a folder that was made with other settings.
    """
    settings = {"maskadapter": version("maskadapter"), **settings}
    with working_folder(output, alone=record or (output / RECORD).exists()) as staging:
        run = RunRecord(output, settings, staging, resume, record)
        try:
            yield run
        except BaseException:
            with suppress(MaskAdapterError):  # a full disk: the journal has all
                run.save()
            raise
        run.save()


def file_hash(path: Path) -> str | None:
    """SHA-256 of a file's content; None where there is no file. Raises MaskAdapterError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise MaskAdapterError(f"cannot read {path}: {error.strerror}") from None


def _move(path: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.replace(path, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            with write_atomically(target) as temporary:  # a folder on another disk
                shutil.copyfile(path, temporary)
    except OSError as error:
        raise MaskAdapterError(f"cannot write {target}: {error.strerror or error}") from error
