"""The forms in which libraries hold masks, all of which mean the same, and those that may mean several things."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from maskadapter.errors import MaskError
from maskadapter.io.masks import read_masks

SIZE = (12, 20)
MASKS = np.zeros((3, *SIZE), bool)
MASKS[0, :5, :9] = MASKS[1, 6:, 2:8] = MASKS[2, 1:11, 10:18] = True
LABELS = (MASKS * np.array([1, 2, 3])[:, None, None]).sum(0)
LOGITS = np.where(MASKS, 4.5, -5.0)


class Results(list):  # ultralytics' Results and Masks, as far as they are looked at
    def __init__(self, data):
        super().__init__([0, 1, 2])
        self.orig_shape, self.masks = SIZE, data if data is None else SimpleNamespace(data=data, orig_shape=SIZE)


def image(mask):
    return Image.fromarray(mask.astype(np.uint8) * 255)


SEGMENTS = [{"id": number, "label_id": 7, "score": 0.9} for number in (1, 2, 3)]
FORMS = {
    "(N, 1, H, W)": MASKS[:, None],
    "tensor (N, 1, H, W)": torch.from_numpy(MASKS)[:, None],
    "0 and 1 in uint8": MASKS.astype(np.uint8),
    "0 and 1 in int64": torch.from_numpy(MASKS).long(),
    "0 and 255": MASKS.astype(np.uint8) * 255,
    "0 and 1 in float": MASKS.astype(np.float64),
    "0 and 1 in bfloat16": torch.from_numpy(MASKS).to(torch.bfloat16),
    "0 and 1 in half, with a gradient": torch.from_numpy(MASKS).half().requires_grad_(),
    "nested lists": MASKS.tolist(),
    "nested lists of numbers": MASKS.astype(int).tolist(),
    "list of arrays": list(MASKS),
    "tuple of tensors": tuple(torch.from_numpy(MASKS)),
    "list of images": [image(mask) for mask in MASKS],
    "list of (1, H, W)": [mask[None] for mask in MASKS.astype(np.float32)],
    "label map": LABELS,
    "label map, tensor": torch.from_numpy(LABELS),
    "label map, uint16": LABELS.astype(np.uint16) * 1000,
    "label map, nested lists": LABELS.tolist(),
    "label map, image": Image.fromarray(LABELS.astype(np.uint8)),
    "label map, RGB image": Image.fromarray(LABELS.astype(np.uint8)).convert("RGB"),
    "mask-generation": {"masks": list(MASKS), "scores": torch.ones(3)},
    "mask-generation, tensor": {"masks": torch.from_numpy(MASKS), "scores": torch.ones(3)},
    "image-segmentation": [{"label": "cat", "mask": image(mask), "score": 0.9} for mask in MASKS],
    "panoptic": {"segmentation": torch.from_numpy(LABELS).int(), "segments_info": SEGMENTS},
    "panoptic, one image": [{"segmentation": torch.from_numpy(LABELS).int(), "segments_info": SEGMENTS}],
    "instance: ids from 0, -1 = none": {
        "segmentation": torch.from_numpy(LABELS).float() - 1,
        "segments_info": [{**segment, "id": segment["id"] - 1} for segment in SEGMENTS],
    },
    "instance, binary maps": {"segmentation": torch.from_numpy(MASKS).float(), "segments_info": SEGMENTS},
    "ultralytics' Results": Results(torch.from_numpy(MASKS).float()),
    "list of one Results": [Results(torch.from_numpy(MASKS).byte())],
    "ultralytics' Masks": Results(MASKS).masks,
    "dicts with tensors": [{"segmentation": torch.from_numpy(mask)} for mask in MASKS],
    "dicts with 0 and 1": [{"segmentation": mask.astype(np.float32)} for mask in MASKS],
    "dicts with nested lists": [{"segmentation": mask.astype(int).tolist()} for mask in MASKS],
    "dicts with images": [{"segmentation": image(mask)} for mask in MASKS],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_masks(form):
    found = read_masks(FORMS[form], SIZE)
    assert found.dtype == bool
    np.testing.assert_array_equal(found, MASKS)


@pytest.mark.parametrize(
    "form",
    [
        MASKS[0],
        MASKS[:1],
        torch.from_numpy(MASKS[0]),
        MASKS[0].tolist(),
        MASKS[0].astype(np.uint8),
        MASKS[0].astype(np.uint8) * 255,
        MASKS[0].astype(np.float32),
        MASKS[0].astype(int).tolist(),
        image(MASKS[0]),
        image(MASKS[0]).convert("1"),
        {"segmentation": MASKS[0], "area": 45},
        {"mask": image(MASKS[0]), "label": "cat"},
    ],
)
def test_one_mask_needs_no_list(form):
    np.testing.assert_array_equal(read_masks(form, SIZE), MASKS[:1])


@pytest.mark.parametrize(
    "form",
    [
        [],
        np.array([]),
        np.zeros((0, 1, *SIZE)),
        np.zeros(SIZE, np.uint8),
        {"masks": [], "scores": []},
        {"segmentation": torch.zeros(SIZE) - 1, "segments_info": []},
    ],
)
def test_no_masks_stay_none(form):
    assert read_masks(form, SIZE).shape == (0, *SIZE)


def test_an_empty_mask_stays_one_mask():
    assert read_masks(np.zeros(SIZE, bool), SIZE).shape == (1, *SIZE)
    hidden = {"segmentation": LABELS * (LABELS != 2), "segments_info": SEGMENTS}
    assert read_masks(hidden, SIZE).any((1, 2)).tolist() == [True, False, True]


def test_the_order_of_the_segments_is_that_of_the_list():
    found = read_masks({"segmentation": LABELS, "segments_info": SEGMENTS[::-1]}, SIZE)
    np.testing.assert_array_equal(found, MASKS[::-1])


@pytest.mark.parametrize("form", ["(N, 1, H, W)", "0 and 1 in uint8", "0 and 255", "0 and 1 in float", "label map"])
def test_the_forms_in_files(tmp_path, form):
    np.save(tmp_path / "masks.npy", FORMS[form])
    np.savez_compressed(tmp_path / "one.npz", FORMS[form])
    np.savez(tmp_path / "named.npz", scores=np.ones(3), masks=FORMS[form])
    (tmp_path / "masks.json").write_text(json.dumps(np.asarray(FORMS[form]).tolist()))
    for file in ("masks.npy", "one.npz", "named.npz", "masks.json"):
        np.testing.assert_array_equal(read_masks(tmp_path / file, SIZE), MASKS)


def test_an_archive_of_several_arrays_is_refused(tmp_path):
    np.savez(tmp_path / "several.npz", a=MASKS, b=MASKS)
    with pytest.raises(MaskError, match="2 arrays, none of them named 'masks'"):
        read_masks(tmp_path / "several.npz", SIZE)
    np.savez(tmp_path / "objects.npz", np.array([{}], dtype=object))
    with pytest.raises(MaskError, match="not a NumPy array file"):
        read_masks(tmp_path / "objects.npz", SIZE)


def test_large_arrays_of_numbers_come_in_parts(monkeypatch):
    from maskadapter.io import masks

    monkeypatch.setattr(masks, "_PIXELS", 2 * SIZE[0] * SIZE[1])
    for form in ("0 and 255", "label map", "panoptic", "dicts with tensors"):
        parts = list(masks.mask_parts(FORMS[form], SIZE))
        assert [len(part) for part in parts] == [2, 1]
        np.testing.assert_array_equal(np.concatenate(parts), MASKS)


NAN = MASKS.astype(np.float32)
NAN[0, 0, 0] = np.nan


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (LOGITS, "from -5 to 4.5, as logits do: give masks > 0$"),
        (torch.from_numpy(LOGITS)[:, None].half(), "masks > 0$"),
        (LOGITS[0], "masks > 0$"),
        (np.where(MASKS[0], 5.0, -5.0), "masks > 0$"),
        (LOGITS.tolist(), "masks > 0$"),
        ([{"segmentation": LOGITS[0]}], "annotation number 1: .* masks > 0$"),
        ([{"segmentation": MASKS[0]}, {"segmentation": torch.from_numpy(LOGITS[0])}], "annotation number 2: .*> 0$"),
        ([{"segmentation": LOGITS[0].tolist()}], "masks > 0$"),
        ({"masks": LOGITS, "scores": [1]}, "masks > 0$"),
        (MASKS * 0.7, "as probabilities do: give masks > 0.5"),
        (MASKS[0] * 0.7 + 0.1, "give masks > 0.5"),
        (NAN, "NaN"),
        (NAN[0], "NaN"),
        ([{"segmentation": NAN[0]}], "NaN"),
        (np.where(MASKS, np.inf, 0), "NaN or infinite"),
        (MASKS * np.uint8(7), r"from 0 to 7; a label map is \(H, W\)"),
        (np.arange(720).reshape(3, 12, 20).astype(np.uint8), "as images do: of masks with gray edges give masks > 127"),
        (MASKS.transpose(1, 2, 0), r"masks\.transpose\(2, 0, 1\), of a tensor masks\.permute"),
        (MASKS[0][..., None], r"masks\.transpose\(2, 0, 1\)"),
        (np.zeros((*SIZE, 3), np.uint8), "a color image is not a mask"),
        (MASKS[:, None, None], r"\(3, 1, 1, 12, 20\); \(N, H, W\)"),
        (MASKS[None], r"give masks\[0\]"),
        (MASKS.transpose(0, 2, 1), "height and width are exchanged"),
        (MASKS[:, :6, :10], "10 x 6 pixels for an image of 20 x 12.*retina_masks=True"),
        (Results(torch.zeros(3, 6, 20)), "retina_masks=True"),
        (Results(None), "boxes and no masks"),
        ([Results(MASKS), Results(MASKS)], "results of 2 images"),
        (LABELS.astype(float), r"labels\.astype\(int\)"),
        (LABELS - 1, "values below 0.*labels \\+ 1"),
        ({"segmentation": LABELS, "segments_info": SEGMENTS[:2]}, "a value 3 that 'segments_info' does not list"),
        ({"segmentation": LABELS, "segments_info": [{"score": 1}]}, "'segments_info' is not a list of segments"),
        ({"segmentation": LABELS, "segments_info": [{"id": "cat"}]}, "'segments_info' is not a list of segments"),
        ([{"segmentation": LABELS, "segments_info": SEGMENTS}] * 2, "the segments of 2 images"),
        ([{"segments_info": SEGMENTS, "file_name": "a.png"}], "a panoptic annotation has its masks in a PNG"),
        ({"pred_masks": MASKS}, "not a COCO file"),
        ([MASKS[0], None], "not masks"),
        ([MASKS[0], MASKS[1][:5]], "different shapes"),
        ([{"segmentation": MASKS[0]}, None], "annotation number 2 is null"),
        ([{"segmentation": MASKS[0]}, MASKS[1]], "annotation number 2 is ndarray"),
        (np.ma.masked_array(MASKS, MASKS), r"masked values, .* give masks\.filled\(False\)"),
        (np.full((1, *SIZE), "x"), "values; bool is needed"),
        (MASKS.astype(complex), "complex128 values; bool is needed"),
        (None, "the given NoneType: not masks: an array, tensor, list or file"),
        ((mask for mask in MASKS), "the given generator: not masks"),
        (image(MASKS[0]).convert("RGBA"), "mode RGBA is not a label map"),
        (image(MASKS[0]).convert("LA"), "mode LA is not a label map"),
    ],
)
def test_forms_that_may_mean_several_things_are_refused(source, message):
    with pytest.raises(MaskError, match=message) as refused:
        read_masks(source, SIZE)
    assert "\n" not in str(refused.value)


def test_a_closed_image_is_refused(tmp_path):
    image(MASKS[0]).save(tmp_path / "mask.png")
    with Image.open(tmp_path / "mask.png") as closed:
        pass
    with pytest.raises(MaskError, match="closed or damaged"):
        read_masks(closed, SIZE)


def test_masks_at_an_address_and_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    np.save(tmp_path / "masks.npy", MASKS)
    np.testing.assert_array_equal(read_masks("~/masks.npy", SIZE), MASKS)
    with pytest.raises(MaskError, match="is an address"):
        read_masks("https://example.com/masks.npy", SIZE)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_supervision_detections():
    supervision = pytest.importorskip("supervision")
    detections = supervision.Detections(xyxy=np.zeros((3, 4)), mask=MASKS)
    np.testing.assert_array_equal(read_masks(detections, SIZE), MASKS)
    assert read_masks(supervision.Detections.empty(), SIZE).shape == (0, *SIZE)
