"""JSON files: read with a limit on their size, written whole or not at all."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from maskadapter.errors import MaskAdapterError
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.text_files import read_bytes

MAX_BYTES = 500_000_000  # where the caller names no other limit


def read_json(path: Path, refusal: type[MaskAdapterError], limit: int = MAX_BYTES) -> Any:
    """Read a JSON file of at most ``limit`` bytes. Raises ``refusal``, one line: no such file, too large, not JSON."""
    content = read_bytes(path, limit, refusal)
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise refusal(f"cannot read {path} as JSON: {error}") from None


def write_json(path: Path, content: Mapping[str, Any] | Iterable[Any]) -> Path:
    """Write ``content`` as JSON, and return ``path``. Raises MaskAdapterError, one line, where the system refuses."""
    with write_atomically(path) as temporary:
        temporary.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
