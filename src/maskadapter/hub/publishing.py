"""A model put into a repository of the Hugging Face hub: weights, settings and a card, in one commit."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from maskadapter.errors import CheckpointError, DownloadError
from maskadapter.hub.assembling import assemble, identify
from maskadapter.hub.checkpoints.checkpoint import Checkpoint, compare, shapes_of
from maskadapter.hub.checkpoints.metadata import as_settings
from maskadapter.hub.checkpoints.stored_tensors import Tensors
from maskadapter.hub.hub_repository import CARD, CONFIG, LIBRARY, WEIGHTS, check_repository, hub_endpoint, one_line
from maskadapter.hub.loading import identified
from maskadapter.hub.model_card import model_card
from maskadapter.hub.model_source import ModelSource
from maskadapter.hub.saving import config_of_model, save
from maskadapter.hub.zoo import sha256_of
from maskadapter.models import Architecture, OpenVocabularySegmenter, build
from maskadapter.system.json_files import write_json
from maskadapter.system.offline import is_offline

_KEPT = ("license", "trained_by", "converted_from", "data", "teachers")  # facts in the metadata of a file


def push_to_hub(
    model: OpenVocabularySegmenter | ModelSource | str | Path,
    repository: str,
    *,
    license: str | None = None,
    private: bool = False,
    revision: str | None = None,
    overwrite: bool = False,
) -> str:
    """Put a model into a repository of the Hugging Face hub, and return the address of the commit.

    model: a model, or what ``load`` takes, whose file's facts (what trained it) then reach the card. repository:
    ``ORG/NAME``, made if it does not exist, for you alone if ``private``. license: of the weights, by the hub's
    identifier such as ``"apache-2.0"``; None takes what the file states. revision: the branch; None is the main one.
    overwrite: replace the files of a model that is there, and a card; the hub keeps the earlier commits. Others stay.

    ``model.safetensors``, ``config.json`` and the card ``README.md`` are written, which ``load("hf:ORG/NAME")`` reads.
    Raises CheckpointError, one line: no license, a model that is none of the named ones or not in fp32, files that are
    there; and DownloadError: no access, no network.
    """
    name = check_repository(repository)
    if is_offline():
        raise DownloadError(f"{name} cannot be written: MASKADAPTER_OFFLINE or HF_HUB_OFFLINE forbids the network")
    segmenter, architecture, facts = _held(model)
    if license is None and "license" not in facts:
        raise CheckpointError("the weights state no license: give it, such as license='apache-2.0'")
    facts = {**facts, "license": license or facts["license"]}
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        weights = save(segmenter, folder / WEIGHTS, architecture.name, **facts)
        settings = as_settings(config_of_model(segmenter))
        config = {"library_name": LIBRARY, "model": architecture.name, "pooler": architecture.pooler, **settings}
        write_json(folder / CONFIG, config)
        card = model_card(name, segmenter, architecture, facts, sha256_of(weights))
        (folder / CARD).write_text(card, encoding="utf-8")
        return _upload(folder, name, private, revision, overwrite)


def _held(
    model: OpenVocabularySegmenter | ModelSource | str | Path,
) -> tuple[OpenVocabularySegmenter, Architecture, Mapping[str, str]]:
    """The model, which of the named ones it is, and the facts that its file states."""
    if not isinstance(model, OpenVocabularySegmenter):
        checkpoint, architecture = identified(ModelSource.of(model), may_download=False)
        facts = {key: value for key, value in checkpoint.metadata.items() if key in _KEPT}
        return assemble(checkpoint, architecture), architecture, facts
    checkpoint = Checkpoint(Path("the model"), Tensors(model.state_dict()), official=False, metadata={})
    architecture = identify(checkpoint)
    with torch.device("meta"):
        needed = shapes_of(build(architecture, config_of_model(model)).state_dict())
    if differences := compare(needed, checkpoint.shapes):
        raise CheckpointError(f"the model is not {architecture} as ma.load builds it: {differences}")
    return model, architecture, {}


def _upload(folder: Path, name: str, private: bool, revision: str | None, overwrite: bool) -> str:
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    api = HfApi(endpoint=hub_endpoint(), library_name=LIBRARY)
    failed = f"cannot write {name} on the Hugging Face hub"
    with one_line(name, failed):
        try:
            there = set(api.list_repo_files(name, revision=revision))
        except (RepositoryNotFoundError, RevisionNotFoundError):
            there = set()
    if not overwrite and (mine := sorted(there & {CARD, CONFIG, WEIGHTS})):
        raise CheckpointError(f"{name} holds {', '.join(mine)} already: give overwrite=True, or another name")
    with one_line(name, failed):
        api.create_repo(name, private=private, exist_ok=True)
        if revision is not None:
            api.create_branch(name, branch=revision, exist_ok=True)
        files = [CommitOperationAdd(path.name, path) for path in sorted(folder.iterdir())]
        done = api.create_commit(name, files, commit_message="Add a model of maskadapter", revision=revision)
    return str(done.commit_url)
