"""Images inside other files: tar archives, as WebDataset writes them, and tables: Parquet, and Arrow as Hugging Face's
``datasets`` keeps it."""

import tarfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from maskadapter.errors import MaskAdapterError
from maskadapter.io import SUFFIXES
from maskadapter.pipelines.bulk.places import Place, beside
from maskadapter.pipelines.bulk.planned_image import PlannedImage, result_name
from maskadapter.system.error_text import first_line
from maskadapter.system.extras import load_extra

TABLES = (".parquet", ".arrow")
_URI_COLUMNS = ("uri", "url", "path", "file", "file_name", "filename", "image", "image_path", "image_url")


def images_in_tar(place: Place, name: str) -> Iterator[PlannedImage]:
    """Yield the image files of an archive that is not compressed, so that each can be read by itself; meanwhile there
    are two kilobytes in memory for each. name: of the archive. Raises MaskAdapterError for a file that is none."""
    address = place.address
    try:
        with place.files.open(place.path, "rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
            for member in archive:
                inside = PurePosixPath(member.name)
                hidden = any(part.startswith(".") for part in inside.parts if part not in (".", ".."))
                if not member.isreg() or hidden or inside.suffix.lower() not in SUFFIXES:
                    continue
                shown, own = f"{address}#{member.name}", result_name(f"{_stem(name)}/{member.name}")
                yield PlannedImage(shown, own, address, "tar", member.offset_data, member.size)
    except tarfile.TarError as error:
        reason = f"cannot read {address} as a tar archive ({first_line(error)})"
        raise MaskAdapterError(f"{reason}: a whole one is needed, not compressed") from None


def images_in_table(place: Place, name: str, column: str | None, found: bool = False) -> Iterator[PlannedImage]:
    """Yield the images of a table, by bytes in it or by paths and addresses, which are relative to its folder.

    column: that has them; without it the one of binary values, or else one of texts that is named like paths. found:
    the table was found in a folder: without a column of binary values it has none of the images, which lie beside it.
    Raises MaskAdapterError: not a table, no such column or several."""
    address = place.address
    with opened(place) as table:
        chosen = _column(table.schema, column, address, found)
        if chosen is None:
            return
        field, names = chosen
        for row, values in enumerate(table.values([names] if names else [], table.count)):
            given = values.get(names) if names else None
            if field is None:  # texts
                if not given:
                    raise MaskAdapterError(f"row {row:,} of {address} has no {names}: remove it")
                path = beside(address, str(given))
                yield PlannedImage(path, result_name(str(given)), path)
            else:
                own = result_name(f"{_stem(name)}/{given or f'{row:08d}'}")
                yield PlannedImage(f"{address}#{row}", own, address, "table", row, 0, field)


class opened:
    """A table of Parquet or Arrow, open for reading: a context manager."""

    def __init__(self, place: Place):
        self._file = place.files.open(place.path, "rb")
        self._pyarrow = load_extra("pyarrow", "bulk")
        try:
            if place.path.lower().endswith(".parquet"):
                parquet = load_extra("pyarrow.parquet", "bulk").ParquetFile(self._file)
                self.schema, self.count, self._parquet = parquet.schema_arrow, parquet.metadata.num_rows, parquet
            else:
                self.schema, self.count, self._parquet = self._stream().schema, None, None
        except self._pyarrow.ArrowException as error:
            self._file.close()
            raise MaskAdapterError(f"cannot read {place.address} as a table: {first_line(error)}") from None

    def __enter__(self) -> "opened":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def values(self, columns: list[str], count: int | None = None, first: int = 0) -> Iterator[dict[str, Any]]:
        """Yield, row by row from ``first`` on, the values of some columns by their names; few rows are in memory."""
        if not columns:
            yield from ({} for _ in range(first, count or self._rows()))
            return
        for batch, skipped in self._batches(columns, first):
            parts = [_values(batch, column)[skipped:] for column in columns]
            for row in zip(*(part.to_pylist() for part in parts), strict=True):
                yield dict(zip(columns, row, strict=True))

    def _rows(self) -> int:
        return sum(batch.num_rows for batch in self._stream())

    def _stream(self) -> Any:
        self._file.seek(0)
        return self._pyarrow.ipc.open_stream(self._file)

    def _batches(self, columns: list[str], first: int) -> Iterator[tuple[Any, int]]:
        """Batches of rows, each with the number of rows to leave out at its start."""
        if self._parquet is None:
            batches = (batch.slice(at, 16) for batch in self._stream() for at in range(0, batch.num_rows, 16))
        else:
            facts, group = self._parquet.metadata, 0
            while group < facts.num_row_groups and first >= facts.row_group(group).num_rows:
                first -= facts.row_group(group).num_rows
                group += 1
            groups = list(range(group, facts.num_row_groups))
            batches = self._parquet.iter_batches(batch_size=16, row_groups=groups, columns=columns)
        for batch in batches:
            skipped = min(first, batch.num_rows)
            first -= skipped
            if skipped < batch.num_rows:
                yield batch, skipped


def _values(batch: Any, column: str) -> Any:
    name, _, field = column.partition(".")
    values = batch.column(batch.schema.get_field_index(name))
    return load_extra("pyarrow.compute", "bulk").struct_field(values, field) if field else values


def _column(schema: Any, asked: str | None, address: str, found: bool) -> tuple[str | None, str | None] | None:
    """The column of the bytes, and that of names beside them or of paths alone; None where the table has no images."""
    types = load_extra("pyarrow", "bulk").types

    def is_bytes(kind: Any) -> bool:
        return kind is not None and bool(types.is_binary(kind) or types.is_large_binary(kind))

    def is_text(kind: Any) -> bool:
        return kind is not None and bool(types.is_string(kind) or types.is_large_string(kind))

    def fields(kind: Any) -> dict[str, Any]:
        return {one.name: one.type for one in kind} if types.is_struct(kind) else {}

    kinds = {one.name: one.type for one in schema}
    if asked is not None and asked not in kinds:
        raise MaskAdapterError(f"{address} has no column '{asked}': choose from {', '.join(kinds)}")
    asked_kinds = kinds if asked is None else {asked: kinds[asked]}
    inside = [name for name, kind in asked_kinds.items() if is_bytes(fields(kind).get("bytes"))]
    held = inside or [name for name, kind in asked_kinds.items() if is_bytes(kind)]
    texts = [name for name, kind in asked_kinds.items() if is_text(kind) and (asked or name.lower() in _URI_COLUMNS)]
    if len(held) > 1 or (not held and len(texts) > 1):
        several = ", ".join(held or texts)
        raise MaskAdapterError(f"{address} has several columns that may be of images ({several}): name one, --column")
    if held:
        path = f"{held[0]}.path" if inside and is_text(fields(kinds[held[0]]).get("path")) else None
        return f"{held[0]}.bytes" if inside else held[0], path
    if texts and not found:
        return None, texts[0]
    if found and asked is None:
        return None
    needed = "one of bytes, or of texts named path, url or the like, is needed"
    raise MaskAdapterError(f"{address} has no column of images among {', '.join(kinds)}: {needed}")


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))
