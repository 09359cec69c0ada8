"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

ImageArgument = Annotated[Path, typer.Argument(help="The image: JPEG, PNG, WebP, TIFF ...", show_default=False)]
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
Things = Annotated[
    str | None,
    typer.Option(
        help="Classes that are counted one by one (cat), all others being stuff (sky); without it as the built-in "
        "lists say.",
        show_default=False,
    ),
]
Background = Annotated[
    str,
    typer.Option(
        help="Words that stand for the rest of the world: what they win is none of the classes. As --classes, or none "
        "to give every pixel to a class.",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", help="A model's name or a file of weights; without it the embedded model.", show_default=False
    ),
]
Pooler = Annotated[
    Literal["adapter", "pooling", "cropping"] | None,
    typer.Option(help="How a mask becomes an embedding; without it as the model was made.", show_default=False),
]
Adapter = Annotated[
    Path | None,
    typer.Option(help="A warm-up file whose adapter is joined to the segmenter in --model.", show_default=False),
]
Architecture = Annotated[
    str | None,
    typer.Option(help="The model that a file is read as, where its keys alone do not tell.", show_default=False),
]
Device = Annotated[str, typer.Option(help="Where to compute: cpu, cuda or mps.")]
Prune = Annotated[
    bool,
    typer.Option(
        "--fast",
        help="Compute the adapter only for the proposals that can change the result, and estimate the others.",
    ),
]
Masks = Annotated[
    str | None,
    typer.Option(
        help="Masks to classify instead of the model's own proposals: a file (label or panoptic PNG, COCO JSON, .npy "
        "of bool (N, H, W)); sam:NAME or segmenter:NAME, a model on the Hugging Face hub or in a folder; or "
        "superpixels.",
        show_default=False,
    ),
]
