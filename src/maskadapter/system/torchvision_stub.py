"""Make torchvision importable beside a CPU-only PyTorch, which open_clip and timm need.

open_clip and timm import torchvision for its transforms. torchvision from PyPI is linked against CUDA: beside a
CPU-only PyTorch its C++ operators cannot load, and the import fails with "operator torchvision::nms does not exist",
because its Python part registers shape functions for two of them. Declaring their schemas first makes the import
succeed; the operators themselves stay missing, and nothing here calls them. Where they do load, nothing is declared.
"""

import importlib.util
from pathlib import Path

import torch


def declare_missing_schemas() -> None:
    """Before open_clip is imported, declare torchvision's two box operators if its library cannot be loaded."""
    package = importlib.util.find_spec("torchvision")
    if package is None or package.origin is None or _operators_load(Path(package.origin).parent):
        return
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def _operators_load(folder: Path) -> bool:
    """Load torchvision's operator library, as ``import torchvision`` does, and return whether that worked."""
    try:
        for library in sorted(folder.glob("_C*.[sp][oy]*")):  # _C.so, _C.pyd
            torch.ops.load_library(str(library))
    except OSError:
        return False
    return hasattr(torch.ops.torchvision, "nms")
