"""The names of models and poolers, which mistakes are checked against before PyTorch is imported."""

from typing import Literal

PoolerName = Literal["adapter", "pooling", "cropping"]
Precision = Literal["fp32", "bf16", "fp16", "int8"]
PrecisionName = Literal["auto", Precision]
TINY_NAMES = ("tiny", "tiny-mask2former")
CONVNEXT_NAMES = ("fcclip-large", "maftplus-base", "maftplus-large")
MODEL_NAMES = TINY_NAMES + CONVNEXT_NAMES
