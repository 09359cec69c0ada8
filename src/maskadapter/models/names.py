"""The names of models and poolers, which mistakes are checked against before PyTorch is imported."""

from typing import Literal

PoolerName = Literal["adapter", "pooling", "cropping"]
TINY_NAMES = ("tiny", "tiny-mask2former")
CONVNEXT_NAMES = ("fcclip-large", "maftplus-base", "maftplus-large")
MODEL_NAMES = TINY_NAMES + CONVNEXT_NAMES
