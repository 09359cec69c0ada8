"""``maskadapter evaluate``."""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

from maskadapter.cli.options import Adapter, Architecture, Device, Pooler, Prune
from maskadapter.system.progress import busy


def evaluate(
    model: Annotated[
        str,
        Argument(
            help="A model's name or file of weights; or another program's predictions: a folder of label maps, or "
            "COCO JSON (panoptic, instance results)."
        ),
    ],
    dataset: Annotated[str, Argument(help="A data set's name such as ade20k-150, or a YAML file of your own.")],
    root: Annotated[Path | None, Option(help="The data set's folder, or the one that holds it.")] = None,
    output: Annotated[Path, Option("--output", "-o", help="Folder for records and report.")] = Path("evaluation"),
    split: Annotated[Literal["val", "train"], Option(help="Which images of the data set.")] = "val",
    task: Annotated[
        Literal["semantic", "panoptic", "instance"] | None,
        Option(help="Which of its labels; without it the set's own."),
    ] = None,
    limit: Annotated[int | None, Option(min=1, help="Only the first so many images.")] = None,
    partition: Annotated[
        str | None,
        Option(
            help="Means of seen and of unseen classes: synonyms (seen: those that share one with the training list), "
            "the name of another list, or a text file of the seen classes."
        ),
    ] = None,
    convention: Annotated[
        Literal["detectron2-main", "detectron2-0.6"],
        Option(help="The mean IoU's classes: those in the ground truth, or (0.6) also those only predicted."),
    ] = "detectron2-main",
    masks: Annotated[
        str | None,
        Option(
            help="Where masks come from instead of the model's own generator: ground-truth (they are only classified), "
            "sam:NAME or segmenter:NAME on the Hugging Face hub, superpixels, or a folder or file of masks."
        ),
    ] = None,
    branch: Annotated[
        Literal["ensemble", "in-vocabulary", "out-of-vocabulary"],
        Option(help="Which classifier decides: the generator's (in), CLIP with the pooler (out), or both."),
    ] = "ensemble",
    alpha: Annotated[
        float | None, Option(help="Weight of the out-of-vocabulary classifier for seen classes, 0 to 1.")
    ] = None,
    beta: Annotated[float | None, Option(help="The same for unseen classes.")] = None,
    transfer_norm: Annotated[
        Literal["sum", "update"] | None,
        Option(help="MAFT+: the norm of text and update (sum), or of the update alone; without it the model's own."),
    ] = None,
    annotations: Annotated[
        Path | None, Option(help="For COCO predictions without categories: the ground truth's JSON.")
    ] = None,
    pooler: Pooler = None,
    adapter: Adapter = None,
    architecture: Architecture = None,
    device: Device = "cpu",
    prune_proposals: Prune = False,
) -> None:
    """Evaluate a model on a data set: mIoU, PQ, AP, or the accuracy of classifying ground-truth masks.

    Writes report.json and report.md. Interrupted, the same command goes on where it stopped; under torchrun or
    accelerate launch the processes share the images.

    Example: [bold]maskadapter evaluate fcclip-large ade20k-150 --root datasets --partition synonyms[/]
    """
    from maskadapter.data import open_dataset
    from maskadapter.evaluation import Partition
    from maskadapter.evaluation import evaluate as run
    from maskadapter.hub import ModelSource
    from maskadapter.models import MODELS
    from maskadapter.paper import reference_figures
    from maskadapter.pipelines import file_predictor, model_predictor
    from maskadapter.system.processes import rank_and_world_size

    images = open_dataset(dataset, root, split, task)
    if model not in MODELS and (Path(model).is_dir() or model.endswith(".json")):
        predictor = file_predictor(model, images, annotations)
    else:
        with busy("loading the model"):
            predictor = model_predictor(
                ModelSource(model, pooler, adapter, architecture),
                images,
                # Every process of a launcher takes the GPU of its own number.
                device=f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if device == "cuda" else device,
                branch=branch,
                alpha=alpha,
                beta=beta,
                masks=masks,
                transfer_norm=transfer_norm,
                prune_proposals=prune_proposals,
            )
    classes = None if partition is None else Partition.of(partition, images.vocabulary, predictor.trained_on)
    reference = {}
    if predictor.published_as is not None:
        reference = reference_figures(*predictor.published_as, images, branch, classes, convention)
    try:
        report = run(
            predictor.predict,
            images,
            output,
            metrics=predictor.metrics,
            limit=limit,
            convention=convention,
            partition=classes,
            settings={**predictor.settings, "split": split},
            reference=reference,
        )
    except KeyboardInterrupt as stop:
        print(stop, file=sys.stderr)  # Typer turns it into an exit code and drops its message
        raise
    if rank_and_world_size()[0] == 0:
        print(report.markdown().split("\n\n")[0])
        print(f"{report.facts['convention']}\n" if "convention" in report.facts else "", end="")
        print(output / "report.md")
