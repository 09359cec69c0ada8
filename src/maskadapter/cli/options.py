"""Options that several commands share."""

import functools
import inspect
import re
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Argument, Option

from maskadapter.errors import MaskAdapterError

if TYPE_CHECKING:
    from maskadapter.hub import ModelSource
else:
    ModelSource = Any  # its import takes as long as PyTorch's

Classes = Annotated[
    str,
    Option(
        "--classes",
        "-c",
        help='Class names such as "cat, sofa|couch, wall" (| joins synonyms); a text file with one class a line, a '
        "data.yaml, COCO JSON or CSV; or a built-in list such as ade20k-150.",
    ),
]
Things = Annotated[
    str | None,
    Option(help="Classes counted one by one (cat), all others being stuff (sky); without it as in the built-in lists."),
]
Background = Annotated[
    str,
    Option(
        help="Classes that stand for the rest of the world: a pixel that one of them wins belongs to none of yours. As "
        "--classes; none: every pixel gets one of your classes; auto: coco-stuff, and none for a built-in list."
    ),
]
Model = Annotated[
    str | None, Option("--model", "-m", help="A model's name or a file of weights; without it the embedded model.")
]
Pooler = Annotated[
    Literal["adapter", "pooling", "cropping"] | None,
    Option(help="How a mask becomes an embedding; without it as the weights were made for."),
]
Adapter = Annotated[Path | None, Option(help="A warm-up file whose adapter is joined to the segmenter in --model.")]
Architecture = Annotated[str | None, Option(help="The model that a file is read as, if its content does not decide.")]

Precision = Annotated[
    Literal["auto", "fp32", "bf16", "fp16", "int8"] | None,
    Option(
        help="What weights are kept in; auto: bf16 or fp16 where faster and close to fp32. To measure, fp32 if unset."
    ),
]


def _device(given: str) -> str:
    if re.fullmatch(r"(cpu|cuda|mps|xpu)(:\d+)?", given) is None:
        raise MaskAdapterError(f"device '{given}' cannot be used here: choose cpu, cuda, cuda:1 or mps")
    build = version("torch")
    if build.endswith("+cpu") and not given.startswith("cpu"):
        reason = f"PyTorch {build} is for the CPU alone"
        raise MaskAdapterError(
            f"device '{given}' cannot be used here: {reason}; choose cpu, or install another PyTorch"
        )
    return given


Device = Annotated[str, Option(callback=_device, help="Where to compute: cpu, cuda or mps.")]
Prune = Annotated[
    bool,
    Option("--fast", help="Compute the adapter only for proposals that can change the result, estimate the others."),
]
MASK_SOURCES = (
    "a file (label or panoptic PNG, COCO JSON, .npy, .npz); a folder of such files with the images' names; "
    "sam:NAME or segmenter:NAME, a model on the Hugging Face hub or in a folder; or superpixels."
)
Masks = Annotated[str | None, Option(help=f"Masks to classify instead of the model's own proposals: {MASK_SOURCES}")]
Dataset = Annotated[str, Argument(help="A data set's name such as ade20k-150, or a YAML file of your own.")]
Root = Annotated[Path | None, Option(help="The data set's folder, or the one that holds it.")]
Split = Annotated[Literal["val", "train"], Option(help="Which images of the data set.")]
Task = Annotated[
    Literal["semantic", "panoptic", "instance"] | None,
    Option(help="Which of its labels; without it the data set's own task."),
]
Limit = Annotated[int | None, Option(min=1, help="Only the first so many images.")]

_OF_SOURCE = {
    "model": Model,
    "pooler": Pooler,
    "adapter": Adapter,
    "architecture": Architecture,
    "precision": Precision,
}


def with_model_source(*chosen: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command some options of ``_OF_SOURCE``, else all, in place of its parameter ``source: ModelSource``."""
    names = chosen or tuple(_OF_SOURCE)

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(**given: Any) -> None:
            from maskadapter.hub import ModelSource as Source
            from maskadapter.hub import check_source

            values = {"name" if name == "model" else name: given.pop(name) for name in names}
            source = Source(**{key: value for key, value in values.items() if value is not None})
            if "model" in names:  # others get its name as an argument
                check_source(source)
            command(**given, source=source)

        signature = inspect.signature(command)
        parameters = list(signature.parameters.values())
        place = list(signature.parameters).index("source")
        parameters[place : place + 1] = [
            parameters[place].replace(name=name, annotation=_OF_SOURCE[name], default=None) for name in names
        ]
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate
