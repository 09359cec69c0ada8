"""Class names in files: text, the YAML of a data set, COCO JSON, JSON lists, a column of a table."""

import csv
import json
import re
import reprlib
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from maskadapter.errors import VocabularyError
from maskadapter.system.json_files import MAX_BYTES
from maskadapter.system.paths import is_address, user_path
from maskadapter.system.text_files import read_text

_TEXT = {"", ".txt", ".text", ".names", ".list", ".lst", ".labels", ".classes"}
_READ = _TEXT | {".yaml", ".yml", ".json", ".csv", ".tsv"}
# fmt: off
# A text with one of these endings means a file, and none that holds classes. "node.js" is a name.
_OTHER = {
    ".xml", ".toml", ".ini", ".cfg", ".conf", ".md", ".rst", ".html", ".htm", ".pbtxt", ".prototxt", ".jsonl",
    ".xls", ".xlsx", ".ods", ".doc", ".docx", ".odt", ".pdf", ".rtf", ".parquet", ".pkl", ".pickle", ".npy", ".npz",
    ".zip", ".gz", ".tar", ".pt", ".pth", ".ckpt", ".safetensors", ".onnx", ".jpg", ".jpeg", ".png", ".webp", ".tif",
    ".tiff", ".bmp", ".gif", ".heic", ".svg", ".mp4", ".mov", ".avi",
}
# Headings of a column of names, without spaces and the like, the surest first.
_COLUMNS = (
    "classname", "classnames", "labelname", "categoryname", "displayname", "class", "classes", "label", "labels",
    "name", "names", "category", "categories",
)
# fmt: on
_NEEDED = (
    "a text file with one class a line, a YAML file with names, a JSON list or COCO JSON, or a CSV file with a column "
    "name is needed"
)
_MAX_BYTES = 10_000_000  # of a text file
_NUMBERED = re.compile(r"(\d+)(\s*[:;.)]\s*|\s+)\S")
_YOLO_LABEL = re.compile(r"\d+(\s+-?[\d.]+(e-?\d+)?){4,}")


def means_a_file(text: str) -> bool:
    """Whether a text is a path rather than class names. A single name ("cat") never opens a file of that name: a path
    has a folder or a suffix, that of a file which exists or a usual one."""
    if "\n" in text or len(text) > 1000:
        return False
    path, text = Path(text.strip()), text.strip()
    placed = len(path.parts) > 1 or text.endswith("/")
    try:
        if (placed or path.suffix) and path.exists():
            return True
    except (OSError, ValueError):
        return False
    usual = path.suffix.lower() in (_READ | _OTHER) - {""}
    return is_address(text) or (not {",", "|"} & set(text) and (usual or path.is_absolute() or text.startswith("~/")))


def classes_in(given: str | Path) -> list[Any]:
    """Return the classes in a file, in their order: strings, or sequences of synonyms.

    given: by its suffix and content a text file in the notation of ``Vocabulary.of``; a YAML or JSON file with
    ``names`` (a list, or by number), with COCO's ``categories`` (in the order of their ids), with names by number, or a
    list; a CSV or TSV file with a column of names.
    Raises VocabularyError, one line: no such file, another kind of file, no names in it.
    """
    path = user_path(given, VocabularyError)
    if not (classes := _read(path)):
        raise VocabularyError(f"{path} has no classes: {_NEEDED}")
    return classes


def _read(path: Path) -> list[Any]:
    suffix = path.suffix.lower()
    if suffix not in _READ and path.exists():
        raise VocabularyError(f'{path} is not a file of classes: {_NEEDED}; a class of that name is written "{path},"')
    limit = MAX_BYTES if suffix == ".json" else _MAX_BYTES
    text = read_text(path, limit, VocabularyError, "file of classes")
    if suffix == ".json":
        return _listed(_json(text, path), path)
    start = text.lstrip()[:1]
    if any(sign < " " and sign not in "\t\n\r\f" for sign in text) or start == "<":
        raise VocabularyError(f"{path} is not a file of classes: {_NEEDED}")
    if suffix in (".yaml", ".yml") or (suffix in _TEXT and re.search(r"^names\s*:", text, re.MULTILINE)):
        return _listed(_yaml(text, path), path)
    if suffix in (".csv", ".tsv") or any("\t" in line.strip() for line in text.splitlines()):
        return _column(text, path)
    if start in ("{", "["):  # a pipe has no suffix
        return _listed(_json(text, path), path)
    if _YOLO_LABEL.fullmatch(text.strip().split("\n")[0].strip()):
        raise VocabularyError(f"{path} holds the labels of an image, no class names: {_NEEDED}")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and _numbers_lines(lines):
        raise VocabularyError(f"{path} numbers its lines: leave the numbers out, or give YAML with names")
    if lines and _is_heading(lines[0]):
        raise VocabularyError(f"{path} is a table: give it the suffix .csv")
    return split(text)


def _numbers_lines(lines: Sequence[str]) -> bool:
    """Whether lines count themselves: "0: cat", "1: wall", or without a sign from 0; "1 euro", "2 euro" are names."""
    found = [match for match in map(_NUMBERED.match, lines) if match]
    first = int(found[0][1]) if len(found) == len(lines) else 2
    counted = first < 2 and all(int(match[1]) == number for number, match in enumerate(found, start=first))
    return counted and (first == 0 or all(match[2].strip() for match in found))


def _is_heading(line: str) -> bool:
    """Whether the first line of a text heads the columns of a table, one of names and one of numbers."""
    headings = {_heading(part) for part in re.split("[,;]", line)}
    return bool(headings & set(_COLUMNS) and headings & {"id", "index", "classid", "number"})


def split(text: str) -> list[tuple[str, ...]]:
    """Return the classes in a text, a tuple of synonyms each; empty names and lines that start with # are left out."""
    entries = [entry for line in text.splitlines() if not line.lstrip().startswith("#") for entry in line.split(",")]
    groups = (tuple(name.strip() for name in entry.split("|") if name.strip()) for entry in entries)
    return [group for group in groups if group]


def _json(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise VocabularyError(f"cannot read {path} as JSON: {error}") from None


def _yaml(text: str, path: Path) -> Any:
    import yaml

    class Loader(yaml.BaseLoader):  # keeps every value as text: a class may be called "no"
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys = set[str]()
            for key in (key for key, _ in node.value if isinstance(key.value, str)):
                if key.value in keys:
                    raise VocabularyError(f"{path} has {key.value} twice (line {key.start_mark.line + 1})")
                keys.add(key.value)
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(text, Loader)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        raise VocabularyError(f"{path} is not YAML{f' (line {mark.line + 1})' if mark else ''}") from None


def _listed(content: Any, path: Path) -> list[Any]:
    """The classes in what a YAML or JSON file holds."""
    if isinstance(content, Mapping):
        content = next((content[key] for key in ("names", "categories", "classes") if key in content), content)
    if isinstance(content, Mapping):
        content = [{"id": number, "name": name} for number, name in content.items()]
        if not content or any(_number(row["id"]) is None for row in content):
            raise VocabularyError(f"{path} has no names of classes: {_NEEDED}")
    if not isinstance(content, list):
        raise VocabularyError(f"{path} has no list of names: {_NEEDED}")
    if any(isinstance(entry, Mapping) for entry in content):
        content = _by_id(content, path)
    for number, entry in enumerate(content, start=1):
        names = entry if isinstance(entry, list) else [entry]
        if not names or any(isinstance(name, bool) or not isinstance(name, str | int) for name in names):
            raise VocabularyError(f"{path}: class {number} is {reprlib.repr(entry)[:60]}, which is not a name")
    return [tuple(map(str, entry)) if isinstance(entry, list) else str(entry) for entry in content]


def _by_id(rows: Sequence[Any], path: Path) -> list[Any]:
    """Names of COCO's categories, in the order of their ids; as they stand where they have none."""
    if not all(isinstance(row, Mapping) and "name" in row for row in rows):
        raise VocabularyError(f"{path} has entries without a name: {_NEEDED}")
    ids = [_number(row.get("id")) for row in rows]
    known = [number for number in ids if number is not None]
    if len(set(known)) < len(known):
        twice = next(number for number in known if known.count(number) > 1)
        raise VocabularyError(f"{path} has two classes of the number {twice}: give each its own")
    if len(known) == len(rows):
        rows = [row for _, row in sorted(zip(known, rows, strict=True), key=lambda pair: pair[0])]
    return [row["name"] for row in rows]


def _number(given: Any) -> int | None:
    try:
        return int(str(given))
    except ValueError:
        return None


def _column(text: str, path: Path) -> list[Any]:
    """The distinct names in a table's column: the one with a heading of ``_COLUMNS``, else the only one of text."""
    text = re.sub(r"^(\s*#.*\n)+", "", text)  # remarks above the table
    first = re.split(r"[\r\n]", text.lstrip(), maxsplit=1)[0]
    delimiter = max(",;\t" if path.suffix.lower() == ".csv" else "\t", key=first.count)
    if delimiter not in first and any(_heading(part) in _COLUMNS for part in first.split("|")):
        delimiter = "|"
    try:
        read = csv.reader(StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
        rows = [row for cells in read if any(row := [" ".join(cell.split()) for cell in cells])]
    except csv.Error as error:
        raise VocabularyError(f"{path} is not a table ({error}): {_NEEDED}") from None
    headings = [_heading(cell) for cell in rows[0]] if rows else []
    columns = sorted((h for h in headings if h in _COLUMNS), key=_COLUMNS.index)
    if len(rows) == 1 and not columns:
        return list(filter(None, rows[0]))
    body = rows[1:] if columns else rows
    table = [[row[i] if i < len(row) else "" for row in body] for i in range(len(headings))]
    chosen = [table[headings.index(heading)] for heading in columns] or table
    of_text = [names for names in chosen if any(_number(name) is None for name in names)]
    if not of_text or not (columns or len(of_text) == 1):
        raise VocabularyError(f"{path} has no column of names: head one of its {len(headings)} columns with name")
    if "" in of_text[0]:
        raise VocabularyError(f"{path}: row {of_text[0].index('') + 1 + bool(columns)} has no name")
    return list(dict.fromkeys(of_text[0]))


def _heading(cell: str) -> str:
    """A heading as it is compared: without spaces and the like, in small letters."""
    return re.sub(r"[\W_]", "", cell).lower()
