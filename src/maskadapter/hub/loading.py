"""Models by name or by file: the weights found, put in strictly, and written."""

import json
import logging
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import torch

from maskadapter.errors import CheckpointError, MaskAdapterError
from maskadapter.hub import bare_clip
from maskadapter.hub.checkpoint import (
    Checkpoint,
    compare,
    read_checkpoint,
    write_checkpoint,
)
from maskadapter.hub.download import SourceName, download, is_offline, locate, present
from maskadapter.hub.identification import Variant, identify
from maskadapter.hub.metadata import apply_settings, changed, settings_of
from maskadapter.hub.model_zoo import Weights, weights_of
from maskadapter.models.build import MODELS, PoolerName
from maskadapter.models.clip.text_cache import TextCache
from maskadapter.models.segmenter import OpenVocabularySegmenter
from maskadapter.models.sources.by_name import generator_of
from maskadapter.system.cache_folder import cache_folder
from maskadapter.system.error_text import did_you_mean, first_line

DEFAULT = "tiny"

_log = logging.getLogger(__name__)

# Of the settings that a file keeps, those that belong to its adapter.
_OF_ADAPTER = ("adapter", "mask_threshold")


def load(
    model: str | Path | None = None,
    *,
    pooler: PoolerName | None = None,
    adapter: str | Path | None = None,
    architecture: str | None = None,
    device: str | torch.device = "cpu",
    prune_proposals: bool = True,
    masks: str | None = None,
) -> OpenVocabularySegmenter:
    """A model, ready to use.

    model: None for the embedded ``tiny``; a name (``"fcclip-large"``), whose weights are downloaded if they are not on
        this machine yet; the path of a ``.safetensors`` file of this project or of an official ``.pth``, whose keys
        and shapes tell which model it is; or a CLIP alone, ``"clip:ViT-B-16:openai"``, see ``bare_clip.load``.
    embedding: ``"adapter"``, ``"pooling"`` or ``"cropping"``; None takes what the file holds, and of a name the better
        one: the file with adapter, but for ``tiny``, whose adapter is there to try and does not beat pooling.
    adapter: path of a warm-up file. Its adapter is joined to the segmenter in ``model``: generator and void embedding
        come from ``model``, everything else from the warm-up file; where both hold a tensor they must agree.
    like: name of the model that a file is to be read as, where its keys alone do not decide.
    device: where to put it, ``"cpu"``, ``"cuda"``, ``"mps"``.
    fast: compute Mask-Adapter only for the proposals that can change the result and guess at the others, see
        ``models.influence``; False computes all of them, as ``evaluate`` does.
    masks: where masks come from instead of the model's own generator, see ``models.generators``: ``"sam:NAME"``,
        ``"segmenter:NAME"`` or ``"superpixels"``.

    Raises CheckpointError, one line: unknown model, no such file, damaged or unsafe file, keys that do not fit;
    DownloadError; and MaskAdapterError for a device that this machine or this PyTorch lacks.
    """
    check_device(device)
    model = DEFAULT if model is None else model
    segmenter = _found(model, pooler, adapter, architecture, device)
    segmenter.inference = replace(segmenter.inference, prune_proposals=prune_proposals)
    if masks is not None:
        segmenter.generator = generator_of(masks).to(device)
    return segmenter


def _found(
    model: str | Path,
    pooler: PoolerName | None,
    adapter: str | Path | None,
    architecture: str | None,
    device: str | torch.device,
) -> OpenVocabularySegmenter:
    if bare_clip.is_bare(model):
        if adapter is not None or architecture is not None:
            raise MaskAdapterError(f"{model} is a CLIP alone: leave adapter and like out")
        return ready(bare_clip.load(str(model), pooler), device)
    return assemble(*identified(model, pooler, adapter, architecture), device)


def identified(
    model: str | Path,
    pooler: PoolerName | None = None,
    adapter: str | Path | None = None,
    architecture: str | None = None,
) -> tuple[Checkpoint, Variant]:
    """The tensors that ``load`` would take, and what they are. Arguments and errors as there; no CLIP alone."""
    # What a warm-up file's adapter is joined to is the segmenter's own file.
    checkpoint = find(model, "pooling" if adapter is not None else pooler)
    if adapter is not None:
        checkpoint = fuse(checkpoint, read_checkpoint(adapter))
    return checkpoint, identify(checkpoint, architecture or _stated(model), pooler)


def assemble(checkpoint: Checkpoint, variant: Variant, device: str | torch.device = "cpu") -> OpenVocabularySegmenter:
    """The model of a variant with the tensors of a file that ``identify`` took for that variant."""
    with torch.device("meta"):  # no time is spent on random values that the file replaces
        segmenter = variant.build()
    # Files may hold half precision; the models are float32.
    tensors = {key: t.float() if t.is_floating_point() else t for key, t in checkpoint.tensors.items()}
    try:
        segmenter.load_state_dict(tensors, strict=True, assign=True)
    except RuntimeError as error:
        raise CheckpointError(f"{checkpoint.source} holds tensors of the wrong type ({first_line(error)})") from error
    segmenter.clip.restore_causal_mask()
    if "settings" in checkpoint.metadata:
        try:
            apply_settings(json.loads(checkpoint.metadata["settings"]), segmenter)
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{checkpoint.source} has damaged settings ({first_line(error)})") from error
    return ready(segmenter, device)


def ready(segmenter: OpenVocabularySegmenter, device: str | torch.device) -> OpenVocabularySegmenter:
    """Freeze a model, move it to its device, and let it remember text embeddings."""
    segmenter = segmenter.requires_grad_(False).eval().to(device)
    segmenter.text_cache = TextCache(_text_cache_folder(), segmenter.clip)
    return segmenter


def _text_cache_folder() -> Path | None:
    try:
        return cache_folder() / "text-embeddings"
    except MaskAdapterError:  # they are then remembered in memory alone
        return None


def save(segmenter: OpenVocabularySegmenter, path: str | Path, name: str, **metadata: str) -> Path:
    """Write a model as safetensors with its facts: ``name`` (an entry of ``MODELS``), its settings, and
    ``metadata``."""
    facts = {"format": "maskadapter", "model": name, "settings": json.dumps(settings_of(segmenter))}
    write_checkpoint(path, segmenter.state_dict(), {**metadata, **facts})
    return Path(path)


def fuse(segmenter: Checkpoint, warmup: Checkpoint) -> Checkpoint:
    """Join a segmenter's file and a warm-up file of its adapter.

    Generator and void embedding come from the segmenter, the adapter from the warm-up file, and CLIP and MAFT+'s
    transfer from both, which must be equal: an adapter serves only the CLIP it was trained on.
    Source: official tools/weight_fuse_*.py, which take CLIP from the warm-up file unchecked.
    """
    if not any(key.startswith("pooler.adapter.") for key in warmup.tensors):
        raise CheckpointError(f"{warmup.source} holds no adapter: give the warm-up file of a Mask-Adapter")
    if not any(key.startswith("generator.") for key in segmenter.tensors):
        raise CheckpointError(f"{segmenter.source} holds no mask generator: give a segmenter's file and the adapter's")
    refuse_another_clip(segmenter, warmup)
    return _with_adapter(segmenter, warmup)


def _with_adapter(segmenter: Checkpoint, warmup: Checkpoint) -> Checkpoint:
    """A segmenter's file with the adapter, and its settings, of another."""
    adapters = {key: tensor for key, tensor in warmup.tensors.items() if key.startswith("pooler.adapter.")}
    kept = {key: tensor for key, tensor in segmenter.tensors.items() if not key.startswith("pooler.adapter.")}
    # How to infer stays the segmenter's: what a warm-up ran with is of a model without generator. But what was
    # published for pooling is not meant for an adapter.
    own = changed(_read_settings(segmenter), _published_for_pooling(segmenter.metadata.get("model")))
    of_adapter = {key: value for key, value in _read_settings(warmup).items() if key in _OF_ADAPTER}
    metadata = {**segmenter.metadata, "settings": json.dumps({**own, **of_adapter})}
    return replace(segmenter, tensors={**kept, **adapters}, metadata=metadata)


def _published_for_pooling(model: str | None) -> dict[str, Any]:
    if model not in MODELS:
        return {}
    with torch.device("meta"):
        settings = settings_of(MODELS[model]("pooling"))
    return json.loads(json.dumps(settings))  # as a file has them: no tuples


def _read_settings(checkpoint: Checkpoint) -> dict[str, Any]:
    try:
        return dict(json.loads(checkpoint.metadata.get("settings", "{}")))
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{checkpoint.source} has damaged settings ({first_line(error)})") from error


def refuse_another_clip(segmenter: Checkpoint, warmup: Checkpoint) -> None:
    """CheckpointError unless CLIP and MAFT+'s transfer are the same in both: an adapter serves only its own CLIP."""
    shared = [key for key in warmup.tensors if key.startswith(("clip.", "text_transfer."))]
    differences = compare(
        {key: tuple(warmup.tensors[key].shape) for key in shared},
        {key: shape for key, shape in segmenter.shapes.items() if key.startswith(("clip.", "text_transfer."))},
    )
    if differences:
        raise CheckpointError(f"{segmenter.source} and {warmup.source} are not of one model: {differences}")
    for key in shared:
        # Files may hold half precision, rounded.
        if not torch.equal(segmenter.tensors[key].float(), warmup.tensors[key].float()):
            raise CheckpointError(
                f"{segmenter.source} and {warmup.source} hold different values of {key}: "
                "the adapter was trained on another CLIP; use the segmenter that it was trained for"
            )


def find(model: str | Path, pooler: PoolerName | None = None, may_download: bool = True) -> Checkpoint:
    """The tensors of a model: embedded, downloaded by name, or in a file.

    embedding: which of a named model's files; None for the better one, which is the one with the adapter, but for the
    embedded model. may_download: whether a file that is not on this machine is fetched.
    Raises CheckpointError with the command to run, or DownloadError.
    """
    if _stated(model) is not None:
        checkpoint = _multiplied_out(_embedded(DEFAULT))
        return _with_adapter(checkpoint, _embedded(f"{DEFAULT}-adapter")) if pooler == "adapter" else checkpoint
    if str(model) in MODELS:
        weights = weights_of(str(model), "pooling" if pooler == "cropping" else pooler or "adapter")
        found = present(weights)
        if found is None and not may_download:
            raise _absent(weights)
        return read_checkpoint(found or fetch(weights))
    if not Path(model).suffix and not Path(model).exists():
        raise CheckpointError(
            f"unknown model '{model}': {did_you_mean(str(model), MODELS)}; or give the path of a file"
        )
    return read_checkpoint(model)


def fetch(
    weights: Weights,
    source: SourceName | None = None,
    file: str | None = None,
) -> Path:
    """Download a published file and keep it if it holds the model that it is published as.

    source, file: see ``maskadapter.hub.download.locate``. What comes from where is logged.
    Raises CheckpointError when the user forbade the network or the file holds another model, and DownloadError.
    """
    if is_offline():
        raise _absent(weights)

    def accept(path: Path) -> None:
        variant = identify(read_checkpoint(path))
        if (variant.name, variant.pooler, variant.generator) != (weights.model, weights.pooler, True):
            raise CheckpointError(
                f"the file from {remote.place} holds {variant}, not {weights.model} with {weights.pooler}: it is "
                "not kept; choose another by --source or --file"
            )

    remote = locate(weights, source, file)
    _log.info("%s is taken from %s", weights.stem, remote.place)
    path, record = download(weights, remote, accept)
    kind = "as the source states it" if record.stated else "the source states none; this one is recorded for later"
    _log.info("sha256 %s: %s", record.sha256, kind)
    return path


def convert(
    source: str | Path, destination: str | Path, architecture: str | None = None, half: bool = False
) -> Variant:
    """Write any file that ``load`` takes as safetensors of this project, and return what it holds.

    half: store 16 bits a number. They become 32 again when they are loaded, rounded.
    Raises CheckpointError as ``load`` does, and for numbers that 16 bits cannot hold.
    """
    checkpoint = find(source, may_download=False)
    variant = identify(checkpoint, architecture or _stated(source))
    segmenter = assemble(checkpoint, variant)
    if half:
        segmenter = segmenter.half()
        for key, tensor in segmenter.state_dict().items():
            if not tensor.isfinite().all():
                raise CheckpointError(f"{source}: {key} has numbers that 16 bits cannot hold; convert without --half")
    save(segmenter, destination, variant.name, converted_from=checkpoint.source.name)
    return variant


def _embedded(name: str) -> Checkpoint:
    with as_file(files("maskadapter") / "hub" / "weights" / f"{name}.safetensors") as path:
        return read_checkpoint(path)


def _stated(model: str | Path) -> str | None:
    """What the embedded file, whose keys do not tell, is to be read as."""
    return DEFAULT if str(model) == DEFAULT else None


def _absent(weights: Weights) -> CheckpointError:
    network = " with a network" if is_offline() else ""
    return CheckpointError(
        f"the weights of {weights.model} with {weights.pooler} are not on this machine: run '{weights.command}'"
        f"{network}, or give the path of a file"
    )


def check_device(device: str | torch.device) -> None:
    """Raises MaskAdapterError, one line, for a device that this machine or this PyTorch lacks."""
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise MaskAdapterError(
            f"device '{device}' cannot be used here ({first_line(error)}): choose cpu, or install a PyTorch for it"
        ) from error


def _multiplied_out(checkpoint: Checkpoint) -> Checkpoint:
    """The embedded weights as the model needs them: the token table is stored as two factors."""
    table = "clip.model.token_embedding"
    tensors = dict(checkpoint.tensors)
    factors = [tensors.pop(f"{table}.factor_{side}").float() for side in "ab"]
    tensors[f"{table}.weight"] = factors[0] @ factors[1]
    return replace(checkpoint, tensors=tensors)
