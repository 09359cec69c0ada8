"""The published weights: their files and where they are published. Data only."""

from collections.abc import Mapping
from dataclasses import dataclass

from maskadapter.errors import CheckpointError
from maskadapter.system.error_text import did_you_mean

HUB_REPOSITORY = "owl10/Mask-Adapter"


@dataclass(frozen=True)
class Weights:
    """One published file.

    model, pooler: as ``load`` takes them. size: approximate, as its source lists it; with ``+`` the size of its tensors
    alone, where no source lists one. license: SPDX identifier. drive_id: the file's id at Google Drive. hub_words:
    parts of its name on the Hugging Face hub; empty where the hub does not have it. clip: its CLIP, an entry of
    ``CLIP_WEIGHTS``.
    """

    model: str
    pooler: str
    size: str
    license: str
    drive_id: str
    hub_words: tuple[str, ...]
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
    """A pretrained CLIP that training starts from.

    config, tag: open_clip's names. repository: the one of the Hugging Face hub that open_clip downloads it from.
    """

    config: str
    tag: str
    repository: str
    size: str
    license: str


# Source of the Google Drive ids: the official READMEs of Mask-Adapter, FC-CLIP and MAFT+. Of the licenses: the three
# repositories and the hub's page. Of the sizes: the hub's page; they are the tensors plus the optimizer's state of the
# adapter, to the last digit shown.
WEIGHTS = (
    Weights(
        model="fcclip-large",
        pooler="adapter",
        size="1.67 GB",
        license="Apache-2.0",
        drive_id="13_sr30_Q0Geubijik0BpVC_JgyFAmyQU",
        hub_words=("fcclip", "large"),
        clip="clip-convnext-large",
    ),
    Weights(
        model="fcclip-large",
        pooler="pooling",
        size="1.49 GB+",
        license="Apache-2.0",
        drive_id="1-91PIns86vyNaL3CzMmDD39zKGnPMtvj",
        hub_words=(),
        clip="clip-convnext-large",
    ),
    Weights(
        model="maftplus-base",
        pooler="adapter",
        size="985 MB",
        license="Apache-2.0",
        drive_id="1v0rdETOJl6oOKmef1L7WbtG16-zKvp2b",
        hub_words=("maft", "base"),
        clip="clip-convnext-base",
    ),
    Weights(
        model="maftplus-base",
        pooler="pooling",
        size="807 MB+",
        license="Apache-2.0",
        drive_id="1BeEeKOnWWIWIH-QWK_zLhAPUzCOnHuFG",
        hub_words=(),
        clip="clip-convnext-base",
    ),
    Weights(
        model="maftplus-large",
        pooler="adapter",
        size="1.68 GB",
        license="Apache-2.0",
        drive_id="12eqDnTYaQlj9QUmWO1Vh9vvB81tKABl5",
        hub_words=("maft", "large"),
        clip="clip-convnext-large",
    ),
    Weights(
        model="maftplus-large",
        pooler="pooling",
        size="1.50 GB+",
        license="Apache-2.0",
        drive_id="1EQo5guVuKkSSZj4bv0FQN_4X9h_Rwfe5",
        hub_words=(),
        clip="clip-convnext-large",
    ),
)

# Source: open_clip's own table of pretrained weights; the repositories' model cards for the license.
CLIP_WEIGHTS: Mapping[str, ClipWeights] = {
    "clip-convnext-base": ClipWeights(
        config="convnext_base_w_320",
        tag="laion_aesthetic_s13b_b82k_augreg",
        repository="laion/CLIP-convnext_base_w_320-laion_aesthetic-s13B-b82K-augreg",
        size="718 MB",
        license="MIT",
    ),
    "clip-convnext-large": ClipWeights(
        config="convnext_large_d_320",
        tag="laion2b_s29b_b131k_ft_soup",
        repository="laion/CLIP-convnext_large_d_320.laion2B-s29B-b131K-ft-soup",
        size="1.41 GB",
        license="MIT",
    ),
}


def weights_of(model: str, pooler: str = "adapter") -> Weights:
    """Return the published file of a model. Raises CheckpointError, with a suggestion, for a name that has none."""
    for weights in WEIGHTS:
        if (weights.model, weights.pooler) == (model, pooler):
            return weights
    names = sorted({weights.model for weights in WEIGHTS})
    if model in names:
        raise CheckpointError(f"{model} has no file for pooler '{pooler}': choose adapter or pooling")
    if model == "tiny":
        raise CheckpointError("tiny is part of the package: there is nothing to download")
    if model == "tiny-mask2former":
        raise CheckpointError(f"no weights of {model} are published: train them with recipes/own/tiny-generator.yaml")
    raise CheckpointError(f"no published weights are called '{model}': {did_you_mean(model, [*names, *CLIP_WEIGHTS])}")
