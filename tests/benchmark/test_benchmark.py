"""Test ``maskadapter benchmark`` with real measurements of a small model."""

import json
import time

import numpy as np
import pytest
import torch
from PIL import Image

import maskadapter as ma
from maskadapter.benchmark.clock import Clock, Counter, memory_taken, peak_memory
from maskadapter.benchmark.reference import ReferencePooler
from maskadapter.benchmark.request import photo_readers
from maskadapter.benchmark.segments import draw_segments
from maskadapter.cli import main
from maskadapter.errors import MaskAdapterError
from maskadapter.io.coco_format import panoptic_image
from maskadapter.models.precision import has_units
from maskadapter.types.encoded_image import ImageSizes


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "photos").mkdir()
    image = np.zeros((90, 120, 3), np.uint8)
    image[20:70, 30:90] = (200, 40, 40)
    Image.fromarray(image).save(tmp_path / "photos" / "box.png")
    return tmp_path


def run(*arguments):
    with pytest.raises(SystemExit) as stop:
        main(["benchmark", *map(str, arguments)])
    return stop.value.code or 0


def test_a_report_has_what_is_promised(folder, capsys):
    arguments = ("--size", 256, "--images", folder / "photos", "--proposals", 12, "--classes", "box, ground, sky")
    assert not run("tiny", *arguments, "--output", folder / "report.json")
    report = json.loads((folder / "report.json").read_text())
    for key in ("adapter_speedup_exact", "adapter_speedup_pruned", "segment_speedup_pruned"):
        assert report[key] > 0
    assert 0 <= report["agreement_pruned"] <= 1
    assert report["peak_memory_gb_exact"] >= 0
    assert report["peak_memory_gb_pruned"] >= 0
    seconds = report["seconds"]
    for computation in ("reference", "exact", "pruned"):
        parts = [seconds[part][computation] for part in seconds if part != "all"]
        assert min(parts) > 0
        assert sum(parts) == pytest.approx(seconds["all"][computation])
    assert report["adapter_speedup_exact"] == pytest.approx(
        seconds["adapter"]["reference"] / seconds["adapter"]["exact"]
    )
    counted = report["multiplications"]
    for part in ("image encoder", "mask generator"):
        assert len(set(counted[part].values())) == 1
    reference, exact, pruned = (counted["adapter"][way] for way in ("reference", "exact", "pruned"))
    assert reference > exact > 0 < pruned
    assert reference % report["images"][0]["proposals"] == 0
    (image,) = report["images"]
    assert image["largest difference of logits, exact"] < 1e-4
    assert 0 <= image["proposals computed, pruned"] <= image["proposals"] <= 12
    assert report["classes"] == 3
    printed = capsys.readouterr().out
    assert (folder / "report.md").read_text() in printed
    assert "| image encoder " in printed


def test_further_images_are_compared_and_not_timed(folder, monkeypatch, capsys):
    monkeypatch.setattr("maskadapter.benchmark.run.TIMED", 1)
    image = Image.open(folder / "photos" / "box.png")
    image.rotate(90, expand=True).save(folder / "photos" / "another.png")
    path = ma.save(ma.load("tiny", pooler="adapter"), folder / "own.safetensors", "tiny")
    precision = "bf16" if has_units("bf16", "cpu") else "fp32"
    arguments = ("--size", 64, "--images", folder / "photos", "--classes", "box, ground, sky", "--precision", precision)
    assert not run(path, *arguments, "--output", folder / "report.json")
    report = json.loads((folder / "report.json").read_text())
    assert report["precision"] == precision
    assert [row.get("timed", False) for row in report["images"]] == [True, False]
    assert report["agreement_pruned"] == pytest.approx(sum(row["agreement, pruned"] for row in report["images"]) / 2)
    assert report["proposals"] == "its own"


@pytest.fixture
def coco(tmp_path):
    """Two images of 40 x 60 with three boxes each; one box is in both."""
    boxes = [[(0, 0, 20, 20), (20, 0, 40, 30), (0, 30, 40, 60)], [(0, 0, 20, 20), (4, 24, 34, 54), (30, 0, 31, 1)]]
    images, annotations = [], []
    (tmp_path / "annotations").mkdir()
    for kind in ("val2017", "panoptic_val2017"):
        (tmp_path / kind).mkdir()
    for number, parts in enumerate(boxes, start=1):
        ids = np.zeros((40, 60), np.int32)
        for index, (top, left, bottom, right) in enumerate(parts, start=1):
            ids[top:bottom, left:right] = index
        Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / "val2017" / f"{number:012}.jpg")
        Image.fromarray(np.asarray(panoptic_image(ids))).save(tmp_path / "panoptic_val2017" / f"{number:012}.png")
        images.append({"id": number, "file_name": f"{number:012}.jpg", "height": 40, "width": 60})
        segments = [
            {"id": index, "category_id": 1, "iscrowd": 0, "area": 1, "bbox": [0, 0, 1, 1]} for index in (1, 2, 3)
        ]
        annotations.append({"image_id": number, "file_name": f"{number:012}.png", "segments_info": segments})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person", "isthing": 1}]}
    (tmp_path / "annotations" / "panoptic_val2017.json").write_text(json.dumps(content))
    return tmp_path


def test_segments_are_drawn_without_repetition(coco):
    sizes = ImageSizes((96, 128), (80, 120), (40, 60))
    drawn = draw_segments(coco, 4, sizes)  # of six, one is there twice and one is smaller than a pixel at stride 4
    assert drawn.shape == (4, 24, 32)
    assert len(drawn.unique(dim=0)) == 4
    assert drawn.flatten(1).any(dim=1).all()
    assert not drawn[:, 20:].any()
    assert not drawn[:, :, 30:].any()
    assert sorted(drawn.flatten(1).sum(dim=1).tolist()) == sorted([100, 150, 300, 225])
    assert torch.equal(drawn, draw_segments(coco, 4, sizes))
    with pytest.raises(MaskAdapterError, match="holds 4 segments and 5 are needed"):
        draw_segments(coco, 5, sizes)


def test_the_adapter_is_timed_on_segments(folder, coco, capsys):
    arguments = ("--size", 64, "--images", folder / "photos", "--proposals", 3, "--classes", "box, sky")
    assert not run("tiny", *arguments, "--segments", coco, "--output", folder / "report.json")
    report = json.loads((folder / "report.json").read_text())
    assert report["segments"]["number"] == 3
    assert report["segments"]["largest difference, exact"] < 1e-4
    assert report["adapter_speedup_exact"] == report["segments"]["speedup_exact"]


def test_the_second_class_list_costs_little_on_an_encoded_image(folder):
    arguments = (
        "--size",
        64,
        "--images",
        folder / "photos",
        "--proposals",
        12,
        "--classes",
        "box, sky",
        "--second-classes",
        "box, ground",
    )
    assert not run("tiny", *arguments, "--output", folder / "report.json")
    report = json.loads((folder / "report.json").read_text())
    seconds = report["second class list"]
    assert 0 < seconds["second list, from the encoded image"] < seconds["first list, from the image"]
    assert "| second list over first " in (folder / "report.md").read_text()


def test_the_reference_and_the_model_compute_the_same_embeddings():
    """The exact computation is the paper's formula but for rounding."""
    model = ma.load("tiny", pooler="adapter")
    image = photo_readers()["coffee"]()
    batch, _ = model.prepare(image)
    height, width = batch.pixels.shape[-2:]
    masks = torch.zeros(1, 6, height // 4, width // 4)
    for number in range(6):
        masks[0, number, 10 * number : 10 * number + 30, 20:60] = 1
    with torch.inference_mode():
        features = model.clip.encode_image(batch.pixels)
        reference = ReferencePooler(model.pooler, chunk=4).embed(features, masks, model.clip.project)
        exact = model.pooler.embed(features, masks, model.clip.project)
    assert reference.shape == (1, 6, model.clip.embed_dim)
    torch.testing.assert_close(exact, reference, rtol=0, atol=1e-5 * float(reference.abs().max()))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tiny", "--size", 100), "size is 100; a multiple of 32"),
        (("nothing-like-it",), "nothing-like-it"),
        (("tiny", "--images", "no-such-folder"), "no-such-folder"),
        (("tiny", "--device", "nowhere"), "device 'nowhere' cannot be used here"),
        (("tiny", "--output", "report.md"), "a file that ends in .json is needed"),
    ],
)
def test_mistakes_are_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_five_photos_come_without_a_folder():
    found = photo_readers()
    assert len(found) == 5
    for read in found.values():
        image = read()
        assert image.ndim == 3
        assert image.dtype == np.uint8


def test_peak_memory_of_a_block_is_measured():
    with peak_memory(torch.device("cpu")) as most:
        taken = np.ones(40_000_000)  # 320 MB
        time.sleep(0.2)
        del taken
    assert 0.3 < most[0] < 0.4
    with peak_memory(torch.device("cpu"), memory_taken(torch.device("cpu")) - 10**9) as most:
        pass
    assert 0.9 < most[0] < 1.1


def test_a_clock_adds_up():
    clock = Clock(torch.device("cpu"))
    for _ in range(2):
        with clock.part("one"):
            np.ones(1000)
    assert list(clock.seconds) == ["one"]
    assert clock.seconds["one"] > 0


def test_multiplications_are_counted_part_by_part():
    counter = Counter()
    with torch.inference_mode():
        for _ in range(2):
            with counter.part("product"):
                torch.nn.Linear(8, 3)(torch.rand(5, 8))
        with counter.part("convolution"):
            torch.nn.Conv2d(4, 6, 3, padding=1, groups=2)(torch.rand(1, 4, 10, 10))
    assert counter.multiplications == {"product": 2 * 5 * 8 * 3, "convolution": 100 * 6 * 9 * 2}
    assert not counter.seconds
