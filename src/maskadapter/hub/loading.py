"""A model by its name or its file: found, read, identified, built and filled."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from maskadapter.errors import MaskAdapterError
from maskadapter.hub.assembling import assemble, ready
from maskadapter.hub.bare_clip import is_bare, load_bare_clip
from maskadapter.hub.checkpoints.checkpoint import Checkpoint, read_checkpoint
from maskadapter.hub.identification import identify
from maskadapter.hub.joining import join
from maskadapter.hub.model_source import ModelSource
from maskadapter.hub.resolve import resolve, resolve_adapter
from maskadapter.models import Architecture, OpenVocabularySegmenter
from maskadapter.models.sources import mask_source
from maskadapter.system.error_text import first_line
from maskadapter.system.renamed import refuse_old_keywords

if TYPE_CHECKING:
    from maskadapter.models import PoolerName


@refuse_old_keywords
def load(
    name: str | Path | ModelSource | None = None,
    *,
    pooler: "PoolerName | None" = None,
    adapter: str | Path | None = None,
    architecture: str | None = None,
    device: str | torch.device = "cpu",
    prune_proposals: bool = False,
    masks: str | None = None,
) -> OpenVocabularySegmenter:
    """Return a model, ready to use.

    name: None for the embedded ``tiny``; a name (``"fcclip-large"``), whose weights are downloaded if they are not on
        this machine yet; the path of a ``.safetensors`` file of this project or of an official ``.pth``; a CLIP alone,
        ``"clip:ViT-B-16:openai"``, see ``load_bare_clip``; or a ``ModelSource``, which has the next three in it.
    pooler: ``"adapter"``, ``"pooling"`` or ``"cropping"``; None takes what the file holds, and of a name the better
        one: the file with adapter, except for ``tiny``, whose adapter does not beat pooling.
    adapter: path of a warm-up file whose adapter is joined to the segmenter in ``name``: mask generator and void
        embedding come from ``name``, the adapter from the warm-up file; CLIP has to be the same in both.
    architecture: the named model that a file is read as, where its content does not decide.
    device: where to compute, ``"cpu"``, ``"cuda"``, ``"mps"``.
    prune_proposals: compute Mask-Adapter only for the proposals that can change the result and estimate the others, see
        ``models.proposal_pruning``; False computes all of them.
    masks: a source of masks that takes the place of the model's own proposals, see ``models.sources.source_names``:
        ``"sam:NAME"``, ``"segmenter:NAME"`` or ``"superpixels"``.

    Raises CheckpointError, one line: unknown model, no such file, damaged or unsafe file, tensors that do not fit;
    DownloadError; and MaskAdapterError for a device that this machine or this PyTorch lacks.
    """
    check_device(device)
    source = _one_source(name, ModelSource(pooler=pooler, adapter=adapter, architecture=architecture))
    segmenter = ready(load_bare_clip(source), device) if is_bare(source.name) else assemble(*identified(source), device)
    segmenter.inference = replace(segmenter.inference, prune_proposals=prune_proposals)
    if masks is not None:
        segmenter.mask_source = mask_source(masks, device)
    return segmenter


def identified(source: ModelSource, may_download: bool = True) -> tuple[Checkpoint, Architecture]:
    """Return the tensors that ``load`` would take, and which model they are. Raises as ``load``."""
    checkpoint = find(source, may_download)
    return checkpoint, identify(checkpoint, source)


def find(source: ModelSource, may_download: bool = True) -> Checkpoint:
    """Return the tensors of a source, whatever model they are. Raises as ``load``."""
    checkpoint = read_checkpoint(resolve(source, may_download))
    adapter = resolve_adapter(source)
    return checkpoint if adapter is None else join(checkpoint, read_checkpoint(adapter))


def check_device(device: str | torch.device) -> None:
    """Raise MaskAdapterError, one line, for a device that this machine or this PyTorch lacks."""
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise MaskAdapterError(
            f"device '{device}' cannot be used here ({first_line(error)}): choose cpu, or install a PyTorch for it"
        ) from error


def _one_source(name: str | Path | ModelSource | None, options: ModelSource) -> ModelSource:
    if not isinstance(name, ModelSource):
        return options if name is None else replace(options, name=name)
    if options != ModelSource():
        raise MaskAdapterError("a ModelSource has pooler, adapter and architecture in it: set them there")
    return name
