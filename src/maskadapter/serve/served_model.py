"""What a service says about its model."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maskadapter.models import OpenVocabularySegmenter

_POOLERS = {"AdapterPooler": "adapter", "MaskPooling": "pooling", "MaskCropping": "cropping"}


@dataclass(frozen=True)
class ServedModel:
    """name: of the model or its file. pooler: adapter, pooling or cropping. precision: of its weights. device: where it
    computes. embedded: whether it is the small model of the package."""

    name: str
    pooler: str
    precision: str
    device: str
    embedded: bool = False

    @classmethod
    def of(cls, model: "OpenVocabularySegmenter", name: str, embedded: bool) -> "ServedModel":
        """What is to say about a loaded model of that name."""
        pooler = type(model.pooler).__name__
        return cls(name, _POOLERS.get(pooler, pooler), model.precision, str(model.clip.logit_scale.device), embedded)

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
