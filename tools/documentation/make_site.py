"""Builds the documentation site into ``build/site``: ``python tools/documentation/make_site.py``, or ``make docs``.

Links that lead nowhere, and whatever a page would fetch from elsewhere, end it with exit code 1.
"""

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import api_page
import pages
import yaml

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "build" / "pages"
SITE = ROOT / "build" / "site"

_FETCHED = (
    re.compile(r"<(?:script|img|iframe|source|video|audio)\b[^>]*?\bsrc=[\"']?((?:https?:)?//[^\"'\s>]+)"),
    re.compile(r"<link\b(?![^>]*\brel=[\"']?(?:canonical|alternate))[^>]*?\bhref=[\"']?((?:https?:)?//[^\"'\s>]+)"),
    re.compile(r"(?:@import\s+[\"']?|url\(\s*[\"']?)((?:https?:)?//[^\"')\s]+)"),
)


def fetched_from_elsewhere(text: str) -> list[str]:
    """Return the addresses from which a page or style sheet would load a script, font, style or image."""
    return [address for pattern in _FETCHED for address in pattern.findall(text)]


def titles(nav: list, section: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield (section, title, page) of a navigation as mkdocs.yml has it, in its order."""
    for entry in nav:
        for title, inside in entry.items():
            if isinstance(inside, list):
                yield from titles(inside, title)
            else:
                yield section, title, inside


def llms_text(config: dict, folder: Path) -> str:
    """Return the content of ``llms.txt``: what the project is, and every page with its first sentence."""
    lines = [f"# {config['site_name']}", "", f"> {config['site_description']}"]
    last = None
    for section, title, page in titles(config["nav"]):
        if section != last:
            lines += ["", f"## {section or 'First'}", ""]
            last = section
        lines.append(f"- [{title}]({page}): {first_sentence((folder / page).read_text(encoding='utf-8'))}")
    return "\n".join([*lines, ""])


def first_sentence(page: str) -> str:
    """Return the first sentence of a page's first paragraph, without links and emphasis."""
    blocks = (
        block.strip() for block in re.sub(r"^```.*?^```$", "", page, flags=re.DOTALL | re.MULTILINE).split("\n\n")
    )
    text = next(block for block in blocks if block and block[0] not in "#!<|-")
    text = re.sub(r"\[([^]]*)\]\([^)]*\)|[*`]", r"\1", " ".join(text.split()))
    return re.split(r"(?<=[.:!?])\s(?=[A-Z])", text)[0]


def main() -> int:
    """Lay out the pages, build the site, and check it. Returns the exit code."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    for folder in (PAGES, SITE):
        shutil.rmtree(folder, ignore_errors=True)
    laid_out = pages.lay_out(ROOT, PAGES)
    reference = PAGES / "api.md"
    reference.write_text(api_page.written_out(reference.read_text(encoding="utf-8")), "utf-8")
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    (PAGES / "llms.txt").write_text(llms_text(config, PAGES), "utf-8")
    zensical = Path(sys.executable).with_name("zensical")
    built = subprocess.run([zensical, "build", "--strict", "--clean"], cwd=ROOT)
    if built.returncode:
        return 1
    for page in laid_out:  # what llms.txt links to
        shutil.copyfile(PAGES / page, SITE / page)
    copied = (path.relative_to(PAGES) for path in sorted(PAGES.rglob("*")) if path.is_file())
    found = [f"{name} is not on the site" for name in copied if not (SITE / name).is_file()]
    found += [
        f"{path.relative_to(SITE)} would fetch {address}"
        for path in sorted(SITE.rglob("*"))
        if path.suffix in (".html", ".css")
        for address in fetched_from_elsewhere(path.read_text(encoding="utf-8"))
    ]
    print(*found, f"{len(laid_out)} pages in {SITE.relative_to(ROOT)}", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
