"""Test the paper's tables: their data, the bootstrap, and runs with the embedded model on small data sets."""

import io
import json
import math
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
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
from maskadapter.paper.published import DATASETS, published_miou
from maskadapter.paper.table import TABLES, table_named
from maskadapter.paper.tables import reproduction
from maskadapter.paper.tables.own_data import with_own
from maskadapter.paper.tables.report import Cell, TableReport
from maskadapter.paper.tables.reproduction import reproduce
from maskadapter.paper.tables.requirements import Given, check_masks, masks_for, source_for, weight_names
from maskadapter.paper.tables.row_evaluation import TimedPredictor, readable_settings, slug
from maskadapter.pipelines.model_evaluation import GROUND_TRUTH, model_predictor
from maskadapter.training.recipe import read_recipe
from maskadapter.vocabulary.vocabulary import Vocabulary

RECIPES = Path(__file__).parents[2] / "recipes"
COCO = os.environ.get("MASKADAPTER_COCO")
ROWS = [pytest.param(table, row, id=f"{table.name}-{row.label}") for table in TABLES.values() for row in table.rows]
CLASSES = Vocabulary.of("cat, dog, sky")


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
    return ma.save(ma.load("tiny", pooler="adapter"), path, "tiny")


def run(*arguments):
    with pytest.raises(SystemExit) as stopped:
        main(["reproduce", *map(str, arguments)])
    return stopped.value.code or 0


def numbers_in(folder, table):
    """Row and metric -> the number's entry in the table's JSON."""
    content = json.loads((folder / f"{table}.json").read_text())
    return {(row["row"], cell["metric"]): cell for row in content["rows"] for cell in row["numbers"]}


def test_there_are_eleven_tables():
    assert list(TABLES) == [f"table{number}" for number in range(1, 12)]
    assert table_named("3") is table_named("table3") is TABLES["table3"]
    with pytest.raises(MaskAdapterError, match=r"no table 'table12': choose from table1, .*table11$"):
        table_named("table12")


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_the_names_in_a_table_exist(table):
    labels, keys = [row.label for row in table.rows], [column.key for column in table.columns]
    assert len(set(labels)) == len(labels)
    assert len(set(keys)) == len(keys)
    assert len({slug(label) for label in labels}) == len(labels)
    assert {column.dataset for column in table.columns} <= KNOWN.keys()
    assert bool(table.partition) == any("seen" in column.metric for column in table.columns)
    for number, row in enumerate(table.rows):
        assert row.against in ("", *labels[:number])
        assert set(row.published) <= set(keys)


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
            with torch.device("meta"):
                assert image_encoder_of(open_clip.CLIP(**open_clip.get_model_config(config)).visual)
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


def test_published_figures():
    """Those of table 1 are looked up, those of table 2 in the first lines of its recipes."""
    first = {
        (row.model, row.pooler): {key: value.percent for key, value in row.published.items()}
        for row in TABLES["table1"].rows
    }
    assert len(first) == 6
    assert all(first[which] == published_miou(*which) for which in first)
    assert {column.key for column in TABLES["table1"].columns} == set(DATASETS)
    second = {row.label: tuple(value.percent for value in row.published.values()) for row in TABLES["table2"].rows}
    for recipe, label in (("fcclip", "FC-CLIP: Mask-Adapter"), ("mask2former", "FC-CLIP: Mask2Former, Mask-Adapter")):
        comment = (RECIPES / "table2" / f"{recipe}-without-ensemble.yaml").read_text().partition("stage:")[0]
        assert "{}, {}, {}".format(*second[label]) in " ".join(comment.replace("#", "").split())
    about = [value for row in TABLES["table3"].rows for value in row.published.values()]
    assert [(value.percent, value.approximate) for value in about] == [(47, True), (51, True), (69, True)]
    assert all(value.source for table in TABLES.values() for row in table.rows for value in row.published.values())


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
    assert [row.label for row in table.rows] == ["tiny: mask pooling", "tiny: Mask-Adapter"]
    assert [row.against for row in table.rows] == ["", "tiny: mask pooling"]
    assert [column.title for column in table.columns] == ["own: mIoU"]
    table = with_own(TABLES["table3"], "a/b.safetensors")
    assert [row.label for row in table.rows] == [
        f"a/b.safetensors: {how}" for how in ("mask cropping", "mask pooling", "Mask-Adapter")
    ]
    assert {row.model for row in table.rows} == {"a/b.safetensors"}
    assert table.columns == TABLES["table3"].columns


def test_one_of_the_paper_s_models_keeps_its_rows():
    table = with_own(TABLES["table1"], "maftplus-large")
    assert table.rows == TABLES["table1"].rows[4:]


def test_rows_that_a_model_cannot_make():
    table = with_own(TABLES["table4"], "tiny")
    assert [row.label for row in table.rows][:2] == ["tiny: mask pooling", "FC-CLIP: warm-up alone"]
    assert table.rows[1].cited == "needs the training of recipes/table4/warmup-alone.yaml and cannot use tiny"
    assert [bool(row.cited) for row in table.rows] == [False, True, True, True, True]
    assert [row.label for row in with_own(TABLES["table8"], "tiny").rows] == [
        "tiny: Mask-Adapter",
        "tiny: Mask-Adapter, the rest too",
    ]


def weights_and_masks(table, label, key="mIoU", given=None):
    row = next(row for row in TABLES[table].rows if row.label == label)
    column = next(column for column in TABLES[table].columns if column.key == key)
    check_masks(row, column, given or Given())
    return source_for(row, column, given or Given()), masks_for(row, column)


def test_the_weights_and_masks_of_a_row(tmp_path):
    files = {name: tmp_path / name for name in ("hungarian", "1-map", "ovseg", "fcclip-large-pooling")}
    for path in files.values():
        path.touch()
    given = Given(files=files, download=True)
    joined = ModelSource(files["fcclip-large-pooling"], adapter=files["1-map"])
    for table, label, key, source, masks in (
        ("table1", "FC-CLIP: Mask-Adapter", "A-150", ModelSource("fcclip-large", "adapter"), None),
        ("table5", "FC-CLIP: Hungarian", "mIoU", ModelSource(files["hungarian"], "adapter"), None),
        ("table10", "FC-CLIP: 1 map", "mIoU", joined, None),
        ("table10", "FC-CLIP: 1 map", "alone", joined, None),
        ("table10", "FC-CLIP: 1 map", "accuracy", ModelSource(files["1-map"], "adapter"), GROUND_TRUTH),
        (
            "table3",
            "CLIP ViT-L/14: mask cropping",
            "accuracy",
            ModelSource("clip:ViT-L-14-quickgelu:openai", "cropping"),
            GROUND_TRUTH,
        ),
        (
            "table3",
            "OVSeg's CLIP: mask cropping",
            "accuracy",
            ModelSource(f"clip:ViT-L-14-quickgelu:{files['ovseg']}", "cropping"),
            GROUND_TRUTH,
        ),
        (
            "table8",
            "FC-CLIP: Mask-Adapter",
            "mIoU",
            ModelSource("fcclip-large", "adapter"),
            "sam:facebook/sam-vit-huge,rest=no",
        ),
        (
            "table8",
            "FC-CLIP: Mask-Adapter, the rest too",
            "mIoU",
            ModelSource("fcclip-large", "adapter"),
            "sam:facebook/sam-vit-huge",
        ),
    ):
        assert weights_and_masks(table, label, key, given) == (source, masks)


@pytest.mark.parametrize(
    ("table", "label", "line"),
    [
        ("table1", "FC-CLIP: mask pooling", r"run 'maskadapter models download fcclip-large --pooler pooling'"),
        ("table2", "MAFT+ base: Mask-Adapter", r"or give --weights maftplus-base-adapter=FILE"),
        ("table3", "OVSeg's CLIP: mask cropping", r"have to be given: --weights ovseg=FILE"),
        ("table3", "CLIP ConvNeXt-L: mask pooling", r"^laion/CLIP-conv.* is not on this machine: give --download"),
        (
            "table4",
            "FC-CLIP: both stages",
            r"^runs/both-stages/model.safetensors is missing: run 'maskadapter train re",
        ),
        (
            "table3",
            "CLIPSelf: mask pooling",
            r"^its image encoder is EVA-CLIP's, whose patch features cannot be pooled here",
        ),
        ("table8", "MAFT: its own embedding", r"^cited by the paper"),
    ],
)
def test_missing_weights_name_what_brings_them(table, label, line, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    row = next(row for row in TABLES[table].rows if row.label == label)
    with pytest.raises(MaskAdapterError, match=line):
        source_for(row, TABLES[table].columns[0], Given())


def test_missing_mask_sources_name_what_brings_them(monkeypatch):
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda repository, name: None)
    column = TABLES["table8"].columns[0]
    for row in TABLES["table8"].rows[1:]:
        with pytest.raises(MaskAdapterError, match=r"^facebook/sam-vit-huge is not on this machine: give --download"):
            check_masks(row, column, Given())
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda repository, name: f"/{repository}/{name}")
    for row in TABLES["table8"].rows[1:]:
        assert check_masks(row, column, Given()) is None


def test_mask_sources_without_a_repository(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda repository, name: None)
    (row, *_), (column, *_) = TABLES["table1"].rows, TABLES["table1"].columns
    for masks in ("superpixels", f"sam:{tmp_path}", f"sam:{tmp_path},points_per_side=16,rest=no"):
        check_masks(replace(row, masks=masks), column, Given())


def test_an_impossible_repository_name_is_one_line():
    row, column = TABLES["table8"].rows[1], TABLES["table8"].columns[0]
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
    output = tmp_path_factory.mktemp("table3")
    return reproduce("table3", output=output, model="tiny", data=own), output


def test_numbers_are_those_of_evaluate(third, own, tmp_path):
    report, output = third
    dataset, found = open_dataset(own), numbers_in(output, "table3")
    for how, pooler in (("mask pooling", "pooling"), ("Mask-Adapter", "adapter")):
        predictor = model_predictor(ModelSource("tiny", pooler), dataset, masks="ground-truth")
        expected = evaluate(predictor.predict, dataset, tmp_path / pooler, metrics=["masks"]).numbers
        for column in report.table.columns:
            cell = found[f"tiny: {how}", column.metric]
            assert cell["percent"] == expected[column.metric]
            assert cell["standard error"] == pytest.approx(report.cells[f"tiny: {how}", column.key].error)
            assert (cell["images"], cell["seconds an image"] > 0) == (3, True)
            assert (Path(cell["folder"]) / "report.json").is_file()
    pooled, adapted = (found[f"tiny: {how}", "mIoU"] for how in ("mask pooling", "Mask-Adapter"))
    assert pooled["standard error"] > 0
    assert adapted["against"]["row"] == "tiny: mask pooling"
    assert adapted["against"]["difference"] == pytest.approx(adapted["percent"] - pooled["percent"])


def test_masks_are_cropped_too(third, own, tmp_path):
    _, output = third
    dataset = open_dataset(own)
    predictor = model_predictor(ModelSource("tiny", "cropping"), dataset, masks="ground-truth")
    expected = evaluate(predictor.predict, dataset, tmp_path, metrics=["masks"]).numbers
    assert numbers_in(output, "table3")["tiny: mask cropping", "mIoU"]["percent"] == expected["mIoU"]


def test_the_paper_s_figures_of_other_models_have_no_difference(third):
    _, output = third
    cell = numbers_in(output, "table3")["tiny: Mask-Adapter", "accuracy of class masks"]
    assert (cell["paper"]["percent"], cell["paper"]["about"]) == (69, True)
    assert "figure 1" in cell["paper"]["source"]
    assert "difference to the paper" not in cell
    written = (output / "table3.md").read_text()
    assert "| ~69.0 |" in written
    assert "not known here" in written
    assert "diff." not in written
    assert " ± " in written
    assert max(map(len, written.splitlines())) <= 110


def test_a_finished_run_is_not_repeated(third, own, monkeypatch, capsys):
    _, output = third
    before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    assert run("table3", "--model", "tiny", "--data", own, "-o", output) == 0
    assert {path: path.read_bytes() for path in output.rglob("*") if path.is_file()} == before
    printed = capsys.readouterr()
    assert printed.out.startswith("# Table 3: ")
    assert printed.out.endswith(f"{output / 'table3.md'}\n")
    assert "tiny: mask pooling on " in printed.err


def without_cropping(table):
    return replace(table, rows=tuple(row for row in table.rows if row.pooler != "cropping"))


def test_a_stop_reports_what_is_done(own, tmp_path, monkeypatch, capsys):
    arguments = ("table3", "--model", "tiny", "--data", own, "-o", tmp_path)
    call, asked = TimedPredictor.__call__, []

    def stopping(timed, *given):
        asked.append(timed)
        if len(asked) == 5:
            raise KeyboardInterrupt
        return call(timed, *given)

    monkeypatch.setattr(TimedPredictor, "__call__", stopping)
    monkeypatch.setattr(reproduction, "with_own", lambda *given: without_cropping(with_own(*given)))
    assert run(*arguments) == 130
    line = "1 of 2 evaluations of table3 are done; tiny: Mask-Adapter: stopped: 1 of 3 images are done"
    assert line in capsys.readouterr().err
    assert run(*arguments) == 0
    assert len(asked) == 5 + 2  # the first four are not evaluated again
    assert [len(path.read_text().splitlines()) for path in sorted(tmp_path.rglob("seconds.txt"))] == [3, 3]


def test_seconds_are_kept_and_a_line_that_was_cut_off_is_not_read(tmp_path):
    timed = TimedPredictor(lambda given: given, tmp_path / "seconds.txt", torch.device("cpu"))
    assert math.isnan(timed.median())
    (tmp_path / "seconds.txt").write_text("1.5\n2.5\n9.5\n1000")
    assert timed.median() == 2.5


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
    arguments = (
        "table4",
        "--root",
        small_ade,
        "--weights",
        f"fcclip-large-pooling={segmenter}",
        "-o",
        tmp_path / "out",
    )

    def cell(metric="mIoU"):
        return numbers_in(tmp_path / "out", "table4")["FC-CLIP: mask pooling", metric]

    assert run(*arguments) == 0
    assert cell()["difference to the paper"] == pytest.approx(cell()["percent"] - 26.5)
    assert f"{cell()['percent'] - 26.5:+.2f}" in capsys.readouterr().out
    assert cell("mIoU seen")["paper"]["percent"] == 34.6
    assert "difference to the paper" not in cell("mIoU seen")
    assert run(*arguments, "--limit", "1") == 0
    assert cell()["images"] == 1
    assert "difference to the paper" not in cell()
    assert run("table4", "--root", small_ade, "--model", segmenter, "-o", tmp_path / "another") == 0
    another = numbers_in(tmp_path / "another", "table4")[f"{tmp_path.name}/segmenter.safetensors: mask pooling", "mIoU"]
    assert (another["images"], another["paper"]["percent"]) == (2, 26.5)
    assert "difference to the paper" not in another


def test_rows_of_the_user_s_training(small_ade, trained, tmp_path, capsys):
    """A warm-up's file is evaluated alone on ground-truth masks, and joined to a segmenter for its proposals."""
    (tmp_path / "runs" / "published-design").mkdir(parents=True)
    (tmp_path / "runs" / "published-design" / "model.safetensors").symlink_to(trained)
    segmenter = ma.save(ma.load("tiny"), tmp_path / "segmenter.safetensors", "tiny")
    arguments = ("table6", "--root", small_ade, "--runs", tmp_path / "runs", "-o", tmp_path / "out", "--limit", "1")
    assert run(*arguments) == 0
    content = json.loads((tmp_path / "out" / "table6.json").read_text())
    missing = [[cell.get("missing", []) for cell in row["numbers"]] for row in content["rows"]]
    assert [len(one) for one in missing[1]] == [1, 1, 1]
    assert "one-4x4/model.safetensors is missing" in missing[1][0][0]
    assert [len(one) for one in missing[0]] == [0, 0, 1]
    assert "maskadapter models download fcclip-large --pooler pooling" in missing[0][2][0]
    assert run(*arguments, "--weights", f"fcclip-large-pooling={segmenter}") == 0
    content = json.loads((tmp_path / "out" / "table6.json").read_text())
    assert all("percent" in cell for cell in content["rows"][0]["numbers"])
    folders = {Path(cell["folder"]).name for cell in content["rows"][0]["numbers"]}
    assert folders == {"ade20k-150", "ade20k-150-ground-truth-masks"}


def test_seen_and_unseen_classes_follow_the_partition(own, trained, tmp_path):
    """Of the first image, which shows two of the three classes."""
    weights = {"hungarian": trained}
    report = reproduce("table5", output=tmp_path, data=own, weights=weights, limit=1)
    found = numbers_in(tmp_path, "table5")
    assert report.measured == 1
    assert found["FC-CLIP: Hungarian", "mIoU seen"]["percent"] == found["FC-CLIP: Hungarian", "mIoU"]["percent"]
    assert found["FC-CLIP: Hungarian", "mIoU unseen"]["percent"] is None  # COCO has all three
    (tmp_path / "seen.txt").write_text("sky\n")
    reproduce("table5", output=tmp_path, data=own, weights=weights, limit=1, partition=tmp_path / "seen.txt")
    found = numbers_in(tmp_path, "table5")
    seen, unseen, both = (found["FC-CLIP: Hungarian", f"mIoU{group}"]["percent"] for group in (" seen", " unseen", ""))
    assert both == pytest.approx((seen + unseen) / 2)
    assert "paper divides A-150 by hand" in (tmp_path / "table5.md").read_text()


def test_an_empty_machine(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("table1", "--root", "datasets") == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: no row of table1 could be run: fcclip-large with pooling is not on this machine")
    assert printed.count("\n") == 1
    written = " ".join((tmp_path / "reproduce" / "table1" / "table1.md").read_text().split())
    assert "Not run: all rows (ade20k-847: mIoU): no ade20k-847 (val) in " in written
    assert "maskadapter prepare pascal-voc-20 --root datasets" in written
    assert "maskadapter models download maftplus-large, or" in written.replace("'", "")
    assert "36.6" in written
    found = numbers_in(tmp_path / "reproduce" / "table1", "table1")
    assert all("percent" not in cell for cell in found.values())


def test_missing_weights_masks_and_data_are_listed_together(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda repository, name: None)
    with pytest.raises(MaskAdapterError, match=r"run: fcclip-large with adapter is not .*; all 4 reasons are in"):
        reproduce("table8", tmp_path / "datasets", tmp_path)
    reasons = numbers_in(tmp_path, "table8")["FC-CLIP: Mask-Adapter", "mIoU"]["missing"]
    assert ["fcclip-large" in reasons[0], "sam-vit-huge" in reasons[1], "prepare" in reasons[2]] == [True] * 3
    assert len(reasons) == 3


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["table12"], "no table 'table12': choose from table1"),
        (["table3", "--weights", "ovseg"], "--weights ovseg: NAME=FILE is needed"),
        (["table3", "--weights", "ovsag=x"], "table3 has no weights called 'ovsag': choose from fcclip-large-adapter"),
        (["table3", "--weights", "ovseg=x.pt"], "there is no file x.pt, which is given as the weights of ovseg"),
        (["table3", "--device", "cuda:99"], "device 'cuda:99' cannot be used here"),
        (["table3", "--model", "tiny", "--data", "nothing.yaml"], "no row of table3 could be run: "),
        (["table3", "--model", "tiny", "--data", "coco"], "no row of table3 could be run: "),
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
    made = [reproduce("table3", output=tmp_path / "out", model=path, data=own, limit=1) for path in files]
    assert [report.table.rows[0].of for report in made] == [*["run/model.safetensors"] * 2, "third/model.safetensors"]
    folders = {cell.folder for report in made for cell in report.cells.values()}
    assert len(folders) == 3
    assert all(not cell.missing for report in made for cell in report.cells.values())
    monkeypatch.chdir(files[2].parent)  # another path of the same file
    again = reproduce("table3", output=tmp_path / "out", model="model.safetensors", data=own, limit=1)
    assert {cell.folder for cell in again.cells.values()} <= folders
    assert again.table.rows[0].of == "third/model.safetensors"


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
    report = reproduce("table3", output=tmp_path / "out", model=odd, data=own, limit=1)
    assert not report.cells["a|b/model.safetensors: Mask-Adapter", "segments"].missing
    written = (tmp_path / "out" / "table3.md").read_text()
    rows = [line for line in written.splitlines() if line.startswith("|   1 |")]
    assert len(rows) == 3
    assert all(line.startswith(r"|   1 | a\|b/model.safetensors: Mask-Adapter |") for line in rows)


def test_a_file_name_that_is_not_text(own, trained, tmp_path, monkeypatch, capsys):
    """safetensors cannot read such a path; the table with that reason can be written and read."""
    keep_rows_of(monkeypatch, "adapter")
    odd = Path(os.fsdecode(bytes(tmp_path) + b"/b\xff")) / os.fsdecode(b"model\xff.safetensors")
    odd.parent.mkdir()
    odd.symlink_to(trained)
    assert run("table3", "--model", odd, "--data", own, "--limit", "1", "-o", tmp_path / "out") == 2
    assert "error: no row of table3 could be run: " in capsys.readouterr().err
    found = numbers_in(tmp_path / "out", "table3")
    (reason,) = found["b\ufffd/model\ufffd.safetensors: Mask-Adapter", "mIoU"]["missing"]
    assert "b\ufffd/model\ufffd.safetensors" in reason
    assert "b\ufffd/model\ufffd.safetensors: Mask-Adapter" in (tmp_path / "out" / "table3.md").read_text()
    assert readable_settings({"weights": os.fsdecode(b"a\xff.pth"), "alpha": 0.5}) == {
        "weights": "a\ufffd.pth",
        "alpha": 0.5,
    }


def test_a_row_that_fails_does_not_stop_the_others(own, trained, tmp_path):
    """An adapter's file does not pool."""
    report = reproduce("table3", output=tmp_path, model=trained, data=own, limit=1)
    _, pooled, adapted = report.table.rows
    assert "holds an adapter" in report.cells[pooled.label, "segments"].missing[0]
    assert not report.cells[adapted.label, "segments"].missing


def test_every_file_that_can_be_given_has_a_name():
    assert weight_names(TABLES["table3"]) == {"ovseg", "fcclip-large-adapter", "fcclip-large-pooling"}
    assert weight_names(TABLES["table5"]) >= {"hungarian", "iou-0.7"}


def test_the_markdown_of_known_numbers():
    table = replace(TABLES["table2"], rows=TABLES["table2"].rows[2:4], columns=TABLES["table2"].columns[2:])
    pooled, adapted = table.rows
    cells = {
        (pooled.label, "mIoU"): Cell(26.4, 0.51, pooled.published["mIoU"], True, seconds=12.34),
        (adapted.label, "mIoU"): Cell(35.64, 0.5, adapted.published["mIoU"], True, 9.24, 0.3, 1),
    }
    lines = TableReport(table, TABLES["table2"], cells, {"split": "val"}).markdown().splitlines()
    assert lines[6] == "|   1 | FC-CLIP: mask pooling | 26.40 ± 0.51 |  26.5 | -0.10 |                 |    12.3 |"
    assert lines[7] == "|   2 | FC-CLIP: Mask-Adapter | 35.64 ± 0.50 |  35.4 | +0.24 | 1: +9.24 ± 0.30 |       1 |"


@pytest.mark.skipif(COCO is None, reason="MASKADAPTER_COCO does not name a folder of COCO 2017")
def test_segments_of_coco(tmp_path):
    report = reproduce("table3", COCO, tmp_path, model="tiny", data="coco-panoptic", limit=2)
    accuracy = report.cells["tiny: mask pooling", "segments"]
    assert 0 < accuracy.measured < 100
    assert accuracy.error > 0
