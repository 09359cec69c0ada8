"""The first lines of a recipe: its row, the row's published figures, and the recipes that train the same."""

import re
from pathlib import Path

import pytest

from maskadapter.data.catalog import known_set
from maskadapter.paper.table import TABLES
from maskadapter.training.recipe import read_recipe

FOLDER = Path(__file__).parents[2] / "recipes"
FILES = sorted(FOLDER.rglob("*.yaml"))

# Recipes without a row of their own -> the row that their weights make.
OTHERS = {
    "table1/fcclip-large-mixed": ("table1", "fcclip-adapter"),
    "table1/maftplus-base-mixed": ("table1", "maftplus-base-adapter"),
    "table1/maftplus-large-mixed": ("table1", "maftplus-large-adapter"),
    "table2/fcclip-without-ensemble": ("table2", "fcclip-adapter"),
    "table2/mask2former-without-ensemble": ("table2", "mask2former-adapter"),
}
ROWS = {(table.name, row.id): row for table in TABLES.values() for row in table.rows}
TRAINED = {row.recipe: row for row in ROWS.values() if row.recipe} | {name: ROWS[of] for name, of in OTHERS.items()}
# recipe -> the figures of its row, in the order of the paper's columns
FIGURES = {name: ", ".join(map(str, row.published.values())) for name, row in TRAINED.items()}


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
