"""The published rows as recipes: all of them parse, and each differs from its table's base as its name says."""

from pathlib import Path

import pytest

from maskadapter.data.catalog import known_set
from maskadapter.hub.zoo.model_zoo import CLIP_WEIGHTS, WEIGHTS
from maskadapter.models.builder import MODELS
from maskadapter.training.recipe import TrainingQuirks, read_recipe

FOLDER = Path(__file__).parents[2] / "recipes"
FILES = sorted(FOLDER.rglob("*.yaml"))
FEWEST = {
    "table1": 6,
    "table2": 2,
    "table4": 4,
    "table5": 3,
    "table6": 6,
    "table7": 3,
    "table9": 4,
    "table10": 2,
    "recommended": 6,
    "own": 4,
}
NAMES = ("fcclip-large", "maftplus-base", "maftplus-large")


def plain(name, ratio=1.0):
    return {"name": name, "ratio": ratio, "repeat_threshold": 0.0}


COCO, LVIS, GRAND = plain("coco-panoptic", 118_287.0), plain("lvis-v1", 100_170.0), plain("grand", 223_707.0)


def mixture(*parts, iterations, milestones):
    return {"data.train": list(parts), "run.iterations": iterations, "schedule.milestones": milestones}


# file -> what it changes in table 1's warm-up or mixed stage of FC-CLIP
DIFFERENCES = {
    "table2/fcclip-without-ensemble": {},
    "table2/mask2former-without-ensemble": {},
    "table4/warmup-alone": {},
    "table4/mixed-alone": {"model.adapter": None, "loss.consistency": 0.0},
    "table4/no-consistency": {"loss.consistency": 0.0},
    "table4/both-stages": {},
    "table5/hungarian": {"masks.matcher": "hungarian", "loss.consistency": 0.0},
    "table5/iou-0.7": {"loss.consistency": 0.0},
    "table5/iou-0.8": {"masks.iou_threshold": 0.8, "loss.consistency": 0.0},
    "table6/published-design": {},
    "table6/one-4x4": {"model.patchify": "one-4x4"},
    "table6/concatenate": {"model.fusion": "concatenate"},
    "table6/without-features": {"model.use_features": False},
    "table6/2-blocks": {"model.num_blocks": 2},
    "table6/4-blocks": {"model.num_blocks": 4},
    "table7/on-coco-panoptic": {},
    "table7/on-coco-panoptic-and-lvis": mixture(COCO, LVIS, iterations=546_142, milestones=[480_605, 524_296]),
    "table7/on-coco-panoptic-lvis-and-grand": mixture(
        COCO, LVIS, GRAND, iterations=1_105_410, milestones=[972_761, 1_061_194]
    ),
    "table9/consistency-0": {"loss.consistency": 0.0},
    "table9/consistency-2": {"loss.consistency": 2.0},
    "table9/consistency-5": {},
    "table9/consistency-10": {"loss.consistency": 10.0},
    "table10/1-map": {"model.num_maps": 1},
    "table10/16-maps": {},
}


def name_of(path):
    return path.relative_to(FOLDER).with_suffix("").as_posix()


def flat(name):
    """A recipe's values by dotted key."""
    recipe = read_recipe(FOLDER / f"{name}.yaml")
    content = recipe.model_dump(mode="json")
    content["upstream_quirks"]["train_void_embedding"] = recipe.trains_void_embedding
    parts = {key: value for key, value in content.items() if isinstance(value, dict)}
    values = {f"{part}.{key}": value for part, inside in parts.items() for key, value in inside.items()}
    return {**values, "stage": content["stage"]}


def difference(name, base):
    """Settings in which a recipe differs from another."""
    theirs = flat(base)
    return {key: value for key, value in flat(name).items() if value != theirs[key]}


def test_every_table_has_its_files():
    counts = {folder: len(list((FOLDER / folder).glob("*.yaml"))) for folder in FEWEST}
    assert all(counts[folder] >= fewest for folder, fewest in FEWEST.items()), counts
    assert {path.parent.name for path in FILES} == set(FEWEST)
    assert len(FILES) == sum(counts.values())


def test_a_file_name_says_which_recipe_it_is():
    assert len({path.stem for path in FILES}) == len(FILES)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_recipe_parses_and_names_known_models_and_data_sets(path):
    recipe = read_recipe(path)
    assert recipe.stage == "classifier" or recipe.model.architecture in MODELS
    assert recipe.model.weights in {*CLIP_WEIGHTS, *(weights.model for weights in WEIGHTS), "tiny"}
    for name in (*(data.name for data in recipe.data.train), *getattr(recipe.evaluation, "datasets", ())):
        assert known_set(name).splits
    if recipe.model.adapter:
        stem = recipe.model.adapter.removeprefix("runs/").removesuffix("/model.safetensors")
        (before,) = (other for other in FILES if other.stem == stem)
        warmup = read_recipe(before)
        assert warmup.stage == "warmup"
        assert warmup.model.architecture == recipe.model.architecture


@pytest.mark.parametrize("name", NAMES)
def test_the_published_warmup(name):
    maft = name != "fcclip-large"
    expected = {
        "stage": "warmup",
        "model.architecture": name,
        "model.weights": name if maft else "clip-convnext-large",
        "model.adapter": None,
        "data.train": [plain("coco-stuff" if maft else "coco-panoptic")],
        "data.crop": 768,
        "data.scale": [0.1, 2.0],
        "data.flip": 0.5,
        "data.color": False,
        "masks.ground_truth": 32,
        "loss.classification": 2.0,
        "upstream_quirks.loss_normalization": "process",
        "optimizer.lr": 1e-4,
        "optimizer.weight_decay": 0.05,
        "upstream_quirks.decayed_parameters": "official",
        "optimizer.clip_norm": 1.0,
        "schedule.kind": "steps",
        "schedule.milestones": [260_231, 283_888],
        "schedule.factor": 0.1,
        "schedule.warmup": 0,
        "run.iterations": 295_717,
        "run.batch_size": 8,
        "run.precision": "fp16",
        "upstream_quirks.train_void_embedding": True,
    }
    recipe = flat(f"table1/{name}-warmup")
    assert {key: recipe[key] for key in expected} == expected


@pytest.mark.parametrize("name", NAMES)
def test_the_published_second_stage_keeps_its_defects(name):
    maft = name != "fcclip-large"
    expected = {
        "stage": "mixed",
        "model.architecture": name,
        "model.weights": name,
        "model.adapter": f"runs/{name}-warmup/model.safetensors",
        "data.train": [plain("coco-stuff" if maft else "coco-panoptic")],
        "data.crop": 1024,
        "masks.ground_truth": 16,
        "masks.predicted": 8,
        "masks.matcher": "iou",
        "masks.iou_threshold": 0.7,
        "masks.matching_threshold": 0.5 if maft else 0.4,
        "upstream_quirks.soft_mask_edges": True,
        "upstream_quirks.unmatched_slots": "full" if maft else "empty",
        "upstream_quirks.detach_ground_truth": not maft,
        "loss.classification": 2.0,
        "loss.consistency": 5.0,
        "upstream_quirks.loss_normalization": "process",
        "optimizer.lr": 1e-4,
        "optimizer.weight_decay": 2e-5 if maft else 0.05,
        "upstream_quirks.decayed_parameters": "official",
        "schedule.kind": "polynomial" if maft else "steps",
        "run.iterations": 49_286,
        "run.batch_size": 24,
        "upstream_quirks.clip_stochastic_depth": maft,
        "upstream_quirks.train_void_embedding": not maft,
    }
    recipe = flat(f"table1/{name}-mixed")
    assert {key: recipe[key] for key in expected} == expected
    assert (recipe["schedule.power"] == 0.9) if maft else (recipe["schedule.milestones"] == [43_371, 47_314])
    assert not maft or recipe["run.seed"] == 123


@pytest.mark.parametrize("name", NAMES)
def test_the_recommended_recipes_leave_the_defects_out_and_nothing_else(name):
    threshold = {"fcclip-large": 0.5, "maftplus-base": 0.45, "maftplus-large": 0.4}[name]
    common = {
        "upstream_quirks.loss_normalization": "global",
        "upstream_quirks.decayed_parameters": "matrices",
        "run.precision": "bf16",
    }
    # The text transfer's norm is the model's own, in both stages and at inference.
    transfer = {"upstream_quirks.text_transfer_norm": None} if name != "fcclip-large" else {}
    assert difference(f"recommended/recommended-{name}-warmup", f"table1/{name}-warmup") == common | transfer
    wanted = {
        **common,
        "model.adapter": f"runs/recommended-{name}-warmup/model.safetensors",
        "masks.matching_threshold": threshold,
        "upstream_quirks.soft_mask_edges": False,
        "upstream_quirks.unmatched_slots": "ignored",
        "upstream_quirks.detach_ground_truth": True,
        "upstream_quirks.clip_stochastic_depth": False,
        "upstream_quirks.train_void_embedding": False,
    }
    published = flat(f"table1/{name}-mixed")
    changed = {key: value for key, value in wanted.items() if value != published[key]}
    assert difference(f"recommended/recommended-{name}-mixed", f"table1/{name}-mixed") == changed


def test_every_ablation_is_checked():
    others = {name_of(path) for path in FILES if path.parent.name not in ("table1", "recommended", "own")}
    assert others == set(DIFFERENCES)


@pytest.mark.parametrize(("name", "changes"), DIFFERENCES.items())
def test_an_ablation_changes_what_it_is_about_and_nothing_else(name, changes):
    base = f"table1/fcclip-large-{flat(name)['stage']}"
    assert difference(name, base) == changes
    if name.startswith(("table6", "table7", "table10")):
        assert base.endswith("warmup")


@pytest.mark.parametrize("path", [path for path in FILES if path.parent.name in ("recommended", "own")], ids=name_of)
def test_recommended_recipes_need_no_upstream_quirks(path):
    recipe = read_recipe(path)
    assert recipe.stage == "classifier" or recipe.upstream_quirks == TrainingQuirks()
