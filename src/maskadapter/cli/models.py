"""``maskadapter models``: the published weights."""

import os
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typer import Argument, Option

from maskadapter.cli.console import show, show_help, table
from maskadapter.cli.options import Architecture, Device, ModelSource, with_model_source
from maskadapter.errors import MaskAdapterError
from maskadapter.system.progress import busy

if TYPE_CHECKING:
    from rich.table import Table

    from maskadapter.pipelines import Finding

_HELP = "The published weights: list, download, convert, check."
app = typer.Typer(callback=show_help, invoke_without_command=True, help=_HELP)


@app.command("list")
def list_models() -> None:
    """List the models: size, license, source, whether they are here, and the paper's figures."""
    from maskadapter.hub.zoo import HUB_REPOSITORY, models_folder
    from maskadapter.hub.zoo import list_models as find_models
    from maskadapter.paper import DATASETS, published_miou

    files = table("model", "pooler", "size", "license", "source", "here")
    figures = table("", "", *DATASETS, right=range(2, 2 + len(DATASETS)))
    for model in find_models():
        here = "no" if model.path is None else f"{model.path.stat().st_size / 1e9:.2f} GB" if model.pooler else "yes"
        here = "yes" if model.name == "tiny" else here
        files.add_row(model.name, model.pooler, model.size, model.license, ", ".join(model.sources), here)
        if miou := published_miou(model.name, model.pooler):
            figures.add_row(model.name, model.pooler, *(f"{miou[name]:.1f}" for name in DATASETS))
    show(files)
    print("\nmIoU in percent, as the paper reports it:")
    show(figures)
    print(f"\nhub: huggingface.co/{HUB_REPOSITORY}. drive: the authors' Google Drive files.")
    print(f"+: size of the tensors alone; the source lists no size.\nDownloads are kept in {models_folder()}")


@app.command()
def download(
    model: Annotated[str, Argument(help="A name from 'maskadapter models list'.")],
    pooler: Annotated[Literal["adapter", "pooling"], Option(help="With Mask-Adapter, or mask pooling.")] = "adapter",
    source: Annotated[Literal["hub", "drive"] | None, Option(help="Without it the hub, else Google Drive.")] = None,
    file: Annotated[str | None, Option(help="The file's name on the Hugging Face hub.")] = None,
    offline: Annotated[bool, Option("--offline", help="Do not use the network.")] = False,
) -> None:
    """Download a model, or a CLIP encoder to train from.

    An interrupted download from Google Drive goes on when the command is given again; one from the hub starts anew.

    Example: [bold]maskadapter models download fcclip-large[/]
    """
    from maskadapter.hub.zoo import download as fetch

    if offline:
        os.environ["MASKADAPTER_OFFLINE"] = "1"
    print(fetch(model, pooler, source, file))


@app.command()
def convert(
    source: Annotated[Path, Argument(help="An official .pth, or a model's name.")],
    destination: Annotated[Path, Argument(help="The .safetensors file to write.")],
    architecture: Architecture = None,
    half: Annotated[bool, Option("--half", help="Store 16 bits a number: half the size.")] = False,
    overwrite: Annotated[bool, Option("--overwrite", help="Replace a file that exists.")] = False,
) -> None:
    """Convert official weights to safetensors, with the facts needed to load them.

    Example: [bold]maskadapter models convert model.pth fcclip-large.safetensors[/]
    """
    from maskadapter.hub import ModelSource as Source
    from maskadapter.hub import check_destination, check_source

    check_destination(destination, overwrite)
    check_source(Source(source, architecture=architecture), may_download=False)
    from maskadapter.hub import convert as convert_weights

    with busy(f"converting {source.name}"):
        found = convert_weights(source, destination, architecture=architecture, half=half, overwrite=overwrite)
    print(f"{destination}: {found}, {destination.stat().st_size / 1e6:,.0f} MB")


@app.command()
@with_model_source("pooler", "architecture")
def check(
    file: Annotated[str, Argument(help="A file of weights, or a model's name.")],
    root: Annotated[Path | None, Option(help="Folder of ADE20K (ADEChallengeData2016): measure the mIoU too.")] = None,
    images: Annotated[int, Option(min=1, help="How many images of ADE20K.")] = 20,
    device: Device = "cpu",
    json: Annotated[Path | None, Option(help="Write the findings to this file too.")] = None,
    *,
    source: ModelSource,
) -> None:
    """Check what a file of weights is, and whether it is whole and computes what it should; exits with 2 when not.

    Example: [bold]maskadapter models check model.pth --root datasets[/]
    """
    from maskadapter.data import open_dataset
    from maskadapter.hub import check_source
    from maskadapter.paper import published_miou
    from maskadapter.system.json_files import write_json
    from maskadapter.system.paths import check_folder

    source = replace(source, name=file)
    check_source(source, may_download=False)
    if root is not None:
        open_dataset("ade20k-150", root)
    if json is not None:
        json = check_folder(json.parent) / json.name
    from maskadapter.pipelines import check_model

    findings: list[Finding] = []
    published = partial(check_model, expected_miou=lambda name, pooler: published_miou(name, pooler).get("A-150"))
    steps = published(source, device=device, root=root, images=images)
    for finding in iter(busy("checking")(lambda: next(steps, None)), None):
        findings.append(finding)
        show(_line(finding))
    if json is not None:
        write_json(json, {"file": file, "findings": [asdict(finding) for finding in findings]})
    if failed := [finding.name for finding in findings if finding.passed is False]:
        raise MaskAdapterError(f"{file}: {len(failed)} of {len(findings)} checks failed ({', '.join(failed)})")


def _line(finding: "Finding") -> "Table":
    from rich.table import Column, Table
    from rich.text import Text

    result = {True: Text("ok", "green"), False: Text("failed", "red"), None: Text("-")}[finding.passed]
    grid = Table.grid(*(Column(width=width, overflow="fold") for width in (6, 6, None)), padding=(0, 1))
    grid.add_row(finding.name, result, Text(finding.text))
    return grid
