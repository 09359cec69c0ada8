"""Import open_clip and timm beside a CPU-only PyTorch: declares the two torchvision schemas whose C++ half cannot
load there.
"""

import sys

import torch

try:
    import torchvision  # noqa: F401
except RuntimeError:
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]  # the half-imported package
    for operator in ("nms", "qnms"):
        torch.library.define(f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import open_clip
import timm

__all__ = ["open_clip", "timm"]
