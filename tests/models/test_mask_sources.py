"""Mask sources: they get the original image, and their masks go the way of given masks."""

import json
import os
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pytest
import torch
from file_server import Answer, FileServer
from PIL import Image
from skimage import data
from small_networks import sam, universal
from small_segmenter import CLASSES, small

import maskadapter as ma
from maskadapter.cli import main
from maskadapter.data.opening import open_dataset
from maskadapter.errors import MaskAdapterError
from maskadapter.evaluation.evaluator import evaluate
from maskadapter.hub.model_source import ModelSource
from maskadapter.io.coco_format import decode_segmentation
from maskadapter.io.masks import read_masks
from maskadapter.models.sources.segment_anything import SamOptions, SegmentAnything, distinct, unmasked_regions
from maskadapter.models.sources.source_names import mask_source, masks_from
from maskadapter.models.sources.superpixels import Superpixels
from maskadapter.models.sources.universal_segmenter import UniversalSegmenter
from maskadapter.pipelines.model_evaluation import model_predictor
from maskadapter.results.upsampling import Upsampler

transformers = pytest.importorskip("transformers")

SAMS = ["sam", "sam2", "sam3"]
SEGMENTERS = ["mask2former", "eomt"]
BY_NAME = [*SAMS, "sam-hq", *SEGMENTERS]  # SAM-HQ's masks with random weights are all alike: nothing to compare
# Random weights are sure of nothing.
OPTIONS = SamOptions(points_per_side=6, points_per_batch=20, pred_iou_thresh=-999, stability_score_thresh=0.01)


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


def everything(kind, **options):
    return SegmentAnything(*sam(kind), OPTIONS.model_copy(update=options))


SOURCES = {
    **{kind: lambda kind=kind: everything(kind) for kind in SAMS},
    **{kind: lambda kind=kind: UniversalSegmenter(*universal(kind)) for kind in SEGMENTERS},
    "superpixels": Superpixels,
}


@pytest.mark.parametrize("kind", SOURCES)
def test_every_source_makes_masks_of_the_images_size(kind, image):
    source, photo = SOURCES[kind](), data.coffee()[:150, :110]
    given = photo.copy()
    masks = read_masks(source(photo), photo.shape[:2])
    assert masks.shape[1:] == photo.shape[:2]
    assert masks.any(axis=(1, 2)).all()
    np.testing.assert_array_equal(photo, given)
    model = small(generator=False)
    result = model.segment(image, CLASSES, background=None, masks=source)
    given = model.segment(image, CLASSES, background=None, masks=source(image))
    assert torch.equal(result.probs, given.probs)
    assert torch.equal(result.mask_logits, given.mask_logits)
    assert not result.probs[:, -1].any()
    model.mask_source = source
    assert torch.equal(model.segment(image, CLASSES, background=None).probs, given.probs)
    assert torch.equal(model.segment(model.encode_image(image), CLASSES, background=None).probs, given.probs)
    named = model.classify(image, source, CLASSES).probs
    np.testing.assert_allclose(result.probs[:, :-1], named, atol=1e-6)


class Recorder:
    """A mask source that keeps what it was given."""

    def __init__(self):
        self.given = []

    def __call__(self, image):
        self.given.append(image.copy())
        return np.ones((1, *image.shape[:2]), bool)


@pytest.mark.parametrize("size", [(70, 110), (40, 110), (512, 384)])
def test_a_source_gets_the_original_image(size, tmp_path):
    photo = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    model = small()  # its input's longer side is 96
    Image.fromarray(photo).save(tmp_path / "photo.png")
    for given in (photo, tmp_path / "photo.png", model.encode_image(photo)):
        recorder = Recorder()
        model.segment(given, CLASSES, masks=recorder)
        model.classify(given, recorder, CLASSES)
        model.activation_maps(given, recorder)
        assert len(recorder.given) == 3
        for one in recorder.given:
            assert one.dtype == np.uint8
            np.testing.assert_array_equal(one, photo)


@pytest.mark.parametrize("crop_n_layers", [0, 1])
def test_sam_gets_the_original_image_and_crops_of_it(crop_n_layers):
    """What its image processor is handed: the whole image, and crops at the image's own resolution."""
    photo = np.ascontiguousarray(data.coffee()[:200, :300])
    network, processor = sam("sam")
    seen = []

    class Spy(type(processor)):
        def __call__(self, images, **options):
            seen.extend(np.asarray(one) for one in images)
            return super().__call__(images, **options)

    processor.__class__ = Spy
    source = SegmentAnything(network, processor, OPTIONS.model_copy(update={"crop_n_layers": crop_n_layers}))
    if crop_n_layers and tuple(map(int, version("transformers").split(".")[:2])) < (5, 21):
        with pytest.raises(MaskAdapterError, match="crop_n_layers needs transformers"):
            small().segment(photo, CLASSES, masks=source)
        return
    small().segment(photo, CLASSES, masks=source)
    assert len(seen) == 1 + 4 * crop_n_layers
    whole, *crops = (one if one.shape[-1] == 3 else one.transpose(1, 2, 0) for one in seen)
    np.testing.assert_array_equal(whole, photo)
    for crop in crops:
        height, width = crop.shape[:2]
        assert height > 100
        assert width > 150
        places = [(y, x) for y in (0, 200 - height) for x in (0, 300 - width)]
        assert any((photo[y : y + height, x : x + width] == crop).all() for y, x in places)


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


@pytest.mark.parametrize("crop_n_layers", [0, 1])
@pytest.mark.parametrize("kind", SAMS)
def test_proposals_are_those_of_transformers_own_pipeline(kind, crop_n_layers, image, monkeypatch):
    network, processor = sam(kind)
    options = SamOptions(
        points_per_side=4,
        points_per_batch=7,
        crop_n_layers=crop_n_layers,
        pred_iou_thresh=-999,
        stability_score_thresh=0.01,
    )
    if not compiled_operators():  # beside a PyTorch that they were not built for
        monkeypatch.setattr(
            f"{type(processor).__module__}.batched_nms",
            lambda boxes, scores, idxs, iou_threshold: torch.tensor(
                brute_force(boxes.tolist(), scores.tolist(), iou_threshold)
            ),
        )
    pipeline = transformers.pipeline("mask-generation", model=network, image_processor=processor)
    try:
        theirs = pipeline(
            Image.fromarray(image),
            points_per_batch=7,
            points_per_crop=4,
            crops_n_layers=crop_n_layers,
            pred_iou_thresh=-999,
            stability_score_thresh=0.01,
        )
    except RuntimeError as error:
        if crop_n_layers and "stack expects each tensor to be equal size" in str(error):
            pytest.skip("the pipeline of this transformers cannot stack crops of different sizes")
        raise
    runs, scores = SegmentAnything(network, processor, options).masks(image)
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
    source = everything(kind)
    runs, _ = source.masks(image)
    result = small(generator=False).segment(image, CLASSES, background=None, masks=source)
    assert result.class_names == ("cat", "sofa", "wall")
    assert result.semantic().shape == image.shape[:2]
    drawn = Upsampler(result.mask_logits, result.sizes).logits(slice(0, image.shape[0])) > 0
    for got, one in zip(drawn.numpy(), runs, strict=False):  # behind them come the unmasked regions
        expected = decode_segmentation(one, image.shape[:2])
        if expected.mean() > 0.05:
            assert (got != expected).mean() < 0.08


def test_what_no_mask_covers_becomes_regions():
    masks = np.zeros((2, 26, 40), bool)
    masks[0, :, 16:20] = masks[1, 10:12] = True  # a bar and a line leave four pieces of the image
    masks[1, 10:12, 20:24] = False  # a bridge: three
    regions = np.stack(list(unmasked_regions(masks, (26, 40))))
    held = masks.any(axis=0)
    assert not (regions & held).any()
    assert (regions.sum(axis=0) + held == 1).all()
    assert regions.sum(axis=(1, 2)).tolist() == sorted([20 * 24 + 2 * 4, 14 * 16, 10 * 16], reverse=True)
    assert not list(unmasked_regions(np.zeros((0, 26, 40), bool), (26, 40)))  # without any mask
    assert not list(unmasked_regions(np.ones((1, 26, 40), bool), (26, 40)))


def test_crumbs_and_gaps_between_masks_are_no_regions():
    crumb = np.ones((1, 400, 400), bool)
    crumb[0, 3, 3:15] = False  # 12 of 160,000 pixels
    assert not list(unmasked_regions(crumb, (400, 400)))
    halves = np.ones((2, 1000, 1000), bool)
    halves[0, :, 499:] = halves[1, :, :501] = False  # two columns between them are free
    assert not list(unmasked_regions(halves, (1000, 1000)))
    wide = halves.copy()
    wide[1, :, :540] = False
    (region,) = unmasked_regions(wide, (1000, 1000))
    assert region[:, 505:535].all()
    assert not region[:, :499].any()
    assert not region[:, 540:].any()


@pytest.mark.parametrize("kind", SAMS)
def test_unmasked_regions_are_an_option(kind, image):
    with_regions = everything(kind)
    network, processor = with_regions.network, with_regions.processor
    without = SegmentAnything(network, processor, OPTIONS.model_copy(update={"unmasked_regions": False}))
    own = without(image)
    assert len(own) == len(without.masks(image)[0])
    found = with_regions(image)
    assert found[: len(own)] == own
    masks = (decode_segmentation(one["segmentation"], image.shape[:2]) for one in own)
    assert len(found) - len(own) == len(list(unmasked_regions(masks, image.shape[:2])))


def test_small_masks_and_those_that_nothing_is_left_of(image):
    assert len(everything("sam").masks(image)[0]) >= 3
    large = everything("sam", min_mask_region_area=image.shape[0] * image.shape[1] // 2)
    for one in large.masks(image)[0]:
        assert decode_segmentation(one, image.shape[:2]).mean() >= 0.5
    none = everything("sam", pred_iou_thresh=1e9)
    assert none.masks(image)[0] == []
    result = small().segment(image, CLASSES, masks=none)
    assert (result.semantic() == -1).all()
    assert len(result.panoptic().segments) == 0
    assert len(result.instances(top=5).masks) == 0


@pytest.mark.parametrize("kind", SEGMENTERS)
def test_queries_without_an_object_and_empty_masks_are_dropped(kind, image):
    network, processor = universal(kind)
    answer = {}

    class Fixed(torch.nn.Module):
        config = network.config

        def __init__(self):
            super().__init__()
            self.one = torch.nn.Parameter(torch.ones(1))

        def forward(self, pixel_values):
            logits = torch.full((1, 3, pixel_values.shape[-2] // 4, pixel_values.shape[-1] // 4), 5.0)
            logits[:, 1] = -5.0  # empty
            logits[:, 0, :, : logits.shape[-1] // 2] = -5.0
            classes = torch.zeros(1, 3, 6)
            classes[:, :2, 2] = 1.0
            classes[:, 2, 5] = 1.0  # "no object"
            return type("Answer", (), {"masks_queries_logits": logits, "class_queries_logits": classes})

    answer = read_masks(UniversalSegmenter(Fixed(), processor)(image), image.shape[:2])
    assert len(answer) == 1
    assert not answer[0, :, :20].any()


def test_a_segmenters_masks_lie_where_they_belong():
    """With a network that answers with its own input: the mask is where the image is brighter than the mean color."""
    network, processor = universal("mask2former")

    class Mirror(torch.nn.Module):
        config = network.config

        def __init__(self):
            super().__init__()
            self.one = torch.nn.Parameter(torch.ones(1))

        def forward(self, pixel_values):
            small = torch.nn.functional.avg_pool2d(pixel_values.mean(dim=1, keepdim=True), 2)
            classes = torch.zeros(1, 1, 6)
            classes[..., 0] = 1.0
            return type("Answer", (), {"masks_queries_logits": small, "class_queries_logits": classes})

    photo = np.zeros((120, 160, 3), np.uint8)
    y, x = np.mgrid[:120, :160]
    photo[(y - 60) ** 2 + (x - 90) ** 2 < 40**2] = 255
    (mask,) = read_masks(UniversalSegmenter(Mirror(), processor)(photo), (120, 160))
    assert (mask != (photo[..., 0] > 0)).mean() < 0.02


def test_superpixels_follow_the_images_edges_and_nest():
    photo = np.zeros((60, 90, 3), np.uint8)
    photo[20:40, 30:60] = (255, 80, 0)
    masks = read_masks(Superpixels()(photo), (60, 90))
    box = photo[..., 0] > 0
    overlap = (masks & box).sum(axis=(1, 2)) / (masks | box).sum(axis=(1, 2))
    assert overlap.max() > 0.9
    assert masks.all(axis=(1, 2)).any()  # the whole image
    shared = (masks[:, None] & masks[None]).sum(axis=(2, 3))
    areas = np.minimum.outer(masks.sum(axis=(1, 2)), masks.sum(axis=(1, 2)))
    assert ((shared == 0) | (shared == areas)).all()


def test_given_masks_take_the_generators_place(image):
    model = small(generator=False)
    halves = np.zeros((2, *image.shape[:2]), bool)
    halves[0, :, :40], halves[1, :, 40:] = True, True
    result = model.segment(image, CLASSES, background=None, masks=halves)
    named = model.classify(image, halves, CLASSES).probs
    np.testing.assert_allclose(result.probs[:, :-1], named, atol=1e-6)
    labels = result.semantic()
    assert (labels[:, :38] == named[0].argmax()).all()
    assert (labels[:, 42:] == named[1].argmax()).all()
    with pytest.raises(MaskAdapterError, match="hold no mask generator: give masks"):
        model.segment(image, CLASSES)


@pytest.mark.parametrize("kind", BY_NAME)
def test_by_name_through_load_segment_and_evaluate(kind, folders, small_input, tmp_path):
    options = ",points_per_side=6,points_per_batch=20,pred_iou_thresh=-999,stability_score_thresh=0.01"
    source = f"segmenter:{folders / kind}" if kind in SEGMENTERS else f"sam:{folders / kind}{options}"
    loaded = ma.load(masks=source)
    assert isinstance(loaded.mask_source, UniversalSegmenter if kind in SEGMENTERS else SegmentAnything)
    assert set(loaded.state_dict()) == set(ma.load().state_dict())  # its weights are not the model's
    Image.fromarray(data.coffee()[:60, :80]).save(tmp_path / "coffee.png")
    with pytest.raises(SystemExit) as stop:
        main(["segment", f"{tmp_path}/coffee.png", "-c", "cup, spoon", "-o", f"{tmp_path}/out", "--masks", source])
    assert not stop.value.code
    assert (tmp_path / "out" / "coffee-overlay.png").exists()
    root = own_set(tmp_path)
    predictor = model_predictor(ModelSource("tiny"), open_dataset(root / "own.yaml"), masks=source)
    assert predictor.settings["masks"] == source
    assert predictor.settings["weights of the masks"].startswith("sha256 ")
    assert predictor.settings.get("points", {"unmasked_regions": True})["unmasked_regions"] is True
    assert predictor.published_as is None
    report = evaluate(predictor.predict, open_dataset(root / "own.yaml"), tmp_path / "e", settings=predictor.settings)
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
        ("sam:", "unknown mask source 'sam:'"),
        ("masks.png", "no such file: masks.png; masks are a file, a folder, sam:NAME, segmenter:NAME or superpixels"),
        ("other:facebook/sam-vit-huge", "no such file: other:facebook/sam-vit-huge;"),
        ("sam:/there/is/none", "there is no folder /there/is/none"),
        ("sam:{mask2former}", "cannot be loaded.*SAM, SAM 2, SAM 3"),
        ("segmenter:{sam}", "cannot be loaded.*Mask2Former, MaskFormer, EoMT can"),
        ("sam:{empty}", "cannot be loaded"),
        ("sam:{pickled}", "cannot be loaded"),
        ("sam:{sam},points_per_sid=16", "unknown key 'points_per_sid'; did you mean 'points_per_side'"),
        ("sam:{sam},points=16", "points is called points_per_side since version 0.2"),
        ("sam:{sam},rest=no", "rest is called unmasked_regions since version 0.2"),
        ("sam:{sam},points_per_side=0", "'points_per_side' is '0': input should be greater than or equal to 1"),
        ("sam:{sam},points_per_side=many", "'points_per_side' is 'many'"),
        ("sam:{sam},points_per_side=4,unmasked_regions", "'unmasked_regions' is ''"),
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
        masks_from(source.format(**places, sam=folders / "sam", mask2former=folders / "mask2former"))
    assert "\n" not in str(error.value)


def test_no_network_is_one_line(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(MaskAdapterError, match="facebook/no-such-model-of-ours cannot be loaded"):
        mask_source("sam:facebook/no-such-model-of-ours")


@pytest.mark.slow
def test_sam_comes_from_the_hub(folders, tmp_path):
    """In a process of its own: huggingface_hub reads HF_ENDPOINT when it is imported."""
    names = ("config.json", "preprocessor_config.json", "model.safetensors")
    absent = {"there/is-none": Answer(404, error="RepoNotFound"), "for/members": Answer(401, error="GatedRepo")}
    tried = """
import sys
from maskadapter.errors import MaskAdapterError
from maskadapter.models.sources.source_names import mask_source
for name in sys.argv[1:]:
    try:
        print(name, type(mask_source(f"sam:{name}").network).__name__)
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
    assert len(model.classify(image, tmp_path / "masks.json", CLASSES).probs) == len(runs)
