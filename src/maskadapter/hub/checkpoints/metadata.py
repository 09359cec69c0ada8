"""The settings of a model that its file keeps as metadata: written, read back, and brought up from version 0.1."""

import json
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter
from safetensors import SafetensorError, safe_open

from maskadapter.errors import CheckpointError
from maskadapter.hub.checkpoints.checkpoint import Checkpoint
from maskadapter.models import AdapterConfig, Architecture, InferenceConfig, ModelConfig, UpstreamQuirks, published
from maskadapter.system.error_text import first_line

Settings = dict[str, dict[str, Any]]
"""``inference``, ``quirks`` and ``adapter``, each with the fields of its class as JSON has them."""

T = TypeVar("T")


def as_settings(config: ModelConfig) -> Settings:
    """Return settings as JSON has them, without an adapter where there is none and without the caller's choices."""
    settings = json.loads(json.dumps({key: value for key, value in asdict(config).items() if value is not None}))
    return settings | {"inference": _of_the_weights(settings["inference"])}


def trained_by(weights: str | Path) -> dict[str, Any] | None:
    """Return the recipe that a safetensors file says it was trained by; None for any other file and for a name."""
    if not Path(weights).is_file() or Path(weights).suffix != ".safetensors":
        return None
    try:
        with safe_open(weights, framework="pt") as file:
            recipe = yaml.safe_load((file.metadata() or {}).get("trained_by", ""))
    except (SafetensorError, OSError, yaml.YAMLError):
        return None  # what reads the weights says what is wrong with them
    return recipe if isinstance(recipe, dict) else None


def config_of(checkpoint: Checkpoint, architecture: Architecture) -> ModelConfig:
    """Return the settings that a file states, else the published ones. Raises CheckpointError for damaged ones."""
    settings, default = read_settings(checkpoint), published(architecture)
    inference, adapter = default.inference, default.adapter
    try:
        if "inference" in settings:
            defaults = (entry.name for entry in fields(InferenceConfig) if entry.default is not MISSING)
            optional = {name: getattr(inference, name) for name in defaults}
            inference = _checked(InferenceConfig, optional | settings["inference"])
        quirks = _checked(UpstreamQuirks, asdict(default.quirks) | settings.get("quirks", {}))
        if "adapter" in settings:
            stated = _checked(AdapterConfig, asdict(adapter or AdapterConfig()) | settings["adapter"])
            adapter = adapter and stated
    except (ValueError, TypeError) as error:
        raise _damaged(checkpoint, error) from error
    return ModelConfig(inference, quirks, adapter)


def read_settings(checkpoint: Checkpoint) -> Settings:
    """Return the settings that a file states; empty where it states none. Raises CheckpointError for damaged ones."""
    try:
        settings = json.loads(checkpoint.metadata.get("settings", "{}"))
        if not isinstance(settings, dict):
            raise TypeError(f"{type(settings).__name__} where settings are expected")
        settings = settings if "quirks" in settings else _from_version_0_1(settings)
        if "inference" in settings:
            settings["inference"] = _of_the_weights(settings["inference"])
        return {key: dict(settings[key]) for key in ("inference", "quirks", "adapter") if key in settings}
    except (ValueError, TypeError, AttributeError) as error:
        raise _damaged(checkpoint, error) from error


def _from_version_0_1(settings: dict[str, Any]) -> Settings:
    """Version 0.1 had the quirks and the adapter's threshold in other places."""
    current: Settings = {key: dict(settings[key]) for key in ("inference", "adapter") if key in settings}
    moved = {
        ("quirks", "projection_layout"): settings.get("cell_order"),
        ("quirks", "transfer_norm"): settings.get("norm_placement"),
        ("quirks", "semantic_order"): current.get("inference", {}).pop("semantic_order", None),
        ("adapter", "mask_threshold"): settings.get("mask_threshold"),
    }
    for (part, key), value in moved.items():
        if value is not None:
            current.setdefault(part, {})[key] = value
    return current


def _checked(kind: type[T], values: dict[str, Any]) -> T:
    """Values as a settings class, each of its type. Raises ValueError for another type and for an unknown key."""
    if unknown := values.keys() - {entry.name for entry in fields(kind)}:  # type: ignore[arg-type]
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
    return TypeAdapter(kind).validate_python(values)


def _of_the_weights(inference: dict[str, Any]) -> dict[str, Any]:
    # How to compute is the caller's choice and no fact of the weights. Earlier versions wrote these keys.
    return {key: value for key, value in inference.items() if key not in ("prune_proposals", "fast", "exact")}


def _damaged(checkpoint: Checkpoint, error: Exception) -> CheckpointError:
    return CheckpointError(f"{checkpoint.source} has damaged settings ({first_line(error)})")
