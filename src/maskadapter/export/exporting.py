"""Export a model: trace its parts, write them with their settings, compare them, and only then show the folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskadapter.errors import MaskAdapterError
from maskadapter.export.agreement import differences, losses, refuse_disagreement, samples_of
from maskadapter.export.config_file import TOKENIZER, config_of, tokenizer_of
from maskadapter.export.graphs import Graph, graphs_of
from maskadapter.export.onnx_files import quantize, write_onnx
from maskadapter.export.request import CONFIG, check_request
from maskadapter.hub import ModelSource, load
from maskadapter.models import OpenVocabularySegmenter
from maskadapter.system.atomic_folder import write_folder_atomically
from maskadapter.system.extras import load_extra
from maskadapter.system.json_files import read_json, write_json


@dataclass(frozen=True)
class ExportedFile:
    """One ONNX file. difference: the largest to PyTorch, as a share of an output's largest value; None if it was not
    compared. loss: of a file in 8 bits, the root mean square of the difference, as a share of the output's."""

    path: Path
    difference: float | None = None
    loss: float | None = None


def export(
    model: OpenVocabularySegmenter | ModelSource | str | Path,
    output: str | Path,
    opset: int = 20,
    int8: bool = False,
    check: bool = False,
) -> list[ExportedFile]:
    """Write a model as ONNX files into a new folder: class names, number of masks and image sizes stay inputs.

    model: as ``load`` takes it, or a loaded model. output: a folder, new or empty, which appears whole. opset: 20, or
    18 for TensorRT. int8: write files with weights of 8 bits beside, and measure what that loses. check: compare every
    file with PyTorch on photos; where ``output`` holds an earlier export of the model, compare that and write nothing.
    Raises MaskAdapterError, one line: a model with parts that cannot be exported; a file that differs from PyTorch by
    more than 1e-3 of the largest value, or is damaged; a missing library. docs/export.md describes the files."""
    folder = check_request(output, opset, check)
    load_extra("onnx", "export")
    load_extra("onnxruntime", "export")
    segmenter = model if isinstance(model, OpenVocabularySegmenter) else load(ModelSource.of(model))
    name = "model" if isinstance(model, OpenVocabularySegmenter) else str(ModelSource.of(model).name)
    graphs = graphs_of(segmenter)
    if folder.exists() and any(folder.iterdir()):
        return _check_earlier(segmenter, name, graphs, folder)
    with write_folder_atomically(folder) as new:
        paths = {graph.name: new / f"{graph.name}.onnx" for graph in graphs}
        for graph in graphs:
            write_onnx(graph, paths[graph.name], opset)
        samples = samples_of(segmenter, graphs) if check or int8 else []
        found: dict[str, float] = {}
        if check:
            found = differences(samples, paths)
            refuse_disagreement(found, paths)
        small = {name: path.with_suffix(".int8.onnx") for name, path in paths.items()} if int8 else {}
        for key, path in small.items():
            quantize(paths[key], path)
        lost = losses(samples, small)
        config = config_of(segmenter, name, opset, graphs)
        if int8:
            config["int8"] = {key: {"file": path.name, "loss": lost[key]} for key, path in small.items()}
        write_json(new / CONFIG, config)
        write_json(new / TOKENIZER, tokenizer_of(segmenter))
    exported = [ExportedFile(folder / path.name, found.get(key)) for key, path in paths.items()]
    return exported + [ExportedFile(folder / path.name, None, lost[key]) for key, path in small.items()]


def _check_earlier(
    segmenter: OpenVocabularySegmenter, name: str, graphs: list[Graph], folder: Path
) -> list[ExportedFile]:
    """Compare an earlier export with the model. Raises MaskAdapterError, one line, for the first thing that differs."""
    stored: Any = read_json(folder / CONFIG, MaskAdapterError)
    opset = stored.get("opset", 0) if isinstance(stored, dict) else 0
    for key, value in config_of(segmenter, name, opset, graphs).items():
        if key not in ("maskadapter", "model") and (not isinstance(stored, dict) or stored.get(key) != value):
            raise MaskAdapterError(f"{folder / CONFIG} differs from the model in '{key}': export the model again")
    if read_json(folder / TOKENIZER, MaskAdapterError) != tokenizer_of(segmenter):
        raise MaskAdapterError(f"{folder / TOKENIZER} differs from the model's: export the model again")
    paths = {graph.name: folder / f"{graph.name}.onnx" for graph in graphs}
    found = differences(samples_of(segmenter, graphs), paths)
    refuse_disagreement(found, paths)
    return [ExportedFile(path, found[key]) for key, path in paths.items()]
