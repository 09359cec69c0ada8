"""Write graphs as ONNX files, run them, and store the weights of their matrix products in 8 bits."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from maskadapter.errors import MaskAdapterError
from maskadapter.export.graphs import DYNAMIC, Graph
from maskadapter.system.error_text import first_line
from maskadapter.system.extras import load_extra

_LARGEST = 2**31  # bytes; a file of ONNX, being one message of protobuf, cannot be larger


def write_onnx(graph: Graph, path: Path, opset: int) -> None:
    """Trace a graph and write it as one file, with the axes dynamic that may change. Raises MaskAdapterError, one line:
    a part that cannot be traced, more than 2 GB of weights."""
    load_extra("onnxscript", "export")
    size = sum(tensor.numel() * tensor.element_size() for tensor in graph.module.parameters())
    if size >= _LARGEST:
        raise MaskAdapterError(f"the weights of {path.name} take {size / 1e9:.1f} GB; an ONNX file holds at most 2.1")
    with _quiet(), torch.no_grad():
        torch.onnx.export(
            graph.module,
            tuple(graph.inputs.values()),
            str(path),
            dynamo=True,
            opset_version=opset,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_shapes=tuple(DYNAMIC[name] for name in graph.inputs),
            external_data=False,
            verbose=False,
        )


def quantize(path: Path, target: Path) -> None:
    """Write a copy of an ONNX file whose matrix products have weights of 8 bits, a scale for each output. Their inputs
    are rounded to 8 bits while it runs; convolutions and tables stay as they are."""
    quantization = load_extra("onnxruntime.quantization", "export")
    with _quiet():
        quantization.quantize_dynamic(path, target, op_types_to_quantize=["MatMul", "Gemm"], per_channel=True)


class OnnxFile:
    """An ONNX file that runs on the CPU. Raises MaskAdapterError, one line, for a file that onnxruntime refuses."""

    def __init__(self, path: Path) -> None:
        runtime = load_extra("onnxruntime", "export")
        options = runtime.SessionOptions()
        options.log_severity_level = 4
        self.path = path
        try:
            self._session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # of many kinds, for files that are missing, damaged or of something else
            raise self._refusal("load", error) from None

    def __call__(self, inputs: Mapping[str, Tensor]) -> list[np.ndarray]:
        """Run it: tensors by name -> outputs in their order. Raises MaskAdapterError, one line, for a file with other
        inputs."""
        try:
            return self._session.run(None, {name: tensor.cpu().numpy() for name, tensor in inputs.items()})
        except Exception as error:
            raise self._refusal("run", error) from None

    def _refusal(self, what: str, error: Exception) -> MaskAdapterError:
        return MaskAdapterError(f"onnxruntime cannot {what} {self.path} ({first_line(error)}): export the model again")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the libraries say about themselves to themselves."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)
