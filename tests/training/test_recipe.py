"""A recipe says everything, and what it says wrongly is refused in one line."""

import pytest

from maskadapter.errors import RecipeError
from maskadapter.training.recipe import as_yaml, read_recipe

WHOLE = """
stage: warmup
model: {name: tiny, start: tiny}
data: {train: [{name: coco-panoptic}], crop: 512}
run: {iterations: 50, batch_size: 8}
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(WHOLE)
    return path


def test_a_resolved_recipe_reads_back_to_the_same(recipe, tmp_path):
    changed = read_recipe(
        recipe, ["optimizer.lr=5e-5", "data.scale=[0.5, 1]", "schedule.kind=steps", "schedule.milestones=[3, 4]"]
    )
    assert changed.optimizer.lr == 5e-5
    assert changed.data.scale == (0.5, 1.0)
    again = tmp_path / "again.yaml"
    again.write_text(as_yaml(changed))
    assert read_recipe(again) == changed


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("optimzer.lr=1", "unknown key 'optimzer'; did you mean 'optimizer'?"),
        ("optimizer.lrr=1", "unknown key 'optimizer.lrr'; did you mean 'lr'?"),
        ("data.train=[{nam: a}]", "unknown key 'data.train.0.nam'; did you mean 'name'?"),
        ("optimizer.lr=-1", "'optimizer.lr' is -1: input should be greater than 0"),
        ("masks={ground_truth: 4, iou_threshold: 70}", "'masks.iou_threshold' is 70: input should be less than or"),
        ("run.batch_size=many", "'run.batch_size' is 'many': input should be a valid integer"),
        ("stage=second", "'stage' is 'second': input should be 'warmup', 'mixed' or 'generator'"),
        ("stage=mixed", "the mixed stage needs masks.predicted"),
        ("masks={ground_truth: 4, predicted: 4}", "the warm-up trains on ground-truth masks alone"),
        ("data.scale=[2, 1]", "the smaller number comes first"),
        ("run.accumulate=3", "no multiple of run.accumulate"),
        ("evaluation.every=5", "needs evaluation.datasets"),
        ("model={name: tiny}", "'model.start' is missing"),
        ("run", "has the form key=value"),
        ("optimizer.lr=.inf", "'optimizer.lr' is inf"),
        ("data.scale=[1, .inf]", "finite number"),
        ("run.seed=1180591620717411303424", "'run.seed' is"),
        ("schedule.milestones=[3]", "schedule.milestones has no meaning for schedule.kind polynomial"),
        ("=3", "has the form key=value"),
        ("run.seed=[", "is not YAML"),
        ("stage.name=3", "stage is a value and has no keys"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(recipe, change, words):
    with pytest.raises(RecipeError) as caught:
        read_recipe(recipe, [change])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"- a list", "holds no settings"),
        (b"a: [", "is not YAML"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"a: !!python/object/apply:os.system ['true']", "is not YAML"),
        (b"#" * 1_000_001, "is larger than 1,000,000 bytes"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path, content, words):
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=words):
        read_recipe(path)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="no such file"):
        read_recipe(tmp_path / "recipe.yaml")


def test_what_a_stage_does_not_use_is_refused(recipe):
    with pytest.raises(RecipeError, match="'masks' is for the adapter's stages"):
        read_recipe(recipe, ["stage=generator", "masks.ground_truth=3"])
