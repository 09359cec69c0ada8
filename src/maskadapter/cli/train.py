"""``maskadapter train``."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

from typer import Argument, Option


def train(
    recipe: Annotated[Path, Argument(help="A YAML file, see the folder recipes/.")],
    root: Annotated[Path | None, Option(help="Folder that holds the data sets of the recipe.")] = None,
    output: Annotated[
        Path | None, Option("--output", "-o", help="The run's folder; without it runs/<recipe's name>.")
    ] = None,
    change: Annotated[
        list[str] | None, Option("--set", help="Change a value: optimizer.lr=5e-5. May be repeated.")
    ] = None,
    cpu: Annotated[bool, Option("--cpu", help="Compute on the CPU even where there is a GPU.")] = False,
) -> None:
    """Train an adapter or a mask generator by a recipe.

    Stopped by Ctrl-C, by SIGTERM or worse, the same command goes on from the newest checkpoint. On several GPUs or
    machines: accelerate launch -m maskadapter train ...

    Example: [bold]maskadapter train recipes/table1/fcclip-large-warmup.yaml --root datasets[/]
    """
    from maskadapter.data import open_dataset
    from maskadapter.training import Validation, fingerprint, read_recipe
    from maskadapter.training import train as run

    settings = read_recipe(recipe, change or [])
    folder = output or Path("runs") / recipe.stem
    datasets = [open_dataset(part.name, root, "train") for part in settings.data.train]
    validation = None
    if settings.evaluation.every:
        validated = [open_dataset(name, root, "val") for name in settings.evaluation.datasets]
        validation = Validation(validated, folder, fingerprint(settings), settings.evaluation.images)
    try:
        with _StepBar().following("maskadapter.training.trainer"):
            path = run(settings, datasets, folder, validation, "cpu" if cpu else None)
    except KeyboardInterrupt as stop:
        print(stop, file=sys.stderr)  # Typer makes it the exit code and drops its message
        raise
    print(path)


class _StepBar(logging.Handler):
    """A progress bar that follows the steps which the training loop logs; the main process alone logs them."""

    def __init__(self) -> None:
        super().__init__()
        self._bar, self._done = ExitStack(), 0
        self._advance: Callable[[int], None] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        from maskadapter.system.progress import bar

        step, iterations = getattr(record, "step", None), getattr(record, "iterations", None)
        if step is None:
            return
        if self._advance is None:
            self._advance = self._bar.enter_context(bar("training", iterations, step))
        else:
            self._advance(step - self._done)
        self._done = step

    @contextmanager
    def following(self, name: str) -> Iterator[None]:
        """Show the bar while the block runs. name: of the logger."""
        logger = logging.getLogger(name)
        level = logger.level
        logger.addHandler(self)
        logger.setLevel(logging.DEBUG)
        try:
            yield
        finally:
            logger.setLevel(level)
            logger.removeHandler(self)
            self._bar.close()
