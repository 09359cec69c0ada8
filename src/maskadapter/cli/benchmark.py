"""``maskadapter benchmark``."""

from functools import partial
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from maskadapter.cli.options import Device, Precision
from maskadapter.errors import MaskAdapterError
from maskadapter.system.progress import busy


def benchmark(
    model: Annotated[str, Argument(help="A model's name (random weights), or a file of weights.")] = "fcclip-large",
    size: Annotated[int, Option(help="Pixels of the input's longer side, a multiple of 32.")] = 896,
    images: Annotated[Path | None, Option(help="A folder of photos; without it five of scikit-image.")] = None,
    segments: Annotated[Path | None, Option(help="COCO panoptic: time the adapter on its segments too.")] = None,
    classes: Annotated[str, Option("--classes", "-c", help="Class names, a file or a built-in list.")] = "ade20k-150",
    second_classes: Annotated[str | None, Option(help="Time these classes too, on the encoded first image.")] = None,
    proposals: Annotated[int, Option(min=1, help="Masks in every image, at most.")] = 250,
    threads: Annotated[int | None, Option(min=1, help="Threads of the processor; without it PyTorch's choice.")] = None,
    output: Annotated[Path, Option("--output", "-o", help="JSON; Markdown goes beside it.")] = Path("benchmark.json"),
    device: Device = "cpu",
    precision: Precision = None,
) -> None:
    """Time the adapter and everything around it: as the paper writes it, exactly but faster, and pruned.

    Example: [bold]maskadapter benchmark --size 896 --output report.json[/]
    """
    from maskadapter.benchmark import check_request
    from maskadapter.system.atomic_files import write_atomically
    from maskadapter.system.json_files import write_json
    from maskadapter.system.paths import check_folder

    output = check_folder(output.parent) / output.name
    if output.suffix != ".json":
        raise MaskAdapterError(f"output is {output}; a file that ends in .json is needed, the table goes beside it")
    check_request(model, size, images, segments, classes, second_classes)
    import torch

    from maskadapter.benchmark import benchmark as run
    from maskadapter.benchmark import benchmark_tables

    if threads is not None:
        torch.set_num_threads(threads)
    measure = partial(run, model, size=size, images=images, segments=segments, classes=classes)
    with busy("measuring"):
        report = measure(
            second_classes=second_classes, proposals=proposals, device=device, precision=precision or "fp32"
        )
    write_json(output, report)
    with write_atomically(output.with_suffix(".md")) as path:
        path.write_text(benchmark_tables(report), encoding="utf-8")
    print(benchmark_tables(report), output, sep="\n")
