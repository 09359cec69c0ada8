"""Published weights on this machine: listed, downloaded, and kept if they hold what they are published as."""

import logging
from dataclasses import dataclass
from pathlib import Path

from maskadapter.errors import CheckpointError, MaskAdapterError
from maskadapter.hub.zoo import weight_downloads as transfer
from maskadapter.hub.zoo.model_zoo import CLIP_WEIGHTS, WEIGHTS, Weights, weights_of
from maskadapter.hub.zoo.weight_downloads import SourceName, locate, present, present_clip
from maskadapter.system.offline import is_offline

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PublishedModel:
    """One file of published weights. name, pooler: as ``load`` takes them; a CLIP encoder to train from has no pooler.

    license: SPDX identifier. path: on this machine; None for the embedded model or before a download.
    """

    name: str
    pooler: str
    size: str
    license: str
    sources: tuple[str, ...]
    path: Path | None = None


def list_models() -> list[PublishedModel]:
    """Return every published file of weights, and where it lies if it was downloaded. The network is not used."""
    found = [PublishedModel("tiny", "pooling", "22 MB", "Apache-2.0", ("in the package",))]
    for each in WEIGHTS:
        sources = ("hub", "drive") if each.hub_words else ("drive",)
        found.append(PublishedModel(each.model, each.pooler, each.size, each.license, sources, present(each)))
    for name, clip in CLIP_WEIGHTS.items():
        found.append(PublishedModel(name, "", clip.size, clip.license, ("open_clip",), present_clip(clip)))
    return found


def download(model: str, pooler: str = "adapter", source: SourceName | None = None, file: str | None = None) -> Path:
    """Download a published model, or a CLIP encoder to train from, and return the path of its file.

    A file that is already here is not downloaded again, and an interrupted download from Google Drive goes on where it
    stopped. model: a name of ``list_models``. pooler: ``"adapter"`` for the file with Mask-Adapter, ``"pooling"`` for
    the segmenter's own. source: ``"hub"`` or ``"drive"``; None takes the Hugging Face hub, and Google Drive for what
    the hub lacks. file: the file's name on the hub. Raises CheckpointError for an unknown name, a forbidden network or
    a file of another model, DownloadError, and MaskAdapterError when source or file are given for a file that is here.
    """
    if model in CLIP_WEIGHTS:
        clip = CLIP_WEIGHTS[model]
        path = present_clip(clip)
        if path is None and is_offline():
            raise CheckpointError(f"{model} is not on this machine: run the same command with a network")
        from maskadapter.models.clip import download_pretrained

        return path or download_pretrained(clip.config, clip.tag)
    weights = weights_of(model, pooler)
    path = present(weights)
    if path is None:
        return fetch(weights, source, file)
    if source is not None or file is not None:
        raise MaskAdapterError(
            f"{weights.stem} is already here and --source or --file would bring another: remove {path}"
        )
    record = transfer.read_record(path)
    _log.info("%s is already here%s", weights.stem, f", from {record.place}" if record else "")
    return path


def fetch(weights: Weights, source: SourceName | None = None, file: str | None = None) -> Path:
    """Download a published file and keep it if it holds the model that it is published as. As ``download``."""
    if is_offline():
        raise not_here(weights)
    from maskadapter.hub.assembling import assemble, identify
    from maskadapter.hub.checkpoints.checkpoint import read_checkpoint

    def accept(path: Path) -> None:
        checkpoint = read_checkpoint(path)
        found = identify(checkpoint)
        if (found.name, found.pooler, found.generator) != (weights.model, weights.pooler, True):
            raise CheckpointError(
                f"the file from {remote.place} holds {found}, not {weights.model} with {weights.pooler}: it is not "
                "kept; choose another by --source or --file"
            )
        assemble(checkpoint, found)

    remote = locate(weights, source, file)
    _log.info("%s is taken from %s", weights.stem, remote.place)
    path, record = transfer.download(weights, remote, accept)
    stated = "as the source states it" if record.stated else "the source states none; this one is recorded for later"
    _log.info("sha256 %s: %s", record.sha256, stated)
    return path


def not_here(weights: Weights) -> CheckpointError:
    """Return the error for published weights that are not on this machine, with the command that downloads them."""
    network = " with a network" if is_offline() else ""
    return CheckpointError(
        f"the weights of {weights.model} with {weights.pooler} are not on this machine: run '{weights.command}'"
        f"{network}, or give the path of a file"
    )
