"""Pairs of a predicted mask and a ground-truth mask, as both matchers return them."""

from torch import Tensor

Matches = tuple[Tensor, Tensor]
"""(m,) int64 indices of predicted masks and, one for one, of the ground-truth masks that they are matched with."""
