"""What a service says about its model."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maskadapter.models import OpenVocabularySegmenter

_POOLERS = {"AdapterPooler": "adapter", "MaskPooling": "pooling", "MaskCropping": "cropping"}


@dataclass(frozen=True)
class ServedModel:
    """name: of the model or its file. pooler: adapter, pooling or cropping. precision: of its weights. device: where it
    computes. embedded: whether it is the small model of the package. other_pooler: which one requests may name besides;
    None for none."""

    name: str
    pooler: str
    precision: str
    device: str
    embedded: bool = False
    other_pooler: str | None = None

    @classmethod
    def of(
        cls,
        model: "OpenVocabularySegmenter",
        name: str,
        embedded: bool,
        other: "OpenVocabularySegmenter | None" = None,
    ) -> "ServedModel":
        """What is to say about a loaded model of that name. other: the same with another pooler."""
        device, other_pooler = str(model.clip.logit_scale.device), None if other is None else _pooler_name(other)
        return cls(name, _pooler_name(model), model.precision, device, embedded, other_pooler)

    @property
    def better(self) -> str | None:
        """How to get a better model; None for others than the embedded one."""
        if not self.embedded:
            return None
        return (
            "This is the small embedded model, to try things. Start the service with a published one: "
            "maskadapter models download fcclip-large, then maskadapter serve --model fcclip-large"
        )

    def summary(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return {**asdict(self), "better": self.better}


def _pooler_name(model: "OpenVocabularySegmenter") -> str:
    pooler = type(model.pooler).__name__
    return _POOLERS.get(pooler, pooler)
