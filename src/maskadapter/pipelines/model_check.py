"""Examine a file of weights: what it holds, and whether it computes what it should on this machine."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from maskadapter.data import Dataset, open_dataset
from maskadapter.errors import CheckpointError
from maskadapter.evaluation import bootstrap
from maskadapter.evaluation.metrics import confusion, mean_iou, pixel_counts
from maskadapter.hub import ModelSource, assemble, find, identify
from maskadapter.hub.checkpoints import Checkpoint
from maskadapter.hub.zoo import read_record, sha256_of
from maskadapter.io import read_image
from maskadapter.models import EncodedVocabulary, InputSize, OpenVocabularySegmenter
from maskadapter.results import Classification, Upsampler
from maskadapter.system.memory import peak_bytes
from maskadapter.system.progress import bar
from maskadapter.types import ImageSizes

# Photographs of scikit-image, and the class of each. The other classes compete.
PHOTOS = {"chelsea": "cat", "coffee": "cup", "rocket": "rocket", "astronaut": "person"}
CLASSES = "cat, cup|cup of coffee, rocket, person, dog, bird, car, boat, tree, building, banana, clock"
# Of four. By chance three are right once in 500 times; a fourth may be lost to what else is in it (a space shuttle).
ENOUGH_PHOTOS = 3
# A wrong model, or wrong settings, gives a few percent. Twenty images are too few to tell more than that.
ENOUGH_MIOU = 0.5
# In two photographs, one thing's outline as corners (x, y), to about ten pixels: everything inside is the thing.
WORDS = "cat, cup|mug, plate|saucer, table, wall, floor"
OUTLINES = {
    "chelsea": ("cat", "42,0 400,0 358,70 362,120 350,175 320,215 310,300 0,300 0,125 30,112 33,70"),
    "coffee": (
        "cup",
        "173,105 200,50 250,22 300,18 360,35 405,85 408,120 395,180 365,235 330,265 285,283 250,290 215,308 195,290 "
        "205,250 215,235 185,180",
    ),
}
# Share of the place that the class covers, less its share of the rest: 0 for a class that is everywhere, nowhere or
# anywhere, 1 for the outline itself. Reasoned, not measured: a thing that is found whole with half of the rest passes.
ENOUGH_OF_THE_PLACE = 0.4
_SMALL = InputSize(320, 320)  # small enough for every machine


@dataclass(frozen=True)
class Finding:
    """One line of the report. passed: None for mere information. text: for a reader. figures: the measurements."""

    name: str
    passed: bool | None
    text: str
    figures: Mapping[str, Any] = field(default_factory=dict)


def check_model(
    source: str | Path | ModelSource,
    *,
    device: str = "cpu",
    root: str | Path | None = None,
    images: int = 20,
    expected_miou: Callable[[str, str], float | None] = lambda name, pooler: None,
) -> Iterator[Finding]:
    """Check a file of weights, and yield one finding after the other: whether it is whole and computes what it should.

    source: a model's name, the path of a file, or a ``ModelSource``; nothing is downloaded. device: as ``load`` takes
    it. root: folder of ADE20K (``ADEChallengeData2016`` or its parent); with it the mIoU on the first ``images``
    validation images is measured. expected_miou: from a model's name and pooler to its mIoU there in percent, if known.
    Raises CheckpointError for a file that cannot be read, DatasetError for a folder that does not hold ADE20K-150.
    """
    dataset = open_dataset("ade20k-150", root) if root is not None else None
    source = ModelSource.of(source)
    checkpoint = find(source, may_download=False)
    yield _file(checkpoint)
    try:
        architecture = identify(checkpoint, source)
        segmenter = assemble(checkpoint, architecture, device)
    except CheckpointError as error:
        yield Finding("keys", False, str(error))
        return
    names = "official names" if checkpoint.official else "this project's names"
    text = f"{architecture}: {len(checkpoint.tensors)} tensors, {names}"
    yield Finding("keys", True, text, {"model": str(architecture)})
    values = _values(checkpoint)
    yield values
    if not values.passed:
        return
    segmenter.text_cache = None  # text embeddings of an earlier process would not be examined
    del checkpoint
    for step in (_norms, _chunks, _tiles, _sums):
        yield step(segmenter)
    yield _labels(segmenter, decides=architecture.name != "tiny")
    if segmenter.generator is None:
        yield Finding("photo", None, "not segmented: the file has no mask generator")
        return
    yield _photo(segmenter)
    if dataset is not None:
        yield _ade20k(segmenter, expected_miou(architecture.name, architecture.pooler), dataset, images)


def _file(checkpoint: Checkpoint) -> Finding:
    path = checkpoint.source
    record, sha256, size = read_record(path), sha256_of(path), path.stat().st_size
    figures = {"path": str(path), "sha256": sha256, "bytes": size}
    facts = f"{path.name}, {size / 1e6:,.0f} MB, sha256\n{sha256}\n"
    if record is None:
        return Finding("file", None, facts + "nothing is recorded to compare it with", figures)
    source = f"as {record.place} states it" if record.stated else f"as at its first download from {record.place}"
    if record.sha256 != sha256:
        return Finding("file", False, f"{facts}not {record.sha256}, {source}: download it again", figures)
    return Finding("file", True, facts + source, figures)


def _values(checkpoint: Checkpoint) -> Finding:
    bad, scales, count = list[str](), [], 0
    for key, tensor in checkpoint.tensors.items():  # one at a time is read
        if not tensor.is_floating_point():
            continue
        count += tensor.numel()
        if not tensor.isfinite().all():
            bad.append(key)
        if key.startswith("pooler.") and key.endswith(".gamma"):
            scales.append(tensor)
    if bad:
        bad.sort()
        return Finding("values", False, f"NaN or infinite numbers in {', '.join(bad[:3])}", {"tensors": bad})
    # Every block starts with a layer scale of exactly 1e-6, which the first step of training changes.
    if scales and all((scale == scale.flatten()[0]).all() for scale in scales):
        return Finding("values", False, "the adapter was never trained: its layer scales are all one number")
    return Finding("values", True, f"{count / 1e6:,.1f} million numbers, none NaN or infinite", {"numbers": count})


def _norms(segmenter: OpenVocabularySegmenter) -> Finding:
    scale = float(segmenter.clip.logit_scale.exp())
    rows = segmenter.encode_text("cat, a bowl of fruit, the night sky").text_embeddings
    lengths = (rows.norm(dim=-1) - 1).abs().max().item()
    alike = (rows @ rows.T).fill_diagonal_(-1).max().item()
    # Source: CLIP's scale is clipped at 100 (Radford et al. 2021, section 2.5); it starts at 14 and grows.
    passed = 1 < scale < 101 and lengths < 1e-3 and alike < 0.99
    text = f"CLIP's scale {scale:.3g} (1 to 100 is usual); text lengths off by {lengths:.1g}; cosine {alike:.2f}"
    if passed:
        text = f"CLIP's scale {scale:.1f}; text embeddings have length 1; different classes differ (cosine {alike:.2f})"
    return Finding("norms", passed, text, {"logit_scale": scale, "length_error": lengths, "cosine": alike})


@torch.inference_mode()
def _chunks(segmenter: OpenVocabularySegmenter) -> Finding:
    """Compare masks that are embedded together with masks that are embedded one by one."""
    images = segmenter.prepare(_photograph("chelsea"), _SMALL)[0].pixels
    pool = partial(segmenter.pooler, images, segmenter.clip.encode_image(images), project=segmenter.clip.project)
    height, width = images.shape[-2] // 4, images.shape[-1] // 4
    masks = torch.full((1, 5, height, width), -10.0, device=images.device)
    for number in range(5):
        masks[0, number, number * height // 8 :, : width // (number + 1)] = 10
    together, single = pool(masks), torch.cat([pool(mask) for mask in masks.split(1, dim=1)], dim=1)
    return _difference("chunks", "5 masks embedded together and one by one", together, single)


def _tiles(segmenter: OpenVocabularySegmenter) -> Finding:
    """Compare masks that are upsampled tile by tile with PyTorch's own resizing."""
    device = segmenter.clip.logit_scale.device
    sizes = ImageSizes(padded=(224, 320), resized=(213, 320), original=(300, 451))
    logits = 10 * torch.randn(4, 56, 80, generator=torch.Generator().manual_seed(0)).to(device)
    upsampler = Upsampler(logits, sizes)
    tiled = torch.cat([upsampler.logits(rows) for rows in upsampler.tiles(values=50_000)], dim=1)
    whole = F.interpolate(logits[None], sizes.padded, mode="bilinear")[..., : sizes.resized[0], : sizes.resized[1]]
    whole = F.interpolate(whole, sizes.original, mode="bilinear")[0]
    return _difference("tiles", "masks upsampled in tiles and at once", tiled, whole)


@torch.inference_mode()
def _sums(segmenter: OpenVocabularySegmenter) -> Finding:
    """Check the probabilities of a small image, computed twice."""
    encoded = segmenter.encode_text(CLASSES)
    if segmenter.generator is None:
        runs = [torch.from_numpy(_whole(segmenter, "chelsea", encoded).probs) for _ in range(2)]
    else:
        images, _ = segmenter.prepare(_photograph("chelsea"), _SMALL)
        runs = [segmenter(images, encoded)[1] for _ in range(2)]
    off, apart = (runs[0].sum(dim=-1) - 1).abs().max().item(), (runs[0] - runs[1]).abs().max().item()
    passed = off < 1e-3 and bool(runs[0].isfinite().all()) and apart < 1e-3
    text = f"probabilities sum to 1 (off by {off:.0e}); a second run differs by {apart:.0e}"
    return Finding("sums", passed, text, {"sum_error": off, "repeat_error": apart})


def _labels(segmenter: OpenVocabularySegmenter, decides: bool) -> Finding:
    """Classify whole photographs: text and images agree only in trained weights."""
    vocabulary = segmenter.encode_text(CLASSES)
    predictions, right = [], 0
    for photo, expected in PHOTOS.items():
        classified = _whole(segmenter, photo, vocabulary)
        best = classified.class_names[classified.labels[0]]
        right += best == expected
        result = f"{classified.scores[0]:.0%}" if best == expected else f"for {expected}"
        predictions.append(f"{best} {result}")
    note = "" if decides else "; for information, the embedded model is too small for this check (see its card)"
    text = f"{right} of {len(PHOTOS)} photographs classified correctly: {', '.join(predictions)}{note}"
    return Finding("labels", right >= ENOUGH_PHOTOS if decides else None, text, {"right": right, "of": len(PHOTOS)})


def _photo(segmenter: OpenVocabularySegmenter) -> Finding:
    """Segment two photographs, and compare a thing of each with its place."""
    vocabulary, places, seconds, passed = segmenter.encode_text(WORDS), dict[str, Any](), 0.0, True
    for photo, (thing, outline) in OUTLINES.items():
        image = _photograph(photo)
        started = time.perf_counter()
        labels = segmenter.segment(image, vocabulary, background=None).semantic()
        seconds += (time.perf_counter() - started) / len(OUTLINES)
        found = labels == vocabulary.vocabulary.names.index(thing)
        place = _inside(outline, labels.shape)
        inside, outside = float(found[place].mean()), float(found[~place].mean())
        passed = passed and inside - outside >= ENOUGH_OF_THE_PLACE
        places[thing] = {"inside": inside, "outside": outside}
    device = segmenter.clip.logit_scale.device
    # Of the GPU, else of the whole process; 0 where the system does not state it.
    memory = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else peak_bytes()
    used = f", {memory / 1e9:.1f} GB at most" if memory else ""
    shares = (
        f"{name} on {p['inside']:.0%} of its place and {p['outside']:.0%} of the rest" for name, p in places.items()
    )
    problem = "" if passed else "not where the things are: "
    text = f"{problem}{', '.join(shares)}; {seconds:.1f} s an image{used}"
    return Finding("photo", passed, text, {"seconds": seconds, "bytes": memory or None, **places})


def _ade20k(segmenter: OpenVocabularySegmenter, expected: float | None, dataset: Dataset, images: int) -> Finding:
    """The mIoU on the first images of ADE20K-150, with the range to expect of other images of the same kind."""
    encoded, classes = segmenter.encode_text("ade20k-150"), len(dataset.vocabulary)
    counts, images = [], min(images, len(dataset))
    with bar("ADE20K", images) as step:
        for number in range(images):
            sample = dataset[number]
            predicted = segmenter.segment(sample.image, encoded, background=None).semantic()
            counts.append(pixel_counts([confusion(predicted, sample.target.labels(), classes)], classes))
            step(1)
    table = np.stack(counts)
    miou = float(mean_iou(table.sum(axis=0)))
    low, high = np.nanpercentile(bootstrap(table, mean_iou), [5, 95]) if images > 1 else (miou, miou)
    text = f"mIoU {miou:.1%} on {images} images (bootstrap: {low:.1%} to {high:.1%})"
    figures = {"miou": miou, "low": float(low), "high": float(high), "images": images}
    if expected is None:
        return Finding("ade20k", None, f"{text}; no figure to compare with", figures)
    share = expected / 100
    text += f"; {share:.1%} is expected on all 2,000: so few images show the order of magnitude, not more"
    return Finding("ade20k", bool(high >= ENOUGH_MIOU * share), text, figures | {"expected": share})


def _difference(name: str, what: str, computed: Tensor, reference: Tensor) -> Finding:
    """Compare two computations of one result, equal but for rounding (TF32 on a GPU has three digits)."""
    relative = ((computed - reference).abs().max() / reference.abs().max()).item()
    return Finding(name, relative < 2e-3, f"{what} differ by {relative:.0e} of the largest", {"relative": relative})


def _inside(outline: str, shape: tuple[int, ...]) -> np.ndarray:
    from skimage.draw import polygon2mask

    corners = [tuple(map(int, corner.split(",")))[::-1] for corner in outline.split()]
    return polygon2mask(shape, corners)


def _photograph(name: str) -> np.ndarray:
    import skimage.data

    return read_image(getattr(skimage.data, name)())


def _whole(segmenter: OpenVocabularySegmenter, photo: str, classes: EncodedVocabulary) -> Classification:
    image = _photograph(photo)
    return segmenter.classify(image, np.ones((1, *image.shape[:2]), dtype=bool), classes)
