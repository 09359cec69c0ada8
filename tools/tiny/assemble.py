"""Build the embedded model from its trained parts, with the package's own classes, so that what is trained and
evaluated is what users run."""

from pathlib import Path

import torch
from torch import nn

from maskadapter.hub.checkpoints.checkpoint import read_checkpoint
from maskadapter.models.builder import Architecture
from maskadapter.models.builder import build as build_model
from maskadapter.models.clip.clip import Clip
from maskadapter.models.segmenter import OpenVocabularySegmenter

PACKED = Path(__file__).parents[2] / "src/maskadapter/hub/weights/tiny.safetensors"
TEXT = "text.safetensors"
TEMPLATES = ("{}", "a photo of a {}.")
LONGEST = 640


def build() -> OpenVocabularySegmenter:
    """The untrained model."""
    return build_model(Architecture("tiny", "pooling"))


def text_state(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """State of `text_encoder.TextEncoder` -> open_clip's keys, the table still in its two factors."""
    return {name.replace("factor_", "token_embedding.factor_"): value for name, value in state.items()}


def text_file(work: Path) -> Path:
    """The file with the text encoder: that of `text_finetune.py`, or where there is none, the packed weights."""
    return work / TEXT if (work / TEXT).exists() else PACKED


def load_text(clip: Clip, source: Path) -> Clip:
    """Fill in the text encoder of a file of `pack.py` or `text_finetune.py`."""
    prefix = "clip.model."
    text = {name.removeprefix(prefix): value for name, value in read_checkpoint(source).float_tensors().items()}
    text = {name: value for name, value in text.items() if name in clip.model.state_dict()}
    text = {name: value for name, value in text.items() if not name.startswith(("visual.", "logit_"))}
    missing, _ = clip.model.load_state_dict(text, strict=False)
    assert all(name.startswith("visual.") or name in ("attn_mask", "logit_scale") for name in missing), missing
    return clip


def load_clip(model: nn.Module, work: Path, image_encoder: str = "image_encoder.pt") -> None:
    """Fill in the two encoders, see `text_file`."""
    image, clip = torch.load(work / image_encoder, weights_only=True), load_text(model.clip, text_file(work)).model
    clip.visual.trunk.load_state_dict(image["trunk"])
    clip.visual.head.load_state_dict(image["head"])
    clip.logit_scale.data = image["logit_scale"].clone()


def load_boundaries(model: OpenVocabularySegmenter, work: Path) -> OpenVocabularySegmenter:
    """Fill in the encoders, and the boundary head from `boundary_head.pt`."""
    load_clip(model, work)
    model.generator.boundaries.load_state_dict(torch.load(work / "boundary_head.pt", weights_only=True))
    return model.eval()


def load_parts(model: OpenVocabularySegmenter, work: Path) -> OpenVocabularySegmenter:
    """Fill in the encoders, and the region head from `region_head.pt`."""
    load_clip(model, work)
    model.generator.load_state_dict(torch.load(work / "region_head.pt", weights_only=True))
    model.void_embedding.weight.data.zero_()  # the region head finds void without it
    return model


def load_packed(path: Path) -> OpenVocabularySegmenter:
    """The model in a file of `pack.py`."""
    model = build()
    model.load_state_dict(read_checkpoint(path).float_tensors())
    return model.eval()
