"""Parts whose weights are kept in 16 bits: how they compute, and what they hand on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

HALF = (torch.bfloat16, torch.float16)


@contextmanager
def as_kept(part: nn.Module) -> Iterator[Callable[[Tensor], Tensor]]:
    """Compute in what a part's matrices are kept in, and yield a function that makes its results float32.

    For 16 bits this is PyTorch's autocast: matrix products and convolutions take and return them, while sums inside of
    these, normalizations and softmaxes are computed in float32. For float32 nothing changes: an autocast of the caller
    stays, and the function returns what it gets."""
    kept = next((parameter for parameter in part.parameters() if parameter.ndim > 1), None)
    if kept is None or kept.dtype not in HALF:
        yield lambda result: result
        return
    with torch.autocast(kept.device.type, kept.dtype):
        yield lambda result: result.float()
