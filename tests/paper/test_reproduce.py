"""Test the paper's tables: their data, the bootstrap, and runs with the embedded model on small data sets."""

import io
import json
import math
import os
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from input_size import small_input
from PIL import Image
from small_sets import PUBLISHED, shrink_counts

import maskadapter as ma
from maskadapter.cli import main
from maskadapter.data.catalog import KNOWN
from maskadapter.data.opening import open_dataset
from maskadapter.errors import MaskAdapterError
from maskadapter.evaluation.bootstrapping import (
    RESAMPLES,
    SEED,
    bootstrap,
    image_counts,
    metric_function,
    standard_error,
)
from maskadapter.evaluation.evaluator import evaluate
from maskadapter.evaluation.partition import Partition
from maskadapter.evaluation.scores import scores_of
from maskadapter.hub.model_source import ModelSource
from maskadapter.models.builder import MODELS
from maskadapter.models.clip.image_encoders import image_encoder_of
from maskadapter.models.sources.source_names import check_masks as check_mask_source
from maskadapter.paper.table import TABLES, table_named
from maskadapter.paper.tables import reproduction
from maskadapter.paper.tables.evaluation_run import EvaluationRun, RunOptions, TimedPredictor, readable_settings
from maskadapter.paper.tables.markdown import LEGEND, page_text, report_text
from maskadapter.paper.tables.own_data import with_own
from maskadapter.paper.tables.report import Cell, TableReport
from maskadapter.paper.tables.reproduction import reproduce
from maskadapter.paper.tables.requirements import Given, check_masks, masks_for, source_for, weight_names
from maskadapter.paper.tables.table_run import TableRun
from maskadapter.pipelines.model_evaluation import GROUND_TRUTH, model_predictor
from maskadapter.pipelines.switches import check_switches
from maskadapter.training.recipe import read_recipe
from maskadapter.vocabulary.vocabulary import Vocabulary

RECIPES = Path(__file__).parents[2] / "recipes"
COCO = os.environ.get("MASKADAPTER_COCO")
SIDE = 320  # in pixels: at less, all of the few segments are classified right or all wrong
ROWS = [pytest.param(table, row, id=f"{table.name}-{row.id}") for table in TABLES.values() for row in table.rows]
CLASSES = Vocabulary.of("cat, dog, sky")


@pytest.fixture(autouse=True)
def smaller_input():
    with small_input(SIDE):
        yield


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """The file that describes three images, each of two photographs side by side."""
    root = tmp_path_factory.mktemp("own")
    photos = {
        name: np.asarray(Image.fromarray(getattr(skimage.data, name)()).resize((96, 96)))
        for name in ("chelsea", "coffee", "astronaut")
    }
    classes = list(photos)
    for kind in ("images", "labels"):
        (root / kind).mkdir()
    for name, left, right in (("a", "chelsea", "coffee"), ("b", "astronaut", "chelsea"), ("c", "coffee", "coffee")):
        labels = np.repeat([[classes.index(left), classes.index(right)]], 96, axis=1).repeat(96, axis=0)
        Image.fromarray(np.concatenate([photos[left], photos[right]], axis=1)).save(root / "images" / f"{name}.png")
        Image.fromarray(labels.astype(np.uint8)).save(root / "labels" / f"{name}.png")
    (root / "classes.txt").write_text("cat\nsky\nwoman\n")  # there is no sky, so that not all is right
    part = "{images: images, labels: labels}"
    (root / "own.yaml").write_text(f"task: semantic\nclasses: classes.txt\ntrain: {part}\nval: {part}\n")
    return root / "own.yaml"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The embedded model with its adapter, as a training would have left it."""
    path = tmp_path_factory.mktemp("trained") / "model.safetensors"
    with small_input(SIDE):
        return ma.save(ma.load("tiny", pooler="adapter"), path, "tiny")


def run(*arguments):
    with pytest.raises(SystemExit) as stopped:
        main(["reproduce", *map(str, arguments)])
    return stopped.value.code or 0


def numbers_in(folder, table):
    """Row and column -> the number's entry in the table's JSON."""
    content = json.loads((folder / f"{table}.json").read_text())
    return {(row["row"], key): cell for row in content["rows"] for key, cell in row["numbers"].items()}


def test_there_are_eleven_tables():
    assert list(TABLES) == [f"table{number}" for number in range(1, 12)]
    assert table_named("3") is table_named("table3") is TABLES["table3"]
    with pytest.raises(MaskAdapterError, match=r"no table 'table12': choose from table1, .*table11, or all$"):
        table_named("table12")


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_the_names_in_a_table_exist(table):
    ids, keys = [row.id for row in table.rows], [column.key for column in table.columns]
    for names in (ids, keys, [row.label for row in table.rows]):
        assert len(set(names)) == len(names)
    assert {column.dataset for column in table.columns} <= KNOWN.keys()
    assert bool(table.partition) == any("seen" in column.metric for column in table.columns)
    for row in table.rows:
        assert row.against in ("", *ids)
        assert row.against != row.id
        assert len(row.printed) == len(table.headers)
        assert set(row.published) <= set(keys)
        if row.masks is not None:
            check_switches(row.branch, None, None, row.masks)
            check_mask_source(row.masks)


@pytest.mark.parametrize(("table", "row"), ROWS)
def test_model_and_recipe_of_a_row_exist(table, row):
    assert row.pooler in ("adapter", "pooling", "cropping")
    if row.cited:
        assert not row.model
    elif row.model.startswith("clip:"):
        _, config, tag = row.model.split(":")
        assert (tag == "{}") == bool(row.file)
        open_clip = pytest.importorskip("open_clip")
        assert config in open_clip.list_models()
        assert row.file or open_clip.get_pretrained_cfg(config, tag)["hf_hub"]
        if row.pooler == "pooling":
            settings = open_clip.get_model_config(config)
            settings.pop("custom_text", None)
            with torch.device("meta"):
                assert image_encoder_of(open_clip.CLIP(**settings).visual)
    else:
        assert row.model in MODELS
    if row.recipe:
        recipe = read_recipe(RECIPES / f"{row.recipe}.yaml")
        assert recipe.model.architecture == row.model
        assert (recipe.stage == "warmup") == row.joined
        assert row.recipe.startswith(f"{table.name}/")


@pytest.mark.parametrize("name", ["table4", "table5", "table6", "table7", "table9", "table10"])
def test_every_recipe_of_a_table_has_its_row(name):
    recipes = {f"{name}/{path.stem}" for path in (RECIPES / name).glob("*.yaml")}
    assert {row.recipe for row in TABLES[name].rows} - {""} == recipes


SAME = sorted({row.same_training for table in TABLES.values() for row in table.rows if len(row.same_training) > 1})


@pytest.mark.parametrize("recipes", SAME, ids=lambda recipes: recipes[0])
def test_recipes_of_one_training_are_equal(recipes):
    """But for their comments."""
    first, *others = (read_recipe(RECIPES / f"{name}.yaml") for name in recipes)
    assert all(other == first for other in others)


def test_recipes_that_differ_are_different_trainings():
    named = {row.same_training[0]: row for table in TABLES.values() for row in table.rows if row.recipe}
    read = [read_recipe(RECIPES / f"{name}.yaml") for name in named]
    assert all(one != other for place, one in enumerate(read) for other in read[:place])


def records(count=40, seed=0):
    """Make records of three classes as ``evaluate`` writes them: true class, predicted class, pixels."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        pixels = [
            [true, int(rng.integers(0, 3)), int(rng.integers(1, 99))] for true in rng.permutation(3)[: 1 + index % 3]
        ]
        classified = [[int(true), predicted, 1] for true, predicted, _ in pixels]
        masks = {"segments": classified, "class_masks": classified[:1], "painted": pixels}
        yield {"index": index, "semantic": [[int(t), p, n] for t, p, n in pixels], "masks": masks}


@pytest.mark.parametrize(
    ("metric", "of"),
    [("mIoU", "semantic"), ("mIoU", "masks"), ("accuracy of segments", "masks"), ("accuracy of class masks", "masks")],
)
@pytest.mark.parametrize("group", ["", " seen", " unseen"])
def test_a_bootstrap_sample_is_what_evaluate_computes_of_its_images(metric, of, group):
    """Samples are computed from counts; here the records themselves are sampled."""
    everything = [{key: value for key, value in record.items() if key in ("index", of)} for record in records()]
    partition = Partition("by hand", (True, False, True))

    def evaluated(sample):
        return scores_of(lambda: iter(sample), (of,), CLASSES, "detectron2-main", partition).numbers[metric + group]

    counts, number = image_counts(everything, metric + group, 3), metric_function(metric + group, partition)
    assert number(counts.sum(axis=0)) == evaluated(everything)
    samples = bootstrap(counts, number)
    times = np.random.default_rng(SEED).multinomial(40, [1 / 40] * 40, size=RESAMPLES)
    for which in (0, 1, RESAMPLES - 1):
        sample = [record for record, often in zip(everything, times[which], strict=True) for _ in range(often)]
        assert samples[which] == pytest.approx(evaluated(sample), abs=1e-9)


def test_the_standard_error_is_that_of_a_coin():
    """One mask in each image: the standard error of a share is known."""
    right = np.arange(200) % 4 > 0
    everything = [{"masks": {"segments": [[0, int(not one), 1]]}} for one in right]
    counts = image_counts(everything, "accuracy of segments", 3)
    error = standard_error(bootstrap(counts, metric_function("accuracy of segments")))
    assert error == pytest.approx(100 * math.sqrt(0.75 * 0.25 / 200), rel=0.07)


def test_what_two_rows_share_does_not_add_to_the_error_of_their_difference():
    counts = image_counts(records(), "accuracy of segments", 3)
    better = counts.copy()
    better[:, 0] = (counts[:, 0] + counts[:, 2]) / 2  # half of what was wrong is right
    number = metric_function("accuracy of segments")
    one, other = bootstrap(2 * counts, number), bootstrap(2 * better, number)
    assert standard_error(other - one) < standard_error(one)
    assert standard_error(one - one) == 0
    assert standard_error(one) > 1


def test_one_image_has_no_standard_error():
    counts = image_counts(list(records())[:1], "mIoU", 3)
    assert math.isnan(standard_error(bootstrap(counts, metric_function("mIoU"))))


def test_the_user_s_model_and_data():
    table = with_own(TABLES["table1"], "tiny", "own.yaml")
    assert [row.label for row in table.rows] == ["tiny, mask pooling", "tiny, Mask-Adapter"]
    assert [row.against for row in table.rows] == ["", "maftplus-base"]
    assert [row.published for row in table.rows] == [{}, {}]  # each stands for three rows of the paper
    assert [column.title for column in table.columns] == ["mIoU, own"]
    table = with_own(TABLES["table3"], "a/b.safetensors")
    assert [row.label for row in table.rows] == [
        f"a/b.safetensors, {how}" for how in ("mask cropping", "mask pooling", "Mask-Adapter")
    ]
    assert {row.model for row in table.rows} == {"a/b.safetensors"}
    assert [row.against for row in table.rows] == ["", "vit-cropping", "eva-pooling"]  # each the row above
    assert table.columns == TABLES["table3"].columns
    assert [row.label for row in with_own(TABLES["table11"], "tiny").rows] == [
        "tiny, in-vocabulary classifier",
        "tiny, mask pooling, without ensemble",
        "tiny, mask pooling",
        "tiny, Mask-Adapter, without ensemble",
        "tiny, Mask-Adapter",
    ]
    assert with_own(TABLES["table11"], "tiny").rows[3].published == {"mIoU on PAS-20": 95.4}
    assert [row.label for row in with_own(TABLES["table8"], "tiny").rows] == [
        f"tiny, {how}, masks of sam-vit-huge" for how in ("mask pooling", "Mask-Adapter")
    ]


def test_rows_of_the_user_s_model_name_masks_that_are_not_its_own():
    assert [row.label for row in with_own(TABLES["table2"], "tiny").rows] == [
        "tiny, mask pooling, masks of mask2former-swin-large-coco-panoptic",
        "tiny, Mask-Adapter, masks of mask2former-swin-large-coco-panoptic",
        "tiny, mask pooling, without ensemble",
        "tiny, Mask-Adapter, without ensemble",
    ]
    assert with_own(TABLES["table8"], "tiny").rows[0].label == "tiny, mask pooling, masks of sam-vit-huge"


def test_on_other_data_classes_are_seen_by_synonyms():
    assert with_own(TABLES["table2"], None, "ade20k-150") == TABLES["table2"]  # which are no other data
    assert with_own(TABLES["table2"], "tiny").partition == "paper-rule"
    assert with_own(TABLES["table2"], None, "coco-panoptic").partition == "coco-panoptic"
    assert with_own(TABLES["table3"], None, "coco-panoptic").partition == ""


def test_one_of_the_paper_s_models_keeps_its_rows():
    table = with_own(TABLES["table1"], "maftplus-large")
    assert table.rows == tuple(row for row in TABLES["table1"].rows if row.model == "maftplus-large")


def test_trained_rows_take_trainings_with_the_user_s_model(tmp_path):
    """Each remains, since each has a training of its own."""
    for name in ("table4", "table6", "table10"):
        rows = with_own(TABLES[name], "tiny").rows
        assert [row.id for row in rows] == [row.id for row in TABLES[name].rows]
        assert {row.model for row in rows} == {"tiny"}
    rows = {row.id: row for row in with_own(TABLES["table9"], "tiny").rows}
    with pytest.raises(MaskAdapterError) as raised:  # the published weights are another model's
        source_for(rows["5"], TABLES["table9"].columns[0], Given(runs=tmp_path))
    keys = {"model.architecture": "tiny", "model.weights": "tiny", "run.precision": "fp32", "evaluation.every": 0}
    changes = " ".join(f"--set {key}={value}" for key, value in keys.items())
    command = f"'maskadapter train recipes/table1/fcclip-large-mixed.yaml --root FOLDER {changes}'"
    assert f"fcclip-large-mixed/model.safetensors is missing: run {command}, or give --weights" in str(raised.value)
    (tmp_path / "1-map").mkdir()
    (tmp_path / "1-map" / "model.safetensors").touch()
    one = with_own(TABLES["table10"], "tiny").rows[0]
    trained = tmp_path / "1-map" / "model.safetensors"
    assert source_for(one, TABLES["table10"].columns[1], Given(runs=tmp_path)) == ModelSource("tiny", adapter=trained)


def weights_and_masks(table, name, key="mIoU", given=None):
    row = next(row for row in TABLES[table].rows if row.id == name)
    column = next(column for column in TABLES[table].columns if column.key == key)
    check_masks(row, column, given or Given())
    return source_for(row, column, given or Given()), masks_for(row, column)


def test_the_weights_and_masks_of_a_row(tmp_path):
    files = {name: tmp_path / name for name in ("hungarian", "1-map", "ovseg", "fcclip-large-pooling")}
    for path in files.values():
        path.touch()
    given = Given(files=files, download=True)
    joined, sam = ModelSource(files["fcclip-large-pooling"], adapter=files["1-map"]), "sam:facebook/sam-vit-huge"
    for table, name, key, source, masks in (
        ("table1", "fcclip-adapter", "A-150", ModelSource("fcclip-large", "adapter"), None),
        ("table5", "hungarian", "mIoU", ModelSource(files["hungarian"], "adapter"), None),
        ("table9", "5", "mIoU", ModelSource("fcclip-large", "adapter"), None),  # the published training
        ("table10", "1", "FC-CLIP mIoU", joined, None),
        ("table10", "1", "Adapter mIoU", joined, None),
        ("table10", "1", "GT mIoU", ModelSource(files["1-map"], "adapter"), GROUND_TRUTH),
        ("table3", "vit-cropping", "Acc", ModelSource("clip:ViT-L-14:laion2b_s32b_b82k", "cropping"), GROUND_TRUTH),
        (
            "table3",
            "ovseg-cropping",
            "Acc",
            ModelSource(f"clip:ViT-L-14-quickgelu:{files['ovseg']}", "cropping"),
            GROUND_TRUTH,
        ),
        ("table8", "adapter", "A-847", ModelSource("fcclip-large", "adapter"), f"{sam},unmasked_regions=no"),
        (
            "table8",
            "clip",
            "A-150",
            ModelSource("clip:convnext_large_d_320:laion2b_s29b_b131k_ft_soup", "pooling"),
            f"{sam},unmasked_regions=no",
        ),
    ):
        assert weights_and_masks(table, name, key, given) == (source, masks)


def test_one_training_serves_the_rows_of_all_tables(tmp_path):
    """Under whichever of its names it was trained; the first of several is taken."""
    for name in ("published-design", "16-maps"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").touch()
    trained = ModelSource(tmp_path / "published-design" / "model.safetensors", "adapter")
    for table, row in (("table6", "3-blocks"), ("table7", "coco-panoptic"), ("table10", "16")):
        assert weights_and_masks(table, row, "GT mIoU", Given(runs=tmp_path)) == (trained, GROUND_TRUTH)


@pytest.mark.parametrize(
    ("table", "name", "line"),
    [
        ("table1", "fcclip", r"run 'maskadapter models download fcclip-large --pooler pooling'"),
        ("table2", "maftplus-adapter", r"or give --weights maftplus-large-adapter=FILE"),
        ("table3", "ovseg-cropping", r"^the weights of ovseg have to be given: --weights ovseg=FILE"),
        ("table3", "convnext-pooling", r"^laion/CLIP-conv.* is not on this machine: give --download"),
        (
            "table4",
            "both-stages",
            r"^runs/fcclip-large-mixed/model.safetensors is missing: run 'maskadapter train .*yaml --root FOLDER', "
            r"or 'maskadapter models download fcclip-large', or give --weights fcclip-large-mixed=FILE$",
        ),
        ("table10", "1", r"^runs/1-map/model.safetensors is missing: run '.*10/1-map.yaml --root FOLDER', or give "),
        ("table8", "maft", r"^MAFT's figures, which the paper cites"),
        ("table1", "san-base", r"^another method's figures, which the paper cites"),
    ],
)
def test_missing_weights_name_what_brings_them(table, name, line, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    row = next(row for row in TABLES[table].rows if row.id == name)
    with pytest.raises(MaskAdapterError, match=line):
        source_for(row, TABLES[table].columns[0], Given())


def test_missing_mask_sources_name_what_brings_them(monkeypatch):
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda repository, name: None)
    column = TABLES["table8"].columns[0]
    runnable = [row for row in TABLES["table8"].rows if not row.cited]
    for row in runnable:
        with pytest.raises(MaskAdapterError, match=r"^facebook/sam-vit-huge is not on this machine: give --download"):
            check_masks(row, column, Given())
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda repository, name: f"/{repository}/{name}")
    for row in runnable:
        assert check_masks(row, column, Given()) is None


def test_mask_sources_without_a_repository(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda repository, name: None)
    (row, *_), (column, *_) = TABLES["table1"].rows, TABLES["table1"].columns
    for masks in ("superpixels", f"sam:{tmp_path}", f"sam:{tmp_path},points_per_side=16,unmasked_regions=no"):
        check_masks(replace(row, masks=masks), column, Given())


def test_an_impossible_repository_name_is_one_line():
    row, column = TABLES["table8"].rows[0], TABLES["table8"].columns[0]
    with pytest.raises(
        MaskAdapterError, match=r"^'no/such/folder' is neither a folder nor the name of a Hugging Face repository"
    ):
        check_masks(replace(row, masks="sam:no/such/folder"), column, Given())


@pytest.mark.parametrize(
    ("name", "repository"),
    [
        ("clip:ViT-B-16:openai", "timm/vit_base_patch16_clip_224.openai"),
        ("clip:ViTamin-S:datacomp1b", "jienengchen/ViTamin-S"),
        ("clip:hf-hub:timm/vit_base_patch16_clip_224.openai", "timm/vit_base_patch16_clip_224.openai"),
    ],
)
def test_the_user_s_clip_is_downloaded_only_if_asked(name, repository, tmp_path, monkeypatch):
    """The cache is empty; without the look into it the network would be asked."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    row, column = with_own(TABLES["table3"], name).rows[0], TABLES["table3"].columns[0]
    with pytest.raises(MaskAdapterError, match=f"^{repository} is not on this machine: give --download"):
        source_for(row, column, Given())
    assert source_for(row, column, Given(download=True)).name == name


def test_another_program_s_weights_in_the_cache_are_not_open_clip_s(monkeypatch):
    """transformers' file lies in the same repository."""
    kept = {"pytorch_model.bin", "model.safetensors"}
    monkeypatch.setattr(
        "huggingface_hub.try_to_load_from_cache", lambda repository, name: name if name in kept else None
    )
    column = TABLES["table3"].columns[0]
    for name in ("clip:ViT-B-16:openai", "clip:hf-hub:laion/CLIP-ViT-B-16-laion2B-s34B-b88K"):
        with pytest.raises(MaskAdapterError, match="is not on this machine"):
            source_for(with_own(TABLES["table3"], name).rows[0], column, Given())
    row = with_own(TABLES["table3"], "clip:ViTamin-S:datacomp1b").rows[0]  # which keeps its weights in that file
    assert source_for(row, column, Given()).name == "clip:ViTamin-S:datacomp1b"
    kept.add("open_clip_model.safetensors")
    row = with_own(TABLES["table3"], "clip:ViT-B-16:openai").rows[0]
    assert source_for(row, column, Given()).name == "clip:ViT-B-16:openai"


def test_a_clip_of_local_files_needs_no_network(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda repository, name: None)
    (tmp_path / "clip.pt").touch()
    for name in (f"clip:ViT-B-16:{tmp_path / 'clip.pt'}", f"clip:local-dir:{tmp_path}"):
        row, column = with_own(TABLES["table3"], name).rows[0], TABLES["table3"].columns[0]
        assert source_for(row, column, Given()).name == name


@pytest.fixture(scope="module")
def third(own, tmp_path_factory):
    """Table 3 with the embedded model on three images."""
    output = tmp_path_factory.mktemp("tables")
    with small_input(SIDE):
        (report,) = reproduce("table3", output=output, model="tiny", data=own)
    return report, output


def test_numbers_are_those_of_evaluate(third, own, tmp_path):
    report, output = third
    dataset, found = open_dataset(own), numbers_in(output, "table3")
    for row, pooler in zip(report.table.rows, ("cropping", "pooling", "adapter"), strict=True):
        assert row.pooler == pooler
        predictor = model_predictor(ModelSource("tiny", pooler), dataset, masks="ground-truth")
        expected = evaluate(predictor.predict, dataset, tmp_path / pooler, metrics=["masks"]).numbers
        cell = found[row.id, "Acc"]
        assert cell["percent"] == expected["accuracy of segments"]
        assert cell["standard error"] == pytest.approx(report.cells[row.id, "Acc"].error)
        assert (cell["images"], cell["seconds an image"] > 0) == (3, True)
        assert (Path(cell["folder"]) / "report.json").is_file()
    _, pooled, adapted = (found[row.id, "Acc"] for row in report.table.rows)
    assert pooled["standard error"] > 0
    assert adapted["against"]["row"] == report.table.rows[1].id
    assert adapted["against"]["difference"] == pytest.approx(adapted["percent"] - pooled["percent"])


def test_the_paper_s_figures_of_other_models_have_no_difference(own, tmp_path):
    reproduce("table11", output=tmp_path, model="tiny", data=own, limit=1)
    cell = numbers_in(tmp_path, "table11")["adapter", "mIoU on PAS-20"]
    assert cell["paper"] == 95.4
    assert "difference to the paper" not in cell
    written = (tmp_path / "table11.md").read_text()
    assert " (95.4) |" in written
    assert "The paper's figures are of its own models and data" in written
    assert "| mIoU, own" in " ".join(written.split())
    assert max(map(len, written.splitlines())) <= 125


def test_a_finished_run_is_not_repeated(third, own, monkeypatch, capsys):
    _, output = third
    before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    assert run("table3", "--model", "tiny", "--data", own, "-o", output) == 0
    assert {path: path.read_bytes() for path in output.rglob("*") if path.is_file()} == before
    printed = capsys.readouterr()
    assert printed.out.startswith("# Table 3: ")
    assert printed.out.endswith(f"{output / 'table3.md'}\n")
    assert "table3, 2 of 3: tiny, mask pooling on " in printed.err


def test_tables_share_their_evaluations(own, tmp_path, monkeypatch):
    """Table 1 has what table 11 has evaluated, and more: its four other branches are not evaluated again."""
    reproduce("table11", output=tmp_path, model="tiny", data=own, limit=1)
    called = []
    call = TimedPredictor.__call__
    monkeypatch.setattr(TimedPredictor, "__call__", lambda timed, *given: called.append(1) or call(timed, *given))
    (report,) = reproduce("table1", output=tmp_path, model="tiny", data=own, limit=1)
    assert (report.measured, called) == (2, [])
    (eleventh, first) = (numbers_in(tmp_path, table) for table in ("table11", "table1"))
    assert first["maftplus-base-adapter", "A-150"]["percent"] == eleventh["both-adapter", "mIoU on PAS-20"]["percent"]


def test_the_same_weights_in_one_table_are_evaluated_once(own, trained, tmp_path):
    """Three rows of table 6 are one training."""
    weights = {"16-maps": trained}
    (report,) = reproduce("table6", output=tmp_path, model="tiny", data=own, weights=weights, limit=1)
    assert report.measured == 3
    assert len(list((tmp_path / "evaluations").rglob("report.json"))) == 2  # ground-truth masks, and the model's own
    numbers = {report.cells[name, "GT mIoU"].measured for name in ("two-3x3", "3-blocks", "with-features")}
    assert len(numbers) == 1


def test_a_stop_reports_what_is_done(own, tmp_path, monkeypatch, capsys):
    arguments = ("table3", "--model", "tiny", "--data", own, "-o", tmp_path)
    call, asked = TimedPredictor.__call__, []

    def stopping(timed, *given):
        asked.append(timed)
        if len(asked) == 5:
            raise KeyboardInterrupt
        return call(timed, *given)

    monkeypatch.setattr(TimedPredictor, "__call__", stopping)
    keep_rows_of(monkeypatch, "pooling", "adapter")
    assert run(*arguments) == 130
    line = "1 of 2 evaluations of table3 are done; tiny, Mask-Adapter: stopped: 1 of 3 images are done"
    assert line in capsys.readouterr().err
    assert run(*arguments) == 0
    assert len(asked) == 5 + 2  # the first four are not evaluated again
    assert [len(path.read_text().splitlines()) for path in sorted(tmp_path.rglob("seconds.txt"))] == [3, 3]


def test_seconds_are_kept_and_a_line_that_was_cut_off_is_not_read(tmp_path):
    timed = TimedPredictor(lambda given: given, tmp_path / "seconds.txt", torch.device("cpu"))
    assert math.isnan(timed.median())
    (tmp_path / "seconds.txt").write_text("1.5\n2.5\n9.5\n1000")
    assert timed.median() == 2.5


def test_seconds_go_on_after_a_line_that_was_cut_off(tmp_path):
    """As a full disk leaves it."""
    (tmp_path / "seconds.txt").write_text("1.5\n2.")
    timed = TimedPredictor(lambda given: given, tmp_path / "seconds.txt", torch.device("cpu"))
    timed("image")
    assert len((tmp_path / "seconds.txt").read_text().splitlines()) == 2
    assert 0 < timed.median() < 1.5


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is full")
def test_seconds_on_a_full_disk_are_one_line(tmp_path):
    timed = TimedPredictor(lambda given: given, tmp_path / "seconds.txt", torch.device("cpu"))
    (tmp_path / "seconds.txt").symlink_to("/dev/full")
    with pytest.raises(MaskAdapterError, match=r"^cannot write .*seconds.txt: No space left on device$"):
        timed("image")


def test_a_table_s_number_and_an_impossible_limit(tmp_path):
    with pytest.raises(MaskAdapterError, match=r"^no table '12'"):
        reproduce(12, output=tmp_path)
    for limit in (0, "3"):
        with pytest.raises(MaskAdapterError, match=f"^limit {limit!r} is not a number of images"):
            reproduce("table3", output=tmp_path, limit=limit)


@pytest.fixture
def small_ade(tmp_path, monkeypatch):
    """A folder with an ADE20K-150 of two images, which count as all."""
    shrink_counts(monkeypatch)
    archive = PUBLISHED["ade20k-150"]()["ADEChallengeData2016.zip"]
    zipfile.ZipFile(io.BytesIO(archive)).extractall(tmp_path / "data")
    return tmp_path / "data"


def test_the_paper_s_own_rows_are_compared(small_ade, tmp_path, capsys):
    """The whole set of images, and not what depends on the paper's split."""
    segmenter = ma.save(ma.load("tiny"), tmp_path / "segmenter.safetensors", "tiny")
    given = ("--weights", f"fcclip-large-pooling={segmenter}", "--partition", "coco-panoptic")
    arguments = ("table4", "--root", small_ade, "-o", tmp_path / "out", *given)

    def cell(column="mIoU"):
        return numbers_in(tmp_path / "out", "table4")["fcclip", column]

    assert run(*arguments) == 0
    assert cell()["difference to the paper"] == pytest.approx(cell()["percent"] - 26.5)
    printed = capsys.readouterr().out
    assert f" (26.5, {cell()['percent'] - 26.5:+.2f}) |" in printed
    assert "| 44.7 |" in " ".join(printed.split())  # the paper's, of a row that was not run
    assert "partition coco-panoptic" in printed
    assert cell("mIoU seen")["paper"] == 34.6
    assert "difference to the paper" not in cell("mIoU seen")
    assert run(*arguments, "--limit", "1") == 0
    assert cell()["images"] == 1
    assert "difference to the paper" not in cell()
    assert run("table4", "--root", small_ade, "--model", segmenter, "-o", tmp_path / "another", *given[2:]) == 0
    another = numbers_in(tmp_path / "another", "table4")["fcclip", "mIoU"]
    assert (another["images"], another["paper"]) == (2, 26.5)
    assert "difference to the paper" not in another


def test_rows_of_the_user_s_training(small_ade, trained, tmp_path, capsys):
    """A warm-up's file is evaluated alone on ground-truth masks, and joined to a segmenter for its proposals."""
    (tmp_path / "runs" / "published-design").mkdir(parents=True)
    (tmp_path / "runs" / "published-design" / "model.safetensors").symlink_to(trained)
    segmenter = ma.save(ma.load("tiny"), tmp_path / "segmenter.safetensors", "tiny")
    arguments = ("table6", "--root", small_ade, "--runs", tmp_path / "runs", "-o", tmp_path / "out", "--limit", "1")
    assert run(*arguments) == 0
    found = numbers_in(tmp_path / "out", "table6")
    (missing,) = found["one-4x4", "GT mIoU"]["missing"]
    assert "one-4x4/model.safetensors is missing" in missing
    assert "percent" in found["two-3x3", "GT mIoU"]
    (missing,) = found["two-3x3", "FC-CLIP mIoU"]["missing"]
    assert "maskadapter models download fcclip-large --pooler pooling" in missing
    assert run(*arguments, "--weights", f"fcclip-large-pooling={segmenter}") == 0
    found = numbers_in(tmp_path / "out", "table6")
    cells = [found["two-3x3", key] for key in ("GT mIoU", "FC-CLIP mIoU")]
    assert all("percent" in cell for cell in cells)
    assert [Path(cell["folder"]).name for cell in cells] == ["ade20k-150-ground-truth", "ade20k-150"]
    assert Path(cells[0]["folder"]).parent.name == "published-design-adapter"


def test_seen_and_unseen_classes_follow_the_partition(own, trained, tmp_path):
    """Of the first image, which shows two of the three classes."""
    weights = {"hungarian": trained}
    (report,) = reproduce("table5", output=tmp_path, data=own, weights=weights, limit=1)
    found = numbers_in(tmp_path, "table5")
    assert report.measured == 1
    assert found["hungarian", "mIoU seen"]["percent"] == found["hungarian", "mIoU"]["percent"]
    assert found["hungarian", "mIoU unseen"]["percent"] is None  # COCO has all three
    (tmp_path / "seen.txt").write_text("sky\n")
    reproduce("table5", output=tmp_path, data=own, weights=weights, limit=1, partition=tmp_path / "seen.txt")
    found = numbers_in(tmp_path, "table5")
    seen, unseen, both = (found["hungarian", f"mIoU{group}"]["percent"] for group in (" seen", " unseen", ""))
    assert both == pytest.approx((seen + unseen) / 2)


def test_the_paper_s_partition_is_explained_where_it_is_used(tmp_path):
    for partition, explained in ((None, True), ("paper-rule", True), ("coco-panoptic", False)):
        with pytest.raises(MaskAdapterError, match="no row of table9 could be run"):
            reproduce("table9", tmp_path, tmp_path, partition=partition)
        written = " ".join((tmp_path / "table9.md").read_text().split())
        assert ("The authors' own list is not published" in written) == explained
        assert f"partition {partition or 'paper-rule'}" in written
        assert json.loads((tmp_path / "table9.json").read_text())["partition"] == (partition or "paper-rule")
    with pytest.raises(MaskAdapterError, match="no row of any table could be run"):
        reproduce("all", tmp_path, tmp_path / "all", data="coco-panoptic")  # table 1 has no such columns
    assert "Seen and unseen classes: partition coco-panoptic." in (tmp_path / "all" / "all.md").read_text()


@pytest.fixture
def empty_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda repository, name: None)
    return tmp_path


def test_a_table_on_an_empty_machine(empty_machine, capsys):
    assert run("table1", "--root", "datasets") == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: no row of table1 could be run: maftplus-base with pooling is not on this machine")
    assert printed.count("\n") == 1
    written = " ".join((empty_machine / "reproduce" / "table1.md").read_text().split())
    assert "Not run: all rows (A-847): no ade20k-847 (val) in " in written
    assert "maskadapter prepare pascal-voc-20 --root datasets" in written
    assert "maskadapter models download maftplus-large', or" in written
    assert "| CAT-Seg | CLIP ViT-L/14 | COCO-Stuff | 37.9 | 16.0 | 63.3 | 23.8 | 97.0 |" in written
    found = numbers_in(empty_machine / "reproduce", "table1")
    assert len(found) == 23 * 5
    assert all("percent" not in cell for cell in found.values())


@pytest.mark.parametrize("arguments", [[*TABLES], ["all"]], ids=["each table", "all"])
def test_every_row_and_column_as_printed_on_an_empty_machine(arguments, empty_machine, capsys):
    for name in arguments:
        assert run(name, "--root", "datasets") == 2
    golden = json.loads(Path(__file__).with_name("published_figures.json").read_text())
    for name, table in golden.items():
        written = (empty_machine / "reproduce" / f"{name}.md").read_text()
        page = (empty_machine / "reproduce" / "all.md").read_text() if arguments == ["all"] else written
        assert "- Not run: " in written
        for row, figures in zip(TABLES[name].rows, table["rows"].values(), strict=True):
            cells = [*filter(None, row.printed), *("-" if one is None else f"{one:.1f}" for one in figures)]
            for text in (written, page):
                lines = [[cell.strip() for cell in line.split("|")] for line in text.splitlines()]
                assert cells in [list(filter(None, line)) for line in lines]
        header = [*TABLES[name].headers, *table["columns"]]
        assert header in [list(filter(None, map(str.strip, line.split("|")))) for line in page.splitlines()]


def test_all_tables_on_an_empty_machine(empty_machine, capsys):
    assert run("all", "--root", "datasets") == 2
    printed = capsys.readouterr().err
    assert re.fullmatch(
        r"error: no row of any table could be run: maftplus-base .*; all \d+ reasons are in reproduce.all.md\n", printed
    )
    page = (empty_machine / "reproduce" / "all.md").read_text()
    missing = " ".join(page.partition("## What is missing")[2].split())
    assert "maskadapter prepare ade20k-150 --root datasets (tables 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)" in missing
    warmup = "fcclip-large-warmup"
    command = f"maskadapter train recipes/table1/{warmup}.yaml --root datasets"
    assert f"run '{command}', or give --weights {warmup}=FILE (tables 4, 6, 7, 10)" in missing
    assert missing.count("16-maps") == 0  # the same training
    assert "## What is cited - Table 1: 17 rows: another method's figures, which the paper cites. - Tab" in missing
    assert not list(empty_machine.rglob("evaluations"))


def test_a_stop_leaves_the_page_of_what_is_done(own, tmp_path, monkeypatch):
    """And names what is not, for the same command."""
    call = TableRun.run

    def stopping(run):
        if run.table.name == "table3":
            raise KeyboardInterrupt("stopped")
        return call(run)

    monkeypatch.setattr(TableRun, "run", stopping)
    with pytest.raises(KeyboardInterrupt):
        reproduce("all", model="tiny", data=own, limit=1, output=tmp_path)
    page = " ".join((tmp_path / "all.md").read_text().split())
    assert "Not reached: table3, table4, table5, table6, table7, table8, table9, table10, table11. The same" in page
    assert "## Table 2: " in page
    assert "## Table 3: " not in page


def test_a_wrong_partition_is_found_before_anything_is_evaluated(small_ade, tmp_path, capsys):
    for arguments, line in (
        (["--partition", "paper-rul"], "no partition 'paper-rul', and no such file: did you mean 'paper-rule'?"),
        (
            ["--partition", "paper-rule", "--data", "coco-panoptic"],
            "partition 'paper-rule' is for the 150 classes",
        ),
    ):
        assert run("table2", "--model", "tiny", "--root", small_ade, "-o", tmp_path / "out", *arguments) == 2
        assert capsys.readouterr().err.startswith(f"error: {line}")
        assert not (tmp_path / "out").exists()


def test_what_a_training_was_stands_below_its_rows(own, trained, tmp_path):
    """A name of a file does not show how long it was trained."""
    recipe = {"run": {"iterations": 1200, "batch_size": 4}, "data": {"train": [{"name": "lvis-v1"}, {"name": "own"}]}}
    short = tmp_path / "1-map" / "model.safetensors"
    short.parent.mkdir()
    ma.save(ma.load("tiny", pooler="adapter"), short, "tiny", trained_by=json.dumps(recipe))
    reproduce("table10", model="tiny", data=own, runs=tmp_path, limit=1, output=tmp_path / "out")
    written = " ".join((tmp_path / "out" / "table10.md").read_text().split())
    assert "- Trained: 1-map, 1,200 steps of 4 images on lvis-v1, own." in written
    assert numbers_in(tmp_path / "out", "table10")["1", "GT mIoU"]["trained"].startswith("1-map, 1,200 steps")
    assert "Trained: " not in (tmp_path / "out" / "table10.md").read_text().replace("Trained: 1-map", "")


def test_all_tables_of_the_user_s_model_and_data(own, tmp_path, capsys):
    assert run("all", "--model", "tiny", "--data", own, "--limit", "1", "-o", tmp_path) == 0
    page = (tmp_path / "all.md").read_text()
    printed = capsys.readouterr().out
    assert page.strip() in printed
    assert printed.endswith(f"{tmp_path / 'all.md'}\n")
    reports = reproduce("all", model="tiny", data=own, limit=1, output=tmp_path)
    assert [report.measured for report in reports] == [2, 2, 3, 1, 0, 0, 0, 0, 0, 0, 5]
    assert page_text(reports) == page
    with pytest.raises(MaskAdapterError, match=r"no row of any table .* still has the numbers of an earlier run"):
        reproduce("all", model="tyni", data=own, limit=1, output=tmp_path)
    assert (tmp_path / "all.md").read_text() == page
    assert [(tmp_path / f"{name}.md").is_file() for name in TABLES] == [True] * 11
    overview = [line for line in page.splitlines() if line.startswith("| Table 11: ")]
    assert [cell.strip() for cell in overview[0].split("|")[2:5]] == ["5", "5", "5"]


def test_missing_weights_masks_and_data_are_listed_together(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda repository, name: None)
    with pytest.raises(MaskAdapterError, match=r"run: laion/CLIP-convnext.* is not .*; all 7 reasons are in"):
        reproduce("table8", tmp_path / "datasets", tmp_path)
    reasons = numbers_in(tmp_path, "table8")["adapter", "A-150"]["missing"]
    assert ["fcclip-large" in reasons[0], "sam-vit-huge" in reasons[1], "prepare" in reasons[2]] == [True] * 3
    assert len(reasons) == 3


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["table12"], "no table 'table12': choose from table1"),
        (["table3", "--weights", "ovseg"], "--weights ovseg: NAME=FILE is needed"),
        (["table3", "--weights", "ovseg=a", "--weights", "ovseg=b"], "--weights ovseg is given twice, a and b: give"),
        (
            ["table3", "--weights", "ovsag=x"],
            "table3 has no weights called 'ovsag': choose from clipself, fc",
        ),
        (["all", "--weights", "ovsag=x"], "all has no weights called 'ovsag': choose from 1-map, 16-maps, 2-blocks"),
        (["table3", "--weights", "ovseg=x.pt"], "there is no file x.pt, which is given as the weights of ovseg"),
        (["table3", "--device", "cuda:99"], "device 'cuda:99' cannot be used here"),
        (["table3", "--model", "tiny", "--data", "nothing.yaml"], "no row of table3 could be run: "),
        (["all", "--model", "tiny", "--data", "coco"], "no row of any table could be run: "),
    ],
)
def test_mistakes(arguments, line, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments, "--root", tmp_path) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"error: {line}")
    assert printed.count("\n") == 1


def keep_rows_of(monkeypatch, *poolers):
    """Run only the rows with these poolers."""
    keep = lambda table: replace(table, rows=tuple(row for row in table.rows if row.pooler in poolers))  # noqa: E731
    monkeypatch.setattr(reproduction, "with_own", lambda *given: keep(with_own(*given)))


def test_two_trainings_of_one_file_name(own, trained, tmp_path, monkeypatch):
    """Every training's file is called model.safetensors."""
    keep_rows_of(monkeypatch, "adapter")
    files = [tmp_path / parent / "model.safetensors" for parent in ("one/run", "two/run", "third")]
    segmenter = ma.load("tiny", pooler="adapter")
    for number, path in enumerate(files):
        path.parent.mkdir(parents=True)
        segmenter.clip.model.logit_scale.data -= 0.1 * number
        ma.save(segmenter, path, "tiny")
    made = [reproduce("table3", output=tmp_path / "out", model=path, data=own, limit=1)[0] for path in files]
    labels = [report.table.rows[0].label for report in made]
    assert labels == [f"{name}/model.safetensors, Mask-Adapter" for name in ("run", "run", "third")]
    folders = {cell.folder for report in made for cell in report.cells.values()}
    assert len(folders) == 3
    assert all(not cell.missing for report in made for cell in report.cells.values())
    monkeypatch.chdir(files[2].parent)  # another path of the same file
    (again,) = reproduce("table3", output=tmp_path / "out", model="model.safetensors", data=own, limit=1)
    assert {cell.folder for cell in again.cells.values()} <= folders
    assert again.table.rows[0].label == labels[2]


def test_the_folder_of_an_evaluation_says_what_it_is(tmp_path):
    options = RunOptions(Given(runs=tmp_path / "runs"), tmp_path, "val", None, None, "cpu")
    trained, clip = tmp_path / "runs" / "1-map" / "model.safetensors", tmp_path / "clip.pt"
    trained.parent.mkdir(parents=True)
    trained.touch()
    clip.touch()

    def folder(source, branch="ensemble", masks=None, dataset="ade20k-150"):
        path = EvaluationRun(source, branch, masks, dataset).folder(options)
        return path.relative_to(tmp_path / "evaluations").as_posix()

    assert folder(ModelSource("tiny", "pooling")) == "tiny-pooling/ade20k-150"
    assert folder(ModelSource("fcclip-large", adapter=trained), "out-of-vocabulary") == (
        "fcclip-large-1-map/ade20k-150-out-of-vocabulary"
    )
    sam = folder(ModelSource("tiny", "adapter"), masks="sam:facebook/sam-vit-huge,unmasked_regions=no")
    assert sam == "tiny-adapter/ade20k-150-sam-facebook-sam-vit-huge-unmasked-regions-no"
    assert re.fullmatch(
        rf"{tmp_path.name.replace('_', '-')}-clip-[0-9a-f]{{8}}-cropping/own",
        folder(ModelSource(f"clip:ViT-B-16:{clip}", "cropping"), dataset="a/own.yaml"),
    )
    options = replace(options, precision="bf16")
    assert folder(ModelSource("tiny", "pooling")) == "tiny-pooling-bf16/ade20k-150"
    options = replace(options, precision="fp32")
    assert folder(ModelSource("tiny", "pooling")) == "tiny-pooling/ade20k-150"


def test_numbers_are_not_replaced_by_nothing(own, tmp_path, monkeypatch):
    keep_rows_of(monkeypatch, "pooling")
    reproduce("table3", output=tmp_path, model="tiny", data=own, limit=1)
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert len(before) == 2
    with pytest.raises(
        MaskAdapterError, match=r"no row .* unknown model 'tyni'.*table3.md still has the numbers of an earlier run"
    ):
        reproduce("table3", output=tmp_path, model="tyni", data=own, limit=1)
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_reasons_replace_reasons(tmp_path):
    for model in ("tyni", "tynu"):
        with pytest.raises(MaskAdapterError, match="no row of table3 could be run"):
            reproduce("table3", output=tmp_path, model=model, data="nothing.yaml")
    assert "tynu" in (tmp_path / "table3.md").read_text()


def test_a_vertical_bar_in_a_name_is_escaped(own, trained, tmp_path, monkeypatch):
    keep_rows_of(monkeypatch, "adapter")
    odd = tmp_path / "a|b" / "model.safetensors"
    odd.parent.mkdir()
    odd.symlink_to(trained)
    (report,) = reproduce("table3", output=tmp_path / "out", model=odd, data=own, limit=1)
    assert not report.cells[report.table.rows[0].id, "Acc"].missing
    written = (tmp_path / "out" / "table3.md").read_text()
    assert written.count("| a\\|b/model.safetensors, Mask-Adapter |") == 2


def test_a_file_name_that_is_not_text(own, trained, tmp_path, monkeypatch, capsys):
    """safetensors cannot read such a path; the table with that reason can be written and read."""
    keep_rows_of(monkeypatch, "adapter")
    odd = Path(os.fsdecode(bytes(tmp_path) + b"/b\xff")) / os.fsdecode(b"model\xff.safetensors")
    odd.parent.mkdir()
    odd.symlink_to(trained)
    assert run("table3", "--model", odd, "--data", own, "--limit", "1", "-o", tmp_path / "out") == 2
    assert "error: no row of table3 could be run: " in capsys.readouterr().err
    ((reason,),) = [cell["missing"] for cell in numbers_in(tmp_path / "out", "table3").values()]
    assert "b\ufffd/model\ufffd.safetensors" in reason
    assert "b\ufffd/model\ufffd.safetensors, Mask-Adapter" in (tmp_path / "out" / "table3.md").read_text()
    assert readable_settings({"weights": os.fsdecode(b"a\xff.pth"), "alpha": 0.5}) == {
        "weights": "a\ufffd.pth",
        "alpha": 0.5,
    }


def test_a_row_that_fails_does_not_stop_the_others(own, trained, tmp_path):
    """An adapter's file does not pool."""
    (report,) = reproduce("table3", output=tmp_path, model=trained, data=own, limit=1)
    _, pooled, adapted = report.table.rows
    assert "holds an adapter" in report.cells[pooled.id, "Acc"].missing[0]
    assert not report.cells[adapted.id, "Acc"].missing


def test_what_was_tried_and_failed_is_printed_at_once_and_first(small_ade, tmp_path, capsys):
    """Not what other rows lack."""
    (tmp_path / "broken.pth").write_bytes(b"not weights")
    given = ("--weights", f"maftplus-large-adapter={tmp_path / 'broken.pth'}")
    assert run("table3", "--root", small_ade, "-o", tmp_path / "out", *given) == 2
    left_out, error = [line for line in capsys.readouterr().err.splitlines() if "broken.pth" in line]
    assert left_out.startswith("ConvNeXt-L, MAFT+, Mask-Adapter is left out: ")
    assert error.startswith("error: no row of table3 could be run: ")
    assert left_out.partition(": ")[2] in error


def test_cited_rows_are_counted(tmp_path):
    with pytest.raises(MaskAdapterError, match="no row of table1 could be run"):
        reproduce("table1", tmp_path, tmp_path)
    assert "- Cited: 17 rows: another method's figures, which the paper cites" in (tmp_path / "table1.md").read_text()


@pytest.mark.parametrize("limit", [None, 2])
def test_a_part_of_a_data_set_is_named(limit, tmp_path):
    """Unless the user asked for it."""
    archive = PUBLISHED["ade20k-150"]()["ADEChallengeData2016.zip"]
    zipfile.ZipFile(io.BytesIO(archive)).extractall(tmp_path / "data")
    segmenter = ma.save(ma.load("tiny"), tmp_path / "segmenter.safetensors", "tiny")
    reports = reproduce("table4", tmp_path / "data", tmp_path, weights={"fcclip-large-pooling": segmenter}, limit=limit)
    line = "Not the whole data set: ade20k-150, 2 of 2,000 images."
    assert [line in text for text in (report_text(reports[0]), page_text(reports))] == [limit is None] * 2


def test_every_file_that_can_be_given_has_a_name():
    published = {
        f"{model}-{pooler}" for model in ("fcclip-large", "maftplus-large") for pooler in ("adapter", "pooling")
    }
    assert weight_names(TABLES["table3"]) == {"ovseg", "clipself", *published}
    assert weight_names(TABLES["table5"]) >= {"hungarian", "iou-0.7", "consistency-0"}


def test_the_markdown_of_known_numbers():
    table = replace(TABLES["table2"], rows=TABLES["table2"].rows[2:4], columns=TABLES["table2"].columns[2:])
    cells = {
        ("fcclip", "mIoU"): Cell(26.4, 0.51, 26.5, True, seconds=12.34, images=7),
        ("fcclip-adapter", "mIoU"): Cell(35.64, 0.5, 35.4, True, 9.24, 0.3, 1, 7),
    }
    lines = report_text(TableReport(table, TABLES["table2"], cells, {"split": "val"})).splitlines()
    assert lines[4] == "| FC-CLIP                 | **26.40** ± 0.51 (26.5, -0.10) |"
    assert lines[5] == "| FC-CLIP w/ Mask-Adapter | **35.64** ± 0.50 (35.4, +0.24) |"
    assert lines[11] == "| FC-CLIP                 | mIoU   |      7 |    12.3 |              |     |"
    assert lines[12] == "| FC-CLIP w/ Mask-Adapter | mIoU   |      7 |       1 | +9.24 ± 0.30 | FC-CLIP |"
    assert " ".join(" ".join(lines[14:17]).split()).startswith(f"- {LEGEND}")


@pytest.mark.skipif(COCO is None, reason="MASKADAPTER_COCO does not name a folder of COCO 2017")
def test_segments_of_coco(tmp_path):
    (report,) = reproduce("table3", COCO, tmp_path, model="tiny", data="coco-panoptic", limit=2)
    accuracy = report.cells[report.table.rows[1].id, "Acc"]
    assert 0 < accuracy.measured < 100
    assert accuracy.error > 0
