"""Compute Mask-Adapter only for the proposals that can change the result, and estimate the embeddings of the others.

Where an estimate is wrong it seldom matters: many proposals agree, or are surely void. Whether that holds is checked in
every image: some proposals are computed exactly; where that changes the result, more are, in the end all of them."""

from collections.abc import Callable
from dataclasses import dataclass
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
# The check's two numbers were chosen on training images too.
CHECKED = 16  # proposals that are computed exactly to check the others
TOLERANCE = 0.005  # share of the pixels that may be expected to have another class than in the exact result
_NOTHING = 0.01  # a lower score of all proposals together means none: far from every mask each is a bit above 0
_Function = Callable[[Tensor], Tensor]
_REACH = (2, 0)  # of ``SparseAdapter``; chosen together with the three thresholds


@dataclass(frozen=True)
class ComputedProposals:
    """Which proposals of B images went through the adapter, (B, N) bool each.

    near: those that can change the result, with a shorter reach. exact: those that the others were checked by, which
    may be near too."""

    near: Tensor
    exact: Tensor

    @property
    def estimated(self) -> Tensor:
        """The proposals that were not computed, (B, N) bool."""
        return ~(self.near | self.exact)


def pruned_embeddings(
    pooler: AdapterPooler,
    features: ClipFeatures,
    mask_logits: Tensor,
    project: Project,
    probs: _Function,
    given: ComputedProposals | None = None,
) -> tuple[Tensor, ComputedProposals]:
    """Mask embeddings (B, N, D), and which of them were computed. features, mask_logits, project: see ``Pooler``.

    probs: class probabilities (B, N, K + 1), void last, of embeddings (B, N, D). given: what to compute in place of an
    own choice, which is made all the same.

    First the ``influential`` proposals are computed. Then some are computed exactly: those that count most, and a
    regular sample of the others. The share of pixels that change their class by it, in proportion to the weight of the
    proposals that remain, is what these would change. While that is more than ``TOLERANCE``, twice as many are
    computed. See ``Check``."""
    masks = pooler.binary(mask_logits)
    none = torch.zeros(masks.shape[:2], dtype=torch.bool, device=masks.device)
    if masks.shape[1] <= FEW:
        return pooler.embed(features, masks, project), ComputedProposals(none, ~none)
    adapters = [SparseAdapter(pooler.adapter, one[None]) for one in features.projected]
    images = list(zip(adapters, masks, features.dense, strict=True))

    def pooled(maps_of: _Function, some: Tensor, dense: Tensor) -> Tensor:
        return pooler.pool(partial(pooler.in_chunks, maps_of), some, dense, project)

    embeddings = torch.stack([pooled(adapter.estimate, some, dense) for adapter, some, dense in images])
    near = torch.stack(list(map(influential, mask_logits, probs(embeddings))))
    near = near if given is None else given.near
    for image, chosen, (adapter, some, dense) in zip(embeddings, near, images, strict=True):
        image[chosen] = pooled(adapter.within(_REACH), some[chosen], dense)
    checks, exact = list(map(Check, mask_logits, probs(embeddings))), none
    for number, (check, (adapter, some, dense)) in enumerate(zip(checks, images, strict=True)):

        def compute(more: Tensor) -> Tensor:
            embeddings[number, more] = pooled(adapter, some[more], dense)  # noqa: B023
            return probs(embeddings)[number]  # noqa: B023

        if given is None:
            exact[number] = check.until_passed(compute)
        else:
            check.passed(given.exact[number], compute(given.exact[number]))
    exact = exact if given is None else given.exact
    return embeddings, ComputedProposals(near, exact)


class Check:
    """Whether the classes of an image's pixels stay the same when proposals are computed exactly.

    mask_logits: (N, h, w). probs: (N, K + 1), void last, before any is. count: how many are computed first. tolerance:
    share of the pixels that may be expected to change."""

    def __init__(self, mask_logits: Tensor, probs: Tensor, count: int = CHECKED, tolerance: float = TOLERANCE) -> None:
        self._count, self._tolerance = count, tolerance
        self._masks = _half(mask_logits)
        class_probs, mass = probs[:, :-1], 1 - probs[:, -1].float()
        scores = _scores(self._masks, class_probs)
        best, self._labels = scores.max(dim=0)
        # Void does not depend on the adapter: what a proposal can add to any class is known, whatever its class.
        added = mass.view(-1, 1, 1) * self._masks
        votes = _shares((added / _positive(added.sum(dim=0))).flatten(1).mean(dim=1))
        self._alone = torch.zeros_like(mass)
        if class_probs.shape[1] > 1:
            next_best, rival = scores.scatter(0, self._labels[None], -torch.inf).max(dim=0)
            lead = class_probs[:, self._labels.flatten()] - class_probs[:, rival.flatten()]
            changes = added + lead.view_as(self._masks) * self._masks > best - next_best
            self._alone = changes.flatten(1).float().mean(dim=1)
            votes = votes + _shares(self._alone)
        self.weights = _shares(votes)
        """(N,), sum 1: the mean of a proposal's share in all that can be added to the scores of classes, and of its
        share in the pixels whose class it alone would change, were all that it can add the rival class's."""

    def until_passed(self, compute: _Function) -> Tensor:
        """Compute proposals exactly until the check is passed, or all are: which were, (N,) bool. compute: from those
        to compute next, (N,) bool, the class probabilities (N, K + 1) with all that were computed."""
        exact = torch.zeros_like(self.weights, dtype=torch.bool)
        while not exact.all():
            more = self.next_of(~exact)
            exact |= more
            if self.passed(exact, compute(more)):
                break
        return exact

    def next_of(self, left: Tensor) -> Tensor:
        """Which of the proposals ``left``, (N,) bool, to compute next, (N,) bool: as many as were before, three
        quarters of them the heaviest, the others at regular distances in the order of their weights; and each that
        alone could change more than twice the tolerated share of pixels."""
        count = max(self._count, int((~left).sum()))
        order = self.weights.argsort(descending=True, stable=True)
        order = order[left[order]]
        heaviest, others = order[: 3 * count // 4], order[3 * count // 4 :]
        places = torch.linspace(0, max(len(others) - 1, 0), min(count // 4, len(others)))
        chosen = left & (self._alone > 2 * self._tolerance)
        chosen[torch.cat([heaviest, others[places.round().long().to(others.device)]])] = True
        return chosen

    def passed(self, exact: Tensor, probs: Tensor) -> bool:
        """Whether what remains can be expected to change at most the tolerated share of pixels. exact: which proposals
        were computed, (N,) bool; probs: (N, K + 1), with these."""
        changed = (self._labels_of(probs) != self._labels).float().mean()
        return bool(changed * self.weights[~exact].sum() <= self._tolerance * self.weights[exact].sum())

    def _labels_of(self, probs: Tensor) -> Tensor:
        return _scores(self._masks, probs[:, :-1]).argmax(dim=0)


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
    masks = _half(mask_logits)
    scores = _scores(masks, class_probs)
    best, label = scores.max(dim=0)
    next_best, rival_label = scores.scatter(0, label[None], -torch.inf).max(dim=0)
    added = (class_probs[:, label.flatten()] + class_probs[:, rival_label.flatten()]).view_as(masks) * masks
    changes = ((doubt * added > best - next_best) & (best > _NOTHING)).flatten(1).float().mean(dim=1) > smallest
    first, second = class_probs.topk(2, dim=-1).values.unbind(dim=-1)
    return changes | ((first > void) & (second > rival * first))


def _half(mask_logits: Tensor) -> Tensor:
    """Masks, 0 to 1, at half the resolution, which chooses the same and costs a quarter."""
    return F.avg_pool2d(mask_logits[None], 2, ceil_mode=True)[0].sigmoid()


def _scores(masks: Tensor, class_probs: Tensor) -> Tensor:
    """Scores of the classes at every pixel, (K, h, w): masks (N, h, w), class_probs (N, K)."""
    return torch.einsum("nk,nhw->khw", class_probs, masks)


def _shares(weights: Tensor) -> Tensor:
    return weights / _positive(weights.sum())


def _positive(numbers: Tensor) -> Tensor:
    return numbers.clamp(min=torch.finfo(numbers.dtype).tiny)
