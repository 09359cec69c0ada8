"""What a row is made with, looked for on this machine before anything is loaded; where it lacks, what brings it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maskadapter.errors import MaskAdapterError
from maskadapter.hub.bare_clip import PREFIX, is_bare
from maskadapter.hub.download import present
from maskadapter.hub.model_zoo import WEIGHTS, weights_of
from maskadapter.models.clip.clip import repository_of
from maskadapter.models.sources.mask_source import is_source, parsed
from maskadapter.paper.tables.table import TRUE_MASKS, Column, Row, Table


@dataclass(frozen=True)
class Given:
    """What the user has. runs: folder of trainings, ``<recipe's name>/model.safetensors`` in it. files: weights by the
    names of ``weight_names``. download: whether what is not on this machine may be fetched."""

    runs: Path = Path("runs")
    files: Mapping[str, Path] = field(default_factory=dict)
    download: bool = False


def weight_names(table: Table) -> set[str]:
    """Names of every file that ``--weights NAME=FILE`` can give to a table."""
    named = {row.file or Path(row.recipe).name for row in table.rows} - {""}
    models = {row.model for row in table.rows}
    return named | {weights.stem for weights in WEIGHTS if weights.model in models}


def weights_for(row: Row, column: Column, given: Given) -> dict[str, Any]:
    """What ``subject.model`` needs to know of a row's weights. Nothing is loaded or downloaded.

    Raises MaskAdapterError, one line, with what brings them where they lack.
    """
    if row.cited:
        raise MaskAdapterError(row.cited)
    if row.recipe:
        name = Path(row.recipe).name
        trained = given.files.get(name, given.runs / name / "model.safetensors")
        if not trained.is_file():
            raise MaskAdapterError(
                f"{trained} is missing: run 'maskadapter train recipes/{row.recipe}.yaml', or give "
                f"--weights {name}=FILE"
            )
        if row.joined and (column.proposals or row.proposals) != TRUE_MASKS:
            return {"name": _published(row.model, "pooling", given), "adapter": trained}
        return {"name": trained, "pooler": row.pooler}
    if row.file:
        if row.file not in given.files:
            raise MaskAdapterError(f"its weights have to be given: --weights {row.file}=FILE")
        return {"name": row.model.format(given.files[row.file]), "pooler": row.pooler}
    if is_bare(row.model):
        config, _, tag = row.model.removeprefix(PREFIX).partition(":")
        if (kept := repository_of(config, tag)) is not None:
            _refuse_absent(*kept, given)
        return {"name": row.model, "pooler": row.pooler}
    return {"name": _published(row.model, row.pooler, given), "pooler": row.pooler}


def proposals_for(row: Row, column: Column, given: Given) -> dict[str, Any]:
    """What ``subject.model`` needs to know of masks and opinions; as ``weights_for``."""
    proposals = column.proposals or row.proposals
    if is_source(proposals):
        repository = parsed(proposals).name
        if repository and not Path(repository).is_dir():
            _refuse_absent(repository, ("model.safetensors", "model.safetensors.index.json"), given)
    return {"proposals": proposals, "branch": column.branch or row.branch}


def _published(model: str, pooler: str, given: Given) -> str | Path:
    """A published model's name or the user's file of it. Any other name or path is as it is: loading it will tell."""
    if not any(weights.model == model for weights in WEIGHTS):
        return model
    weights = weights_of(model, "adapter" if pooler == "adapter" else "pooling")
    if weights.stem in given.files:
        return given.files[weights.stem]
    if present(weights) is None and not given.download:
        raise MaskAdapterError(
            f"{model} with {weights.pooler} is not on this machine: run '{weights.command}', or give "
            f"--weights {weights.stem}=FILE"
        )
    return model


def _refuse_absent(repository: str, names: tuple[str, ...], given: Given) -> None:
    """MaskAdapterError for a repository of the Hugging Face hub of which none of the files is in the cache."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        here = any(isinstance(try_to_load_from_cache(repository, name), str) for name in names)
    except HFValidationError:
        raise MaskAdapterError(f"'{repository}' is no folder and names no repository of Hugging Face") from None
    if not here and not given.download:
        raise MaskAdapterError(f"{repository} is not on this machine: give --download to fetch it from Hugging Face")
