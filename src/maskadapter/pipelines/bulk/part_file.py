"""The Parquet file of a shard: a row for each image, with its segments, or with the reason why there are none."""

import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from maskadapter.errors import MaskAdapterError
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.extras import load_extra

_HASH, _IMAGES, _FAILED = b"maskadapter.settings", b"maskadapter.images", b"maskadapter.failed"
_ROWS_AT_A_TIME = 32


@cache
def schema() -> Any:
    """The columns. A box is left, top, right, bottom in pixels; counts are COCO's compressed run lengths of the whole
    image; best are the five most probable classes, the background's and "(nothing)" among them."""
    arrow = load_extra("pyarrow", "bulk")
    best = arrow.struct([("class", arrow.string()), ("probability", arrow.float64())])
    segment = arrow.struct(
        [
            ("label", arrow.int32()),
            ("class", arrow.string()),
            ("score", arrow.float64()),
            ("area", arrow.int64()),
            ("box", arrow.list_(arrow.int32())),
            ("counts", arrow.string()),
            ("best", arrow.list_(best)),
        ]
    )
    texts = [(name, arrow.string()) for name in ("path", "name", "sha256")]
    numbers = [("size", arrow.int64()), ("height", arrow.int32()), ("width", arrow.int32())]
    return arrow.schema([*texts, *numbers, ("segments", arrow.list_(segment)), ("error", arrow.string())])


def write_part(path: Path, rows: Iterable[dict[str, Any]], settings_hash: str) -> tuple[int, int]:
    """Write rows, whole or not at all, and return how many, and how many with an error. The same rows give the same
    bytes. Raises MaskAdapterError where the system refuses."""
    arrow, parquet = load_extra("pyarrow", "bulk"), load_extra("pyarrow.parquet", "bulk")
    count = failed = 0
    with write_atomically(path) as temporary:
        with parquet.ParquetWriter(temporary, schema(), version="2.6", compression="zstd", compression_level=3) as file:
            waiting: list[dict[str, Any]] = []

            def flush() -> None:
                if waiting:
                    file.write_table(arrow.Table.from_pylist(waiting, schema=schema()))
                    waiting.clear()

            for row in rows:
                waiting.append(row)
                count += 1
                failed += row["error"] is not None
                if len(waiting) == _ROWS_AT_A_TIME:
                    flush()
            flush()
            facts = {_HASH: settings_hash, _IMAGES: str(count), _FAILED: str(failed)}
            file.add_key_value_metadata({key: value.encode() for key, value in facts.items()})
        with temporary.open("rb+") as written:  # a computer that loses power must not leave a name without content
            os.fsync(written.fileno())
    return count, failed


def part_counts(path: Path, settings_hash: str) -> tuple[int, int]:
    """The number of rows of a part, and of those with an error. Raises MaskAdapterError: as ``part_rows``."""
    with _opened(path, settings_hash) as file:
        facts = file.metadata.metadata
        return int(facts[_IMAGES]), int(facts[_FAILED])


def part_rows(path: Path, settings_hash: str, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """Yield the rows of a part, some in memory at a time. Raises MaskAdapterError for a damaged part and for one that
    was made with other settings."""
    with _opened(path, settings_hash) as file:
        for batch in file.iter_batches(batch_size=_ROWS_AT_A_TIME, columns=columns):
            yield from batch.to_pylist()


def _opened(path: Path, settings_hash: str) -> Any:
    arrow, parquet = load_extra("pyarrow", "bulk"), load_extra("pyarrow.parquet", "bulk")
    try:
        file = parquet.ParquetFile(path)
    except (OSError, arrow.ArrowException):
        raise MaskAdapterError(f"{path} is damaged: remove it, and 'maskadapter bulk run' makes it anew") from None
    facts = file.metadata.metadata or {}
    if facts.get(_HASH, b"").decode() != settings_hash or not {_IMAGES, _FAILED} <= facts.keys():
        file.close()
        problem = f"{path} was made with other settings than the plan's"
        raise MaskAdapterError(f"{problem}: remove it, and 'maskadapter bulk run' makes it anew")
    return file
