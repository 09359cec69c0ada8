"""The first lines of a recipe: its row, the row's published figures, and the recipes that train the same."""

import re
from pathlib import Path

import pytest

from maskadapter.data.catalog import known_set
from maskadapter.training.recipe import read_recipe

FOLDER = Path(__file__).parents[2] / "recipes"
FILES = sorted(FOLDER.rglob("*.yaml"))

# recipe -> the figures of its row, in the order of the paper's columns
FIGURES = {
    "table1/fcclip-large-mixed": "36.6, 14.1, 59.7, 19.3, 95.5",
    "table1/maftplus-base-mixed": "35.6, 14.2, 58.4, 17.9, 95.1",
    "table1/maftplus-large-mixed": "38.2, 16.2, 60.4, 22.7, 95.8",
    "table2/fcclip-without-ensemble": "46.2, 24.8, 35.4",
    "table2/mask2former-without-ensemble": "45.3, 21.8, 33.4",
    "table4/warmup-alone": "44.7, 23.9, 34.1",
    "table4/mixed-alone": "45.4, 23.3, 34.3",
    "table4/no-consistency": "45.6, 23.8, 34.6",
    "table4/both-stages": "46.2, 24.8, 35.4",
    "table5/hungarian": "47.4, 24.6, 35.9",
    "table5/iou-0.7": "47.8, 25.0, 36.2",
    "table5/iou-0.8": "47.2, 24.7, 35.8",
    "table6/concatenate": "42.5, 35.2",
    "table6/published-design": "43.4, 35.4",
    "table6/one-4x4": "43.4, 35.2",
    "table6/2-blocks": "43.1, 35.4",
    "table6/4-blocks": "43.7, 35.3",
    "table6/without-features": "35.5, 32.5",
    "table7/on-coco-panoptic": "43.4, 35.4",
    "table7/on-coco-panoptic-and-lvis": "44.5, 36.4",
    "table7/on-coco-panoptic-lvis-and-grand": "43.6, 35.1",
    "table9/consistency-0": "47.8, 25.0, 36.2",
    "table9/consistency-2": "47.8, 24.7, 36.1",
    "table9/consistency-5": "48.0, 25.5, 36.6",
    "table9/consistency-10": "47.4, 24.8, 36.0",
    "table10/1-map": "41.9, 34.6, 32.9",
    "table10/16-maps": "43.4, 35.4, 34.1",
}


def name_of(path):
    return path.relative_to(FOLDER).with_suffix("").as_posix()


def header(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    return " ".join(line[2:] for line in lines if line.startswith("# "))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_the_first_lines_say_which_row_it_is(path):
    text, folder = header(path), path.parent.name
    number = folder.removeprefix("table")
    assert text.startswith((f"Table {number}, ", f"Table {number} (") if number.isdigit() else "No published row: ")
    if folder == "table1":
        assert "Paper and official configuration differ, and the configuration is followed" in text
        named = "soft_mask_edges" in text and "unmatched_slots" in text
        assert named == path.stem.endswith("-mixed")
        assert ("clip_stochastic_depth" in text) == (named and path.stem.startswith("maftplus"))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_the_first_lines_give_the_published_figures_of_the_row(path):
    found = re.findall(r"Published, [^:]*: (\d+\.\d(?:, \d+\.\d)*)\.", header(path))
    # The warm-ups of table 1 are half a row.
    assert found == ([FIGURES[name_of(path)]] if name_of(path) in FIGURES else [])


def test_every_row_has_its_figures():
    stages = {name for name in map(name_of, FILES) if re.fullmatch(r"table1/.*-warmup|(recommended|own)/.*", name)}
    assert set(map(name_of, FILES)) - stages == set(FIGURES)


def test_the_readme_lists_every_row_with_its_figures():
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"^\| `(table[^`]+)` \| .+ \| ([\d., ]+) \|$", readme, re.MULTILINE)) == FIGURES


def test_the_same_training_is_the_same():
    said = {path: re.findall(r"Same training as (\S+\.yaml)", header(path)) for path in FILES}
    assert sum(map(len, said.values())) >= 10
    for path, others in said.items():
        for other in others:
            assert read_recipe(FOLDER / other) == read_recipe(path), f"{path} and {other}"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("table7/*.yaml")), ids=name_of)
def test_every_data_set_of_a_mixture_is_passed_twenty_times(path):
    recipe = read_recipe(path)
    parts, run, whole = recipe.data.train, recipe.run, sum(part.ratio for part in recipe.data.train)
    for part in parts:
        assert part.repeat_threshold == 0  # an epoch is every image once
        seen = run.iterations * run.batch_size * part.ratio / whole
        assert seen / known_set(part.name).splits["train"].count == pytest.approx(20, abs=1e-4)
    wanted = [round(share * run.iterations) for share in (0.88, 0.96)]
    assert list(recipe.schedule.milestones) == wanted
