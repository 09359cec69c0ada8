"""The best class of every pixel, without computing the scores of all classes everywhere: in each small piece of an
image a class is left out where its highest possible score lies below the lowest score of some other class. The result
is that of comparing all classes, but for rounding where two are equal."""

import torch
from torch import Tensor

_COLUMNS = 64  # of a piece: few enough for few classes, enough for a product of matrices
_FIRST = 8  # classes whose scores are computed first
_FEW = 24  # up to so many classes bounds do not pay


def channels(class_probs: Tensor) -> int:
    """Approximate number of maps of a tile's size that ``best_classes`` has in memory at a time."""
    count = class_probs.shape[1]
    return count if _all_at_once(class_probs) else count // 8


def _all_at_once(class_probs: Tensor) -> bool:
    # A GPU would have to wait for the classes of every piece.
    return class_probs.shape[1] <= _FEW or class_probs.device.type != "cpu"


def best_classes(class_probs: Tensor, mask_probs: Tensor) -> Tensor:
    """The class with the largest sum over proposals of class probability times mask probability: (h, w) int64, from
    class_probs (N, K) and mask_probs (N, h, w), 0 to 1; h is expected to be a few rows, see ``channels``."""
    if _all_at_once(class_probs):
        return torch.einsum("nk,nhw->khw", class_probs, mask_probs).argmax(dim=0)
    slack = 4 * len(mask_probs) * torch.finfo(class_probs.dtype).eps  # by what share the sums may be off
    best = []
    for piece in mask_probs.split(_COLUMNS, dim=-1):
        masks = piece.flatten(1)
        most = masks.amax(dim=1) @ class_probs  # what each class has at most
        least = (class_probs[:, most.topk(_FIRST).indices].T @ masks).amax(dim=0).amin()  # what some class has at least
        left = (~(most < least * (1 - slack))).nonzero().flatten()  # so that NaN is left too
        best.append(left[(class_probs[:, left].T @ masks).argmax(dim=0)].view(piece.shape[1:]))
    return torch.cat(best, dim=-1)
