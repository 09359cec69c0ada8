"""Parts whose weights are kept in 16 bits: how they compute, and what they hand on."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

HALF = (torch.bfloat16, torch.float16)
# Rows at a time: the hidden layer stays in a processor's cache. In 16 bits twice as many take the same space, and
# oneDNN's product from 3072 to 768 channels takes twice as long for 784 to 1280 rows as for fewer or for more.
_ROWS, _ROWS_OF_HALF = 1024, 2048


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


def row_pieces(rows: Tensor, first: nn.Module) -> Sequence[Tensor]:
    """Split rows (n, C) into what goes through a perceptron at a time on a CPU. first: its first linear layer.

    The pieces are of equal size, because a small remainder takes longer than its share."""
    at_a_time = _ROWS_OF_HALF if first.weight.dtype in HALF else _ROWS
    return rows.tensor_split(max(1, round(len(rows) / at_a_time)))
