"""What a training starts from: the shapes of a named model, frozen weights from one place, the adapter from another."""

import json
from dataclasses import replace
from typing import Any

import torch
from timm.layers import DropPath
from torch import Tensor

from maskadapter.errors import CheckpointError, RecipeError
from maskadapter.hub import loading as hub
from maskadapter.hub.checkpoint import Checkpoint, compare, read_checkpoint
from maskadapter.hub.identification import Variant
from maskadapter.hub.model_zoo import CLIP_WEIGHTS
from maskadapter.models.build import MODELS
from maskadapter.models.clip.clip import Clip
from maskadapter.models.poolers.pooler import AdapterPooler
from maskadapter.models.proposals.mask2former.mask2former import Mask2FormerHead
from maskadapter.models.segmenter import OpenVocabularySegmenter
from maskadapter.system.error_text import did_you_mean
from maskadapter.training.generator.initialization import start_generator
from maskadapter.training.recipe import Recipe

ADAPTER = "pooler.adapter."


def start(recipe: Recipe) -> OpenVocabularySegmenter:
    """The model of a recipe, with its weights, on the CPU: what is trained requires gradients, nothing else does.

    Of ``model.start`` everything but its embedding is taken, and every tensor of the frozen parts has to be there. The
    adapter is that of ``model.adapter``, else the one in ``model.start``, else random, by ``run.seed``. Random too is
    what ``model.start`` lacks of the parts that this stage trains: the void embedding, the generator.

    Raises RecipeError or CheckpointError, one line.
    """
    settings = recipe.model
    if settings.name not in MODELS:
        raise RecipeError(f"unknown model '{settings.name}': {did_you_mean(settings.name, MODELS)}")
    torch.manual_seed(recipe.run.seed)
    options = settings.model_dump(exclude={"name", "start", "adapter", "transfer_norm"}, exclude_none=True)
    segmenter = (_from_clip if settings.start in CLIP_WEIGHTS else _from_file)(recipe, options)
    if settings.transfer_norm is not None:
        if segmenter.text_transfer is None:
            raise RecipeError(f"model.transfer_norm is for MAFT+ models: {settings.name} has no transfer of text")
        segmenter.text_transfer.norm_placement = settings.transfer_norm
    return _trainable(segmenter, recipe)


def _from_clip(recipe: Recipe, options: dict[str, object]) -> OpenVocabularySegmenter:
    """A pretrained CLIP and no generator: the warm-up of FC-CLIP's adapter."""
    settings, image_encoder = recipe.model, CLIP_WEIGHTS[recipe.model.start]
    if recipe.stage == "mixed":
        raise RecipeError(
            f"model.start is {settings.start}, which has no mask generator: the mixed stage needs a segmenter's file"
        )
    segmenter = Variant(settings.name, "adapter", recipe.stage == "generator", tuple(options.items())).build()
    if segmenter.text_transfer is not None:
        raise RecipeError(
            f"model.start is {settings.start}, which lacks {settings.name}'s transfer of text: give MAFT+'s own file"
        )
    clip = Clip.pretrained(image_encoder.config, image_encoder.tag)
    differences = compare(_shapes(segmenter.clip.state_dict()), _shapes(clip.state_dict()))
    if differences:
        raise RecipeError(f"model.start is {settings.start}, not the CLIP of {settings.name}: {differences}")
    segmenter.clip = clip
    if settings.adapter is not None:
        _put_adapter(segmenter, read_checkpoint(settings.adapter))
    _start_generator(segmenter, recipe, {key for key in segmenter.state_dict() if key.startswith("generator.")})
    return segmenter


def _from_file(recipe: Recipe, options: dict[str, object]) -> OpenVocabularySegmenter:
    settings = recipe.model
    checkpoint = hub.find(settings.start, "pooling")
    held = any(key.startswith("generator.") for key in checkpoint.tensors)
    if recipe.stage == "mixed" and not held:
        raise RecipeError(f"{checkpoint.source} holds no mask generator: the mixed stage needs a segmenter's file")
    generator = held or recipe.stage == "generator"
    segmenter = Variant(settings.name, "adapter", generator, tuple(options.items())).build()
    tensors = {key: t.float() if t.is_floating_point() else t for key, t in checkpoint.tensors.items()}
    adapter = {key: tensor for key, tensor in tensors.items() if key.startswith("pooler.")}
    frozen = {key: tensor for key, tensor in tensors.items() if not key.startswith("pooler.")}
    wanted = {key: t for key, t in segmenter.state_dict().items() if not key.startswith("pooler.")}
    if recipe.stage == "generator" and not wanted.keys() >= {key for key in frozen if key.startswith("generator.")}:
        frozen = {key: t for key, t in frozen.items() if not key.startswith("generator.")}  # another kind's
    # These may be new, because they are trained; where they are there, they have to fit.
    trained = ("void_embedding.",) + ("generator.",) * (recipe.stage == "generator")
    may_lack = {key for key in wanted if key.startswith(trained) and key not in frozen}
    differences = compare(_shapes({key: t for key, t in wanted.items() if key not in may_lack}), _shapes(frozen))
    if differences:
        raise CheckpointError(f"{checkpoint.source} does not hold {settings.name}: {differences}")
    _start_generator(segmenter, recipe, may_lack)
    segmenter.load_state_dict(frozen, strict=False)
    if settings.adapter is not None:
        warmup = read_checkpoint(settings.adapter)
        hub.refuse_another_clip(checkpoint, warmup)
        _put_adapter(segmenter, warmup)
    elif adapter:
        _put_adapter(segmenter, checkpoint)
    segmenter.inference = replace(segmenter.inference, **_known_by_generator(checkpoint))
    return segmenter


def _known_by_generator(checkpoint: Checkpoint) -> dict[str, Any]:
    """``seen_in`` where the file says what its generator was trained on; the other settings depend on the pooler."""
    try:
        seen_in = json.loads(checkpoint.metadata.get("settings", "{}")).get("inference", {}).get("seen_in")
    except (ValueError, AttributeError):
        raise CheckpointError(f"{checkpoint.source} has damaged settings") from None
    return {} if seen_in is None else {"seen_in": tuple(seen_in) if isinstance(seen_in, list) else seen_in}


def _start_generator(segmenter: OpenVocabularySegmenter, recipe: Recipe, new: set[str]) -> None:
    if isinstance(segmenter.generator, Mask2FormerHead) and any(key.startswith("generator.") for key in new):
        start_generator(segmenter.generator, torch.Generator().manual_seed(recipe.run.seed))


def _put_adapter(segmenter: OpenVocabularySegmenter, checkpoint: Checkpoint) -> None:
    held = {key: tensor.float() for key, tensor in checkpoint.tensors.items() if key.startswith(ADAPTER)}
    tensors = {key.removeprefix(ADAPTER): tensor for key, tensor in held.items()}
    if not tensors:
        raise CheckpointError(f"{checkpoint.source} holds no adapter: give the file that the warm-up wrote")
    adapter = _embedding(segmenter).adapter
    differences = compare(_shapes(adapter.state_dict()), _shapes(tensors))
    if differences:
        raise CheckpointError(f"{checkpoint.source} holds another adapter than the recipe's model: {differences}")
    adapter.load_state_dict(tensors)


def _trainable(segmenter: OpenVocabularySegmenter, recipe: Recipe) -> OpenVocabularySegmenter:
    segmenter.requires_grad_(False).eval()
    pooler = _embedding(segmenter)
    if recipe.stage == "generator":
        assert isinstance(segmenter.generator, torch.nn.Module)
        segmenter.generator.requires_grad_(True)
    else:
        pooler.adapter.requires_grad_(True)
        pooler.adapter.checkpoint_blocks = recipe.run.checkpoint_blocks
    segmenter.void_embedding.requires_grad_(recipe.run.trainable_void)
    if recipe.run.stochastic_depth:
        for module in segmenter.clip.modules():
            if isinstance(module, DropPath):
                module.train()
    return segmenter


def _embedding(segmenter: OpenVocabularySegmenter) -> AdapterPooler:
    assert isinstance(segmenter.pooler, AdapterPooler)
    return segmenter.pooler


def _shapes(tensors: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(tensor.shape) for key, tensor in tensors.items()}
