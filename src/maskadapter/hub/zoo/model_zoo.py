"""The published weights: their files and where they are published, as ``published_weights.yaml`` lists them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from maskadapter.errors import CheckpointError
from maskadapter.system.error_text import did_you_mean

HUB_REPOSITORY = "owl10/Mask-Adapter"


@dataclass(frozen=True)
class Weights:
    """One published file. model, pooler: as ``load`` takes them. license: SPDX identifier.

    hub_words: parts of its name on the Hugging Face hub; empty where it is not there. clip: an entry of CLIP_WEIGHTS.
    """

    model: str
    pooler: str
    size: str
    license: str
    drive_id: str
    hub_words: Sequence[str]
    clip: str

    @property
    def stem(self) -> str:
        """The name of the downloaded file, without its suffix."""
        return f"{self.model}-{self.pooler}"

    @property
    def command(self) -> str:
        """The command that downloads it."""
        return f"maskadapter models download {self.model}" + (" --pooler pooling" * (self.pooler == "pooling"))


@dataclass(frozen=True)
class ClipWeights:
    """A pretrained CLIP that training starts from, by open_clip's names, and its repository on the Hugging Face hub."""

    config: str
    tag: str
    repository: str
    size: str
    license: str


_TABLES = yaml.safe_load(Path(__file__).with_name("published_weights.yaml").read_text(encoding="utf-8"))
WEIGHTS = tuple(Weights(**entry) for entry in _TABLES["weights"])
CLIP_WEIGHTS: Mapping[str, ClipWeights] = {name: ClipWeights(**e) for name, e in _TABLES["clip_weights"].items()}


def weights_of(model: str, pooler: str = "adapter") -> Weights:
    """Return the published file of a model. Raises CheckpointError, with a suggestion, for a name that has none."""
    found = {weights.pooler: weights for weights in WEIGHTS if weights.model == model}
    if pooler in found:
        return found[pooler]
    if found:
        raise CheckpointError(f"{model} has no file for pooler '{pooler}': choose adapter or pooling")
    if model == "tiny":
        raise CheckpointError("tiny is part of the package: there is nothing to download")
    if model == "tiny-mask2former":
        raise CheckpointError(f"no weights of {model} are published: train them with recipes/own/tiny-generator.yaml")
    names = [*sorted({weights.model for weights in WEIGHTS}), *CLIP_WEIGHTS]
    raise CheckpointError(f"no published weights are called '{model}': {did_you_mean(model, names)}")
