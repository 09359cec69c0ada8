"""Lays the files that the documentation site is built of beside one another, with links that fit their new places.

The pages stay where they are read without a site: in ``docs``, and elsewhere in the repository. On the site ``docs`` is
the root; every other file that a page links to is copied to the path that it has in the repository, pages among them.
"""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

_FENCE = re.compile(r"^(```.*?^```$)", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)")


def place(name: Path) -> Path:
    """Return where a file lies on the site. name: relative to the root of the repository."""
    if name == Path("README.md"):
        return Path("index.md")
    if name.parts[0] == "docs":
        return name.relative_to("docs")
    shown = Path(*(part.lstrip(".") for part in name.parts))  # the builder leaves out what is hidden
    return shown if shown.suffix else shown.with_suffix(".txt")


def links(text: str) -> Iterator[str]:
    """Yield the targets of all links of a page to files, without their anchors."""
    for part in _FENCE.split(text)[::2]:
        yield from _LINK.findall(part)


def lay_out(root: Path, folder: Path) -> list[Path]:
    """Copy ``docs``, and whatever its pages link to, into a folder, and return the pages, relative to it.

    root: of the repository. Raises FileNotFoundError for a link that leads nowhere.
    """
    todo = [path for path in sorted((root / "docs").rglob("*")) if path.is_file()]
    known = set(todo)
    pages = []
    while todo:
        source = todo.pop()
        name = source.relative_to(root)
        target = folder / place(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix != ".md":
            shutil.copyfile(source, target)
            continue
        text = source.read_text(encoding="utf-8")
        linked = {link: _linked_file(root, source, link) for link in links(text)}
        new = {path for path in linked.values() if place(path.relative_to(root)) != Path("index.md")} - known
        todo += sorted(new)
        known |= new
        target.write_text(_moved(text, {link: path.relative_to(root) for link, path in linked.items()}, name), "utf-8")
        pages.append(place(name))
    return sorted(pages)


def _linked_file(root: Path, source: Path, link: str) -> Path:
    path = (source.parent / link).resolve()
    if path.is_dir():
        path /= "README.md"
    if not path.is_file() or not path.is_relative_to(root):
        raise FileNotFoundError(f"{source.relative_to(root)} links to {link}, which is not a file of the repository")
    return path


def _moved(text: str, linked: dict[str, Path], name: Path) -> str:
    """Return a page with links from its place on the site to theirs. linked: files by link, name: the page's own."""
    here = place(name).parent
    targets = {link: Path(os.path.relpath(place(path), here)).as_posix() for link, path in linked.items()}
    parts = _FENCE.split(text)
    parts[::2] = [_LINK.sub(lambda found: targets[found[0]], part) for part in parts[::2]]
    return "".join(parts)
