"""Read the bytes of planned images, from files, archives and tables."""

from collections.abc import Iterator
from typing import Any

from maskadapter.errors import ImageError, MaskAdapterError
from maskadapter.io import MAX_BYTES
from maskadapter.pipelines.bulk.containers import opened
from maskadapter.pipelines.bulk.places import place_of
from maskadapter.pipelines.bulk.planned_image import PlannedImage
from maskadapter.system.error_text import first_line


class ImageBytes:
    """Reads one planned image after another; the archive or table of the last one stays open, until ``close``."""

    def __init__(self) -> None:
        self._address = ""
        self._archive: Any = None
        self._table: opened | None = None
        self._rows: Iterator[dict[str, Any]] = iter(())
        self._next = 0  # the row that ``_rows`` yields next

    def read(self, image: PlannedImage) -> bytes:
        """Return the image file's bytes. Raises ImageError, one line: not there, refused, not a file of an image's
        size."""
        try:
            match image.kind:
                case "file":
                    files, path = place_of(image.file)
                    with files.open(path, "rb") as file:
                        content = file.read(MAX_BYTES + 1)
                case "tar":
                    content = self._from_archive(image)
                case _:
                    content = self._from_table(image)
        except FileNotFoundError:
            raise ImageError(f"no such file: {image.path}") from None
        except ImageError:
            raise
        except MaskAdapterError as error:
            raise ImageError(str(error)) from None
        except Exception as error:  # every storage has its own kinds
            reason = getattr(error, "strerror", None) or first_line(error)
            raise ImageError(f"cannot read {image.path}: {reason}") from error
        if len(content) > MAX_BYTES:
            raise ImageError(f"{image.path} has more than {MAX_BYTES:,} bytes: it is not an image")
        return content

    def close(self) -> None:
        """Close the archive or table that is open."""
        if self._archive is not None:
            self._archive.close()
        if self._table is not None:
            self._table.close()
        self._address, self._archive, self._table = "", None, None

    def _from_archive(self, image: PlannedImage) -> bytes:
        if self._address != image.file:
            self.close()
            files, path = place_of(image.file)
            self._archive = files.open(path, "rb")
            self._address = image.file
        self._archive.seek(image.start)
        content: bytes = self._archive.read(min(image.length, MAX_BYTES + 1))
        if len(content) < min(image.length, MAX_BYTES + 1):
            raise ImageError(f"{image.file} ends inside {image.path}: it was cut since it was planned")
        return content

    def _from_table(self, image: PlannedImage) -> bytes:
        if self._address != image.file or image.start < self._next:
            self.close()
            self._table = opened(place_of(image.file))
            self._address, self._next = image.file, image.start
            self._rows = self._table.values([image.column], first=image.start)
        row: dict[str, Any] = {}
        while self._next <= image.start:
            self._next += 1
            row = next(self._rows, {})
        content = row.get(image.column)
        if not content:
            raise ImageError(f"{image.path} has no bytes")
        return bytes(content)
