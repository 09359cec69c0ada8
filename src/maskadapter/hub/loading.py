"""A model by its name or its file: found, read, joined with an adapter, identified, built and filled."""

import json
import os
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import torch

from maskadapter.errors import CheckpointError, MaskAdapterError
from maskadapter.hub.assembling import filled, identify, ready
from maskadapter.hub.bare_clip import load_bare_clip
from maskadapter.hub.checkpoints.checkpoint import Checkpoint, read_checkpoint
from maskadapter.hub.checkpoints.metadata import as_settings, read_settings
from maskadapter.hub.checkpoints.stored_tensors import Tensors
from maskadapter.hub.hub_repository import HubRepository
from maskadapter.hub.model_source import DEFAULT, ModelSource, is_bare, is_on_hub
from maskadapter.hub.same_clip import refuse_another_clip, refuse_first_form
from maskadapter.hub.source_check import check_source, published_weights
from maskadapter.hub.zoo.published_files import fetch
from maskadapter.hub.zoo.weight_downloads import present
from maskadapter.models import (
    MODELS,
    Architecture,
    OpenVocabularySegmenter,
    PoolerName,
    PrecisionName,
    choose_precision,
    published,
    refuse_misfit,
)
from maskadapter.models.sources import mask_source
from maskadapter.system.error_text import first_line
from maskadapter.system.paths import user_path
from maskadapter.system.renamed import refuse_old_keywords

_EMBEDDED = Path(__file__).with_name("weights")
_ADAPTER = "pooler.adapter."


@refuse_old_keywords
def load(
    name: str | Path | ModelSource | None = None,
    *,
    pooler: PoolerName | None = None,
    adapter: str | Path | None = None,
    architecture: str | None = None,
    precision: PrecisionName | None = None,
    device: str | torch.device = "cpu",
    prune_proposals: bool = False,
    masks: str | None = None,
) -> OpenVocabularySegmenter:
    """Return a model, ready to use.

    name: None for the embedded ``tiny``; a name (``"fcclip-large"``), whose weights are downloaded if they are not on
        this machine yet; the path of a ``.safetensors`` file of this project or of an official ``.pth``; a CLIP alone,
        ``"clip:ViT-B-16:openai"``, see ``load_bare_clip``; or a ``ModelSource``, which has the next four in it.
    pooler: ``"adapter"``, ``"pooling"`` or ``"cropping"``; None takes what the file holds, and of a name the better
        one: the file with adapter, except for ``tiny``, whose adapter does not beat pooling.
    adapter, architecture: as in ``ModelSource``.
    precision: of the weights; without it ``"auto"``, the fastest one whose results were measured to agree with fp32:
        bf16 or fp16 for the large models on processors with units for it, else fp32. ``"int8"`` is for CPUs. Results
        are float32 in any case. device: ``"cpu"``, ``"cuda"``, ``"mps"``.
    prune_proposals: compute Mask-Adapter only for the proposals that can change the result, estimate the others.
    masks: a source of masks that takes the place of the model's own proposals: ``"sam:NAME"``, ``"segmenter:NAME"`` or
        ``"superpixels"``, see ``models.sources.source_names``.

    Raises CheckpointError, one line: unknown model, no such file, damaged or unsafe file, tensors that do not fit;
    DownloadError; and MaskAdapterError for a device that this machine or this PyTorch lacks, and for a precision that
    the device is slower with.
    """
    check_device(device)
    _compute_alone_after_fork()
    source = ModelSource(pooler=pooler, adapter=adapter, architecture=architecture, precision=precision)
    if isinstance(name, ModelSource):
        if source != ModelSource():
            raise MaskAdapterError(
                "a ModelSource has pooler, adapter and architecture in it, precision too: set them there"
            )
        source = name
    elif name is not None:
        source = replace(source, name=name)
    kept = source.precision or "auto"
    refuse_misfit(kept, device)  # before a large file is read
    if is_bare(source.name):
        segmenter = ready(load_bare_clip(source), device, choose_precision(kept, None, device))
    else:
        checkpoint, found = identified(source)
        chosen, segmenter = choose_precision(kept, found.name, device), filled(checkpoint, found)
        del checkpoint  # so that each tensor in 32 bits goes when there is the one in 16
        segmenter = ready(segmenter, device, chosen)
    segmenter.inference = replace(segmenter.inference, prune_proposals=prune_proposals)
    if masks is not None:
        segmenter.mask_source = mask_source(masks, device)
    return segmenter


@cache
def _compute_alone_after_fork() -> None:
    """Give forked processes one thread: they inherit no others, and PyTorch would wait for its pool forever."""
    if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
        os.register_at_fork(after_in_child=partial(torch.set_num_threads, 1))


def identified(source: ModelSource, may_download: bool = True) -> tuple[Checkpoint, Architecture]:
    """Return the tensors that ``load`` would take, and which model they are. Raises as ``load``."""
    checkpoint = find(source, may_download)
    return checkpoint, identify(checkpoint, source)


def find(source: ModelSource, may_download: bool = True) -> Checkpoint:
    """Return the tensors of a source, whatever model they are. Raises as ``load``."""
    checkpoint = read_checkpoint(_weights_path(source, may_download))
    refuse_first_form(checkpoint.source, checkpoint.tensors)
    adapter = source.adapter
    own = adapter is None and str(source.name) == DEFAULT and source.pooler == "adapter"
    if own or str(adapter) == DEFAULT:
        adapter = _EMBEDDED / f"{DEFAULT}-adapter.safetensors"
    return checkpoint if adapter is None else join(checkpoint, read_checkpoint(user_path(adapter, CheckpointError)))


def check_device(device: str | torch.device) -> None:
    """Raise MaskAdapterError, one line, for a device that this machine or this PyTorch lacks."""
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = first_line(error).split(". ")[0]  # of a backend that is missing, all others follow
        raise MaskAdapterError(
            f"device '{device}' cannot be used here ({reason}): choose cpu, or install a PyTorch for it"
        ) from error


def _weights_path(source: ModelSource, may_download: bool) -> Path:
    """The file of ``source.name``, downloaded where it is not here yet. Raises as ``check_source``."""
    check_source(source, may_download)
    if is_on_hub(source.name):
        return HubRepository.of(str(source.name)).fetch(may_download)
    if str(source.name) not in MODELS:
        return user_path(source.name, CheckpointError)
    weights = published_weights(source)
    return _EMBEDDED / f"{DEFAULT}.safetensors" if weights is None else present(weights) or fetch(weights)


def join(segmenter: Checkpoint, warmup: Checkpoint) -> Checkpoint:
    """Return a segmenter's tensors with the adapter of a warm-up file. Raises CheckpointError.

    CLIP and text transfer have to be equal: an adapter serves only the CLIP that it was trained on.
    Source: official tools/weight_fuse_*.py, which do not check it.
    """
    if not warmup.has(_ADAPTER):
        raise CheckpointError(f"{warmup.source} holds no adapter: give the warm-up file of a Mask-Adapter")
    if not segmenter.has("generator."):
        raise CheckpointError(f"{segmenter.source} holds no mask generator: give a segmenter's file and the adapter's")
    refuse_another_clip(segmenter, warmup)
    held = {key: tensor for key, tensor in segmenter.tensors.held.items() if not key.startswith(_ADAPTER)}
    held |= {key: tensor for key, tensor in warmup.tensors.held.items() if key.startswith(_ADAPTER)}
    # How to segment comes from the segmenter, without what was published for mask pooling: a warm-up has no say in it.
    settings = {part: values for part, values in read_settings(segmenter).items() if part != "adapter"}
    if segmenter.model in MODELS:
        pooling = as_settings(published(Architecture(str(segmenter.model), "pooling")))
        settings = {part: values for part, values in settings.items() if not values.items() <= pooling[part].items()}
    settings |= {part: values for part, values in read_settings(warmup).items() if part == "adapter"}
    metadata = {**segmenter.metadata, "settings": json.dumps(settings)}
    return replace(segmenter, tensors=Tensors(held), metadata=metadata, adapter=warmup.source)
