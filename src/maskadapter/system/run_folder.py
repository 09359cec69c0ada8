"""A folder of results belongs to the settings that they were made with, which are kept in a file beside them."""

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from maskadapter.errors import MaskAdapterError
from maskadapter.system.atomic_files import write_atomically


def claim(
    folder: Path,
    settings: Mapping[str, Any],
    file_name: str,
    refusal: Callable[[str], MaskAdapterError],
    free: Collection[str],
    results: str,
) -> None:
    """Write ``settings`` into a folder, or compare them with the settings that are there.

    settings: ready for JSON. file_name: of the settings in ``folder``, which are written as YAML. free: dotted keys
    that may differ ("run.keep", or "evaluation" for all in it); the file takes their new values. results: a glob
    pattern of files that only belong to a folder with settings. Raises ``refusal``, one line: naming each setting that
    differs, for a settings file that cannot be read, or for results without settings.
    """
    path, now = folder / file_name, json.loads(json.dumps(settings))
    if path.exists():
        before = _read(path, refusal)
        if other := _differences(_flat(before), _flat(now), free):
            changed = f"{folder} was made with other settings ({', '.join(other)})"
            raise refusal(f"{changed}: repeat them to go on, or choose another folder")
        if before == now:
            return
    elif any(folder.glob(results)):
        raise refusal(f"{folder} has results and no {file_name}: remove them, or choose another folder")
    with write_atomically(path) as temporary:
        temporary.write_text(yaml.safe_dump(now, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _read(path: Path, refusal: Callable[[str], MaskAdapterError]) -> dict[str, Any]:
    try:
        return dict(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        raise refusal(f"cannot read {path}: {' '.join(str(error).split())}; choose another folder") from None


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by dotted key."""
    found = dict[str, Any]()
    for key, value in settings.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], free: Collection[str]) -> list[str]:
    return [
        f"{key} was {_short(before.get(key))} and is {_short(now.get(key))}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key) and not any(key == name or key.startswith(f"{name}.") for name in free)
    ]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}..."
