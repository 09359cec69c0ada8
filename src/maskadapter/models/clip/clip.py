"""CLIP through open_clip: dense image features, their projection into the text space, text embeddings."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import open_clip
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskadapter.errors import CheckpointError, DownloadError
from maskadapter.models.clip.causal_text import CausalTextEncoder
from maskadapter.models.clip.eva_files import clip_of_eva_file
from maskadapter.models.clip.image_encoders import (
    STAGES,
    JoinedEncoder,
    WholeImageEncoder,
    compute_in_pieces,
    image_encoder_of,
)
from maskadapter.models.config import ProjectionLayout
from maskadapter.models.frozen_parts import KeepsFrozenParts
from maskadapter.models.half_precision import as_kept
from maskadapter.models.preprocess import PIXEL_MEAN, PIXEL_STD
from maskadapter.system.error_text import first_line
from maskadapter.types import ClipFeatures
from maskadapter.vocabulary import TEMPLATES


def download_pretrained(config: str, tag: str) -> Path:
    """Download the file of a pretrained CLIP through open_clip, or find it in the cache of the Hugging Face hub. Raises
    DownloadError, one line: open_clip knows no such tag, hub not reachable."""
    known = open_clip.get_pretrained_cfg(config, tag)
    if not known:
        raise DownloadError(f"open_clip has no weights '{tag}' for {config}; nor is there a file of that name")
    try:
        return Path(open_clip.download_pretrained(known))
    except Exception as error:  # open_clip and the hub's library bring many kinds
        reason = " ".join(str(error).split())[:300]
        raise DownloadError(f"open_clip cannot download {config} {tag} ({reason})") from error


def repository_of(config: str, tag: str) -> tuple[str, tuple[str, ...]] | None:
    """The hub's repository that open_clip takes a pretrained CLIP from, and its files of which one is needed. config,
    tag: as ``download_pretrained`` takes them, or ``hf-hub`` and the repository. None for anything else: a file,
    ``local-dir``, a tag that open_clip does not know. Nothing is downloaded."""
    named = f"{tag}/" if config == "hf-hub" else open_clip.get_pretrained_cfg(config, tag).get("hf_hub", "")
    if not named or (config != "hf-hub" and Path(tag).is_file()):
        return None
    repository, _, file = named.rpartition("/")
    return repository, (file,) if file else ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


class Clip(KeepsFrozenParts):
    """An open_clip model whose image encoder keeps its feature maps.

    model: a model of open_clip, such as ``open_clip.CLIP``. tokenizer: list of strings -> (n, context) token ids.
    templates: prompts with one ``{}``; a text embedding is the mean over them. projection_layout: see
    ``UpstreamQuirks``. image_encoder: None for the result of ``image_encoder_of``. colors: mean and standard deviation,
    0 to 1, RGB, of the images it was trained with; None for PIXEL_MEAN and PIXEL_STD, as ``images`` always come."""

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        templates: Sequence[str] = TEMPLATES,
        projection_layout: ProjectionLayout = "channels-last",
        image_encoder: WholeImageEncoder | None = None,
        colors: tuple[Sequence[float], Sequence[float]] | None = None,
    ) -> None:
        super().__init__()
        self.model: Any = model
        self.image_encoder = image_encoder or image_encoder_of(self.model.visual)
        compute_in_pieces(model)
        self.tokenizer, self.templates, self._colors = tokenizer, tuple(templates), colors
        self.projection_layout = projection_layout

    @classmethod
    def build(
        cls, config: str | Mapping[str, Any], output_stride: int = 32, joined: tuple[str, ...] = (), **options: Any
    ) -> "Clip":
        """An untrained CLIP. config: an open_clip configuration's name (``"convnext_large_d_320"``) or content.
        output_stride: 32, or 16 for trunks that can be dilated (MobileNetV2, EfficientNet). joined: see
        ``JoinedEncoder``; the MLP projection takes that many channels more. options: see the class."""
        content = open_clip.get_model_config(config) if isinstance(config, str) else config
        if content is None:
            raise ValueError(f"open_clip has no configuration '{config}'")
        model = open_clip.CLIP(**content)
        if output_stride != 32:
            name = content["vision_cfg"]["timm_model_name"]
            model.visual.trunk = timm.create_model(name, num_classes=0, global_pool="", output_stride=output_stride)
        clip = cls(model, open_clip.SimpleTokenizer(context_length=model.context_length), **options)
        if joined:
            mlp, dims = model.visual.head.mlp, clip.pyramid_dims
            inputs = mlp.fc1.in_features + sum(dims[stage] for stage in joined)
            mlp.fc1 = nn.Linear(inputs, mlp.fc1.out_features)
            clip.image_encoder = JoinedEncoder(model.visual, joined)
        return clip

    @classmethod
    def pretrained(cls, config: str, weights: str | Path, **options: Any) -> "Clip":
        """A CLIP as open_clip publishes it. config: an open_clip configuration's name. weights: its tag, downloaded on
        first use, or a file. options: see the class. Raises DownloadError; CheckpointError for a file that misfits."""
        path = weights if Path(weights).is_file() else download_pretrained(config, str(weights))
        clip = cls.build(config, **options)
        try:
            open_clip.load_checkpoint(clip.model, str(path))
        except Exception as error:  # damaged files make the readers raise nearly anything
            raise CheckpointError(f"{path} does not hold open_clip's {config} ({first_line(error)})") from error
        return clip

    @classmethod
    def published(cls, name: str, weights: str | None, whole_images: bool = False) -> "Clip":
        """Any CLIP of open_clip with its own preprocessing.

        name: of a configuration of open_clip (``"ViT-B-16"``), or ``"hf-hub:ORGANIZATION/NAME"`` or
        ``"local-dir:FOLDER"``, which bring their weights. weights: see ``pretrained``; a file may also be of EVA-CLIP's
        own code, see ``clip_of_eva_file``. whole_images: for encoders without a feature map. Raises CheckpointError,
        DownloadError, or MaskAdapterError, see ``image_encoder_of``."""
        model, quick = None, False
        if weights is not None and not Path(weights).is_file():
            download_pretrained(name, weights)
            # Source: open_clip's table of weights; it only warns where they do not fit the configuration.
            quick = bool(open_clip.get_pretrained_cfg(name, weights).get("quick_gelu"))
        try:
            if weights is not None and Path(weights).is_file():
                model = clip_of_eva_file(name, weights)
            if model is None:
                model = open_clip.create_model(name, weights, require_pretrained=True, force_quick_gelu=quick)
            tokenizer = open_clip.get_tokenizer(name)
        except CheckpointError:
            raise
        except Exception as error:  # open_clip and the hub's library bring many kinds
            what = name if weights is None else f"{name} with {weights}"
            # torch's own message on such files ends in the advice to run whatever they hold.
            unpickled = isinstance(error, UnpicklingError)
            reason = "it is damaged, or holds more than tensors" if unpickled else " ".join(str(error).split())
            raise CheckpointError(f"open_clip cannot load {what} ({reason[:300] or type(error).__name__})") from error
        colors = tuple(model.visual.image_mean), tuple(model.visual.image_std)
        whole = WholeImageEncoder(model.visual) if whole_images else None
        return cls(model, tokenizer, image_encoder=whole, colors=colors)

    @property
    def embed_dim(self) -> int:
        """D, the width of the common space of images and text."""
        if causal := self.causal_text:
            return causal.embed_dim
        with torch.inference_mode(), as_kept(self.model):  # open_clip does not state it for all text encoders
            return self.model.encode_text(self.tokenizer(["a"]).to(self.logit_scale.device)).shape[-1]

    @property
    def image_size(self) -> int:
        """Pixels of a side of the square images that the image encoder was trained with."""
        size = self.model.visual.image_size
        return size if isinstance(size, int) else size[0]

    @property
    def size_divisor(self) -> int:
        """Height and width of the input must be multiples of it."""
        return self.image_encoder.size_divisor

    @property
    def pyramid_dims(self) -> dict[str, int]:
        """Channels of ``res2`` to ``res5``."""
        stages = self.model.visual.trunk.feature_info[-len(STAGES) :]
        return {name: stage["num_chs"] for name, stage in zip(STAGES, stages, strict=True)}

    @property
    def reads_latin_alone(self) -> bool:
        """Whether the tokenizer is that of OpenAI's CLIP, made from English text; others may know any script."""
        return isinstance(self.tokenizer, open_clip.SimpleTokenizer)

    @property
    def logit_scale(self) -> Tensor:
        """Scalar, the logarithm of what a cosine is multiplied with."""
        return self.model.logit_scale

    def restore_causal_mask(self) -> None:
        """Compute the text encoder's causal mask: no checkpoint holds it, and on the meta device it has no values."""
        mask = torch.full_like(self.logit_scale, float("-inf")).repeat(self.model.attn_mask.shape)
        self.model.register_buffer("attn_mask", mask.triu(1), persistent=False)

    def encode_image(self, images: Tensor) -> ClipFeatures:
        """Feature maps of images (B, 3, H, W), normalized with PIXEL_MEAN and PIXEL_STD; see ``size_divisor``."""
        with as_kept(self.model) as float32:
            dense, pyramid = self.image_encoder.features(self._as_trained(images))
            dense, pyramid = float32(dense), {name: float32(stage) for name, stage in pyramid.items()}
        locations = dense.permute(0, 2, 3, 1)
        if self.projection_layout == "as-stored":
            locations = dense.reshape(locations.shape)
        return ClipFeatures(pyramid, dense, self.project(locations).permute(0, 3, 1, 2))

    def encode_whole(self, images: Tensor) -> Tensor:
        """CLIP's own embeddings (B, D), not normalized, of whole images (B, 3, S, S), S the ``image_size``."""
        with as_kept(self.model) as float32:
            return float32(self.image_encoder.whole(self._as_trained(images)))

    def project(self, features: Tensor) -> Tensor:
        """CLIP's last step, (..., C) -> (..., D), as if each vector were an image's pooled features. Not normalized."""
        with as_kept(self.model) as float32:
            projected = float32(self.image_encoder.project(features.reshape(-1, features.shape[-1])))
        return projected.view(*features.shape[:-1], projected.shape[-1])

    def encode_text(self, names: Sequence[str], batch_size: int = 256) -> Tensor:
        """Embed names, one unit vector each, (len(names), D): prompts are normalized, averaged over the templates, and
        normalized again; exact under autocast too, because they are kept. Source: FC-CLIP's get_text_classifier."""
        prompts = [template.format(name) for name in names for template in self.templates]
        device = self.logit_scale.device
        with torch.autocast(device.type, enabled=False), as_kept(self.model) as float32:
            encoded = float32(self._encode_tokens(self.tokenizer(prompts).to(device), batch_size))
        return F.normalize(encoded.view(len(names), len(self.templates), -1).mean(dim=1), dim=-1)

    def text_fingerprint(self) -> str:
        """Return a hash of everything that ``encode_text`` depends on: weights, heads, templates, kind of device."""
        model = self.model
        encoder = model.text if hasattr(model, "text") else model.transformer  # what it is built of, beside its weights
        heads = [module.num_heads for module in encoder.modules() if hasattr(module, "num_heads")]
        ways = [getattr(model, name, None) for name in ("text_pool_type", "text_eos_id", "context_length")]
        probe = self.tokenizer(["a photo of 2 cats."]).tolist()
        built = (repr(encoder), heads, ways, getattr(model, "attn_mask", None) is None, probe)
        state = model.state_dict().items()
        tensors = {name: tensor for name, tensor in state if not name.startswith(("visual.", "logit_"))}
        return fingerprint(tensors, *self.templates, *map(str, built), self.logit_scale.device.type)

    @property
    def causal_text(self) -> CausalTextEncoder | None:
        """The text encoder where it is of CLIP's own kind."""
        return CausalTextEncoder.of(self.model)

    def _encode_tokens(self, tokens: Tensor, batch_size: int = 256) -> Tensor:
        """Embed token ids (n, context) as unit vectors (n, D), as open_clip's ``encode_text`` does."""
        if causal := self.causal_text:
            return causal(tokens, batch_size)
        tokens, which = tokens.unique(dim=0, return_inverse=True)
        return torch.cat([self.model.encode_text(part, normalize=True) for part in tokens.split(batch_size)])[which]

    def _as_trained(self, images: Tensor) -> Tensor:
        """Normalize images as this CLIP was trained, from images normalized with PIXEL_MEAN and PIXEL_STD."""
        if self._colors is None:
            return images
        colors = (*self._colors, PIXEL_MEAN, PIXEL_STD)
        mean, std, given_mean, given_std = (images.new_tensor(one)[:, None, None] for one in colors)
        if torch.allclose(255 * mean, given_mean, atol=0.01) and torch.allclose(255 * std, given_std, atol=0.01):
            return images
        return (images * given_std / 255 + given_mean / 255 - mean) / std


def fingerprint(tensors: Mapping[str, Tensor], *facts: str) -> str:
    """Return a hash of named tensors, to the last bit, and of facts beside them."""
    digest = hashlib.sha256(repr(facts).encode())
    for name, tensor in tensors.items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().flatten().contiguous().cpu().view(torch.uint8).numpy().data)
    return digest.hexdigest()
