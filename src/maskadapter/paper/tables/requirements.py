"""Find the weights and masks of a row on this machine before anything is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import huggingface_hub
from huggingface_hub.errors import HFValidationError

from maskadapter.errors import MaskAdapterError
from maskadapter.hub import PREFIX, ModelSource, is_bare
from maskadapter.hub.zoo import WEIGHTS, present, weights_of
from maskadapter.models import MODEL_NAMES, PoolerName
from maskadapter.models.sources import is_source, parsed
from maskadapter.paper.table import Column, Row, Table
from maskadapter.pipelines import GROUND_TRUTH

_TRAINED = "fcclip-large"  # the architecture that the tables' recipes name


@dataclass(frozen=True)
class Given:
    """What the user has: root, runs, files as ``weights``, and download, as ``reproduce`` takes them."""

    root: str | Path | None = None
    runs: Path = Path("runs")
    files: Mapping[str, Path] = field(default_factory=dict)
    download: bool = False


def weight_names(table: Table) -> set[str]:
    """Return the names under which ``--weights NAME=FILE`` takes files for a table."""
    models = {row.model for row in table.rows}
    published = {weights.stem for weights in WEIGHTS if weights.model in models}
    trained = {Path(recipe).name for row in table.rows for recipe in row.same_training}
    return (published | trained | {row.file for row in table.rows}) - {""}


def source_for(row: Row, column: Column, given: Given) -> ModelSource:
    """Return which weights a row needs for a column; MaskAdapterError with the command that brings missing ones."""
    if row.cited:
        raise MaskAdapterError(row.cited)
    pooler = cast(PoolerName, row.pooler)
    if row.recipe:
        trained = _trained(row, given)
        if trained is None:
            return ModelSource(_published(row.model, "adapter", given), "adapter")
        if row.joined and masks_for(row, column) != GROUND_TRUTH:
            return ModelSource(_published(row.model, "pooling", given), adapter=trained)
        return ModelSource(trained, pooler)
    if row.file:
        if row.file not in given.files:
            raise MaskAdapterError(f"the weights of {row.file} have to be given: --weights {row.file}=FILE")
        return ModelSource(row.model.format(given.files[row.file]), pooler)
    if is_bare(row.model):
        from maskadapter.models.clip import repository_of

        config, _, tag = row.model.removeprefix(PREFIX).partition(":")
        if (kept := repository_of(config, tag)) is not None:
            _check_cached(*kept, given)
        return ModelSource(row.model, pooler)
    return ModelSource(_published(row.model, row.pooler, given), pooler)


def check_masks(row: Row, column: Column, given: Given) -> None:
    """Raise MaskAdapterError, as ``source_for``, where the network that makes a row's masks is missing."""
    masks = masks_for(row, column)
    repository = parsed(masks).name if masks is not None and is_source(masks) else ""
    if repository and not Path(repository).is_dir():
        _check_cached(repository, ("model.safetensors", "model.safetensors.index.json"), given)


def masks_for(row: Row, column: Column) -> str | None:
    """Return where the masks of a row come from in a column; None for the model's own."""
    return column.masks or row.masks


def _trained(row: Row, given: Given) -> Path | None:
    """Return the weights of a row's training or of the same one; None where published ones come from it and are there.

    Raises MaskAdapterError with the command that trains.
    """
    names = [Path(recipe).name for recipe in row.same_training]
    files = [given.files.get(name, given.runs / name / "model.safetensors") for name in names]
    if found := next((file for file in files if file.is_file()), None):
        return found
    command = f"maskadapter train recipes/{row.same_training[0]}.yaml --root {given.root or 'FOLDER'}"
    if row.model != _TRAINED and row.model in MODEL_NAMES:  # a trial: on any device, evaluated by the tables alone
        changes = ("model.architecture", row.model), ("model.weights", row.model), ("run.precision", "fp32")
        command += "".join(f" --set {key}={value}" for key, value in (*changes, ("evaluation.every", 0)))
    remedy = f"run '{command}'"
    if row.published_weights:
        published = weights_of(row.model, "adapter")
        if published.stem in given.files or present(published) or given.download:
            return None
        remedy += f", or '{published.command}'"
    raise MaskAdapterError(f"{files[0]} is missing: {remedy}, or give --weights {names[0]}=FILE")


def _published(model: str, pooler: str, given: Given) -> str | Path:
    """Return a published model's name, or the user's file of it. Other names and paths are checked when loaded."""
    if not any(weights.model == model for weights in WEIGHTS):
        return model
    weights = weights_of(model, "adapter" if pooler == "adapter" else "pooling")
    if weights.stem in given.files:
        return given.files[weights.stem]
    if present(weights) is None and not given.download:
        remedy = f"run '{weights.command}', or give --weights {weights.stem}=FILE"
        raise MaskAdapterError(f"{model} with {weights.pooler} is not on this machine: {remedy}")
    return model


def _check_cached(repository: str, names: tuple[str, ...], given: Given) -> None:
    """Raise MaskAdapterError unless one of the files of a Hugging Face repository is in the cache."""
    try:
        here = any(isinstance(huggingface_hub.try_to_load_from_cache(repository, name), str) for name in names)
    except HFValidationError:
        problem = f"'{repository}' is neither a folder nor the name of a Hugging Face repository"
        raise MaskAdapterError(problem) from None
    if not here and not given.download:
        raise MaskAdapterError(f"{repository} is not on this machine: give --download to fetch it from Hugging Face")
