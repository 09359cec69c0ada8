"""``maskadapter models``: the published weights."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from maskadapter.cli.console import show
from maskadapter.cli.options import Architecture, Device
from maskadapter.errors import CheckpointError, MaskAdapterError
from maskadapter.system.progress import busy

if TYPE_CHECKING:
    from rich.table import Table

app = typer.Typer()

Name = Annotated[str, typer.Argument(help="A name from 'maskadapter models list'.", show_default=False)]
Pooler = Annotated[
    Literal["adapter", "pooling"],
    typer.Option(help="Which file of a model: with Mask-Adapter, or the segmenter's own with mask pooling."),
]


@app.callback(invoke_without_command=True)
def models(context: typer.Context) -> None:
    """The published weights: what there is, download, convert, check."""
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command("list")
def list_models() -> None:
    """List the models: size, license, source, whether they are here, and the paper's figures."""
    from maskadapter.hub.download import models_folder, present, present_clip
    from maskadapter.hub.model_zoo import CLIP_WEIGHTS, HUB_REPOSITORY, WEIGHTS
    from maskadapter.paper.published import DATASETS, published_miou

    table, figures = _table("model", "pooler", "size", "license", "source", "here"), _table("", "", *DATASETS)
    table.add_row("tiny", "pooling", "20 MB", "Apache-2.0", "in the package", "yes")
    for weights in WEIGHTS:
        path = present(weights)
        here = f"{path.stat().st_size / 1e9:.2f} GB" if path else "no"
        source = "hub, drive" if weights.hub_words else "drive"
        table.add_row(weights.model, weights.pooler, weights.size, weights.license, source, here)
        miou = published_miou(weights.model, weights.pooler)
        figures.add_row(weights.model, weights.pooler, *(f"{miou[name]:.1f}" for name in DATASETS))
    for name, image_encoder in CLIP_WEIGHTS.items():
        table.add_row(
            name,
            "",
            image_encoder.size,
            image_encoder.license,
            "open_clip",
            "yes" if present_clip(image_encoder) else "no",
        )
    for column in figures.columns[2:]:
        column.justify = "right"
    show(table)
    print("\nmIoU in percent, as the paper reports it:")
    show(figures)
    print(f"\nhub: huggingface.co/{HUB_REPOSITORY}. drive: the authors' Google Drive files.")
    print("+: what the tensors alone take; the source lists no size.")
    print(f"Downloads are kept in {models_folder()}")


@app.command()
def download(
    model: Name,
    pooler: Pooler = "adapter",
    source: Annotated[
        Literal["hub", "drive"] | None,
        typer.Option(
            help="Without it the Hugging Face hub, and Google Drive for what the hub lacks.", show_default=False
        ),
    ] = None,
    file: Annotated[str | None, typer.Option(help="The file's name on the hub.", show_default=False)] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Do not use the network.")] = False,
) -> None:
    """Download a model, or a CLIP encoder to train from.

    An interrupted download goes on where it stopped when the command is given again.

    Example: [bold]maskadapter models download fcclip-large[/]
    """
    from maskadapter.hub.download import is_offline, present, present_clip, read_record
    from maskadapter.hub.model_zoo import CLIP_WEIGHTS, weights_of

    if offline:
        os.environ["MASKADAPTER_OFFLINE"] = "1"
    if model in CLIP_WEIGHTS:
        image_encoder = CLIP_WEIGHTS[model]
        path = present_clip(image_encoder)
        if path is None:
            if is_offline():
                raise CheckpointError(f"{model} is not on this machine: run the same command with a network")
            from maskadapter.models.clip.clip import download_pretrained

            path = download_pretrained(image_encoder.config, image_encoder.tag)
    else:
        weights = weights_of(model, pooler)
        path = present(weights)
        if path is None:
            from maskadapter.hub.loading import fetch

            path = fetch(weights, source, file, say=print)
        else:
            record = read_record(path)
            print(f"{weights.stem} is already here" + (f", from {record.place}" if record else ""))
            if source is not None or file is not None:
                raise MaskAdapterError(f"--source and --file would bring another: remove {path} first")
    print(path)


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="An official .pth, or a model's name.", show_default=False)],
    destination: Annotated[Path, typer.Argument(help="The .safetensors file to write.", show_default=False)],
    architecture: Architecture = None,
    half: Annotated[bool, typer.Option("--half", help="Store 16 bits a number: half the size.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
) -> None:
    """Convert official weights to safetensors, with the facts needed to load them.

    Example: [bold]maskadapter models convert model.pth fcclip-large.safetensors[/]
    """
    if destination.suffix != ".safetensors":
        raise MaskAdapterError(f"{destination} does not end in .safetensors, the format that is written")
    if destination.exists() and not overwrite:
        raise MaskAdapterError(f"{destination} is there already: give another name or --overwrite")
    from maskadapter.hub import loading as hub

    with busy(f"converting {source.name}"):
        variant = hub.convert(source, destination, architecture, half)
    print(f"{destination}: {variant}, {destination.stat().st_size / 1e6:,.0f} MB")


@app.command()
def check(
    file: Annotated[str, typer.Argument(help="A file of weights, or a model's name.", show_default=False)],
    pooler: Pooler = "adapter",
    architecture: Architecture = None,
    root: Annotated[
        Path | None,
        typer.Option(help="Folder of ADE20K (ADEChallengeData2016): metrics the mIoU too.", show_default=False),
    ] = None,
    images: Annotated[int, typer.Option(min=1, help="How many images of ADE20K.")] = 20,
    device: Device = "cpu",
    json: Annotated[Path | None, typer.Option(help="Write the findings to this file too.", show_default=False)] = None,
) -> None:
    """Examine a file of weights: what it is, whether it is whole, whether it computes what it should here.

    Exits with 2 when a check fails.

    Example: [bold]maskadapter models check model.pth --root datasets[/]
    """
    from dataclasses import asdict

    from maskadapter.io.coco_format import write_json
    from maskadapter.paper.published import published_miou
    from maskadapter.pipelines.model_check import Finding
    from maskadapter.pipelines.model_check import check as examine

    findings: list[Finding] = []
    steps = examine(
        file,
        pooler=pooler,
        architecture=architecture,
        device=device,
        root=root,
        images=images,
        expected_miou=lambda name, pooler: published_miou(name, pooler).get("A-150"),
    )
    while True:
        with busy("checking"):
            finding = next(steps, None)
        if finding is None:
            break
        findings.append(finding)
        show(_line(finding.name, finding.passed, finding.text))
    if json is not None:
        write_json(json, {"file": file, "findings": [asdict(finding) for finding in findings]})
    failed = [finding.name for finding in findings if finding.passed is False]
    if failed:
        raise MaskAdapterError(f"{file}: {len(failed)} of {len(findings)} checks failed ({', '.join(failed)})")


def _table(*columns: str) -> "Table":
    from rich.table import Table

    return Table(*columns, box=None, pad_edge=False)


def _line(name: str, passed: bool | None, text: str) -> "Table":
    """One finding: its name, what came out, the figures."""
    from rich.table import Table
    from rich.text import Text

    result = {True: Text("ok", "green"), False: Text("failed", "red"), None: Text("-")}[passed]
    grid = Table.grid(padding=(0, 1))
    for width in (6, 6, None):
        grid.add_column(width=width, overflow="fold")
    grid.add_row(name, result, Text(text))
    return grid
