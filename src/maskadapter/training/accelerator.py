"""Devices, processes and precision of a run: Accelerate's ``Accelerator``, set up from a recipe."""

import os
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from maskadapter.errors import MaskAdapterError, RecipeError
from maskadapter.system.error_text import first_line
from maskadapter.training.recipe import Recipe

if TYPE_CHECKING:
    from accelerate import Accelerator

Device = Literal["cpu"] | None
"""``"cpu"``, or None for whatever Accelerate finds."""


def accelerator_for(recipe: Recipe, output: Path, device: Device) -> "Accelerator":
    """This process's accelerator. Raises MaskAdapterError without Accelerate, RecipeError for a precision it lacks."""
    try:
        from accelerate import Accelerator
        from accelerate.utils import DistributedDataParallelKwargs
    except ImportError:
        raise MaskAdapterError("training needs Accelerate: pip install 'maskadapter[train]'") from None
    precision = {"fp32": "no"}.get(recipe.run.precision, recipe.run.precision)
    if precision == "fp16" and (device == "cpu" or not torch.cuda.is_available()):
        raise RecipeError("run.precision is fp16, which needs a GPU: use bf16 or fp32 here")
    try:
        accelerator = Accelerator(
            mixed_precision=precision,
            cpu=device == "cpu",
            log_with="tensorboard" if find_spec("tensorboard") else None,
            project_dir=output,
            kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
        )
    except ValueError as error:  # one process keeps the device and precision of its first run
        raise RecipeError(f"Accelerate refuses: {first_line(error)}") from error
    # accelerate launch names the main process's address when it was asked for several processes.
    asked = os.environ.get("ACCELERATE_USE_CPU") == "True" and "MASTER_ADDR" in os.environ
    if asked and accelerator.num_processes == 1:
        warnings.warn(
            "accelerate launch started one process, whatever was asked for, as it does on a CPU without MPI: use "
            "torchrun --nproc-per-node N -m maskadapter train ... --cpu, or name its --mpirun_hostfile",
            stacklevel=2,
        )
    return accelerator
