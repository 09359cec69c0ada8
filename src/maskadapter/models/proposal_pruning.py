"""Compute Mask-Adapter only for the proposals that can change a result, and estimate the embeddings of the others.
Where an estimate is wrong it seldom matters: many proposals agree, or are surely void."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from maskadapter.models.poolers.adapter_pooling import FEW, AdapterPooler
from maskadapter.models.poolers.mask_pooling import Project
from maskadapter.models.sparse_adapter import SparseAdapter
from maskadapter.types import ClipFeatures

# The three thresholds were chosen on training images, see ``docs/performance.md``.
DOUBT = 0.4  # the probabilities of an estimated proposal may be off by this share
SMALLEST = 0.0005  # share of the image: a proposal that can change the class of fewer pixels is not computed
RIVAL = 0.5  # a class with at least this share of the best class's probability may turn out to be the better one
_NOTHING = 0.01  # a lower score of all proposals together means none: far from every mask each is a bit above 0
_Function = Callable[[Tensor], Tensor]
_REACH = (2, 0)  # of ``SparseAdapter``; chosen together with the three thresholds


def pruned_embeddings(
    pooler: AdapterPooler, features: ClipFeatures, mask_logits: Tensor, project: Project, choose: _Function
) -> Tensor:
    """Mask embeddings (B, N, D): computed where ``choose`` says so, estimated elsewhere. features, mask_logits,
    project: see ``Pooler``. choose: from estimates (B, N, D) which to compute, (B, N) bool."""
    masks = pooler.binary(mask_logits)
    if masks.shape[1] <= FEW:
        return pooler.embed(features, masks, project)
    adapters = [SparseAdapter(pooler.adapter, one[None], _REACH) for one in features.projected]
    images = list(zip(adapters, masks, features.dense, strict=True))

    def pooled(maps_of: _Function, some: Tensor, dense: Tensor) -> Tensor:
        return pooler.pool(partial(pooler.in_chunks, maps_of), some, dense, project)

    embeddings = torch.stack([pooled(adapter.estimate, some, dense) for adapter, some, dense in images])
    for estimated, chosen, (adapter, some, dense) in zip(embeddings, choose(embeddings), images, strict=True):
        estimated[chosen] = pooled(adapter, some[chosen], dense)
    return embeddings


def influential(
    mask_logits: Tensor, probs: Tensor, doubt: float = DOUBT, smallest: float = SMALLEST, rival: float = RIVAL
) -> Tensor:
    """Which proposals can change the class of pixels, or their own class where they are segments: (N,) bool.

    mask_logits: (N, h, w). probs: (N, K + 1), estimated class probabilities with void last, each row sums to 1. A
    proposal can change a pixel where ``doubt`` times what it adds there to the scores of the best and the second class
    exceeds the difference of the two. It is a segment where void is not its best class, and its class can change where
    its second class has more than ``rival`` of the probability of the first. This does not prove that others do not."""
    class_probs, void = probs[:, :-1], probs[:, -1]
    if not probs.numel() or class_probs.shape[1] < 2:
        return torch.zeros_like(void, dtype=torch.bool)
    # Half the resolution chooses the same and costs a quarter.
    masks = F.avg_pool2d(mask_logits[None], 2, ceil_mode=True)[0].sigmoid()
    scores = torch.einsum("nk,nhw->khw", class_probs, masks)
    best, label = scores.max(dim=0)
    next_best, rival_label = scores.scatter(0, label[None], -torch.inf).max(dim=0)
    added = (class_probs[:, label.flatten()] + class_probs[:, rival_label.flatten()]).view_as(masks) * masks
    changes = ((doubt * added > best - next_best) & (best > _NOTHING)).flatten(1).float().mean(dim=1) > smallest
    first, second = class_probs.topk(2, dim=-1).values.unbind(dim=-1)
    return changes | ((first > void) & (second > rival * first))
