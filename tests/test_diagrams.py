"""The documentation's diagrams are what ``scripts/diagrams.py`` draws, and can be read."""

import importlib
import itertools
import re
from pathlib import Path

import matplotlib
import pytest

ROOT = Path(__file__).parents[1]
NAMES = ("overview", "mask-adapter", "sam")


@pytest.fixture
def diagrams(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    return importlib.import_module("diagrams")


@pytest.mark.parametrize("name", NAMES)
def test_files_are_what_the_script_draws(diagrams, tmp_path, name):
    pinned = re.search(r"^matplotlib==(.+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    if pinned is None or pinned.group(1) != matplotlib.__version__:
        pytest.skip(f"matplotlib is {matplotlib.__version__}; each version writes SVG in its own way")
    assert set(diagrams.DIAGRAMS) == set(NAMES)
    diagrams.DIAGRAMS[name]().save(tmp_path / "drawn.svg")
    drawn = (tmp_path / "drawn.svg").read_bytes()
    assert drawn == (diagrams.IMAGES / f"{name}.svg").read_bytes(), "run python scripts/diagrams.py"
    assert len(drawn) < 150_000


@pytest.mark.parametrize("name", NAMES)
def test_words_are_on_the_page_and_meet_neither_each_other_nor_an_edge(diagrams, name):
    figure = diagrams.DIAGRAMS[name]().figure
    figure.draw_without_rendering()
    axes = figure.axes[0]
    words = {(number, text.get_text()): text.get_window_extent() for number, text in enumerate(axes.texts)}
    page = figure.bbox
    assert [word for word, box in words.items() if not inside(box, page.padded(-4))] == []
    # The extents hold the gap between lines too, hence two pixels.
    assert [pair for pair in itertools.combinations(words, 2) if overlap(*(words[word] for word in pair)) > 2] == []
    boxes = [patch.get_window_extent() for patch in axes.patches if type(patch).__name__ == "FancyBboxPatch"]
    assert len(boxes) > 10
    assert [
        word for word, text in words.items() for box in boxes if not inside(text, box) and overlap(text, box) > 1
    ] == []


def overlap(one, other):
    """Pixels by which two extents reach into each other, in the direction in which they do so less."""
    return min(min(one.x1, other.x1) - max(one.x0, other.x0), min(one.y1, other.y1) - max(one.y0, other.y0))


def inside(one, other):
    return other.x0 <= one.x0 and one.x1 <= other.x1 and other.y0 <= one.y0 and one.y1 <= other.y1
