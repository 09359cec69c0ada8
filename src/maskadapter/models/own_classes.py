"""Classes that were learned from images: they take the place of the text embeddings of their names."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from maskadapter.models.classifier import TextClassifier


class OwnClasses(nn.Module):
    """Weights and a bias of each name, for the in-vocabulary and for the out-of-vocabulary classifier.

    A text that has one of the names, in upper or lower case, is classified by them; for all other names nothing
    changes. names: N, different. dim: D of the text embeddings."""

    def __init__(self, names: Sequence[str], dim: int) -> None:
        super().__init__()
        self.names = tuple(names)
        self._row = {name.casefold(): row for row, name in enumerate(self.names)}
        self.in_weights, self.out_weights = nn.Linear(dim, len(names)), nn.Linear(dim, len(names))

    @torch.no_grad()
    def start_from(self, text: TextClassifier, earlier: "OwnClasses | None" = None) -> "OwnClasses":
        """Take over the text embeddings of the names, all of which ``text`` has, and what was learned ``earlier``."""
        for own, branch in ((self.in_weights, "in_vocabulary"), (self.out_weights, "out_of_vocabulary")):
            start: TextClassifier = getattr(earlier, branch)(text) if earlier else text
            rows = [start.names.index(name) for name in self.names]
            own.weight.copy_(start.weights[rows])
            own.bias.copy_(torch.zeros_like(own.bias) if start.bias is None else start.bias[rows])
        return self

    def in_vocabulary(self, text: TextClassifier) -> TextClassifier:
        """The proposal head's classifier with what was learned."""
        return self._replaced(text, self.in_weights)

    def out_of_vocabulary(self, text: TextClassifier) -> TextClassifier:
        """The classifier of mask embeddings with what was learned."""
        return self._replaced(text, self.out_weights)

    def _replaced(self, text: TextClassifier, own: nn.Linear) -> TextClassifier:
        known = [(place, self._row.get(name.casefold())) for place, name in enumerate(text.names)]
        places, rows = [place for place, row in known if row is not None], [row for _, row in known if row is not None]
        if not rows:
            return text
        weights = text.weights.clone()
        weights[..., places, :] = own.weight[rows].to(weights)
        bias: Tensor = weights.new_zeros(weights.shape[-2])
        bias[places] = own.bias[rows].to(weights)
        return replace(text, weights=weights, bias=bias)
