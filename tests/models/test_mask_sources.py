"""Masks of SAM's family and of transformers' segmenters, through the whole."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from file_server import Answer, FileServer
from PIL import Image
from skimage import data
from small_networks import sam, universal
from test_segmenter import WORDS, small

import maskadapter as ma
from maskadapter.cli import main
from maskadapter.data.opening import open_dataset
from maskadapter.errors import MaskAdapterError
from maskadapter.evaluation.evaluator import evaluate
from maskadapter.io.coco_format import decode_segmentation
from maskadapter.models.preprocess import from_batch, to_batch
from maskadapter.models.sources.given_masks import as_proposals, rest_of
from maskadapter.models.sources.mask_source import generator_of
from maskadapter.models.sources.segment_anything import PointGrid, SegmentAnything, distinct
from maskadapter.models.sources.universal_segmenter import UniversalSegmenter
from maskadapter.pipelines import model_evaluation as subject
from maskadapter.types.image_sizes import ImageSizes

transformers = pytest.importorskip("transformers")

SAMS = ["sam", "sam2", "sam3"]
SEGMENTERS = ["mask2former", "eomt"]
BY_NAME = [*SAMS, "sam-hq", *SEGMENTERS]  # SAM-HQ's masks with random weights are all alike: nothing to compare
# Random weights are sure of nothing.
GRID = PointGrid(points=6, at_a_time=20, min_iou=-999, min_stability=0.01)


@pytest.fixture(scope="module")
def image():
    return np.array(Image.fromarray(data.coffee()).resize((72, 52)))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """One for every kind of network, as ``save_pretrained`` writes it."""
    root = tmp_path_factory.mktemp("networks")
    for kind in BY_NAME:
        for part in universal(kind) if kind in SEGMENTERS else sam(kind):
            part.save_pretrained(root / kind)
    return root


def everything(kind):
    return SegmentAnything(*sam(kind), GRID)


def brute_force(boxes, scores, limit):
    """Non-maximum suppression by its definition, pair by pair."""

    def overlap(one, other):
        sides = [min(one[i + 2], other[i + 2]) - max(one[i], other[i]) for i in (0, 1)]
        shared = max(sides[0], 0) * max(sides[1], 0)
        areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
        union = sum(areas) - shared
        return shared / union if union else 0.0

    kept = []
    for index in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(overlap(boxes[index], boxes[other]) <= limit for other in kept):
            kept.append(index)
    return kept


@pytest.mark.parametrize("limit", [0.0, 0.3, 0.7, 1.0])
def test_distinct_boxes_are_those_of_brute_force(limit):
    draw = np.random.default_rng(0)
    corners = draw.integers(0, 20, (60, 2))
    boxes = np.concatenate([corners, corners + draw.integers(0, 15, (60, 2))], axis=1)
    scores = draw.integers(0, 9, 60) / 9  # some of them equal
    got = distinct(torch.tensor(boxes), torch.tensor(scores), limit)
    assert got == brute_force(boxes.tolist(), scores.tolist(), limit)
    assert distinct(torch.zeros(0, 4), torch.zeros(0), limit) == []


@pytest.mark.parametrize("crop_layers", [0, 1])
@pytest.mark.parametrize("kind", SAMS)
def test_proposals_are_those_of_transformers_own_pipeline(kind, crop_layers, image, monkeypatch):
    network, processor = sam(kind)
    grid = PointGrid(points=4, at_a_time=7, crop_layers=crop_layers, min_iou=-999, min_stability=0.01)
    if not compiled_operators():  # beside a PyTorch that they were not built for
        monkeypatch.setattr(
            f"{type(processor).__module__}.batched_nms",
            lambda boxes, scores, idxs, iou_threshold: torch.tensor(
                brute_force(boxes.tolist(), scores.tolist(), iou_threshold)
            ),
        )
    pipeline = transformers.pipeline("mask-generation", model=network, image_processor=processor)
    theirs = pipeline(
        Image.fromarray(image),
        points_per_batch=7,
        points_per_crop=4,
        crops_n_layers=crop_layers,
        pred_iou_thresh=-999,
        stability_score_thresh=0.01,
    )
    runs, scores = SegmentAnything(network, processor, grid).masks(image)
    assert len(runs) == len(theirs["masks"]) >= 3
    torch.testing.assert_close(scores, theirs["scores"])
    for one, other in zip(runs, theirs["masks"], strict=True):
        np.testing.assert_array_equal(decode_segmentation(one, image.shape[:2]), np.asarray(other))


def compiled_operators():
    import torchvision

    try:
        torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    except Exception:
        return False
    return True


@pytest.mark.parametrize("kind", SAMS)
def test_masks_end_where_sam_drew_them(kind, image):
    generator = everything(kind)
    runs, _ = generator.masks(image)
    model = small(generator=False)
    model.generator = generator
    result = model.segment(image, WORDS, background=None)
    assert result.class_names == ("cat", "sofa", "wall")
    assert result.semantic().shape == image.shape[:2]
    at_full_size = generator(to_batch([image], 32), None, None)
    assert at_full_size.class_logits is None
    drawn = torch.nn.functional.interpolate(at_full_size.mask_logits, scale_factor=4, mode="bilinear")[0] > 0
    for got, one in zip(drawn.numpy(), runs, strict=False):  # behind them comes the rest
        expected = decode_segmentation(one, image.shape[:2])
        if expected.mean() > 0.05:
            assert (got[: expected.shape[0], : expected.shape[1]] != expected).mean() < 0.08


def test_what_no_mask_holds_becomes_masks_of_its_own():
    sizes = ImageSizes(padded=(64, 96), resized=(52, 80), original=(26, 40))  # cells: 13 x 20 of the image in 16 x 24
    logits = torch.full((2, 16, 24), -10.0)
    logits[0, :, 8:10] = logits[1, 5, :] = 10.0  # a bar and a line leave four pieces of the image
    logits[1, 5, 10:12] = -10.0  # a bridge: three
    rest = rest_of(logits, sizes)
    assert rest.shape == (3, 16, 24)
    held = (logits > 0).any(0)
    inside = rest > 0
    assert not (inside & held).any()
    assert (inside.sum(0) + held.int() <= 1).sum() == inside[0].numel()
    assert (inside.any(0) | held)[:13, :20].all()
    assert not inside[:, 13:].any()
    assert not inside[:, :, 20:].any()
    assert inside.sum((1, 2)).tolist() == [12 * 10 + 2, 7 * 8, 5 * 8]
    assert rest_of(torch.zeros(0, 16, 24), sizes).shape == (0, 16, 24)  # nothing was found
    assert rest_of(torch.full((1, 16, 24), 10.0), sizes).shape == (0, 16, 24)
    logits[0, :, 8:10] = -10.0
    crumb = torch.full((1, 400, 400), 10.0)
    crumb[0, 3, 3:15] = -10.0  # 12 of 160,000 cells
    assert len(rest_of(crumb, ImageSizes((1600, 1600), (1600, 1600), (1600, 1600)))) == 0


@pytest.mark.parametrize("kind", SAMS)
def test_the_rest_is_an_option(kind, image):
    network, processor = sam(kind)
    with_rest = SegmentAnything(network, processor, GRID)
    without = SegmentAnything(network, processor, GRID.model_copy(update={"rest": False}))
    batch = to_batch([image], 32)
    masks, plain = (one(batch, None, None).mask_logits[0] for one in (with_rest, without))
    assert len(plain) == len(without.masks(image)[0])
    torch.testing.assert_close(masks[: len(plain)], plain)
    if (plain > 0).any(0)[:13, :18].all():
        assert len(masks) == len(plain)
    else:
        assert len(masks) > len(plain)


def test_small_masks_and_those_that_nothing_is_left_of(image):
    network, processor = sam("sam")
    assert len(everything("sam").masks(image)[0]) >= 3
    large = SegmentAnything(
        network, processor, PointGrid(points=6, at_a_time=20, min_iou=-999, min_stability=0.01, min_area=0.5)
    )
    for one in large.masks(image)[0]:
        assert decode_segmentation(one, image.shape[:2]).mean() >= 0.5
    none = SegmentAnything(network, processor, PointGrid(points=6, at_a_time=20, min_iou=1e9))
    assert none.masks(image)[0] == []
    model = small()
    model.generator = none
    result = model.segment(image, WORDS)
    assert (result.semantic() == -1).all()
    assert len(result.panoptic().segments) == 0
    assert len(result.instances(top=5).masks) == 0


@pytest.mark.parametrize("kind", SEGMENTERS)
def test_a_segmenters_masks_get_our_names(kind, image):
    generator = UniversalSegmenter(*universal(kind))
    proposals = generator(to_batch([image, image[:40, :30]], 32), None, None)
    assert proposals.mask_logits.shape == (2, 7, 16, 24)
    assert proposals.class_logits is None
    assert ((proposals.void_probs > 0) & (proposals.void_probs < 1)).all()
    single = generator(to_batch([image], 32), None, None)
    torch.testing.assert_close(proposals.mask_logits[:1], single.mask_logits)
    outside = single.mask_logits[0, :, 13:]
    assert (outside == -10).all()
    model = small()
    model.generator = generator
    result = model.segment(image, WORDS, background=None)
    torch.testing.assert_close(result.probs[:, -1], single_void(model, image))


def single_void(model, image):
    batch, _ = model.prepare(image)
    return model.generator(batch, None, None).void_probs[0]


def test_a_segmenters_masks_lie_where_they_belong(image):
    """With a network that answers with its own input, resized: what is read is the image at stride 4."""
    network, processor = universal("mask2former")

    class Mirror(torch.nn.Module):
        config = network.config

        def __init__(self):
            super().__init__()
            self.one = torch.nn.Parameter(torch.ones(1))

        def forward(self, pixel_values):
            small = torch.nn.functional.avg_pool2d(pixel_values.mean(dim=1, keepdim=True), 2)
            classes = torch.zeros(1, 1, 6)
            return type("Answer", (), {"masks_queries_logits": small, "class_queries_logits": classes})

    smooth = np.zeros((120, 160, 3), np.uint8)
    smooth[:] = (np.linspace(0, 255, 160)[None, :, None] + np.linspace(0, 120, 120)[:, None, None]) / 2
    got = UniversalSegmenter(Mirror(), processor)(to_batch([smooth], 32), None, None).mask_logits[0, 0, :30, :40]
    mean, std = np.mean(processor.image_mean), np.mean(processor.image_std)
    expected = (smooth[2::4, 2::4, 0] / 255 - mean) / std
    # At the border the network's own padding is in what it answers.
    np.testing.assert_allclose(got[:-1, :-1], expected[:-1, :-1], atol=0.12)


def test_a_image_comes_back_from_the_batch(image):
    for one, other in zip(to_batch([image, image[:20, :30]], 32), (image, image[:20, :30]), strict=True):
        np.testing.assert_array_equal(from_batch(one), other)


def test_images_with_fewer_masks_are_filled_up():
    proposals = as_proposals([torch.ones(2, 3, 4), torch.ones(1, 3, 4)], [torch.zeros(2), torch.zeros(1)])
    assert (proposals.mask_logits[1, 1] == -10).all()
    assert proposals.void_probs.tolist() == [[0, 0], [0, 1]]


def test_given_masks_take_the_generators_place(image):
    model = small(generator=False)
    halves = np.zeros((2, *image.shape[:2]), bool)
    halves[0, :, :40], halves[1, :, 40:] = True, True
    result = model.segment(image, WORDS, background=None, masks=halves)
    named = model.classify(image, halves, WORDS).probs
    np.testing.assert_allclose(result.probs[:, :-1], named, atol=1e-6)
    labels = result.semantic()
    assert (labels[:, :38] == named[0].argmax()).all()
    assert (labels[:, 42:] == named[1].argmax()).all()
    with pytest.raises(MaskAdapterError, match="hold no mask generator: give masks"):
        model.segment(image, WORDS)


@pytest.mark.parametrize("kind", BY_NAME)
def test_by_name_through_load_segment_and_evaluate(kind, folders, tmp_path):
    options = ",points=6,at_a_time=20,min_iou=-999,min_stability=0.01"
    source = f"segmenter:{folders / kind}" if kind in SEGMENTERS else f"sam:{folders / kind}{options}"
    assert isinstance(ma.load(masks=source).generator, UniversalSegmenter if kind in SEGMENTERS else SegmentAnything)
    Image.fromarray(data.coffee()[:60, :80]).save(tmp_path / "coffee.png")
    with pytest.raises(SystemExit) as stop:
        main(["segment", f"{tmp_path}/coffee.png", "-c", "cup, spoon", "-o", f"{tmp_path}/out", "--masks", source])
    assert not stop.value.code
    assert (tmp_path / "out" / "coffee-overlay.png").exists()
    root = own_set(tmp_path)
    judged = subject.model("tiny", open_dataset(root / "own.yaml"), proposals=source)
    assert judged.settings["proposals"] == source
    assert judged.settings["weights of the masks"].startswith("sha256 ")
    assert judged.settings.get("points", {"rest": True})["rest"] is True
    assert not judged.paper
    report = evaluate(judged.predict, open_dataset(root / "own.yaml"), tmp_path / "e", settings=judged.settings)
    assert 0 <= report.numbers["mIoU"] <= 100


def own_set(folder):
    """One image with a label map."""
    for name in ("images", "labels"):
        (folder / name).mkdir()
    Image.fromarray(data.coffee()[:60, :80]).save(folder / "images" / "a.png")
    Image.fromarray(np.arange(60 * 80, dtype=np.uint8).reshape(60, 80) % 2).save(folder / "labels" / "a.png")
    (folder / "own.yaml").write_text("task: semantic\nclasses: [cup, spoon]\nval: {images: images, labels: labels}\n")
    return folder


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("sam:", "no source of masks 'sam:'"),
        ("masks.png", "no source of masks 'masks.png'.*classify takes masks from files"),
        ("other:facebook/sam-vit-huge", "no source of masks 'other:"),
        ("sam:/there/is/none", "there is no folder /there/is/none"),
        ("sam:{mask2former}", "cannot be loaded.*SAM, SAM 2, SAM 3"),
        ("segmenter:{sam}", "cannot be loaded.*Mask2Former, MaskFormer, EoMT can"),
        ("sam:{empty}", "cannot be loaded"),
        ("sam:{pickled}", "cannot be loaded"),
        ("sam:{sam},point=16", "unknown key 'point'; did you mean 'points'"),
        ("sam:{sam},points=0", "'points' is '0': input should be greater than or equal to 1"),
        ("sam:{sam},points=many", "'points' is 'many'"),
        ("sam:{sam},points=4,rest", "'rest' is ''"),
        ("segmenter:{mask2former},points=4", "has no options, and points was given"),
        ("sam:{partly}", "lacks 1 tensors of SamModel, such as mask_decoder.iou_token.weight"),
    ],
)
def test_sources_that_are_none_are_one_line(source, message, folders, tmp_path):
    (tmp_path / "empty").mkdir()
    from safetensors.torch import load_file, save_file

    tensors = load_file(folders / "sam" / "model.safetensors")
    for name in ("pickled", "partly"):
        (tmp_path / name).mkdir()
        for file in ("config.json", "preprocessor_config.json"):
            (tmp_path / name / file).write_bytes((folders / "sam" / file).read_bytes())
    torch.save(tensors, tmp_path / "pickled" / "pytorch_model.bin")
    partly = {key: tensor for key, tensor in tensors.items() if key != "mask_decoder.iou_token.weight"}
    save_file(partly, tmp_path / "partly" / "model.safetensors", metadata={"format": "pt"})
    places = {name: tmp_path / name for name in ("empty", "pickled", "partly")}
    with pytest.raises(MaskAdapterError, match=message) as error:
        generator_of(source.format(**places, sam=folders / "sam", mask2former=folders / "mask2former"))
    assert "\n" not in str(error.value)


def test_no_network_is_one_line(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(MaskAdapterError, match="facebook/no-such-model-of-ours cannot be loaded"):
        generator_of("sam:facebook/no-such-model-of-ours")


@pytest.mark.slow
def test_sam_comes_from_the_hub(folders, tmp_path):
    """In a process of its own: huggingface_hub reads HF_ENDPOINT when it is imported."""
    names = ("config.json", "preprocessor_config.json", "model.safetensors")
    absent = {"there/is-none": Answer(404, error="RepoNotFound"), "for/members": Answer(401, error="GatedRepo")}
    tried = """
import sys
from maskadapter.errors import MaskAdapterError
from maskadapter.models.sources.mask_source import generator_of
for name in sys.argv[1:]:
    try:
        print(name, type(generator_of(f"sam:{name}").network).__name__)
    except MaskAdapterError as error:
        print("error:", error)
"""
    with FileServer() as server:
        server.add_repository("our/sam", {name: (folders / "sam" / name).read_bytes() for name in names})
        for repository, answer in absent.items():
            server.files[f"/api/models/{repository}"] = answer
            for name in (*names, "processor_config.json", "adapter_config.json"):
                server.files[f"/{repository}/resolve/main/{name}"] = answer
        environment = {**os.environ, "HF_ENDPOINT": server.address, "HF_HOME": str(tmp_path / "hf")}
        environment |= {"PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", tried, "our/sam", *absent]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    loaded, none, gated = done.stdout.splitlines()
    assert loaded == "our/sam SamModel"
    assert none.startswith("error: there/is-none cannot be loaded (")
    assert "not a valid model identifier" in none
    assert gated.startswith("error: for/members cannot be loaded (")
    assert "gated" in gated


def test_masks_are_kept_and_named_later(image, tmp_path):
    runs, _ = everything("sam").masks(image)
    (tmp_path / "masks.json").write_text(json.dumps([{"segmentation": one} for one in runs]))
    model = small(generator=False)
    assert len(model.classify(image, tmp_path / "masks.json", WORDS).probs) == len(runs)
