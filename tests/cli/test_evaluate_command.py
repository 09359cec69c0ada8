"""``maskadapter evaluate`` with the embedded model, its switches, and what it says of published models."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import skimage.data
from evaluated import InMemory, said_of
from PIL import Image

from maskadapter.cli import main
from maskadapter.data.formats.coco_instances import CocoInstances
from maskadapter.data.formats.coco_panoptic import CocoPanoptic
from maskadapter.data.opening import open_dataset
from maskadapter.errors import MaskAdapterError
from maskadapter.evaluation.evaluator import evaluate
from maskadapter.hub.model_source import ModelSource
from maskadapter.models.build import Architecture, build
from maskadapter.models.config import AdapterConfig
from maskadapter.models.maftplus import ContentDependentTransfer
from maskadapter.models.mask_adapter import MaskAdapter
from maskadapter.models.poolers.adapter_pooling import AdapterPooler
from maskadapter.pipelines import model_evaluation as subject
from maskadapter.vocabulary.vocabulary import Vocabulary

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


def run(*words):
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", *map(str, words)])
    return stopped.value.code


def test_the_embedded_model_on_two_images(root, tmp_path, capsys):
    words = ("tiny", root / "own.yaml", "--output", tmp_path / "out", "--split", "coco-panoptic")
    assert not run(*words)
    written = capsys.readouterr().out
    facts = json.loads((tmp_path / "out" / "report.json").read_text())["facts"]
    assert facts["images"] == 2
    assert facts["model"] == "tiny with pooling"
    assert facts["weights"].startswith("tiny.safetensors, sha256 ")
    assert (facts["alpha"], facts["beta"], facts["input size"]) == (0.7, 0.9, "longer side 640")
    assert facts["split"] == "synonyms shared with coco-panoptic: 3 seen, 0 unseen"
    assert facts["resized by"].startswith("Pillow ")
    assert "| mIoU | " in written
    assert "mean over the classes that the ground truth holds" in written
    assert str(tmp_path / "out" / "report.md") in written
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert not run(*words)  # nothing is left to do
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert run(*words, "--beta", "0.5") == 2
    assert "beta was 0.9 and is 0.5" in capsys.readouterr().err


def test_names_for_true_masks(root, tmp_path):
    assert not run("tiny", root / "own.yaml", "-o", tmp_path, "--proposals", "ground-truth")
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["facts"]["class masks"] == 4
    assert content["numbers in percent"]["accuracy of class masks"] in (0, 25, 50, 75, 100)
    assert "alpha" not in content["facts"]  # the embedding alone decides


def test_proposals_from_files(root, tmp_path):
    """With the ground-truth masks as proposals, the painted names are the accuracy's."""
    _, labels = quarters()
    (tmp_path / "masks").mkdir()
    for name, turned in (("a", 1), ("b", -1)):
        masks = np.stack([labels == label for label in (0, 1)])[:, :, ::turned]
        np.save(tmp_path / "masks" / f"{name}.npy", masks)
    for proposals, output in ((tmp_path / "masks", "files"), ("ground-truth", "truth")):
        assert not run("tiny", root / "own.yaml", "-o", tmp_path / output, "--proposals", proposals)
    files, truth = (
        json.loads((tmp_path / name / "report.json").read_text())["numbers in percent"] for name in ("files", "truth")
    )
    assert {name: files[name] for name in ("mIoU", "pACC")} == {name: truth[name] for name in ("mIoU", "pACC")}
    (tmp_path / "masks" / "b.npy").unlink()
    assert run("tiny", root / "own.yaml", "-o", tmp_path / "again", "--proposals", tmp_path / "masks") == 2


def test_other_proposals_in_a_folder_of_the_same_name(root, tmp_path, capsys):
    _, labels = quarters()
    for turn, masks in (("one", np.stack([labels == 0, labels == 1])), ("two", (labels == 0)[None])):
        (tmp_path / turn / "masks").mkdir(parents=True)
        for name, turned in (("a", 1), ("b", -1)):
            np.save(tmp_path / turn / "masks" / f"{name}.npy", masks[:, :, ::turned])
    words = ("tiny", root / "own.yaml", "-o", tmp_path / "out", "--proposals")
    assert not run(*words, tmp_path / "one" / "masks")
    facts = json.loads((tmp_path / "out" / "report.json").read_text())["facts"]
    assert (facts["proposals"], facts["files"]) == ("folder masks", 2)
    assert run(*words, tmp_path / "two" / "masks") == 2
    assert "names and sizes was" in capsys.readouterr().err


def test_panoptic_predictions_are_told_apart_by_their_pngs_and_categories(tmp_path):
    """The JSON may be the same."""
    (tmp_path / "said").mkdir()
    categories = {"categories": [{"id": 3}, {"id": 7}]}
    (tmp_path / "truth.json").write_text(json.dumps(categories))
    segments = [{"image_id": 1, "file_name": "1.png", "segments_info": []}]
    (tmp_path / "said.json").write_text(json.dumps({"annotations": segments}))
    dataset = InMemory([], Vocabulary.of("cat, dog"))

    def settings():
        return subject.predictions_in(tmp_path / "said.json", dataset, tmp_path / "truth.json").settings

    Image.new("RGB", (20, 20)).save(tmp_path / "said" / "1.png")
    before = settings()
    assert before["files"] == 1
    assert before["annotations"].startswith("truth.json, sha256 ")
    Image.fromarray(np.arange(1200, dtype=np.uint8).reshape(20, 20, 3)).save(tmp_path / "said" / "1.png")
    after = settings()
    assert {key for key in after if after[key] != before[key]} == {"names and sizes"}
    (tmp_path / "truth.json").write_text(json.dumps({**categories, "info": {}}))
    assert {key for key, value in settings().items() if value != after[key]} == {"annotations"}


def test_proposals_that_two_images_would_share(tmp_path):
    given = subject.GivenProposals(None, None, tmp_path)
    (tmp_path / "1.npy").touch()
    with pytest.raises(MaskAdapterError, match=r"a/1\.jpg and b/1\.jpg would share the prediction .*1\.npy"):
        given.check(["a/1.jpg", "b/1.jpg"], whole=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "1.json").touch()
    given.check(["a/1.jpg", "b/1.jpg"], whole=True)


def test_no_proposals_at_all(root, tmp_path):
    dataset = open_dataset(root / "own.yaml")
    (tmp_path / "masks").mkdir()
    for name in "ab":
        np.save(tmp_path / "masks" / f"{name}.npy", np.zeros((0, 96, 192), bool))
    judged = subject.model(ModelSource("tiny"), dataset, proposals=tmp_path / "masks")
    result = judged.predict.of(dataset[0])
    assert (result.semantic() == -1).all()
    assert result.panoptic().segments == ()
    assert len(result.instances().masks) == 0


@pytest.mark.parametrize(
    ("switches", "alpha", "beta"),
    [
        ({}, 0.7, 0.9),
        ({"branch": "in"}, 0, 0),
        ({"branch": "out"}, 1, 1),
        ({"alpha": 0.0}, 0.0, 0.9),
        ({"beta": 0.25}, 0.7, 0.25),
    ],
)
def test_branches(root, switches, alpha, beta, monkeypatch):
    """The switch is in the settings and in the model that is asked."""
    asked = []

    class Asked:
        def __call__(self, segmenter, *arguments, **options):
            asked.append((segmenter.inference.alpha, segmenter.inference.beta, options))

    monkeypatch.setattr(
        "maskadapter.models.segmenter.OpenVocabularySegmenter.segment", lambda *a, **k: Asked()(*a, **k)
    )
    judged = subject.model(ModelSource("tiny"), open_dataset(root / "own.yaml"), **switches)
    judged.predict(np.zeros((8, 8, 3), np.uint8))
    assert asked == [(alpha, beta, {"background": None})]  # every pixel goes to a class
    assert (judged.settings["alpha"], judged.settings["beta"]) == (alpha, beta)
    assert judged.trained_on == "coco-panoptic"


def test_the_adapter_is_computed_for_all_proposals_unless_told_otherwise(root, monkeypatch):
    segmenter = build(Architecture("tiny", "adapter")).eval().requires_grad_(False)
    monkeypatch.setattr(subject, "_loaded", lambda *given: (segmenter, None, {}))
    dataset = open_dataset(root / "own.yaml")
    told = subject.model(ModelSource("file"), dataset).settings
    assert not segmenter.inference.prune_proposals
    prune_proposals = subject.model(ModelSource("file"), dataset, prune_proposals=True).settings
    assert segmenter.inference.prune_proposals
    assert prune_proposals.items() - told.items() == {
        ("adapter", "computed for the proposals that can change the result")
    }
    with pytest.raises(MaskAdapterError, match="leave fast out"):
        subject.model(ModelSource("file"), dataset, proposals="ground-truth", prune_proposals=True)


@pytest.mark.parametrize(
    ("switches", "line"),
    [
        ({"branch": "in", "alpha": 0.5}, "branch 'in' sets alpha and beta"),
        ({"proposals": "ground-truth", "beta": 0.5}, "only the generator's own proposals have two opinions"),
        (
            {"proposals": "truth"},
            "no proposals 'truth': give generator, ground-truth, sam:NAME, segmenter:NAME, superpixels or a folder",
        ),
        ({"alpha": 1.5}, "alpha is 1.5; a number from 0 to 1 is needed"),
        (
            {"prune_proposals": True},
            "only the adapter of a generator's proposals can be computed in part: leave fast out",
        ),
    ],
)
def test_switches_that_contradict_each_other(root, switches, line):
    with pytest.raises(MaskAdapterError, match=line):
        subject.model(ModelSource("tiny"), open_dataset(root / "own.yaml"), **switches)


def test_the_official_order_of_semantic_sets():
    for name, order in (("ade20k-847", "classes-first"), ("pascal-voc-20", "classes-first"), ("coco", "masks-first")):
        dataset = InMemory([], Vocabulary.of("cat, dog"), "semantic", name)
        assert subject.model(ModelSource("tiny"), dataset).settings["semantic order"] == order


def test_the_papers_figure_is_for_whole_sets():
    whole = InMemory([None] * 2000, Vocabulary.builtin("ade20k-150"), "semantic", "ade20k-150")
    assert subject.published(Architecture("fcclip-large", "adapter"), whole) == {"mIoU": 36.6}
    assert subject.published(Architecture("maftplus-base", "pooling"), whole) == {"mIoU": 34.5}
    assert subject.published(Architecture("tiny", "pooling"), whole) == {}
    assert subject.published(Architecture("fcclip-large", "adapter"), replace(whole, samples=[None] * 50)) == {}
    assert subject.published(Architecture("fcclip-large", "adapter"), replace(whole, name="own")) == {}


def test_the_papers_figure_is_for_semantic_labels_and_the_published_adapter():
    whole = InMemory([None] * 2000, Vocabulary.builtin("ade20k-150"), "semantic", "ade20k-150")
    variant = Architecture("fcclip-large", "adapter")
    assert subject.published(variant, replace(whole, task="panoptic")) == {}
    assert subject.published(replace(variant, adapter=(("num_blocks", 2),)), whole) == {}
    defaults = (("fusion", "add"), ("num_blocks", 3), ("num_maps", 16), ("use_features", True))
    assert subject.published(replace(variant, adapter=defaults), whole) == {"mIoU": 36.6}


def test_the_papers_figures_without_the_ensemble():
    whole = InMemory([None] * 2000, Vocabulary.builtin("ade20k-150"), "semantic", "ade20k-150")
    pooling, adapter = (Architecture("fcclip-large", pooler) for pooler in ("pooling", "adapter"))
    assert subject.published(pooling, whole, "out") == {"mIoU": 26.5, "mIoU seen": 34.6, "mIoU unseen": 18.6}
    assert subject.published(adapter, whole, "out") == {"mIoU": 35.4, "mIoU seen": 46.2, "mIoU unseen": 24.8}
    assert subject.published(adapter, whole, "in") == {}
    assert subject.published(Architecture("maftplus-large", "adapter"), whole, "out") == {}
    voc = InMemory([None] * 1449, Vocabulary.builtin("pascal-voc-20"), "semantic", "pascal-voc-20")
    assert subject.published(adapter, voc) == {"mIoU": 95.5}
    assert subject.published(adapter, voc, "out") == {}


def test_the_branch_decides_which_of_the_papers_figures_is_told(monkeypatch):
    asked = []
    monkeypatch.setattr(subject, "published", lambda variant, dataset, branch: asked.append(branch) or {"mIoU": 1.0})
    dataset = InMemory([], Vocabulary.of("cat, dog"), "semantic")
    assert subject.model(ModelSource("tiny"), dataset, branch="out").paper == {"mIoU": 1.0}
    assert subject.model(ModelSource("tiny"), dataset, alpha=0.5).paper == {}
    assert asked == ["out"]


def with_transfer(monkeypatch, norm):
    """The embedded model with the parts of MAFT+ and Mask-Adapter that a switch is about."""
    loaded = subject._loaded

    def other(*arguments):
        segmenter, variant, settings = loaded(*arguments)
        segmenter.text_transfer = ContentDependentTransfer(segmenter.clip.embed_dim, norm=norm)
        segmenter.pooler = AdapterPooler(MaskAdapter(segmenter.clip.embed_dim, AdapterConfig(mask_threshold=0.4)))
        made.append(segmenter)
        return segmenter, variant, settings

    made = []
    monkeypatch.setattr(subject, "_loaded", other)
    return made


def test_where_the_text_transfer_has_its_norm(monkeypatch):
    made = with_transfer(monkeypatch, "update")
    monkeypatch.setattr(subject, "published", lambda *_: {"mIoU": 1.0})
    dataset = InMemory([], Vocabulary.of("cat, dog"), "semantic")
    for given, used, paper in ((None, "update", True), ("update", "update", True), ("sum", "sum", False)):
        judged = subject.model(ModelSource("tiny"), dataset, transfer_norm=given)
        assert made[-1].text_transfer.norm_placement == judged.settings["norm of the text transfer"] == used
        assert judged.settings["mask threshold"] == 0.4
        assert bool(judged.paper) == paper


def test_a_model_without_text_transfer(root, tmp_path, capsys):
    assert run("tiny", root / "own.yaml", "-o", tmp_path / "out", "--transfer-norm", "sum") == 2
    assert "tiny has no text transfer, which MAFT+ has: leave transfer-norm out" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_predictions_of_another_program(root, tmp_path, capsys):
    predictions = root / "labels" / "val"  # the ground truth itself
    assert not run(predictions, root / "own.yaml", "-o", tmp_path / "out")
    assert "| mIoU | 100.00 |" in capsys.readouterr().out
    assert run(predictions, root / "own.yaml", "-o", tmp_path / "out", "--split", "synonyms") == 2
    assert "needs the list that the model was trained on" in capsys.readouterr().err


def test_labels_that_were_corrected(root, tmp_path, capsys):
    own = tmp_path / "own"
    shutil.copytree(root, own)
    words = (own / "labels" / "val", own / "own.yaml", "-o", tmp_path / "out")
    assert not run(*words)
    assert not run(*words)
    Image.fromarray(np.full((96, 192), 2, np.uint8)).save(own / "labels" / "val" / "b.png")
    capsys.readouterr()
    said = root / "labels" / "val"  # the predictions' folder is the same, by names and sizes
    assert run(said, *words[1:]) == 2
    told = capsys.readouterr().err
    assert "labels was" in told
    assert "names and sizes" not in told


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
    words = ["evaluate", "tiny", str(root / "own.yaml"), "--output"]
    command = [sys.executable, *launcher, "-m", "maskadapter", *words, str(tmp_path / "two")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("| mIoU | ") == 1  # one of them tells
    assert not run(*words[1:], tmp_path / "one")
    assert len(list((tmp_path / "two").glob("records-*.jsonl"))) == 2
    for name in ("report.json", "report.md"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


@pytest.mark.skipif(COCO is None, reason="MASKADAPTER_COCO does not name a folder of COCO 2017")
@pytest.mark.parametrize("subset", ["val", "train"])
def test_the_truth_of_coco_scores_100(tmp_path, subset):
    dataset = open_dataset("coco-panoptic", COCO, subset)

    class Truth(subject.Predictions):
        metrics = ("semantic", "panoptic", "instance")

        def source(self, name):
            return name

        def of(self, sample):
            return said_of(sample.target, dataset.vocabulary)

    report = evaluate(Truth(), dataset, tmp_path)
    assert report.numbers == pytest.approx(dict.fromkeys(report.numbers, 100))
    assert report.facts["segments missed"] == 0
    assert report.facts["segments matched"] > 500
