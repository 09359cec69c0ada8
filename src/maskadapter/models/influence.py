"""Which proposals can change a result: known from the masks and their void probabilities, before they are named."""

from torch import Tensor

# Chosen on 100 COCO training pictures with the embedded model: see docs/performance.md.
SHARE = 0.1
CELLS = 4


def influential(mask_logits: Tensor, void_probs: Tensor, share: float = SHARE, cells: int = CELLS) -> Tensor:
    """(N,) bool: the proposals that have a say somewhere.

    mask_logits: (N, h, w). void_probs: (N,), 0 to 1. What a proposal adds to any class at a cell is at most
    (1 - void probability) * mask probability. It has a say where that is more than ``share`` (0 to 1) of what all
    proposals add there, on ``cells`` cells or more.
    """
    most = (1 - void_probs)[:, None, None] * mask_logits.sigmoid()
    return (most > share * most.sum(dim=0)).flatten(1).sum(dim=1) >= cells
