"""``maskadapter evaluate``."""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from maskadapter.cli.options import Adapter, Architecture, Device, Pooler, Prune
from maskadapter.system.progress import busy


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            help="A model's name or file of weights; or another program's predictions: a folder of label maps, or "
            "COCO JSON (panoptic, instance results).",
            show_default=False,
        ),
    ],
    dataset: Annotated[
        str,
        typer.Argument(help="A data set's name such as ade20k-150, or a YAML file of your own.", show_default=False),
    ],
    root: Annotated[
        Path | None, typer.Option(help="The data set's folder, or the one that holds it.", show_default=False)
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for records and report.")] = Path("evaluation"),
    subset: Annotated[Literal["val", "train"], typer.Option(help="Which images of the data set.")] = "val",
    task: Annotated[
        Literal["semantic", "panoptic", "instance"] | None,
        typer.Option(help="Which of its labels; without it the set's own.", show_default=False),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many images.", show_default=False)] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Means of seen and unseen classes apart: synonyms (shared with the training list), the name of "
            "another list, or a text file of the seen classes.",
            show_default=False,
        ),
    ] = None,
    convention: Annotated[
        Literal["detectron2-main", "detectron2-0.6"],
        typer.Option(help="The mean IoU's classes: those in the ground truth, or (0.6) also those only predicted."),
    ] = "detectron2-main",
    proposals: Annotated[
        str,
        typer.Option(
            help="Where masks come from: generator, ground-truth (only their names are judged), sam:NAME or "
            "segmenter:NAME on the Hugging Face hub, superpixels, or a folder of masks."
        ),
    ] = "generator",
    branch: Annotated[
        Literal["ensemble", "in", "out"],
        typer.Option(help="Whose opinion counts: both, the generator's alone (in), the embedding's alone (out)."),
    ] = "ensemble",
    alpha: Annotated[
        float | None, typer.Option(help="CLIP's weight for seen classes, 0 to 1.", show_default=False)
    ] = None,
    beta: Annotated[float | None, typer.Option(help="And for unseen classes.", show_default=False)] = None,
    transfer_norm: Annotated[
        Literal["sum", "update"] | None,
        typer.Option(
            help="MAFT+: the norm of text and update (sum), or of the update alone; without it the model's own.",
            show_default=False,
        ),
    ] = None,
    annotations: Annotated[
        Path | None,
        typer.Option(help="For COCO predictions without categories: the ground truth's JSON.", show_default=False),
    ] = None,
    pooler: Pooler = None,
    adapter: Adapter = None,
    architecture: Architecture = None,
    device: Device = "cpu",
    prune_proposals: Prune = False,
) -> None:
    """Measure a model on a data set: mIoU, PQ, AP, or the names it gives to ground-truth masks.

    Writes report.json and report.md. Stopped, the same command goes on where it was; under accelerate launch or
    torchrun the processes share the images.

    Example: [bold]maskadapter evaluate fcclip-large ade20k-150 --root datasets --split synonyms[/]
    """
    from maskadapter.data.opening import open_dataset
    from maskadapter.evaluation.evaluator import evaluate as run
    from maskadapter.evaluation.partition import Split
    from maskadapter.hub.model_source import ModelSource
    from maskadapter.models.build import MODELS
    from maskadapter.pipelines import model_evaluation as subject
    from maskadapter.system.processes import place

    images = open_dataset(dataset, root, subset, task)
    if model not in MODELS and (Path(model).is_dir() or model.endswith(".json")):
        judged = subject.predictions_in(model, images, annotations)
    else:
        with busy("loading the model"):
            judged = subject.model(
                ModelSource(model, pooler, adapter, architecture),
                images,
                # Every process of a launcher takes the GPU of its own number.
                device=f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if device == "cuda" else device,
                branch=branch,
                alpha=alpha,
                beta=beta,
                proposals=proposals,
                transfer_norm=transfer_norm,
                prune_proposals=prune_proposals,
            )
    classes = None if split is None else Split.of(split, images.vocabulary, judged.trained_on)
    try:
        report = run(
            judged.predict,
            images,
            output,
            metrics=judged.metrics,
            limit=limit,
            convention=convention,
            split=classes,
            settings={**judged.settings, "subset": subset},
            paper=judged.paper,
        )
    except KeyboardInterrupt as stop:
        print(stop, file=sys.stderr)  # Typer makes it the exit code and forgets what it says
        raise
    if place()[0] == 0:
        print(report.markdown().split("\n\n")[0])
        print(f"{report.facts['convention']}\n" if "convention" in report.facts else "", end="")
        print(output / "report.md")
