"""Imprecise masks in place of a mask generator's proposals, for the mixed stage."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskadapter.types.encoded_image import ClipFeatures, ImageBatch, Proposals
from maskadapter.types.target import Target

STRIDE = 4
REACH = 6  # pixels: how far a mask is moved at most, up or down and left or right


class Imprecise(nn.Module):
    """A mask generator that returns the ground-truth masks of the batch, moved, and grown or shrunk, at stride 4.

    A real one would have to be trained, and its errors would depend on that training.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed
        self._logits = torch.zeros(0)

    def show(self, targets: Sequence[Target], number: int) -> None:
        """Set the ground truth of the next call. number: of the batch, for the random numbers."""
        rng = torch.Generator().manual_seed(self._seed * 1_000_003 + number)
        logits = [imprecise(torch.from_numpy(target.masks()).float(), rng) for target in targets]
        most = max(map(len, logits))
        # -9 everywhere: an empty proposal.
        self._logits = torch.stack([F.pad(one, (0, 0, 0, 0, 0, most - len(one)), value=-9.0) for one in logits])

    def forward(self, inputs: ImageBatch, features: ClipFeatures) -> Proposals:
        return Proposals(self._logits)


def imprecise(masks: Tensor, rng: torch.Generator) -> Tensor:
    """Move, and grow or shrink, masks (N, H, W), 0 or 1 -> logits (N, H / 4, W / 4)."""
    wrong = []
    for mask in masks:
        down, right = torch.randint(-REACH, REACH + 1, (2,), generator=rng).tolist()
        moved = mask.roll((down, right), dims=(0, 1))
        blurred = F.avg_pool2d(moved[None], 2 * REACH + 1, stride=STRIDE, padding=REACH)[0]
        level = torch.rand((), generator=rng) * 0.6 + 0.2  # below a half grows, above shrinks
        wrong.append(8 * (blurred - level))
    return torch.stack(wrong) if wrong else masks[:, ::STRIDE, ::STRIDE]
