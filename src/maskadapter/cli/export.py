"""``maskadapter export``."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from maskadapter.cli.options import ModelSource, with_model_source
from maskadapter.system.progress import busy


@with_model_source("pooler", "adapter", "architecture")
def export(
    model: Annotated[str, Argument(help="A model's name or a file of weights.")],
    output: Annotated[Path, Option("--output", "-o", help="Folder for the files, new or empty.")],
    opset: Annotated[int, Option(help="Version of ONNX's operators: 20, or 18 for TensorRT.")] = 20,
    int8: Annotated[
        bool, Option("--int8", help="Write files with 8-bit weights too, and measure what that loses.")
    ] = False,
    check: Annotated[
        bool, Option("--check", help="Compare with PyTorch on photos; of an earlier export in the folder, only that.")
    ] = False,
    *,
    source: ModelSource,
) -> None:
    """Export a model to ONNX: classes, number of masks and image sizes stay inputs.

    Example: [bold]maskadapter export tiny --output onnx --check[/]
    """
    from maskadapter.export import check_request
    from maskadapter.hub import check_source

    check_request(output, opset, check)
    source = replace(source, name=model)
    check_source(source)
    from maskadapter.export import export as write

    with busy(f"exporting {model}"):
        files = write(source, output, opset, int8, check)
    for file in files:
        notes = [f"{file.path.stat().st_size / 1e6:,.1f} MB"]
        if file.difference is not None:
            notes.append(f"differs from PyTorch by at most {file.difference:.1g} of the largest value")
        if file.loss is not None:
            notes.append(f"differs from PyTorch by {file.loss:.2%} (root mean square)")
        print(f"{file.path}: {', '.join(notes)}")
