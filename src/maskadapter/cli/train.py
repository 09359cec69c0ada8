"""``maskadapter train``."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from maskadapter.system.progress import bar


def train(
    recipe: Annotated[Path, Argument(help="A YAML file, see the folder recipes/.")],
    root: Annotated[Path | None, Option(help="Folder that holds the data sets of the recipe.")] = None,
    output: Annotated[Path | None, Option("--output", "-o", help="Folder; without it runs/<recipe's name>.")] = None,
    change: Annotated[list[str] | None, Option("--set", help="A value: optimizer.lr=5e-5. May be repeated.")] = None,
    cpu: Annotated[bool, Option("--cpu", help="Compute on the CPU even where there is a GPU.")] = False,
) -> None:
    """Train an adapter or a mask generator, or learn classes of your own, by a recipe.

    Stopped by Ctrl-C, by SIGTERM or worse, the same command goes on from the newest checkpoint. On several GPUs or
    machines: accelerate launch -m maskadapter train ...

    Your own images: [bold]maskadapter train recipes/own/own-data.yaml --set "data.train=[{name: my-data.yaml}]"[/]

    Example: [bold]maskadapter train recipes/table1/fcclip-large-warmup.yaml --root datasets[/]
    """
    from maskadapter.data import has_split, open_dataset, require_masks
    from maskadapter.system.paths import check_folder
    from maskadapter.training import check_weights, read_recipe

    settings = read_recipe(recipe, change or [])
    folder = output or Path("runs") / recipe.stem
    datasets = [open_dataset(part.name, root, "train") for part in settings.data.train]
    validated = []
    if settings.stage == "classifier":
        datasets += [
            open_dataset(part.name, root, "val") for part in settings.data.train if has_split(part.name, "val")
        ]
    elif settings.evaluation.every:
        validated = [open_dataset(name, root, "val") for name in settings.evaluation.datasets]
    check_weights(settings)
    check_folder(folder)
    for dataset in datasets:
        require_masks(dataset)
    for dataset in validated:
        require_masks(dataset, settings.evaluation.images or None)
    from maskadapter.training import Validation, fingerprint
    from maskadapter.training import train as run

    validation = None
    if validated:
        validation = Validation(validated, folder, fingerprint(settings), settings.evaluation.images)
    with _step_bar():
        path = run(settings, datasets, folder, validation, "cpu" if cpu else None)
    print(path)
    if settings.stage == "classifier":
        print((folder / "summary.txt").read_text(encoding="utf-8").strip())


@contextmanager
def _step_bar() -> Iterator[None]:
    """A progress bar that follows the steps which the training loop logs; the main process alone logs them."""
    logger, done = logging.getLogger("maskadapter.training.trainer"), 0
    advance: Callable[..., None] | None = None

    def follow(record: logging.LogRecord) -> bool:
        nonlocal advance, done
        step, iterations = getattr(record, "step", None), getattr(record, "iterations", None)
        if step is None:
            return True
        if advance is None:
            advance, done = stack.enter_context(bar("training", iterations, step)), step
        loss = getattr(record, "loss", None)
        advance(step - done, None if loss is None else f"training, loss {loss:.2f}")
        done = step
        return False

    with ExitStack() as stack:
        stack.callback(logger.setLevel, logger.level)
        stack.callback(logger.removeFilter, follow)
        logger.setLevel(logging.DEBUG)
        logger.addFilter(follow)
        yield
