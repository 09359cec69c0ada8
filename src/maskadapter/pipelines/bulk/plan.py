"""The plan of a run over very many images: its settings, and the list of the images, cut into shards."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from maskadapter.errors import CheckpointError, MaskAdapterError
from maskadapter.hub import DEFAULT, ModelSource, check_source, is_bare
from maskadapter.models import MODEL_NAMES
from maskadapter.pipelines.bulk.planned_image import PlannedImage
from maskadapter.pipelines.bulk.sources import planned_images
from maskadapter.pipelines.image_run import vocabulary_settings
from maskadapter.pipelines.run_record import file_hash
from maskadapter.system.atomic_files import write_atomically
from maskadapter.system.extras import load_extra
from maskadapter.system.paths import check_folder, user_path
from maskadapter.system.run_folder import claim
from maskadapter.vocabulary import BACKGROUND, Vocabulary, competing_classes

SETTINGS, IMAGES, PARTS = "plan.yaml", "images.parquet", "parts"
_HASH = b"maskadapter.settings"


@dataclass(frozen=True)
class Plan:
    """A plan that was written into ``folder``. settings: as in ``plan.yaml``. shards: how many there are."""

    folder: Path
    settings: Mapping[str, Any]
    shards: int

    @property
    def image_count(self) -> int:
        return int(self.settings["images"]["count"])

    def size_of(self, shard: int) -> int:
        """The number of images of a shard."""
        size = int(self.settings["shard_size"])
        return min(size, self.image_count - shard * size)

    def part(self, shard: int) -> Path:
        """The Parquet file of a shard: the shard is done when it exists."""
        return self.folder / PARTS / f"{shard:06d}.parquet"

    def images(self, shard: int) -> list[PlannedImage]:
        """The images of a shard, from 0."""
        parquet = load_extra("pyarrow.parquet", "bulk")
        with parquet.ParquetFile(self.folder / IMAGES) as file:
            columns = file.read_row_group(shard).to_pydict()
        return [PlannedImage(*row) for row in zip(*columns.values(), strict=True)]

    @cached_property
    def vocabulary(self) -> Vocabulary:
        of = self.settings
        return Vocabulary(tuple(map(tuple, of["classes"])), tuple(of["is_thing"]), of["name"])

    @property
    def background(self) -> str | list[list[str]]:
        """As ``segment`` takes it."""
        return self.settings["background"] or "none"

    @property
    def source(self) -> ModelSource:
        """The model."""
        return ModelSource(**{key: value for key, value in self.settings["model"].items() if key != "sha256"})

    @cached_property
    def settings_hash(self) -> str:
        """Known to every part: parts of other settings do not go with these."""
        return settings_hash(self.settings)


def plan_shards(
    sources: str | Path | Iterable[str | Path],
    classes: Any,
    output: str | Path,
    shard_size: int = 1000,
    things: Iterable[str] | None = None,
    background: Any = BACKGROUND,
    model: ModelSource | str | Path | None = None,
    prune_proposals: bool = False,
    column: str | None = None,
) -> Plan:
    """Write a plan for segmenting very many images into ``output``: the settings and the list of the images, cut into
    shards of ``shard_size``. No image is opened and no model loaded.

    sources: see ``planned_images``: folders, patterns, lists, tar archives, tables, here or behind an address that
    fsspec knows. classes, things, background: as in ``segmenter.segment``. model: its precision is fp32
    where none is named, never auto: results must not depend on which machine computes a shard. prune_proposals: as in
    ``load``. column: of the images, in tables with several that may be.
    The same plan may be written again. Raises MaskAdapterError: what ``planned_images`` raises; a folder that was
    planned with other settings or other images; a model that is not there; a missing extra, ``[bulk]``.
    """
    output = check_folder(output)
    if shard_size < 1:
        raise MaskAdapterError(f"shard_size is {shard_size}: at least 1 is needed")
    vocabulary = Vocabulary.of(classes, things)
    competing = competing_classes(vocabulary, background)
    settings = {"maskadapter": version("maskadapter"), **vocabulary_settings(vocabulary, competing, None)}
    settings |= {"model": _model_settings(ModelSource.of(model)), "prune_proposals": prune_proposals}
    settings = json.loads(json.dumps({**settings, "shard_size": shard_size}))
    pyarrow, parquet = load_extra("pyarrow", "bulk"), load_extra("pyarrow.parquet", "bulk")
    kinds = {"start": pyarrow.int64(), "length": pyarrow.int64()}
    schema = pyarrow.schema([(name, kinds.get(name, pyarrow.string())) for name in PlannedImage._fields])
    found = planned_images(sources, output.absolute(), column)
    digest, count, new = hashlib.sha256(), 0, not output.exists()
    try:
        with write_atomically(output / IMAGES) as temporary:
            with parquet.ParquetWriter(temporary, schema, compression="zstd") as writer:
                while rows := list(islice(found, shard_size)):
                    digest.update(json.dumps(rows).encode())
                    count += len(rows)
                    columns = dict(zip(PlannedImage._fields, map(list, zip(*rows, strict=True)), strict=True))
                    writer.write_table(pyarrow.table(columns, schema=schema), row_group_size=shard_size)
                settings["images"] = {"count": count, "sha256": digest.hexdigest()}
                writer.add_key_value_metadata({_HASH: settings_hash(settings).encode()})
            claim(output, settings, SETTINGS, MaskAdapterError, free=(), results=f"{PARTS}/*.parquet")
    except BaseException:
        if new:
            with suppress(OSError):  # nothing of the user's is in it, and it is left where something is
                output.rmdir()
        raise
    return read_plan(output)


def read_plan(folder: str | Path) -> Plan:
    """Read the plan in a folder. Raises MaskAdapterError, one line: no plan, an incomplete or an edited one."""
    folder = user_path(folder, MaskAdapterError).absolute()
    parquet = load_extra("pyarrow.parquet", "bulk")
    try:
        settings = yaml.safe_load((folder / SETTINGS).read_text(encoding="utf-8"))
        with parquet.ParquetFile(folder / IMAGES) as file:
            shards, planned = file.num_row_groups, (file.metadata.metadata or {}).get(_HASH, b"").decode()
    except FileNotFoundError:
        advice = "write one with 'maskadapter bulk plan'"
        raise MaskAdapterError(f"no plan in {folder}: {advice}") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise MaskAdapterError(f"cannot read the plan in {folder}: {' '.join(str(error).split())}") from None
    if not isinstance(settings, dict) or settings_hash(settings) != planned:
        problem = f"{folder / SETTINGS} is not as it was planned"
        raise MaskAdapterError(f"{problem}: undo that, or plan into another folder")
    if settings["maskadapter"] != version("maskadapter"):
        problem = f"{folder} was planned by version {settings['maskadapter']} and this is {version('maskadapter')}"
        raise MaskAdapterError(f"{problem}: install that one, or plan into another folder")
    return Plan(folder, settings, shards)


def check_model_files(plan: Plan) -> None:
    """Raise CheckpointError, one line, where the files of the model are gone or not those of the plan."""
    check_source(plan.source)
    if _model_settings(plan.source) != plan.settings["model"]:
        changed = f"{plan.source.name} or its adapter is not the file that {plan.folder} was planned with"
        raise CheckpointError(f"{changed}: put that back, or plan into another folder")


def settings_hash(settings: Mapping[str, Any]) -> str:
    """SHA-256 of settings, the same for the same values."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def _model_settings(source: ModelSource) -> dict[str, Any]:
    """The source as text, files by their absolute path and SHA-256. Raises as ``check_source``."""
    check_source(source)
    if source.precision == "auto":
        problem = "precision auto depends on the machine, and every shard needs the same"
        raise MaskAdapterError(f"{problem}: name one, or none for fp32")
    files = {
        key: user_path(given, CheckpointError).absolute()
        for key, given in (("name", source.name), ("adapter", source.adapter))
        if given is not None and str(given) not in (*MODEL_NAMES, DEFAULT) and not is_bare(given)
    }
    hashes = {key: file_hash(path) for key, path in files.items()}
    chosen = {"name": str(source.name), "adapter": source.adapter and str(source.adapter)}
    chosen |= {key: str(path) for key, path in files.items()}
    others = {"pooler": source.pooler, "architecture": source.architecture, "precision": source.precision or "fp32"}
    return {**chosen, **others, "sha256": hashes}
