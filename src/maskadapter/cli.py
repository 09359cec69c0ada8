"""The command ``maskadapter``: every subcommand is one public function with the same name and arguments.

Libraries are imported where they are used, so that ``--help`` does not wait for PyTorch.
"""

import sys
import traceback
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

import maskadapter
from maskadapter.errors import MaskAdapterError

if TYPE_CHECKING:
    from rich.table import Table

app = typer.Typer(
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_MOST_ROWS = 30

ImageArgument = Annotated[Path, typer.Argument(help="The picture: JPEG, PNG, WebP, TIFF ...", show_default=False)]
Classes = Annotated[
    str,
    typer.Option(
        "--classes",
        "-c",
        help='Words such as "cat, sofa|couch, wall" (| joins synonyms), a text file with one class a line, or a '
        "built-in list such as ade20k-150.",
        show_default=False,
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", help="A model's name or a file of weights; without it the embedded model.", show_default=False
    ),
]
Embedding = Annotated[
    Literal["adapter", "pooling"] | None,
    typer.Option(help="How a mask becomes an embedding; without it as the model was made.", show_default=False),
]
Adapter = Annotated[
    Path | None,
    typer.Option(help="A warm-up file whose adapter is joined to the segmenter in --model.", show_default=False),
]
Like = Annotated[
    str | None,
    typer.Option(help="The model that a file is read as, where its keys alone do not tell.", show_default=False),
]
Device = Annotated[str, typer.Option(help="Where to compute: cpu, cuda or mps.")]


@app.callback(invoke_without_command=True)
def entry(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error; may stand anywhere.")] = False,
) -> None:
    """Open-vocabulary segmentation: a picture and any words give masks with names; your own masks get names."""
    if version:
        print(f"maskadapter {maskadapter.__version__}")
    elif context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
def segment(
    image: ImageArgument,
    classes: Classes,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")] = Path("out"),
    save: Annotated[
        str, typer.Option(help="What to write, separated by commas: overlay, labels, panoptic, coco.")
    ] = "overlay,labels",
    model: Model = None,
    embedding: Embedding = None,
    adapter: Adapter = None,
    like: Like = None,
    device: Device = "cpu",
) -> None:
    """Segment a picture into the classes you name.

    Writes the results into a folder and prints what share of the picture each class takes.

    Example: [bold]maskadapter segment photo.jpg --classes "cat, sofa|couch, wall"[/]
    """
    from maskadapter.images import read_image
    from maskadapter.segmentation import check_formats
    from maskadapter.vocabulary import Vocabulary

    formats = check_formats(save)
    vocabulary = Vocabulary.of(classes)
    read_image(image)  # a picture that cannot be read is told before the model is loaded
    with _busy("loading the model"):
        segmenter = maskadapter.load(model, embedding=embedding, adapter=adapter, like=like, device=device)
    with _busy(f"segmenting {image.name}"):
        result = segmenter.segment(image, vocabulary)
        paths = result.save(output, formats)
        labels = result.semantic()
    _show(_shares(labels, result.class_names))
    for path in paths:
        print(path)


@app.command()
def classify(
    image: ImageArgument,
    masks: Annotated[
        Path,
        typer.Option(help="Label or panoptic picture, COCO JSON, or .npy file of bool (N, H, W).", show_default=False),
    ],
    classes: Classes,
    top: Annotated[int, typer.Option(min=1, help="How many words to print for each mask.")] = 5,
    model: Model = None,
    embedding: Embedding = None,
    adapter: Adapter = None,
    like: Like = None,
    device: Device = "cpu",
) -> None:
    """Name masks that you already have, from any source.

    Prints the most probable words for each mask.

    Example: [bold]maskadapter classify photo.jpg --masks masks.png --classes ade20k-150[/]
    """
    from maskadapter.images import read_image
    from maskadapter.masks import read_masks
    from maskadapter.vocabulary import Vocabulary

    vocabulary, picture = Vocabulary.of(classes), read_image(image)
    regions = read_masks(masks, picture.shape[:2], image.name)
    with _busy("loading the model"):
        segmenter = maskadapter.load(model, embedding=embedding, adapter=adapter, like=like, device=device)
    with _busy(f"naming {len(regions)} masks"):
        result = segmenter.classify(picture, regions, vocabulary)
    _show(_words(regions, result.probs, result.class_names, top))


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 a fault of the program, 2 a mistake in what was given, 130 Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    try:
        sys.exit(app([word for word in given if word != "--debug"], prog_name="maskadapter", standalone_mode=False))
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except Exception as error:
        if debug:
            traceback.print_exception(error)
        line, code = _explained(error)
    # Names of files and words may hold line breaks; the message stays one line.
    print("error:", " ".join(line.split()), file=sys.stderr)
    sys.exit(code)


def _explained(error: Exception) -> tuple[str, int]:
    """The line to print and the exit code."""
    if isinstance(error, MaskAdapterError):
        return str(error), 2
    if hasattr(error, "format_message"):
        # A mistake in the options. Typer carries its own copy of click and does not export the common class.
        return f"{error.format_message()} See maskadapter --help", 2
    return f"{type(error).__name__}: {error}; run with --debug for the traceback", 1


def _busy(what: str) -> AbstractContextManager[Any]:
    """A spinner on standard error while the block runs; nothing where that is no terminal."""
    from rich.console import Console

    return Console(stderr=True).status(f"{what} ...")


def _show(table: "Table") -> None:
    from rich.console import Console

    Console().print(table)


def _shares(labels: Any, names: Sequence[str]) -> "Table":
    """Labels (H, W) int, -1 = none -> a row for each class that occurs, the largest first."""
    import numpy as np
    from rich.table import Table
    from rich.text import Text

    from maskadapter.visualize import colour_of

    counts = np.bincount((labels + 1).ravel(), minlength=len(names) + 1)
    table = Table("", "class", "share of pixels", box=None, pad_edge=False)
    table.columns[2].justify = "right"
    order = [int(index) for index in np.argsort(-counts[1:], kind="stable") if counts[index + 1]]
    for index in order[:_MOST_ROWS]:
        chip = Text("\u25a0", style="rgb({},{},{})".format(*colour_of(names[index])))
        table.add_row(chip, Text(names[index]), f"{counts[index + 1] / labels.size:.1%}")
    if len(order) > _MOST_ROWS:
        rest = sum(counts[index + 1] for index in order[_MOST_ROWS:])
        table.add_row("", f"and {len(order) - _MOST_ROWS} more", f"{rest / labels.size:.1%}", style="dim")
    if counts[0]:
        table.add_row("", "none of them", f"{counts[0] / labels.size:.1%}", style="dim")
    return table


def _words(masks: Any, probs: Any, names: Sequence[str], top: int) -> "Table":
    """Masks (N, H, W) bool and probs (N, K) -> a row for each mask: number, share of pixels, its best words."""
    from rich.table import Table
    from rich.text import Text

    table = Table("mask", "share of pixels", "words", box=None, pad_edge=False)
    table.columns[0].justify = table.columns[1].justify = "right"
    for number, (mask, row) in enumerate(zip(masks, probs, strict=True), start=1):
        best = (-row).argsort(kind="stable")[:top]
        words = Text(", ").join(Text(f"{names[index]} {row[index]:.0%}") for index in best)
        table.add_row(str(number), f"{mask.mean():.1%}", words)
    return table
