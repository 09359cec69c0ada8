"""Which proposals can change a result: told from a guess at all their names, before any is named with care.

A guess costs next to nothing, and where it is wrong it seldom matters: many proposals agree, or are surely of nothing.
The three shares were chosen on training images, see ``docs/performance.md``.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

# By what share the probabilities of a guessed proposal may be off.
DOUBT = 0.4
# Of the image: fewer cells than this may turn.
SMALLEST = 0.0005
# A name that comes so near the best one of a proposal may turn out to be the better one.
RIVAL = 0.5

# Where all proposals together weigh less than this is none: far from every mask each is a little above 0.
_NOTHING = 0.01


def influential(
    mask_logits: Tensor, probs: Tensor, doubt: float = DOUBT, smallest: float = SMALLEST, rival: float = RIVAL
) -> Tensor:
    """(N,) bool: the proposals whose true names may turn the class of pixels, or their own where they are segments.

    mask_logits: (N, h, w). probs: (N, K + 1), the guess: class probabilities with void last, each row summing to 1.

    A proposal turns a cell where ``doubt`` times what it adds there to the best class and to the second exceeds what
    the one is ahead of the other. It is a segment where void is not its best class, and its name may turn where its
    second class has more than ``rival`` of the probability of the first. This is no proof that the others change
    nothing.
    """
    class_probs, void = probs[:, :-1], probs[:, -1]
    if not probs.numel() or class_probs.shape[1] < 2:
        return torch.zeros_like(void, dtype=torch.bool)
    # Half the resolution tells the same and costs a quarter.
    masks = F.avg_pool2d(mask_logits[None], 2, ceil_mode=True)[0].sigmoid()
    scores = torch.einsum("nk,nhw->khw", class_probs, masks)
    best, label = scores.max(dim=0)
    next_best, rival_label = scores.scatter(0, label[None], -torch.inf).max(dim=0)
    added = (class_probs[:, label.flatten()] + class_probs[:, rival_label.flatten()]).view_as(masks) * masks
    turns = ((doubt * added > best - next_best) & (best > _NOTHING)).flatten(1).float().mean(dim=1) > smallest
    first, second = class_probs.topk(2, dim=-1).values.unbind(dim=-1)
    return turns | ((first > void) & (second > rival * first))
