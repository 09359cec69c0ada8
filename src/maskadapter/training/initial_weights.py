"""The model of a recipe with its initial weights: frozen parts from one file, the adapter from another."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from timm.layers import DropPath

from maskadapter.errors import CheckpointError, RecipeError
from maskadapter.hub import DEFAULT, ModelSource, find, refuse_another_clip
from maskadapter.hub.checkpoints import Checkpoint, compare, read_checkpoint, read_settings, shapes_of
from maskadapter.hub.zoo import CLIP_WEIGHTS
from maskadapter.models import MODELS, Architecture, MaskAdapter, OpenVocabularySegmenter, build, published
from maskadapter.models.clip import Clip
from maskadapter.models.poolers import AdapterPooler
from maskadapter.models.proposals.mask2former import Mask2FormerHead
from maskadapter.system.error_text import did_you_mean
from maskadapter.training.generator.initialization import initialize_mask_generator
from maskadapter.training.recipe import Recipe, adapter_config

ADAPTER = "pooler.adapter."


def initial_model(recipe: Recipe) -> OpenVocabularySegmenter:
    """Build the model of a recipe on the CPU; what is trained requires gradients, nothing else does.

    Every tensor of the frozen parts has to be in ``model.weights``. The adapter is that of ``model.adapter``, else of
    ``model.weights``, else random, by ``run.seed``; random too is what the file lacks of the void embedding and of the
    mask generator where this stage trains them. Raises RecipeError or CheckpointError, one line.
    """
    name = recipe.model.architecture
    if name not in MODELS:
        raise RecipeError(f"unknown model.architecture '{name}': {did_you_mean(name, MODELS)}")
    torch.manual_seed(recipe.run.seed)
    segmenter = _from_clip(recipe) if recipe.model.weights in CLIP_WEIGHTS else _from_file(recipe)
    if (norm := recipe.upstream_quirks.text_transfer_norm) is not None:
        if segmenter.text_transfer is None:
            raise RecipeError(f"upstream_quirks.text_transfer_norm is for MAFT+ models: {name} has no text transfer")
        segmenter.quirks = replace(segmenter.quirks, transfer_norm=norm)
    segmenter.requires_grad_(False).eval()
    if recipe.stage == "generator":
        assert isinstance(segmenter.generator, torch.nn.Module)
        segmenter.generator.requires_grad_(True)
    else:
        adapter = _adapter(segmenter).requires_grad_(True)
        adapter.checkpoint_blocks = recipe.run.checkpoint_blocks
    segmenter.void_embedding.requires_grad_(recipe.trains_void_embedding)
    for module in segmenter.clip.modules() if recipe.upstream_quirks.clip_stochastic_depth else ():
        if isinstance(module, DropPath):
            module.train()
    return segmenter


def _build(recipe: Recipe, generator: bool, own_classes: Sequence[str] = ()) -> OpenVocabularySegmenter:
    architecture = Architecture(recipe.model.architecture, "adapter", generator)
    config = published(architecture)
    assert config.adapter is not None
    inference = replace(config.inference, own_classes=tuple(own_classes))
    return build(
        architecture, replace(config, inference=inference, adapter=replace(config.adapter, **adapter_config(recipe)))
    )


def _from_clip(recipe: Recipe) -> OpenVocabularySegmenter:
    """A pretrained CLIP without a mask generator: the warm-up of FC-CLIP's adapter."""
    settings, encoder = recipe.model, CLIP_WEIGHTS[recipe.model.weights]
    given, name = f"model.weights is {settings.weights}", settings.architecture
    if recipe.stage == "mixed":
        raise RecipeError(f"{given}, which has no mask generator: the mixed stage needs a segmenter's file")
    segmenter = _build(recipe, recipe.stage == "generator")
    if segmenter.text_transfer is not None:
        raise RecipeError(f"{given}, which lacks {name}'s text transfer: give MAFT+'s own file")
    clip = Clip.pretrained(encoder.config, encoder.tag)
    if differences := compare(shapes_of(segmenter.clip.state_dict()), shapes_of(clip.state_dict())):
        raise RecipeError(f"{given}, not the CLIP of {name}: {differences}")
    segmenter.clip = clip
    if settings.adapter is not None:
        _load_adapter(segmenter, _adapter_checkpoint(settings.adapter))
    _initialize_generator(segmenter, recipe, segmenter.state_dict())
    return segmenter


def _from_file(recipe: Recipe) -> OpenVocabularySegmenter:
    settings = recipe.model
    checkpoint = find(ModelSource(settings.weights, "pooling"))
    held = checkpoint.has("generator.")
    if recipe.stage == "mixed" and not held:
        raise RecipeError(f"{checkpoint.source} holds no mask generator: the mixed stage needs a segmenter's file")
    stated = read_settings(checkpoint).get("inference", {})
    anew = recipe.stage == "generator"  # what was learned about classes belongs to the file's own mask generator
    segmenter = _build(recipe, held or anew, () if anew else stated.get("own_classes", ()))
    left = ("pooler.", "own_classes.") if anew else ("pooler.",)
    frozen = {key: tensor for key, tensor in checkpoint.float_tensors().items() if not key.startswith(left)}
    wanted = {key: t for key, t in segmenter.state_dict().items() if not key.startswith("pooler.")}
    if recipe.stage == "generator" and not wanted.keys() >= {key for key in frozen if key.startswith("generator.")}:
        # The file's mask generator is of another kind; a new one is trained.
        frozen = {key: t for key, t in frozen.items() if not key.startswith("generator.")}
    # These may be new, because they are trained; where the file has them, they have to fit.
    trained = ("void_embedding.",) + ("generator.",) * (recipe.stage == "generator")
    may_lack = {key for key in wanted if key.startswith(trained) and key not in frozen}
    needed = {key: t for key, t in wanted.items() if key not in may_lack}
    if differences := compare(shapes_of(needed), shapes_of(frozen)):
        raise CheckpointError(f"{checkpoint.source} does not hold {settings.architecture}: {differences}")
    _initialize_generator(segmenter, recipe, may_lack)
    segmenter.load_state_dict(frozen, strict=False)
    if settings.adapter is not None:
        warmup = _adapter_checkpoint(settings.adapter)
        refuse_another_clip(checkpoint, warmup)
        _load_adapter(segmenter, warmup)
    elif checkpoint.has("pooler."):
        _load_adapter(segmenter, checkpoint)
    # The training classes of the file's mask generator; other settings depend on the pooler.
    if (seen_in := stated.get("seen_in")) is not None:
        seen_in = tuple(seen_in) if isinstance(seen_in, list) else seen_in
        segmenter.inference = replace(segmenter.inference, seen_in=seen_in)
    return segmenter


def _adapter_checkpoint(adapter: str) -> Checkpoint:
    return find(ModelSource(DEFAULT, "adapter")) if adapter == DEFAULT else read_checkpoint(adapter)


def _initialize_generator(segmenter: OpenVocabularySegmenter, recipe: Recipe, new: Iterable[str]) -> None:
    if isinstance(segmenter.generator, Mask2FormerHead) and any(key.startswith("generator.") for key in new):
        initialize_mask_generator(segmenter.generator, torch.Generator().manual_seed(recipe.run.seed))


def _load_adapter(segmenter: OpenVocabularySegmenter, checkpoint: Checkpoint) -> None:
    tensors = {k.removeprefix(ADAPTER): t.float() for k, t in checkpoint.tensors.items() if k.startswith(ADAPTER)}
    if not tensors:
        raise CheckpointError(f"{checkpoint.source} holds no adapter: give the file that the warm-up wrote")
    adapter = _adapter(segmenter)
    if differences := compare(shapes_of(adapter.state_dict()), shapes_of(tensors)):
        raise CheckpointError(f"{checkpoint.source} holds another adapter than the recipe's model: {differences}")
    adapter.load_state_dict(tensors)


def _adapter(segmenter: OpenVocabularySegmenter) -> MaskAdapter:
    assert isinstance(segmenter.pooler, AdapterPooler)
    return segmenter.pooler.adapter
