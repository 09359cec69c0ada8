"""``evaluate``: many images, several processes, interruptions and going on."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluated import VOCABULARY, FixedResult, InMemory, noisy, perfect_result, samples, table_rows
from small_results import classification

from maskadapter.data.dataset import Sample
from maskadapter.errors import MaskAdapterError, MaskError
from maskadapter.evaluation.evaluator import evaluate
from maskadapter.evaluation.partition import Partition
from maskadapter.types.target import Target
from maskadapter.vocabulary.vocabulary import Vocabulary

NOISY = {"model": "noisy"}
PARTITION = Partition("by hand", (True, False, True, False))
TESTS = Path(__file__).parents[1] / "support"


def classified(*labels):
    """A classification of masks with these labels."""
    return classification(VOCABULARY, np.eye(4)[list(labels)])


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("report.*"))}


def perfect(dataset):
    return lambda image: perfect_result(dataset[int(image[0, 0, 0])].target, dataset.vocabulary)


def test_a_perfect_prediction_scores_100_everywhere(tmp_path):
    dataset = InMemory(samples(6))
    report = evaluate(perfect(dataset), dataset, tmp_path, partition=PARTITION)
    scores = {name: value for name, value in report.numbers.items() if name not in ("APs", "APm", "APl")}
    assert len(scores) == 23
    assert scores == pytest.approx(dict.fromkeys(scores, 100))


def test_a_perfect_prediction_with_crowds_scores_100(tmp_path):
    dataset = InMemory(samples(6, crowd=True))
    report = evaluate(perfect(dataset), dataset, tmp_path)
    assert [report.numbers[name] for name in ("mIoU", "PQ", "AP")] == pytest.approx([100] * 3)


def test_the_report_says_what_the_numbers_depend_on(tmp_path):
    dataset = InMemory(samples(6))
    report = evaluate(
        noisy(dataset), dataset, tmp_path, partition=PARTITION, settings={"model": "none"}, reference={"mIoU": 36.6}
    )
    assert 10 < report.numbers["mIoU"] < 90
    assert 10 < report.numbers["PQ"] < 90
    content = json.loads((tmp_path / "report.json").read_text())
    facts = content["facts"]
    assert facts["data set"] == "small"
    assert (facts["images"], facts["of"], facts["classes"], facts["of them things"]) == (6, 6, 4, 2)
    assert facts["convention"] == "detectron2-main: mIoU is the mean over the classes in the ground truth"
    assert facts["partition"] == "by hand: 2 seen, 2 unseen"
    assert facts["model"] == "none"
    assert facts["smallest and largest image"] == ["32 x 24", "32 x 24"]
    assert {"pillow", "torch", "python"} <= facts["libraries"].keys()
    assert facts["labeled pixels"] == sum((s.target.segment_ids >= 0).sum() for s in dataset.samples)
    assert content["difference to the reference"] == {"mIoU": pytest.approx(report.numbers["mIoU"] - 36.6)}
    assert [row["seen"] for row in content["per class"]] == [True, False, True, False]
    seen = [row["IoU"] for row in content["per class"] if row["seen"]]
    assert report.numbers["mIoU seen"] == pytest.approx(np.mean(seen))
    rows = table_rows((tmp_path / "report.md").read_text())
    miou = report.numbers["mIoU"]
    assert rows["mIoU"] == [f"{miou:.2f}", "36.6", f"{miou - 36.6:+.2f}"]
    assert rows["convention"][0].startswith("detectron2-main: ")


def test_reference_figures_are_for_the_whole_data_set_and_its_metrics(tmp_path):
    dataset = InMemory(samples(4))
    reference = {"mIoU": 36.6}
    given = {**reference, "mIoU seen": 40.0}  # without a partition there is no such metric
    assert evaluate(perfect(dataset), dataset, tmp_path / "all", reference=given).reference == reference
    assert evaluate(perfect(dataset), dataset, tmp_path / "part", reference=given, limit=3).reference == {}


def test_the_report_names_the_convention(tmp_path):
    dataset = InMemory(samples(4))
    report = evaluate(perfect(dataset), dataset, tmp_path, convention="detectron2-0.6")
    assert report.facts["convention"] == (
        "detectron2-0.6: mIoU is the mean over the classes in the ground truth or in the predictions"
    )


def test_a_model_is_asked_once_for_every_image(tmp_path):
    dataset, asked = InMemory(samples(5)), []

    def counting(image):
        asked.append(int(image[0, 0, 0]))
        return noisy(dataset)(image)

    first = evaluate(counting, dataset, tmp_path, limit=2, settings=NOISY)
    assert first.facts["images"] == 2
    evaluate(counting, dataset, tmp_path, settings=NOISY)
    assert asked == [0, 1, 2, 3, 4]
    # What was asked in two parts, and what the other questions are, changes nothing.
    evaluate(noisy(dataset), dataset, tmp_path / "at once", settings=NOISY)
    assert files(tmp_path) == files(tmp_path / "at once")
    evaluate(counting, dataset, tmp_path, partition=PARTITION, convention="detectron2-0.6", settings=NOISY)
    assert len(asked) == 5


def test_stopped_by_hand(tmp_path):
    dataset = InMemory(samples(5))

    def tired(image):
        if image[0, 0, 0] == 3:
            raise KeyboardInterrupt
        return noisy(dataset)(image)

    with pytest.raises(KeyboardInterrupt, match="3 of 5 images are done, the same command goes on"):
        evaluate(tired, dataset, tmp_path, settings=NOISY)
    assert not files(tmp_path)
    evaluate(noisy(dataset), dataset, tmp_path, settings=NOISY)
    evaluate(noisy(dataset), dataset, tmp_path / "at once", settings=NOISY)
    assert files(tmp_path) == files(tmp_path / "at once")


def test_a_record_that_was_cut_off_is_made_again(tmp_path):
    dataset, asked = InMemory(samples(5)), []
    evaluate(noisy(dataset), dataset, tmp_path, settings=NOISY)
    whole, path = files(tmp_path), tmp_path / "records-0.jsonl"
    content = path.read_bytes()
    path.write_bytes(content[:-30])

    def counting(image):
        asked.append(int(image[0, 0, 0]))
        return noisy(dataset)(image)

    evaluate(counting, dataset, tmp_path, settings=NOISY)
    assert asked == [4]
    assert path.read_bytes() == content
    assert files(tmp_path) == whole


def test_a_damaged_record_is_an_error(tmp_path):
    dataset = InMemory(samples(3))
    evaluate(noisy(dataset), dataset, tmp_path, settings=NOISY)
    path = tmp_path / "records-0.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"{broken\n" + lines[2])
    with pytest.raises(MaskAdapterError, match=rf"records-0.jsonl is damaged at byte {len(lines[0]):,}: delete it"):
        evaluate(noisy(dataset), dataset, tmp_path, settings=NOISY)


def test_other_settings_are_refused(tmp_path):
    dataset = InMemory(samples(3))
    evaluate(noisy(dataset), dataset, tmp_path, settings={"model": "one", "beta": 0.9})
    before = files(tmp_path)
    with pytest.raises(MaskAdapterError) as refused:
        evaluate(noisy(dataset), dataset, tmp_path, settings={"model": "one", "beta": 1.0})
    assert str(refused.value) == (
        f"{tmp_path} was made with other settings (beta was 0.9 and is 1.0): repeat them to go on, or "
        "choose another folder"
    )
    synonyms = replace_vocabulary(dataset, Vocabulary((("cat",), *VOCABULARY.classes[1:]), VOCABULARY.is_thing))
    for other in (replace(dataset, name="other"), replace(dataset, samples=dataset.samples[:2]), synonyms):
        with pytest.raises(MaskAdapterError, match="other settings"):
            evaluate(noisy(dataset), other, tmp_path, settings={"model": "one", "beta": 0.9})
    with pytest.raises(MaskAdapterError, match="metrics was"):
        evaluate(noisy(dataset), dataset, tmp_path, metrics=["semantic"], settings={"model": "one", "beta": 0.9})
    assert files(tmp_path) == before
    (tmp_path / "settings.json").unlink()
    with pytest.raises(MaskAdapterError, match=r"has records and no settings\.json"):
        evaluate(noisy(dataset), dataset, tmp_path, settings=NOISY)


@pytest.mark.parametrize("limit", [None, 2])
def test_without_settings_no_run_is_continued(tmp_path, limit):
    """Nothing says whose predictions the records hold: a better predictor must not get the numbers of another."""
    dataset = InMemory(samples(3))
    evaluate(noisy(dataset), dataset, tmp_path, limit=limit)
    before = files(tmp_path)
    for settings in (None, {}):
        with pytest.raises(
            MaskAdapterError, match=r"holds an evaluation, .*: choose another folder, or pass what the pred"
        ):
            evaluate(perfect(dataset), dataset, tmp_path, settings=settings)
    assert files(tmp_path) == before


def test_without_settings_an_interrupted_run_is_not_continued(tmp_path):
    dataset = InMemory(samples(3))

    def tired(image):
        if image[0, 0, 0] == 1:
            raise KeyboardInterrupt
        return noisy(dataset)(image)

    with pytest.raises(KeyboardInterrupt, match=r"1 of 3 images are done$"):
        evaluate(tired, dataset, tmp_path)
    with pytest.raises(MaskAdapterError, match="holds an evaluation"):
        evaluate(perfect(dataset), dataset, tmp_path)


def test_a_process_that_has_ended_is_an_error(tmp_path):
    dataset = InMemory(samples(5))
    line = r"2 of 5 images are missing in .*, and no other process has done one for 0\.005 minutes"
    with pytest.raises(MaskAdapterError, match=line):
        evaluate(noisy(dataset), dataset, tmp_path, share=(0, 2), patience=0.3)
    assert not files(tmp_path)


def replace_vocabulary(dataset, vocabulary):
    return replace(dataset, vocabulary=vocabulary)


PROCESS = """
import sys, time
sys.path.insert(0, {tests!r})
from evaluated import InMemory, noisy, samples
from maskadapter.evaluation.evaluator import evaluate
dataset = InMemory(samples(9))
predict = noisy(dataset)
def slow(image):
    time.sleep({pause})
    return predict(image)
report = evaluate(slow, dataset, sys.argv[1], settings={settings})
print(dict(report.numbers))
"""


def started(folder, rank=0, world=1, pause=0.02, settings=None):
    environment = {**os.environ, "RANK": str(rank), "WORLD_SIZE": str(world)}
    code = PROCESS.format(tests=str(TESTS), pause=pause, settings=settings)
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], env=environment, stdout=subprocess.PIPE, text=True
    )


def with_another_process(monkeypatch, folder, settings=None):
    """Evaluate as the second of two processes; the numbers of both are equal."""
    first = started(folder, 0, 2, settings=settings)
    dataset = InMemory(samples(9))
    with monkeypatch.context() as patch:
        patch.setenv("RANK", "1")
        patch.setenv("WORLD_SIZE", "2")
        report = evaluate(noisy(dataset), dataset, folder, settings=settings, patience=120)
    printed, _ = first.communicate(timeout=120)
    assert (first.returncode, printed) == (0, f"{dict(report.numbers)}\n")


def test_two_processes_give_the_same_numbers(tmp_path, monkeypatch):
    dataset = InMemory(samples(9))
    evaluate(noisy(dataset), dataset, tmp_path / "one")
    with_another_process(monkeypatch, tmp_path / "two")
    lines = {
        path.name: [json.loads(line)["index"] for line in path.read_text().splitlines()]
        for path in (tmp_path / "two").glob("records-*.jsonl")
    }
    assert lines == {"records-0.jsonl": [0, 2, 4, 6, 8], "records-1.jsonl": [1, 3, 5, 7]}
    assert files(tmp_path / "two") == files(tmp_path / "one")


def test_a_killed_run_is_continued(tmp_path, monkeypatch):
    process = started(tmp_path, pause=0.5, settings=NOISY)
    path = tmp_path / "records-0.jsonl"
    while not path.exists() or path.read_bytes().count(b"\n") < 3:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = path.read_bytes()
    assert before.count(b"\n") < 9
    # With two processes, although it was begun with one.
    with_another_process(monkeypatch, tmp_path, NOISY)
    assert path.read_bytes().startswith(before)
    dataset = InMemory(samples(9))
    evaluate(noisy(dataset), dataset, tmp_path / "one", settings=NOISY)
    assert files(tmp_path) == files(tmp_path / "one")


def test_one_of_many_that_evaluates_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    dataset = InMemory(samples(3))
    evaluate(noisy(dataset), dataset, tmp_path, share=(0, 1))
    assert files(tmp_path)


def test_metrics_follow_the_labels(tmp_path):
    panoptic, semantic = InMemory(samples(2)), InMemory(samples(2), task="semantic")
    assert "PQ" not in evaluate(perfect(semantic), semantic, tmp_path / "a").numbers
    report = evaluate(perfect(panoptic), panoptic, tmp_path / "b", metrics=["panoptic", "semantic"])
    assert next(iter(report.numbers)) == "mIoU"
    assert "AP" not in report.numbers
    with pytest.raises(MaskAdapterError, match="metric 'panoptic' is not possible for small here: choose from sem"):
        evaluate(perfect(semantic), semantic, tmp_path / "c", metrics=["panoptic"])
    assert not (tmp_path / "c").exists()


def test_instances_that_overlap(tmp_path):
    masks = np.zeros((2, 8, 8), bool)
    masks[0, :6], masks[1, 3:] = True, True
    dataset = InMemory(
        [Sample(np.zeros((8, 8, 3), np.uint8), Target.of_masks(masks, [0, 1]), "a.png")], task="instance"
    )
    assert evaluate(perfect(dataset), dataset, tmp_path / "a").numbers["AP"] == pytest.approx(100)
    report = evaluate(lambda image, masks: classified(0, 1, 0, 1), dataset, tmp_path / "b", metrics=["masks"])
    assert report.numbers == {"accuracy of segments": 100, "accuracy of class masks": 100}


def test_the_report_says_that_ap_on_lvis_is_cocos(tmp_path):
    for name, note in (("lvis-v1", "COCO's, not LVIS's federated one"), ("small", None)):
        dataset = InMemory(samples(1), task="instance", name=name)
        facts = evaluate(perfect(dataset), dataset, tmp_path / name).facts
        assert facts.get("AP", "").startswith(note) if note else "AP" not in facts


def test_classified_ground_truth_masks_by_hand(tmp_path):
    # Cats: segments 0 (6 pixels) and 1 (4), a crowd of cats 2 (5); sky 3 (5); a segment without pixels 4.
    ids = np.repeat([0, 1, 2, 3, -1], [6, 4, 5, 5, 2]).reshape(2, 11).astype(np.int32)
    target = Target(np.array([0, 0, 0, 2, 1]), np.array([False, False, True, False, False]), ids)
    dataset = InMemory([Sample(np.zeros((2, 11, 3), np.uint8), target, "a.png")])
    asked = []

    def classify(image, masks):
        asked.append(masks)
        # Segments 0, 1 and 3, then all cats and all sky: one cat is classified as a dog, the cats together as cats, the
        # sky as grass.
        return classified(0, 1, 3, 0, 3)

    report = evaluate(classify, dataset, tmp_path, metrics=["masks"], partition=PARTITION)
    [masks] = asked
    assert masks.sum(axis=(1, 2)).tolist() == [6, 4, 5, 15, 5]
    numbers = report.numbers
    assert numbers["accuracy of segments"] == pytest.approx(100 / 3)
    assert numbers["accuracy of class masks"] == 50
    assert numbers["mIoU"] == 50  # cats 15 of 15, sky 0 of 5; grass is predicted and not in the ground truth
    assert numbers["mIoU by detectron2-0.6"] == pytest.approx(100 / 3)
    assert numbers["pACC"] == 75
    assert numbers["accuracy of segments seen"] == pytest.approx(100 / 3)  # seen: cat and sky
    assert np.isnan(numbers["accuracy of segments unseen"])
    assert (report.facts["segments"], report.facts["class masks"]) == (3, 2)


def unlabeled(name):
    return Sample(np.full((24, 32, 3), 1, np.uint8), Target.of_labels(np.full((24, 32), -1)), name)


def test_one_image_without_masks_is_fine(tmp_path):
    dataset = InMemory([unlabeled("a.png"), *samples(2)[1:]])
    report = evaluate(lambda image, masks: classified(*[0] * len(masks)), dataset, tmp_path, metrics=["masks"])
    assert report.facts["segments"] == len(dataset[1].target.masks()[dataset[1].target.masks().any(axis=(1, 2))])
    assert evaluate(perfect(dataset), dataset, tmp_path / "all").numbers["mIoU"] == 100


@pytest.mark.parametrize(
    ("targets", "limit"),
    [
        ([Target.of_labels(np.full((4, 4), -1))] * 2, None),
        ([Target(np.array([1]), np.array([True]), np.zeros((4, 4), np.int32))], None),  # a crowd
        ([Target.of_masks(np.zeros((2, 4, 4), bool), [0, 1])], None),
        ([Target.of_masks(np.zeros((0, 4, 4), bool), []), Target.of_labels(np.zeros((4, 4)))], 1),
    ],
)
@pytest.mark.parametrize("task", ["semantic", "instance", "panoptic"])
def test_images_without_any_ground_truth_are_refused_before_work(tmp_path, targets, limit, task):
    images = [Sample(np.zeros((4, 4, 3), np.uint8), target, f"{n}.png") for n, target in enumerate(targets)]
    dataset = InMemory(images, task=task)
    with pytest.raises(MaskAdapterError, match=r"small has no ground truth in its [12] images"):
        evaluate(lambda image: 1 / 0, dataset, tmp_path / "a", limit=limit)
    assert not (tmp_path / "a").exists()


def test_things_without_ground_truth_are_nothing_to_score(tmp_path):
    masks = np.ones((1, 8, 8), bool)
    dataset = InMemory([Sample(np.zeros((8, 8, 3), np.uint8), Target.of_masks(masks, [2]), "a.png")], task="instance")
    with pytest.raises(MaskAdapterError, match="small has nothing to score: AP is of things"):
        evaluate(perfect(dataset), dataset, tmp_path)
    assert not files(tmp_path)


def sections(text):
    """The tables of a Markdown text by their heading."""
    return {part.split("\n")[0]: table_rows(part) for part in text.split("\n## ")}


def test_the_report_has_a_table_of_classes_and_the_confusions(tmp_path):
    truth, found = np.zeros((1, 20), np.int64), np.zeros((1, 20), np.int64)
    truth[0, 10:], truth[0, 18:] = 1, 2
    found[0, 6:10], found[0, 10:13], found[0, 18:] = 1, -1, 3  # 4 of 10 cats dogs, 3 of 8 dogs nothing, all sky grass
    dataset = InMemory([Sample(np.zeros((1, 20, 3), np.uint8), Target.of_labels(truth), "a.png")], task="semantic")
    found[0, 13:18] = 1
    report = evaluate(lambda image: FixedResult(found), dataset, tmp_path, partition=PARTITION)
    tables = sections((tmp_path / "report.md").read_text())
    assert tables["Classes"]["class"] == ["seen", "IoU", "pixel accuracy", "precision", "pixels"]
    assert tables["Classes"]["cat"] == ["yes", "60.0", "60.0", "100.0", "10"]
    assert tables["Classes"]["dog"] == ["no", "41.7", "62.5", "55.6", "8"]
    assert tables["Classes"]["grass"] == ["no", "-", "-", "0.0", "0"]
    confused = tables["Most frequent confusions, pixels"]
    assert list(confused)[2:] == ["cat", "dog", "sky"]
    assert [confused[name] for name in ("cat", "dog", "sky")] == [
        ["dog", "4", "40.0"],
        ["no class", "3", "37.5"],
        ["grass", "2", "100.0"],
    ]
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["per class"][1]["pixels"] == 8
    assert content["confusions"]["pixels"][0] == {
        "ground truth": "cat",
        "predicted": "dog",
        "pixels": 4,
        "percent of the class": 40,
    }
    assert report.markdown().split("\n\n")[0].startswith("| metric ")


def test_confusions_of_classified_masks_count_segments(tmp_path):
    dataset = InMemory(samples(3))
    evaluate(lambda image, masks: classified(*[3] * len(masks)), dataset, tmp_path, metrics=["masks"])
    tables = sections((tmp_path / "report.md").read_text())
    shown = tables["Most frequent confusions, segments"]
    kept = np.concatenate([one.target.classes[one.target.masks().any(axis=(1, 2))] for one in dataset.samples])
    counts = np.bincount(kept, minlength=4)
    assert {name: int(shown[name][1]) for name in list(shown)[2:]} == {
        name: counts[label] for label, name in enumerate(VOCABULARY.names[:3]) if counts[label]
    }
    assert tables["Classes"]["class"][:2] == ["accuracy of segments", "segments"]
    assert [int(tables["Classes"][name][1]) for name in VOCABULARY.names] == counts.tolist()


def test_reports_of_large_vocabularies_stay_readable(tmp_path):
    vocabulary = Vocabulary(tuple((f"class {n}",) for n in range(300)), (False,) * 300)
    labels = np.arange(260).repeat(4).reshape(20, 52)
    found = labels.copy()
    found.reshape(-1, 4)[100:, 0] = 299
    dataset = InMemory(
        [Sample(np.zeros((20, 52, 3), np.uint8), Target.of_labels(labels), "a.png")], vocabulary, "semantic"
    )
    evaluate(lambda image: FixedResult(found), dataset, tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "The 100 worst and the 100 best: 260 of 300 classes occur" in text
    rows = sections(text)["Classes"]
    assert len(rows) == 202
    assert list(rows)[2] == "class 100"
    assert [rows["class 100"][0], rows["class 99"][0]] == ["75.0", "100.0"]
    assert len(json.loads((tmp_path / "report.json").read_text())["per class"]) == 300


def test_classes_without_a_figure_are_no_rows_of_the_report(tmp_path):
    vocabulary = Vocabulary.of([f"class {index}" for index in range(60)])
    labels, found = np.full((4, 6), 7), np.full((4, 6), 7)
    labels[:, 3:], found[:, 4:] = 9, 20
    dataset = InMemory(
        [Sample(np.zeros((4, 6, 3), np.uint8), Target.of_labels(labels), "a.png")], vocabulary, "semantic"
    )
    evaluate(lambda image: FixedResult(found), dataset, tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "3 of 60 classes occur or were predicted" in text
    assert list(sections(text)["Classes"])[2:] == ["class 7", "class 9", "class 20"]
    assert len(json.loads((tmp_path / "report.json").read_text())["per class"]) == 60


def test_errors_start_with_the_images_name(tmp_path):
    dataset = InMemory(samples(2))

    class Narrow(FixedResult):
        class_names = ("cat", "dog")

    target = dataset[0].target
    for wrong, line in (
        (
            FixedResult(labels=np.zeros((5, 5), int)),
            r"000\.png: the prediction has \(5, 5\) pixels and the labels \(24, 32\)",
        ),
        (FixedResult(labels=np.full(target.size, 4)), r"000\.png: the prediction has class 4; small has 4 classes"),
        (Narrow(), r"000\.png: the predictions are of 2 classes \(cat, \.\.\.\), which are not those of small"),
    ):
        with pytest.raises(MaskError, match=line):
            evaluate(lambda image, wrong=wrong: wrong, dataset, tmp_path)
    outside = InMemory([replace(dataset[0], target=Target.of_labels(np.full((4, 4), 7)))], task="semantic")
    with pytest.raises(MaskError, match="the ground truth has class 7; small has 4"):
        evaluate(perfect(outside), outside, tmp_path / "b")
    with pytest.raises(MaskError, match="masks were given and 1 classes came back"):
        evaluate(lambda image, masks: classified(0), dataset, tmp_path / "c", metrics=["masks"])
    with pytest.raises(MaskAdapterError, match="no images to evaluate: limit is 0"):
        evaluate(perfect(dataset), dataset, tmp_path / "d", limit=0)


@pytest.mark.slow
def test_memory_stays_bounded_with_many_classes_and_images(tmp_path):
    # 847 classes on 2,000 images: a dense table for each image would be 11 GB.
    import tracemalloc

    vocabulary = Vocabulary(tuple((f"class {n}",) for n in range(847)), (True,) * 847)

    class Endless(InMemory):
        def __len__(self):
            return 2000

        def __getitem__(self, index):
            rng = np.random.default_rng(index)
            target = Target.of_labels(rng.integers(0, 847, 60).repeat(5).reshape(15, 20))
            return Sample(np.full((15, 20, 3), index % 256, np.uint8), target, f"{index}.png")

    dataset = Endless([], vocabulary, "semantic")
    labels = np.random.default_rng(0).integers(0, 847, (15, 20))
    tracemalloc.start()
    try:
        evaluate(lambda image: FixedResult(labels), dataset, tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20e6
