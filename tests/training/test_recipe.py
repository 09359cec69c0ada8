"""Recipes: read, changed, resolved; mistakes are refused in one line."""

import pytest

from maskadapter.errors import RecipeError
from maskadapter.system.renamed import renamed
from maskadapter.training.recipe import Recipe, adapter_config, as_yaml, read_recipe

WHOLE = """
stage: warmup
model: {architecture: tiny, weights: tiny}
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
    ("change", "message"),
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
        ("run.accumulate=3", "not a multiple of run.accumulate"),
        ("evaluation.every=5", "needs evaluation.datasets"),
        ("model={architecture: tiny}", "'model.weights' is missing"),
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
def test_an_invalid_value_is_a_one_line_error(recipe, change, message):
    with pytest.raises(RecipeError) as caught:
        read_recipe(recipe, [change])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"- a list", "has no settings"),
        (b"a: [", "is not YAML"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"a: !!python/object/apply:os.system ['true']", "is not YAML"),
        (b"#" * 1_000_001, "is larger than 1,000,000 bytes"),
    ],
)
def test_a_file_without_a_recipe_is_refused(tmp_path, content, message):
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=message):
        read_recipe(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="no such file"):
        read_recipe(tmp_path / "recipe.yaml")


def test_settings_without_effect_in_a_stage_are_refused(recipe):
    with pytest.raises(RecipeError, match="'masks' is for the adapter's stages"):
        read_recipe(recipe, ["stage=generator", "masks.ground_truth=3"])
    with pytest.raises(RecipeError, match=r"upstream_quirks.unmatched_slots is for the adapter's stages"):
        read_recipe(recipe, ["stage=generator", "upstream_quirks.unmatched_slots=full"])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("data.colour=true", "unknown key 'data.colour': it is now 'data.color'"),  # old word
        ("evaluation.pictures=5", "unknown key 'evaluation.pictures': it is now 'evaluation.images'"),  # old word
        ("model.start=tiny", "unknown key 'model.start': it is now 'model.weights'"),
        ("masks.left_over=full", "unknown key 'masks.left_over': it is now 'upstream_quirks.unmatched_slots'"),
        ("loss.normalize=global", "unknown key 'loss.normalize': it is now 'upstream_quirks.loss_normalization'"),
        ("run.trainable_void=true", "unknown key 'run.trainable_void': it is now"),
    ],
)
def test_an_old_key_is_refused_with_its_new_name(recipe, old, new):
    with pytest.raises(RecipeError) as caught:
        read_recipe(recipe, [old])
    assert new in str(caught.value)
    assert "\n" not in str(caught.value)


def test_new_names_of_old_keys_exist():
    for old, new in renamed("recipe key").items():
        for key, known in ((old, False), (new, True)):
            section, name = key.split(".")
            assert (name in Recipe.model_fields[section].annotation.model_fields) == known, key


def test_the_void_embedding_is_frozen_by_default_in_the_mixed_stage_alone(recipe):
    mixed = ["stage=mixed", "masks={ground_truth: 4, predicted: 4}"]
    assert read_recipe(recipe).trains_void_embedding
    assert not read_recipe(recipe, mixed).trains_void_embedding
    assert read_recipe(recipe, [*mixed, "upstream_quirks.train_void_embedding=true"]).trains_void_embedding
    assert not read_recipe(recipe, ["upstream_quirks.train_void_embedding=false"]).trains_void_embedding


def test_the_adapter_is_designed_by_six_keys(recipe):
    config = adapter_config(read_recipe(recipe, ["model.hidden_dim=8", "model.fusion=concatenate"]))
    assert config.keys() == {"num_maps", "num_blocks", "hidden_dim", "patchify", "fusion", "use_features"}
    assert config["hidden_dim"] == 8
    assert "hidden_dim" not in adapter_config(read_recipe(recipe))
