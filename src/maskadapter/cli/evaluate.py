"""``maskadapter evaluate``."""

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

from maskadapter.cli.options import Dataset, Device, Limit, ModelSource, Prune, Root, Split, Task, with_model_source
from maskadapter.errors import MaskAdapterError
from maskadapter.system.progress import busy
from maskadapter.vocabulary import competing_classes


@with_model_source("pooler", "adapter", "architecture", "precision")
def evaluate(
    model: Annotated[
        str,
        Argument(help="A model's name or file of weights; or predictions: a folder of label maps, or COCO JSON."),
    ],
    dataset: Dataset,
    root: Root = None,
    output: Annotated[Path, Option("--output", "-o", help="Folder for records and report.")] = Path("evaluation"),
    split: Split = "val",
    task: Task = None,
    limit: Limit = None,
    partition: Annotated[
        str | None,
        Option(
            help="Seen and unseen classes: synonyms (with the training list), another list, paper-rule (A-150 by "
            "supercategory), or a file of the seen."
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
    alpha: Annotated[float | None, Option(help="CLIP's weight (out-of-vocabulary) for seen classes, 0 to 1.")] = None,
    beta: Annotated[float | None, Option(help="The same for unseen classes.")] = None,
    transfer_norm: Annotated[
        Literal["sum", "update"] | None,
        Option(help="MAFT+: the norm of text and update (sum), or of the update alone; without it the model's own."),
    ] = None,
    background: Annotated[
        str, Option(help="Classes that compete with the data set's, as for segment; pixels that they win are wrong.")
    ] = "none",
    annotations: Annotated[Path | None, Option(help="The ground truth's JSON, for COCO without categories.")] = None,
    *,
    source: ModelSource,
    device: Device = "cpu",
    prune_proposals: Prune = False,
) -> None:
    """Evaluate a model on a data set: mIoU, PQ, AP, or the accuracy of classifying ground-truth masks.

    Writes report.json and report.md. Interrupted, the same command goes on where it stopped; under torchrun or
    accelerate launch the processes share the images.

    Example: [bold]maskadapter evaluate fcclip-large ade20k-150 --root datasets --partition synonyms[/]
    """
    from maskadapter.data import open_dataset, require_masks
    from maskadapter.evaluation import Partition
    from maskadapter.hub import check_source
    from maskadapter.models import MODEL_NAMES
    from maskadapter.paper import reference_figures
    from maskadapter.pipelines import check_switches
    from maskadapter.system.paths import check_folder, user_path
    from maskadapter.system.processes import rank_and_world_size

    images = open_dataset(dataset, root, split, task)
    of_files = model not in MODEL_NAMES and (user_path(model, MaskAdapterError).is_dir() or model.endswith(".json"))
    if of_files:
        switches = {
            "branch": branch != "ensemble",
            "alpha": alpha is not None,
            "beta": beta is not None,
            "masks": masks is not None,
            "fast": prune_proposals,
            "precision": source.precision is not None,
            "transfer-norm": transfer_norm is not None,
            "background": background != "none",
        }
        if given := [name for name, is_given in switches.items() if is_given]:
            raise MaskAdapterError(f"predictions in files are evaluated as they are: leave --{given[0]} out")
    else:
        check_source(replace(source, name=model))
        check_switches(branch, alpha, beta, masks, background)
        competing_classes(images.vocabulary, background)
        if annotations is not None:
            raise MaskAdapterError("--annotations is for predictions in COCO JSON, and a model was given: leave it out")
    if partition not in (None, "synonyms"):
        Partition.of(str(partition), images.vocabulary)
    output = check_folder(output)
    require_masks(images, limit)
    from maskadapter.evaluation import evaluate as run
    from maskadapter.pipelines import file_predictor, model_predictor

    if of_files:
        predictor = file_predictor(model, images, annotations)
    else:
        with busy("loading the model"):
            # Every process of a launcher takes the GPU of its own number.
            place = f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if device == "cuda" else device
            load = partial(model_predictor, device=place, prune_proposals=prune_proposals, transfer_norm=transfer_norm)
            load = partial(load, branch=branch, alpha=alpha, beta=beta, masks=masks, background=background)
            predictor = load(replace(source, name=model), images)
    classes = None if partition is None else Partition.of(partition, images.vocabulary, predictor.trained_on)
    name = predictor.published_as
    reference = reference_figures(*name, images, branch, classes, convention) if name else {}
    settings = {**predictor.settings, "split": split}
    own = partial(run, metrics=predictor.metrics, convention=convention, settings=settings, reference=reference)
    report = own(predictor.predict, images, output, limit=limit, partition=classes)
    if rank_and_world_size()[0] == 0:
        print(report.markdown().split("\n\n")[0])
        print(*filter(None, [report.facts.get("convention")]), output / "report.md", sep="\n")
