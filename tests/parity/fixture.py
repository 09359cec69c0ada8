"""Recorded tensors of the official code, and the model of ours that must reproduce them.

Two kinds of folders: the official recording (``config.json`` with every setting, ``model.pth``, ``inputs.npz``,
``outputs.npz``), and the golden files beside this one, which hold a small part of such a recording in our own format
and start at the dense features and the text classifier.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import yaml
from timm.models.convnext import ConvNeXt
from torch import Tensor

from maskadapter.hub.checkpoints.checkpoint import read_checkpoint
from maskadapter.models.clip.clip import Clip
from maskadapter.models.clip.image_encoders import ConvolutionalEncoder
from maskadapter.models.config import AdapterConfig, InferenceConfig, UpstreamQuirks
from maskadapter.models.maftplus import ContentDependentTransfer
from maskadapter.models.mask_adapter import MaskAdapter
from maskadapter.models.poolers.adapter_pooling import AdapterPooler
from maskadapter.models.preprocess import PIXEL_MEAN, PIXEL_STD, InputSize
from maskadapter.models.proposals.mask2former.mask2former import Mask2FormerHead, MaskDecoder
from maskadapter.models.proposals.mask2former.pixel_decoder import PixelDecoder
from maskadapter.models.segmenter import OpenVocabularySegmenter
from maskadapter.vocabulary.vocabulary import Vocabulary

COVERED = ("FCCLIP", "MAFT_Plus", "MASK_Adapter")  # META_ARCHITECTURE of the recordings that ``stages`` can follow
GOLDEN = Path(__file__).parent / "golden"


@dataclass(frozen=True)
class Settings:
    """Everything about a recorded model that its weights do not show, and the sizes of its parts."""

    package: str
    clip: dict[str, Any]
    convnext: dict[str, Any]
    train_classes: list[list[str]]
    test_classes: list[list[str]]
    things: list[int]
    dim: int
    pixel_dim: int
    mask_dim: int
    num_heads: int
    ffn_dim: int
    encoder_layers: int
    decoder_layers: int
    num_queries: int
    adapter_dim: int
    num_maps: int
    mask_threshold: float
    alpha: float
    beta: float
    overlap_threshold: float
    score_threshold: float
    top_instances: int
    masks_first: bool
    transfer_heads: int | None
    transfer_norm: str
    segments: dict[str, list[dict[str, Any]]]
    frames: dict[str, dict[str, list[int]]]
    train_seed: int | None = None
    match_seed: int | None = None
    grad_norm: float | None = None
    weight_decay: float | None = None
    trainable: list[str] | None = None

    @property
    def vocabulary(self) -> Vocabulary:
        is_thing = tuple(i in self.things for i in range(len(self.test_classes)))
        return Vocabulary(tuple(map(tuple, self.test_classes)), is_thing)

    @property
    def seen(self) -> tuple[bool, ...]:
        train = Vocabulary(tuple(map(tuple, self.train_classes)), (True,) * len(self.train_classes))
        return self.vocabulary.seen(train)


@dataclass(frozen=True)
class Recording:
    """One folder. ``tensors`` by their recorded names; ``weights`` under our names, or fewer than all in golden
    files."""

    name: str
    settings: Settings
    tensors: Mapping[str, np.ndarray]
    weights: Mapping[str, Tensor]
    golden: bool

    def get(self, key: str) -> Tensor | None:
        return torch.from_numpy(np.asarray(self.tensors[key])) if key in self.tensors else None

    def holds(self, prefix: str) -> bool:
        """Whether the weights of a part are there; golden files leave the large ones out."""
        return any(key.startswith(prefix) for key in self.weights)

    def build(self) -> OpenVocabularySegmenter:
        segmenter = build(self.settings)
        missing, unexpected = segmenter.load_state_dict(dict(self.weights), strict=not self.golden)
        assert not unexpected
        assert self.golden or not missing
        return segmenter.eval()


def read_golden(folder: Path) -> Recording:
    settings = Settings(**json.loads((folder / "settings.json").read_text()))
    tensors = np.load(folder / "tensors.npz")
    weights = read_checkpoint(folder / "weights.safetensors").tensors
    return Recording(folder.name, settings, tensors, weights, golden=True)


def read_official(folder: Path) -> Recording:
    config = json.loads((folder / "config.json").read_text())
    inputs = dict(np.load(folder / "inputs.npz"))
    # The true labels of an image and the scores that were computed for it share a name.
    inputs = {key.replace(".sem_seg", ".labels"): array for key, array in inputs.items()}
    arrays = {**inputs, **np.load(folder / "outputs.npz")}
    weights = read_checkpoint(folder / "model.pth").tensors
    return Recording(folder.name, settings_of(config), arrays, weights, golden=False)


def settings_of(config: dict[str, Any]) -> Settings:
    """Our settings from an official ``config.json``: its detectron2 configuration, classes and notes."""
    cfg = yaml.safe_load(config["cfg"])
    model, former, test = cfg["MODEL"], cfg["MODEL"]["MASK_FORMER"], cfg["MODEL"]["MASK_FORMER"]["TEST"]
    head, adapter, notes = model["SEM_SEG_HEAD"], model["MASK_ADAPTER"], config["notes"]
    # Ours has no switch for these.
    fixed = {
        "MASK_IN_CHANNELS": (adapter["MASK_IN_CHANNELS"], MaskAdapter.MASK_DIM),
        "SIZE_DIVISIBILITY": (former["SIZE_DIVISIBILITY"], ConvolutionalEncoder.size_divisor),
        "PIXEL_MEAN": (tuple(model["PIXEL_MEAN"]), PIXEL_MEAN),
        "PIXEL_STD": (tuple(model["PIXEL_STD"]), PIXEL_STD),
        "PRE_NORM": (former["PRE_NORM"], False),
        "COMMON_STRIDE": (head["COMMON_STRIDE"], 4),
    }
    wrong = {name: values for name, values in fixed.items() if values[0] != values[1]}
    assert not wrong, f"{config['job']} was recorded with settings that are fixed here: {wrong}"
    # MAFT+ itself, and the warm-up of its adapter, which is recorded by the warm-up's package.
    maftplus = config["pkg"] == "maft" or bool(adapter.get("TRAIN_MAFT"))
    transfer = model.get("cdt_params", cfg.get("cdt_params")) if maftplus else None
    cases = [key.removesuffix(".height_width") for key in notes if key.endswith(".height_width")]
    return Settings(
        package=config["pkg"],
        clip=config["open_clip_cfg"],
        convnext=config["tiny_convnext"],
        train_classes=[_synonyms(name) for name in config["train_classes"]],
        test_classes=[_synonyms(name) for name in config["test_classes"]],
        things=config["test_things"],
        dim=former["HIDDEN_DIM"],
        pixel_dim=head["CONVS_DIM"],
        mask_dim=head["MASK_DIM"],
        num_heads=former["NHEADS"],
        ffn_dim=former["DIM_FEEDFORWARD"],
        encoder_layers=head["TRANSFORMER_ENC_LAYERS"],
        decoder_layers=former["DEC_LAYERS"] - 1,
        num_queries=former["NUM_OBJECT_QUERIES"],
        adapter_dim=adapter["NUM_CHANNELS"],
        num_maps=adapter["NUM_OUTPUT_MAPS"],
        mask_threshold=adapter["MASK_THRESHOLD"],
        alpha=model["FC_CLIP"]["GEOMETRIC_ENSEMBLE_ALPHA"],
        beta=model["FC_CLIP"]["GEOMETRIC_ENSEMBLE_BETA"],
        overlap_threshold=test["OVERLAP_THRESHOLD"],
        score_threshold=test["OBJECT_MASK_THRESHOLD"],
        top_instances=cfg["TEST"]["DETECTIONS_PER_IMAGE"],
        masks_first=any(
            test[name] for name in ("SEM_SEG_POSTPROCESSING_BEFORE_INFERENCE", "PANOPTIC_ON", "INSTANCE_ON")
        ),
        transfer_heads=transfer[1] if transfer else None,
        transfer_norm="update" if test["PANOPTIC_ON"] else "sum",
        segments={case: notes[f"{case}.segments_info"] for case in cases if f"{case}.segments_info" in notes},
        frames={
            case: {
                "padded": [-(-length // 32) * 32 for length in notes[f"{case}.image_sizes"][0]],
                "resized": notes[f"{case}.image_sizes"][0],
                "original": notes[f"{case}.height_width"],
            }
            for case in cases
        },
        train_seed=notes.get("train.torch_manual_seed"),
        match_seed=notes.get("match.torch_manual_seed"),
        grad_norm=notes.get("train.grad_norm"),
        weight_decay=cfg["SOLVER"]["WEIGHT_DECAY"],
        trainable=notes.get("train.trainable"),
    )


def build(settings: Settings) -> OpenVocabularySegmenter:
    if not timm.is_model("convnext_tinyref"):
        timm.models.register_model(convnext_tinyref)
    _tinyref_sizes.clear()
    _tinyref_sizes.update(settings.convnext)
    maft = bool(settings.transfer_heads)
    clip = Clip.build(settings.clip, projection_layout="as-stored" if maft else "channels-last")
    pixel_decoder = PixelDecoder(
        clip.pyramid_dims, settings.pixel_dim, settings.mask_dim, settings.encoder_layers, settings.num_heads
    )
    mask_decoder = MaskDecoder(
        clip.embed_dim,
        settings.dim,
        settings.mask_dim,
        settings.num_queries,
        settings.decoder_layers,
        settings.num_heads,
        settings.ffn_dim,
    )
    adapter = MaskAdapter(
        clip.embed_dim,
        AdapterConfig(settings.adapter_dim, num_maps=settings.num_maps, mask_threshold=settings.mask_threshold),
    )
    transfer = None
    if settings.transfer_heads:
        transfer = ContentDependentTransfer(clip.embed_dim, settings.transfer_heads, settings.transfer_norm)
    inference = InferenceConfig(
        InputSize(896, 896),
        seen_in="coco-panoptic",
        alpha=settings.alpha,
        beta=settings.beta,
        overlap_threshold=settings.overlap_threshold,
    )
    # The warm-up stage's package has no generator.
    generator = None if settings.package == "mask_adapter" else Mask2FormerHead(pixel_decoder, mask_decoder)
    return OpenVocabularySegmenter(
        clip,
        generator,
        AdapterPooler(adapter),
        inference,
        transfer,
        quirks=UpstreamQuirks(
            "as-stored" if settings.transfer_heads else "channels-last",
            settings.transfer_norm,
            "masks-first" if settings.masks_first else "classes-first",
        ),
    )


def _synonyms(name: str) -> list[str]:
    return name.replace(", ", ",").split(",")


# The sizes that the next ``convnext_tinyref`` gets: open_clip passes a timm model nothing but its name.
_tinyref_sizes: dict[str, Any] = {}


def convnext_tinyref(pretrained: bool = False, drop_path_rate: float = 0.0, **_: Any) -> ConvNeXt:
    """The small ConvNeXt of the recordings, under the name that their open_clip configuration asks for."""
    model = ConvNeXt(**_tinyref_sizes, drop_path_rate=drop_path_rate)
    model.default_cfg = model.pretrained_cfg = {"pool_size": (7, 7)}
    return model
