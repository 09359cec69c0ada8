"""Which proposals have a say in a result: known from the masks and their void probabilities, before they are named."""

from torch import Tensor

# Not chosen by measurement yet; scripts/influence.py is there for that.
SHARE = 0.3

# What adds up to less than this says that nothing is there: far from all masks each of them is a little above 0.
_NOTHING = 0.01


def influential(mask_logits: Tensor, void_probs: Tensor, share: float = SHARE) -> Tensor:
    """(N,) bool: the proposals that have a say somewhere.

    mask_logits: (N, h, w). void_probs: (N,), 0 to 1. What a proposal adds to any class at a cell is at most
    (1 - void probability) * mask probability. It has a say where that is more than ``share`` (0 to 1) of what the best
    proposal adds there. This is no proof that the others change nothing: they count too, by a guess at their names.
    """
    most = (1 - void_probs)[:, None, None] * mask_logits.sigmoid()
    best = most.amax(dim=0)
    return ((most > share * best) & (best > _NOTHING)).flatten(1).any(dim=1)
