"""Pack the trained parts into one file: the weights of the embedded model `tiny`.

16 bits a number; the text table stays in its two factors (`token_embedding.factor_a` @ `token_embedding.factor_b`), of
which the first, the larger one, has 8 bits and a scale for each row (`factor_a_scale`). Sources and license go into the
metadata, which is where data and teachers are listed.

    python tools/tiny/pack.py --shared ../shared --work build/tiny --out src/maskadapter/hub/weights/tiny.safetensors

Seconds. Reads `image_encoder.pt`, `boundary_head.pt`, `region_head.pt`, and the text encoder of `text.safetensors`,
where that is missing of the weights in the package. Prints the file's size, and how far 8 bits move class names.
"""

import argparse
from pathlib import Path

import torch
from assemble import LONGEST, TEMPLATES, build, load_parts, load_text, text_file
from coco import panoptic_names, splits, unlabelled_photos
from safetensors.torch import load_file

from maskadapter.hub.checkpoints.checkpoint import write_checkpoint
from maskadapter.models.builder import TINY_CLIP, Architecture, published
from maskadapter.vocabulary.vocabulary import Vocabulary

TEXT = "clip.model."
TABLE = TEXT + "token_embedding."
TEACHERS = [
    "all-MiniLM-L6-v2 (Apache-2.0): text",
    "EfficientNet-Lite2, ImageNet, in timm's port (Apache-2.0): start of the image encoder, and its teacher",
    "MOSAIC R4, ADE20K's 31 most frequent classes, MLCommons (Apache-2.0): stuff",
    "SSD-MobileNetV2, COCO (Apache-2.0): things, on the unlabelled photos only; it may have seen val2017",
    "HED (MIT): boundaries",
]


def in_8_bits(factor: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(rows, r) -> int8 of that shape, and the scale of each row, (rows, 1) float16; their product is `factor`."""
    scale = (factor.abs().amax(1, keepdim=True) / 127).clamp_min(1e-6).half()
    return (factor / scale.float()).round().clamp(-127, 127).to(torch.int8), scale


def text_encoder(source: Path) -> dict[str, torch.Tensor]:
    """The text encoder's tensors in a file of this script or of `text_finetune.py`, as they are stored here."""
    held = {name: value for name, value in load_file(source).items() if name.startswith(TEXT)}
    held = {name: value for name, value in held.items() if not name.startswith((TEXT + "visual.", TEXT + "logit_"))}
    factor = held[TABLE + "factor_a"].float() * held.get(TABLE + "factor_a_scale", torch.ones(())).float()
    held[TABLE + "factor_a"], held[TABLE + "factor_a_scale"] = in_8_bits(factor)
    return held


def data(shared: Path) -> list[str]:
    """What the parts were trained on, counted."""
    training, held_out, _ = splits(shared / "data/coco")
    panoptic, kept = (sum("png" in photo.segments for photo in photos) for photos in (training, held_out))
    unlabelled = len(unlabelled_photos(shared / "data/coco"))
    boundaries = len(list((shared / "data/extra/bsds500/photos").iterdir()))
    return [
        f"COCO 2017: {len(training)} labeled training photos ({panoptic} with panoptic, {len(training) - panoptic} "
        f"with instance labels), annotations CC BY 4.0; {len(held_out)} more to choose settings ({kept} with panoptic, "
        f"{len(held_out) - kept} with instance labels)",
        f"COCO 2017: {unlabelled:,} unlabelled photos with the teachers' labels",
        "COCO 2017: 1,275 captions",
        f"BSDS500: {boundaries} photos with human segmentations, for boundaries",
        "WordNet 3.0",
        "CLIP ViT-B/32: similarities of 1,285 names, for text",
    ]


def class_names(path: Path) -> torch.Tensor:
    """Text embeddings of the names of ADE20K's 847 classes, (N, 384), by the text encoder in a file."""
    names = [name for group in Vocabulary.builtin("ade20k-847").classes for name in group]
    return load_text(build().clip, path).encode_text(names)


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="folder with vocabularies/ and data/")
    parser.add_argument("--work", type=Path, required=True, help="folder with the trained parts")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    source = text_file(arguments.work)
    text = text_encoder(source)
    state = load_parts(build(), arguments.work).state_dict()
    state = {name: value for name, value in state.items() if name != TABLE + "weight"} | text
    packed = {
        name: value.half() if value.is_floating_point() and value.ndim else value for name, value in state.items()
    }
    inference = published(Architecture("tiny", "pooling")).inference
    facts = {
        "name": "tiny",
        "license": "Apache-2.0",
        "clip_config": TINY_CLIP,
        "output_stride": 16,
        "templates": TEMPLATES,
        "image_size": {"longest_side": LONGEST, "divisor": 32},
        "alpha": inference.alpha,
        "beta": inference.beta,
        "overlap_threshold": inference.overlap_threshold,
        "embedding": "mask pooling weighted by area",
        "seen_in": "coco-panoptic",
        "seen_classes": panoptic_names(arguments.shared),
        "data": data(arguments.shared),
        "teachers": TEACHERS,
        "made_by": "tools/tiny",
    }
    before = class_names(source)  # which may be the file that is replaced
    write_checkpoint(arguments.out, packed, facts)
    lowest = float((before * class_names(arguments.out)).sum(-1).min())
    size = arguments.out.stat().st_size / 1e6
    print(f"{arguments.out}: {size:.1f} MB, {len(packed)} tensors; lowest cosine of a name to before: {lowest:.5f}")


if __name__ == "__main__":
    main()
