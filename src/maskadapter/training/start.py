"""What a training starts from: the shapes of a named model, frozen weights from one place, the adapter from another."""

from dataclasses import replace
from typing import Any

import torch
from timm.layers import DropPath

from maskadapter.errors import CheckpointError, RecipeError
from maskadapter.hub.checkpoint import Checkpoint, compare, read_checkpoint, shapes_of
from maskadapter.hub.joining import refuse_another_clip
from maskadapter.hub.metadata import read_settings
from maskadapter.hub.model_source import ModelSource
from maskadapter.hub.model_zoo import CLIP_WEIGHTS
from maskadapter.hub.resolve import resolve
from maskadapter.models.build import MODELS, Architecture, build, published
from maskadapter.models.clip.clip import Clip
from maskadapter.models.poolers.adapter_pooling import AdapterPooler
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
        segmenter.quirks = replace(segmenter.quirks, transfer_norm=settings.transfer_norm)
    return _trainable(segmenter, recipe)


def _from_clip(recipe: Recipe, options: dict[str, Any]) -> OpenVocabularySegmenter:
    """A pretrained CLIP and no generator: the warm-up of FC-CLIP's adapter."""
    settings, image_encoder = recipe.model, CLIP_WEIGHTS[recipe.model.start]
    if recipe.stage == "mixed":
        raise RecipeError(
            f"model.start is {settings.start}, which has no mask generator: the mixed stage needs a segmenter's file"
        )
    segmenter = _untrained(Architecture(settings.name, "adapter", recipe.stage == "generator"), options)
    if segmenter.text_transfer is not None:
        raise RecipeError(
            f"model.start is {settings.start}, which lacks {settings.name}'s transfer of text: give MAFT+'s own file"
        )
    clip = Clip.pretrained(image_encoder.config, image_encoder.tag)
    differences = compare(shapes_of(segmenter.clip.state_dict()), shapes_of(clip.state_dict()))
    if differences:
        raise RecipeError(f"model.start is {settings.start}, not the CLIP of {settings.name}: {differences}")
    segmenter.clip = clip
    if settings.adapter is not None:
        _put_adapter(segmenter, read_checkpoint(settings.adapter))
    _start_generator(segmenter, recipe, {key for key in segmenter.state_dict() if key.startswith("generator.")})
    return segmenter


def _untrained(architecture: Architecture, options: dict[str, Any]) -> OpenVocabularySegmenter:
    """The named model with the adapter that the recipe asks for. options: fields of ``AdapterConfig``."""
    config = published(architecture)
    assert config.adapter is not None
    return build(architecture, replace(config, adapter=replace(config.adapter, **options)))


def _from_file(recipe: Recipe, options: dict[str, Any]) -> OpenVocabularySegmenter:
    settings = recipe.model
    checkpoint = read_checkpoint(resolve(ModelSource(settings.start, "pooling")))
    held = any(key.startswith("generator.") for key in checkpoint.tensors)
    if recipe.stage == "mixed" and not held:
        raise RecipeError(f"{checkpoint.source} holds no mask generator: the mixed stage needs a segmenter's file")
    generator = held or recipe.stage == "generator"
    segmenter = _untrained(Architecture(settings.name, "adapter", generator), options)
    tensors = {key: t.float() if t.is_floating_point() else t for key, t in checkpoint.tensors.items()}
    adapter = {key: tensor for key, tensor in tensors.items() if key.startswith("pooler.")}
    frozen = {key: tensor for key, tensor in tensors.items() if not key.startswith("pooler.")}
    wanted = {key: t for key, t in segmenter.state_dict().items() if not key.startswith("pooler.")}
    if recipe.stage == "generator" and not wanted.keys() >= {key for key in frozen if key.startswith("generator.")}:
        frozen = {key: t for key, t in frozen.items() if not key.startswith("generator.")}  # another kind's
    # These may be new, because they are trained; where they are there, they have to fit.
    trained = ("void_embedding.",) + ("generator.",) * (recipe.stage == "generator")
    may_lack = {key for key in wanted if key.startswith(trained) and key not in frozen}
    differences = compare(shapes_of({key: t for key, t in wanted.items() if key not in may_lack}), shapes_of(frozen))
    if differences:
        raise CheckpointError(f"{checkpoint.source} does not hold {settings.name}: {differences}")
    _start_generator(segmenter, recipe, may_lack)
    segmenter.load_state_dict(frozen, strict=False)
    if settings.adapter is not None:
        warmup = read_checkpoint(settings.adapter)
        refuse_another_clip(checkpoint, warmup)
        _put_adapter(segmenter, warmup)
    elif adapter:
        _put_adapter(segmenter, checkpoint)
    segmenter.inference = replace(segmenter.inference, **_known_by_generator(checkpoint))
    return segmenter


def _known_by_generator(checkpoint: Checkpoint) -> dict[str, Any]:
    """``seen_in`` where the file says what its generator was trained on; the other settings depend on the pooler."""
    seen_in = read_settings(checkpoint).get("inference", {}).get("seen_in")
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
    differences = compare(shapes_of(adapter.state_dict()), shapes_of(tensors))
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
