"""``maskadapter train``."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def train(
    recipe: Annotated[Path, typer.Argument(help="A YAML file, see the folder recipes/.", show_default=False)],
    root: Annotated[
        Path | None, typer.Option(help="Folder that holds the data sets of the recipe.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The run's folder; without it runs/<recipe's name>.", show_default=False),
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a value: optimizer.lr=5e-5. May be repeated.", show_default=False),
    ] = None,
    cpu: Annotated[bool, typer.Option("--cpu", help="Compute on the CPU even where there is a GPU.")] = False,
) -> None:
    """Train an adapter or a mask generator by a recipe.

    Stopped by Ctrl-C, by SIGTERM or worse, the same command goes on from the newest checkpoint. On several GPUs or
    machines: accelerate launch -m maskadapter train ...

    Example: [bold]maskadapter train recipes/table1/fcclip-large-warmup.yaml --root datasets[/]
    """
    from maskadapter.data.opening import open_dataset
    from maskadapter.training.recipe import read_recipe
    from maskadapter.training.run_folder import fingerprint
    from maskadapter.training.trainer import train as run
    from maskadapter.training.validation import Watch

    settings = read_recipe(recipe, change or [])
    folder = output or Path("runs") / recipe.stem
    datasets = [open_dataset(part.name, root, "train") for part in settings.data.train]
    watch = None
    if settings.evaluation.every:
        watched = [open_dataset(name, root, "val") for name in settings.evaluation.datasets]
        watch = Watch(watched, folder, fingerprint(settings), settings.evaluation.images)
    try:
        print(run(settings, datasets, folder, watch, "cpu" if cpu else None))
    except KeyboardInterrupt as stop:
        print(stop, file=sys.stderr)  # Typer makes it the exit code and forgets what it says
        raise
