"""Any CLIP of open_clip by itself, which classifies given masks: the paper's baselines. Source: Figure 1, Table 3."""

from pathlib import Path

import torch

from maskadapter.errors import MaskAdapterError
from maskadapter.hub.model_source import ModelSource, clip_parts
from maskadapter.hub.zoo.weight_downloads import folder_sha256, sha256_of
from maskadapter.models import LONGER_896, InferenceConfig, InputSize, OpenVocabularySegmenter, pooler_of
from maskadapter.models.clip import Clip, TransformerEncoder


def load_bare_clip(source: ModelSource) -> OpenVocabularySegmenter:
    """Return a segmenter without mask generator, which classifies given masks. Raises MaskAdapterError, one line.

    source: its name is ``clip:NAME:WEIGHTS``, open_clip's name of a configuration and its tag or a file of weights
    (``"clip:ViT-B-16:openai"``), ``clip:hf-hub:ORGANIZATION/NAME`` or ``clip:local-dir:FOLDER``. Its pooler is
    ``"pooling"``, the default, or ``"cropping"``.
    """
    model, pooler = str(source.name), source.pooler
    if source.adapter is not None or source.architecture is not None:
        raise MaskAdapterError(f"{model} is a CLIP alone: leave adapter and architecture out")
    if pooler == "adapter":
        raise MaskAdapterError(f"{model} is a CLIP alone, without an adapter: use pooler pooling or cropping")
    name, weights = clip_parts(model)
    clip = Clip.published(name, weights, whole_images=pooler == "cropping")
    # A transformer gets images of about twice the size that it was trained with: it then has as many patches as a
    # convolutional encoder has feature locations at 896, at positions near those it knows. Not searched for. EVA-CLIP's
    # get 896 like the others. Source: CLIPSelf, which trains and evaluates EVA-CLIP's ViT-L/14 at it.
    twice = 2 * clip.image_size
    size = InputSize(twice, twice) if isinstance(clip.image_encoder, TransformerEncoder) else LONGER_896
    # alpha and beta weigh the in-vocabulary classifier of a mask generator; there is none.
    inference = InferenceConfig(size, seen_in=(), alpha=1.0, beta=1.0)
    segmenter = OpenVocabularySegmenter(clip, None, pooler_of(pooler or "pooling", clip), inference)
    torch.nn.init.zeros_(segmenter.void_embedding.weight)
    return segmenter


def facts(model: str) -> dict[str, str]:
    """Return what identifies these weights: the sha256 of the file or folder, or where they are published."""
    name, weights = clip_parts(model)
    if weights is not None and Path(weights).is_file():
        return {"clip": name, "weights": f"{Path(weights).name}, sha256 {sha256_of(Path(weights))}"}
    folder = Path(name.removeprefix("local-dir:"))
    if name.startswith("local-dir:") and folder.is_dir():
        return {"clip": f"folder {folder.name}", "weights": f"sha256 {folder_sha256(folder)}"}
    return {"clip": name, "weights": weights or "those of the repository"}
