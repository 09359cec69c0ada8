"""What a model computes on Apple's MPS: operators that PyTorch has there, and no float64, which MPS lacks.

No Mac is needed: the operators are recorded on the CPU. Source of what MPS has: PyTorch's native_functions.yaml, which
comes with the installed version, and says for each operator for which devices there is a kernel.
"""

import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchgen
import yaml
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import maskadapter
from maskadapter.models.builder import Architecture, build
from maskadapter.models.preprocess import InputSize

PACKAGE = Path(maskadapter.__file__).parent
# Files whose float64 is of tensors that were made on the CPU, whatever the model's device.
ON_THE_CPU = {"results/upsampling.py", "models/proposals/superpixels/pieces.py"}
# PyTorch chooses the kernel of this one by the device, with one of its own for MPS.
WHOLE = {"aten::scaled_dot_product_attention"}


class Recorded(TorchDispatchMode):
    """The operators that have no composition of others, and the files of ours that compute in float64."""

    def __init__(self) -> None:
        super().__init__()
        self.operators: set[str] = set()
        self.double: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func._schema.name not in WHOLE:
            with self:
                composed = func.decompose(*args, **kwargs)
            if composed is not NotImplemented:
                return composed
        result = func(*args, **kwargs)
        self.operators.add(func._schema.name + f".{func._schema.overload_name}".rstrip("."))
        tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, torch.Tensor)]
        if any(tensor.dtype in (torch.float64, torch.complex128) for tensor in tensors):
            calls = [Path(frame.filename) for frame in traceback.extract_stack()]
            ours = [path.relative_to(PACKAGE).as_posix() for path in calls if path.is_relative_to(PACKAGE)]
            self.double.add(ours[-1])
        return result


@pytest.fixture(scope="module")
def on_mps() -> dict[str, bool]:
    """Of every operator of PyTorch, whether MPS has it."""
    listed = Path(torchgen.__file__).parent / "packaged/ATen/native/native_functions.yaml"
    entries = {entry["func"].split("(")[0]: entry for entry in yaml.load(listed.read_text("utf-8"), yaml.CSafeLoader)}

    def devices(entry: dict[str, Any]) -> set[str]:
        own = {device.strip() for devices in entry.get("dispatch", {"Composite": ""}) for device in devices.split(",")}
        delegate = entry.get("structured_delegate")
        return (own if "dispatch" in entry else set()) | devices(entries[delegate]) if delegate else own

    return {
        f"aten::{name}": any(device == "MPS" or device.startswith("Composite") for device in devices(entry))
        for name, entry in entries.items()
    }


def record(name: str, pooler: str) -> Recorded:
    image = np.random.default_rng(0).integers(0, 255, (96, 128, 3)).astype(np.uint8)
    architecture = Architecture(name, pooler)
    model = maskadapter.load(pooler=pooler) if name == "tiny" else build(architecture).eval().requires_grad_(False)
    model.inference = replace(model.inference, input_size=InputSize(128, 128))
    with Recorded() as recorded:
        result = model.segment(image, ["cat", ("dog", "puppy")])
        result.semantic(), result.panoptic(), result.instances()
        model.classify(image, np.ones((1, 96, 128), bool), ["cat"])
    return recorded


@pytest.mark.parametrize(
    ("name", "pooler"), [("tiny", "adapter"), ("tiny", "pooling"), ("tiny-mask2former", "adapter")]
)
def test_a_model_computes_what_mps_has(on_mps: dict[str, bool], name: str, pooler: str) -> None:
    recorded = record(name, pooler)
    assert len(recorded.operators) > 50
    assert {operator for operator in recorded.operators if not on_mps[operator]} == set()
    assert recorded.double <= ON_THE_CPU


def test_what_mps_lacks_is_seen(on_mps: dict[str, bool]) -> None:
    with Recorded() as recorded:
        torch.linalg.eig(torch.eye(2))
        torch.nn.functional.linear(torch.ones(1, 2), torch.ones(3, 2))
    assert {operator: on_mps[operator] for operator in recorded.operators} == {
        **dict.fromkeys(recorded.operators, True),
        "aten::linalg_eig": False,
    }
