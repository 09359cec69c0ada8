"""``maskadapter evaluate`` with the embedded model and its switches, and with predictions in files."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from evaluated import InMemory, perfect_result, table_rows
from PIL import Image

from maskadapter import hub
from maskadapter.cli import main
from maskadapter.data.formats.coco_datasets import CocoInstances, CocoPanoptic
from maskadapter.data.opening import open_dataset
from maskadapter.errors import MaskAdapterError
from maskadapter.evaluation.evaluator import evaluate
from maskadapter.evaluation.predictions import Predictions
from maskadapter.hub.model_source import ModelSource
from maskadapter.io.coco_format import encode_mask
from maskadapter.models.builder import Architecture, build, published
from maskadapter.models.config import AdapterConfig
from maskadapter.models.maftplus import ContentDependentTransfer
from maskadapter.models.mask_adapter import MaskAdapter
from maskadapter.models.poolers.adapter_pooling import AdapterPooler
from maskadapter.pipelines import model_evaluation
from maskadapter.pipelines.model_evaluation import model_predictor
from maskadapter.pipelines.predictor import MasksInFiles, file_predictor
from maskadapter.vocabulary.vocabulary import Vocabulary

EMBEDDED = Path(hub.__file__).with_name("weights")
OWN = published(Architecture("tiny", "pooling")).inference
COCO = os.environ.get("MASKADAPTER_COCO")


def quarters():
    """A photograph of a cat beside one of a cup of coffee, and where they are."""
    cat, cup = (
        np.asarray(Image.fromarray(getattr(skimage.data, name)()).resize((96, 96))) for name in ("chelsea", "coffee")
    )
    labels = np.zeros((96, 192), np.uint8)
    labels[:, 96:] = 1
    labels[:8] = 255
    return np.concatenate([cat, cup], axis=1), labels


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder of two images, and the file that describes it."""
    root = tmp_path_factory.mktemp("own")
    image, labels = quarters()
    for kind in ("images", "labels"):
        (root / kind / "val").mkdir(parents=True)
    for name, turned in (("a", 1), ("b", -1)):
        Image.fromarray(image[:, ::turned]).save(root / "images" / "val" / f"{name}.png")
        Image.fromarray(labels[:, ::turned]).save(root / "labels" / "val" / f"{name}.png")
    (root / "classes.txt").write_text("cat\ncup\nsky\n")
    (root / "own.yaml").write_text(
        "task: semantic\nclasses: classes.txt\n"
        "train: {images: images/val, labels: labels/val}\nval: {images: images/val, labels: labels/val}\n"
    )
    return root


def run(*arguments):
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", *map(str, arguments)])
    return stopped.value.code


def test_the_embedded_model_on_two_images(root, tmp_path, capsys):
    arguments = ("tiny", root / "own.yaml", "--output", tmp_path / "out", "--partition", "coco-panoptic")
    assert not run(*arguments)
    written = capsys.readouterr().out
    facts = json.loads((tmp_path / "out" / "report.json").read_text())["facts"]
    assert facts["images"] == 2
    assert facts["model"] == "tiny with pooling"
    assert facts["weights"].startswith("tiny.safetensors, sha256 ")
    assert (facts["alpha"], facts["beta"], facts["input size"]) == (OWN.alpha, OWN.beta, "longer side 640")
    assert facts["split"] == "val"
    assert facts["partition"] == "synonyms shared with coco-panoptic: 3 seen, 0 unseen"
    assert facts["resized by"].startswith("Pillow ")
    assert "mIoU" in table_rows(written)
    assert "mean over the classes in the ground truth" in written
    assert str(tmp_path / "out" / "report.md") in written
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert not run(*arguments)  # nothing is left to do
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert run(*arguments, "--beta", "0.5") == 2
    assert "beta was 0.9 and is 0.5" in capsys.readouterr().err


def test_ground_truth_masks_are_classified(root, small_input, tmp_path):
    assert not run("tiny", root / "own.yaml", "-o", tmp_path, "--masks", "ground-truth")
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["facts"]["class masks"] == 4
    assert content["numbers in percent"]["accuracy of class masks"] in (0, 25, 50, 75, 100)
    assert "alpha" not in content["facts"]  # CLIP with the pooler alone decides


def test_masks_from_files(root, small_input, tmp_path):
    """Files of the ground-truth masks give what ``ground-truth`` gives."""
    _, labels = quarters()
    (tmp_path / "masks").mkdir()
    for name, turned in (("a", 1), ("b", -1)):
        masks = np.stack([labels == label for label in (0, 1)])[:, :, ::turned]
        np.save(tmp_path / "masks" / f"{name}.npy", masks)
    for source, output in ((tmp_path / "masks", "files"), ("ground-truth", "truth")):
        assert not run("tiny", root / "own.yaml", "-o", tmp_path / output, "--masks", source)
    files, ground_truth = (
        json.loads((tmp_path / name / "report.json").read_text())["numbers in percent"] for name in ("files", "truth")
    )
    assert {name: files[name] for name in ("mIoU", "pACC")} == {name: ground_truth[name] for name in ("mIoU", "pACC")}
    (tmp_path / "masks" / "b.npy").unlink()
    assert run("tiny", root / "own.yaml", "-o", tmp_path / "again", "--masks", tmp_path / "masks") == 2


def test_other_masks_in_a_folder_of_the_same_name(root, small_input, tmp_path, capsys):
    _, labels = quarters()
    for turn, masks in (("one", np.stack([labels == 0, labels == 1])), ("two", (labels == 0)[None])):
        (tmp_path / turn / "masks").mkdir(parents=True)
        for name, turned in (("a", 1), ("b", -1)):
            np.save(tmp_path / turn / "masks" / f"{name}.npy", masks[:, :, ::turned])
    arguments = ("tiny", root / "own.yaml", "-o", tmp_path / "out", "--masks")
    assert not run(*arguments, tmp_path / "one" / "masks")
    facts = json.loads((tmp_path / "out" / "report.json").read_text())["facts"]
    assert (facts["masks"], facts["files"]) == ("folder masks", 2)
    assert run(*arguments, tmp_path / "two" / "masks") == 2
    assert "names and sizes was" in capsys.readouterr().err


def test_panoptic_predictions_differ_by_their_pngs_and_categories(tmp_path):
    """The JSON may be the same."""
    (tmp_path / "predictions").mkdir()
    categories = {"categories": [{"id": 3}, {"id": 7}]}
    (tmp_path / "truth.json").write_text(json.dumps(categories))
    segments = [{"image_id": 1, "file_name": "1.png", "segments_info": []}]
    (tmp_path / "predictions.json").write_text(json.dumps({"annotations": segments}))
    dataset = InMemory([], Vocabulary.of("cat, dog"))

    def settings():
        return file_predictor(tmp_path / "predictions.json", dataset, tmp_path / "truth.json").settings

    Image.new("RGB", (20, 20)).save(tmp_path / "predictions" / "1.png")
    before = settings()
    assert before["files"] == 1
    assert before["annotations"].startswith("truth.json, sha256 ")
    Image.fromarray(np.arange(1200, dtype=np.uint8).reshape(20, 20, 3)).save(tmp_path / "predictions" / "1.png")
    after = settings()
    assert {key for key in after if after[key] != before[key]} == {"names and sizes"}
    (tmp_path / "truth.json").write_text(json.dumps({**categories, "info": {}}))
    assert {key for key, value in settings().items() if value != after[key]} == {"annotations"}


def test_masks_that_two_images_would_share(tmp_path):
    given = MasksInFiles(None, None, tmp_path)
    (tmp_path / "1.npy").touch()
    with pytest.raises(MaskAdapterError, match=r"a/1\.jpg and b/1\.jpg would share the prediction .*1\.npy"):
        given.check(["a/1.jpg", "b/1.jpg"], whole=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "1.json").touch()
    given.check(["a/1.jpg", "b/1.jpg"], whole=True)


@pytest.mark.parametrize("count", [0, 2])
def test_no_masks_or_empty_ones(root, small_input, tmp_path, count):
    dataset = open_dataset(root / "own.yaml")
    (tmp_path / "masks").mkdir()
    for name in "ab":
        np.save(tmp_path / "masks" / f"{name}.npy", np.zeros((count, 96, 192), bool))
    predictor = model_predictor(ModelSource("tiny"), dataset, masks=tmp_path / "masks")
    result = predictor.predict.of(dataset[0])
    assert (result.semantic() == -1).all()
    assert result.panoptic().segments == ()
    assert len(result.instances().masks) == 0


@pytest.mark.parametrize(
    ("switches", "alpha", "beta"),
    [
        ({}, OWN.alpha, OWN.beta),
        ({"branch": "in-vocabulary"}, 0, 0),
        ({"branch": "out-of-vocabulary"}, 1, 1),
        ({"alpha": 0.0}, 0.0, OWN.beta),
        ({"beta": 0.25}, OWN.alpha, 0.25),
    ],
)
def test_branches(root, switches, alpha, beta, monkeypatch):
    """The switch is in the settings and in the model that is asked."""
    asked = []

    class Asked:
        def __call__(self, segmenter, *arguments, **options):
            asked.append((segmenter.inference.alpha, segmenter.inference.beta, options["background"]))

    monkeypatch.setattr(
        "maskadapter.models.segmenter.OpenVocabularySegmenter.segment", lambda *a, **k: Asked()(*a, **k)
    )
    predictor = model_predictor(ModelSource("tiny"), open_dataset(root / "own.yaml"), **switches)
    predictor.predict(np.zeros((8, 8, 3), np.uint8))
    assert asked == [(alpha, beta, None)]  # every pixel gets a class
    assert (predictor.settings["alpha"], predictor.settings["beta"]) == (alpha, beta)
    assert predictor.trained_on == "coco-panoptic"


def test_the_adapter_is_computed_for_all_proposals_by_default(root, monkeypatch):
    segmenter = build(Architecture("tiny", "adapter")).eval().requires_grad_(False)
    monkeypatch.setattr(model_evaluation, "_load", lambda *given: (segmenter, ("tiny", "adapter"), {}))
    dataset = open_dataset(root / "own.yaml")
    exact = model_predictor(ModelSource("file"), dataset).settings
    assert not segmenter.inference.prune_proposals
    pruned = model_predictor(ModelSource("file"), dataset, prune_proposals=True).settings
    assert segmenter.inference.prune_proposals
    assert pruned.items() - exact.items() == {("proposals", "pruned to those that can change the result")}
    with pytest.raises(MaskAdapterError, match="leave prune_proposals out"):
        model_predictor(ModelSource("file"), dataset, masks="ground-truth", prune_proposals=True)


@pytest.mark.parametrize(
    ("switches", "line"),
    [
        ({"branch": "in"}, "unknown branch 'in'; did you mean 'in-vocabulary'?"),
        ({"branch": "in-vocabulary", "alpha": 0.5}, "branch 'in-vocabulary' sets alpha and beta"),
        ({"masks": "ground-truth", "beta": 0.5}, "only the generator's own masks have an in-vocabulary classifier"),
        (
            {"masks": "truth"},
            "no masks 'truth': give ground-truth, sam:NAME, segmenter:NAME, superpixels, or a folder or file of masks",
        ),
        ({"alpha": 1.5}, "alpha is 1.5; a number from 0 to 1 is needed"),
        (
            {"masks": "ground-truth", "background": "coco-stuff"},
            "masks that are given are only classified: leave",
        ),
        (
            {"prune_proposals": True},
            "only proposals of a model with Mask-Adapter can be pruned: leave prune_proposals out",
        ),
    ],
)
def test_switches_that_contradict_each_other(root, switches, line):
    with pytest.raises(MaskAdapterError, match=line):
        model_predictor(ModelSource("tiny"), open_dataset(root / "own.yaml"), **switches)


def test_the_official_order_of_semantic_sets():
    for name, order in (("ade20k-847", "classes-first"), ("pascal-voc-20", "classes-first"), ("coco", "masks-first")):
        dataset = InMemory([], Vocabulary.of("cat, dog"), "semantic", name)
        assert model_predictor(ModelSource("tiny"), dataset).settings["semantic order"] == order


def test_what_published_figures_may_be_compared_with(monkeypatch):
    dataset = InMemory([], Vocabulary.of("cat, dog"), "semantic")
    tiny = ModelSource("tiny")
    assert model_predictor(tiny, dataset).published_as == ("tiny", "pooling")
    assert model_predictor(tiny, dataset, branch="out-of-vocabulary").published_as == ("tiny", "pooling")
    assert model_predictor(tiny, dataset, alpha=0.5).published_as is None
    assert model_predictor(tiny, dataset, masks="superpixels").published_as is None
    for num_blocks, published_as in ((3, ("tiny", "adapter")), (2, None)):
        segmenter = build(Architecture("tiny", "pooling")).eval()
        segmenter.pooler = AdapterPooler(MaskAdapter(segmenter.clip.embed_dim, AdapterConfig(num_blocks=num_blocks)))
        loaded = (segmenter, ("tiny", "adapter"), {})
        monkeypatch.setattr(model_evaluation, "_load", lambda *given, loaded=loaded: loaded)
        assert model_predictor(ModelSource("file"), dataset).published_as == published_as


def test_published_figures_stand_in_the_report(root, small_input, tmp_path, capsys, monkeypatch):
    asked = []

    def figures(*arguments):
        asked.append((*arguments[:2], *arguments[3:]))
        return {"mIoU": 36.6}

    monkeypatch.setattr("maskadapter.paper.reference_figures", figures)
    arguments = ("tiny", root / "own.yaml", "-o", tmp_path / "own")
    assert not run(*arguments, "--branch", "out-of-vocabulary")
    assert asked == [("tiny", "pooling", "out-of-vocabulary", None, "detectron2-main")]
    assert "reference" in capsys.readouterr().out
    assert json.loads((tmp_path / "own" / "report.json").read_text())["reference"] == {"mIoU": 36.6}
    assert not run(*arguments[:-1], tmp_path / "alpha", "--alpha", "0.5")
    assert len(asked) == 1
    assert "reference" not in json.loads((tmp_path / "alpha" / "report.json").read_text())


def test_one_file_with_the_masks_of_all_images(root, small_input, tmp_path):
    _, labels = quarters()
    images, annotations = [], []
    (tmp_path / "masks").mkdir()
    for number, (name, turned) in enumerate((("a", 1), ("b", -1))):
        masks = np.stack([labels == label for label in (0, 1)])[:, :, ::turned]
        np.save(tmp_path / "masks" / f"{name}.npy", masks)
        images.append({"id": number, "file_name": f"{name}.png", "height": 96, "width": 192})
        annotations += [{"image_id": number, "category_id": 1, "segmentation": encode_mask(mask)} for mask in masks]
    (tmp_path / "masks.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    numbers = []
    for source in ("masks", "masks.json"):
        assert not run("tiny", root / "own.yaml", "-o", tmp_path / f"out-{source}", "--masks", tmp_path / source)
        numbers.append(json.loads((tmp_path / f"out-{source}" / "report.json").read_text())["numbers in percent"])
    assert numbers[0] == numbers[1]


def with_transfer(monkeypatch, norm):
    """The embedded model with the parts of MAFT+ and Mask-Adapter that a switch is about."""
    load = model_evaluation._load

    def other(*arguments):
        segmenter, _, settings = load(*arguments)
        segmenter.text_transfer = ContentDependentTransfer(segmenter.clip.embed_dim, norm=norm)
        segmenter.pooler = AdapterPooler(MaskAdapter(segmenter.clip.embed_dim, AdapterConfig(mask_threshold=0.4)))
        made.append(segmenter)
        return segmenter, ("maftplus-large", "adapter"), settings

    made = []
    monkeypatch.setattr(model_evaluation, "_load", other)
    return made


def test_where_the_text_transfer_has_its_norm(monkeypatch):
    made = with_transfer(monkeypatch, "update")
    dataset = InMemory([], Vocabulary.of("cat, dog"), "semantic")
    for given, used, as_published in ((None, "update", True), ("update", "update", True), ("sum", "sum", False)):
        predictor = model_predictor(ModelSource("tiny"), dataset, transfer_norm=given)
        assert made[-1].text_transfer.norm_placement == predictor.settings["norm of the text transfer"] == used
        assert predictor.settings["mask threshold"] == 0.4
        assert (predictor.published_as == ("maftplus-large", "adapter")) == as_published


def test_a_model_without_text_transfer(root, tmp_path, capsys):
    assert run("tiny", root / "own.yaml", "-o", tmp_path / "out", "--transfer-norm", "sum") == 2
    assert "tiny has no text transfer, which MAFT+ has: leave transfer_norm out" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_predictions_of_another_program(root, tmp_path, capsys):
    predictions = root / "labels" / "val"  # the ground truth itself
    assert not run(predictions, root / "own.yaml", "-o", tmp_path / "out")
    assert table_rows(capsys.readouterr().out)["mIoU"] == ["100.00"]
    assert run(predictions, root / "own.yaml", "-o", tmp_path / "out", "--partition", "synonyms") == 2
    assert "needs the list that the model was trained on" in capsys.readouterr().err


def test_seen_classes_by_supercategory(root, small_input, tmp_path, capsys):
    (root / "a150.yaml").write_text((root / "own.yaml").read_text().replace("classes.txt", "ade20k-150"))
    records = []
    for partition, counts in (("coco-panoptic", "64 seen, 86 unseen"), ("paper-rule", "76 seen, 74 unseen")):
        output = tmp_path / partition
        assert not run("tiny", root / "a150.yaml", "--limit", "1", "-o", output, "--partition", partition)
        content = json.loads((output / "report.json").read_text())
        assert content["facts"]["partition"].endswith(counts)
        assert "mIoU seen" in content["numbers in percent"]
        records.append((output / "records-0.jsonl").read_bytes())
    assert records[0] == records[1]  # alpha and beta go by synonyms
    assert run("tiny", root / "own.yaml", "-o", tmp_path / "out", "--partition", "paper-rule") == 2
    assert "'paper-rule' is for the 150 classes of ade20k-150" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_switches_that_predictions_in_files_do_not_have(root, tmp_path, capsys):
    for switch in (("--background", "coco-stuff"), ("--masks", "ground-truth"), ("--alpha", "0.0")):
        assert run(root / "labels" / "val", root / "own.yaml", "-o", tmp_path / "out", *switch) == 2
        assert f"evaluated as they are: leave {switch[0]} out" in capsys.readouterr().err


def test_competing_classes(root, small_input, tmp_path, capsys):
    assert not run("tiny", root / "own.yaml", "-o", tmp_path / "out", "--background", "zebra|cat, cup of coffee")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["facts"]["background"] == ["zebra|cat", "cup of coffee"]
    assert run("tiny", root / "own.yaml", "-o", tmp_path / "out") == 2
    assert "background was" in capsys.readouterr().err
    dataset = open_dataset(root / "own.yaml")
    assert model_predictor(ModelSource("tiny"), dataset, background="auto").settings["background"] == "coco-stuff"
    predictor = model_predictor(ModelSource("tiny"), dataset, background="coco-stuff")
    assert (predictor.settings["background"], predictor.published_as) == ("coco-stuff", None)
    assert len(predictor.predict(dataset[0].image).background) > 100
    known = InMemory([], Vocabulary.of("pascal-voc-20"), "semantic")
    assert model_predictor(ModelSource("tiny"), known, background="auto").settings["background"] == "none"


def test_reports_name_the_file_of_the_adapter_too(root, tmp_path):
    dataset = open_dataset(root / "own.yaml")
    weights = model_predictor(ModelSource("tiny"), dataset).settings["weights"]
    settings = model_predictor(ModelSource("tiny", pooler="adapter"), dataset).settings
    assert settings["weights"] == weights
    assert settings["adapter's weights"].startswith("tiny-adapter.safetensors, sha256 ")
    shutil.copy(EMBEDDED / "tiny-adapter.safetensors", tmp_path / "mine.safetensors")
    given = model_predictor(ModelSource("tiny", adapter=tmp_path / "mine.safetensors"), dataset).settings
    assert given["weights"] == weights
    assert given["adapter's weights"] == settings["adapter's weights"].replace("tiny-adapter", "mine")


def test_reports_name_the_precision(root, monkeypatch):
    dataset = open_dataset(root / "own.yaml")
    monkeypatch.setattr("maskadapter.models.precision.has_units", lambda precision, device: precision == "bf16")
    monkeypatch.setattr("maskadapter.models.precision.AGREED", ("tiny",))
    found = {given: model_predictor(ModelSource(precision=given), dataset).settings for given in (None, "auto", "bf16")}
    assert {given: settings["precision"] for given, settings in found.items()} == {
        None: "fp32",
        "auto": "bf16",
        "bf16": "bf16",
    }


def test_labels_that_were_corrected(root, tmp_path, capsys):
    own = tmp_path / "own"
    shutil.copytree(root, own)
    arguments = (own / "labels" / "val", own / "own.yaml", "-o", tmp_path / "out")
    assert not run(*arguments)
    assert not run(*arguments)
    Image.fromarray(np.full((96, 192), 2, np.uint8)).save(own / "labels" / "val" / "b.png")
    capsys.readouterr()
    predictions = root / "labels" / "val"  # the same folder, by names and sizes
    assert run(predictions, *arguments[1:]) == 2
    line = capsys.readouterr().err
    assert "labels was" in line
    assert "names and sizes" not in line


@pytest.mark.parametrize("reader", [CocoPanoptic, CocoInstances])
def test_the_fingerprint_of_coco_is_that_of_its_json(tmp_path, reader):
    index = tmp_path / "index.json"
    index.write_text('{"images": [], "annotations": []}')
    folders = [tmp_path] * (2 if reader is CocoPanoptic else 1)
    dataset = reader("own", Vocabulary.of("cat"), index, *folders, {})
    before = dataset.fingerprint
    assert before == dataset.fingerprint
    os.utime(index, ns=(0, 1))
    assert dataset.fingerprint != before


@pytest.mark.slow
def test_two_processes_of_a_launcher(root, launcher, tmp_path):
    arguments = ["evaluate", "tiny", str(root / "own.yaml"), "--output"]
    command = [sys.executable, *launcher, "-m", "maskadapter", *arguments, str(tmp_path / "two")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("| mIoU  ") == 1  # one of them prints
    assert not run(*arguments[1:], tmp_path / "one")
    assert len(list((tmp_path / "two").glob("records-*.jsonl"))) == 2
    for name in ("report.json", "report.md"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


@pytest.mark.skipif(COCO is None, reason="MASKADAPTER_COCO does not name a folder of COCO 2017")
@pytest.mark.parametrize("split", ["val", "train"])
def test_the_ground_truth_of_coco_scores_100(tmp_path, split):
    dataset = open_dataset("coco-panoptic", COCO, split)

    class GroundTruth(Predictions):
        metrics = ("semantic", "panoptic", "instance")

        def source(self, name):
            return name

        def of(self, sample):
            return perfect_result(sample.target, dataset.vocabulary)

    report = evaluate(GroundTruth(), dataset, tmp_path)
    assert report.numbers == pytest.approx(dict.fromkeys(report.numbers, 100))
    assert report.facts["false negative segments"] == 0
    assert report.facts["true positive segments"] > 500
