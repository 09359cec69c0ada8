"""The paper's trained rows in miniature: train adapters on one aligned encoder by the recipes that the tables name.

    python tools/tiny/miniature.py --model build/tiny/aligned-image-0.safetensors --data build/tiny/adapter_data \\
        --seed 0 --runs build/tiny/runs/image-0

Data, sizes and lengths are a laptop's (`SETTINGS`), everything else is as in the recipe; the adapter sees two thirds of
COCO's classes (`adapter_data.py`). Two to five minutes of one thread for each training. Finished trainings are kept,
others go on where they stopped; `--only` trains some. The rows are evaluated by `maskadapter reproduce --runs`.
"""

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Trainings in their order, and the recipes of equal trainings that the tables know them by.
WARMUP, MIXED = "table10/16-maps", "table9/consistency-5"
TRAININGS = [
    WARMUP,
    MIXED,
    "table10/1-map",
    "table9/consistency-0",
    "table4/mixed-alone",
    "table9/consistency-2",
    "table9/consistency-10",
]
SETTINGS = {
    "model.architecture": "tiny",
    "model.hidden_dim": 96,
    "data.crop": 512,
    "data.scale": "[0.8, 1.5]",
    "data.workers": 0,
    "schedule": "{kind: polynomial}",
    "run.batch_size": 2,
    "run.precision": "bf16",
    "run.save_every": 100,
    "run.log_every": 20,
    "evaluation": "{every: 0}",
}
STAGES = {
    "warmup": {"masks.ground_truth": 10, "optimizer.lr": 3.0e-3, "run.iterations": 300},
    "mixed": {
        "masks.ground_truth": 10,
        "masks.predicted": 4,
        "masks.iou_threshold": 0.5,  # these proposals seldom reach the paper's 0.7
        "optimizer.lr": 3.0e-4,
        "run.iterations": 50,
    },
}


def settings(recipe: str, arguments: argparse.Namespace) -> dict[str, object]:
    """What replaces the recipe's values."""
    warmup = "stage: warmup" in (ROOT / f"recipes/{recipe}.yaml").read_text()
    result = SETTINGS | STAGES["warmup" if warmup else "mixed"]
    result |= {"model.weights": arguments.model, "data.train": f"[{{name: {arguments.data / 'seen.yaml'}}}]"}
    if not warmup:
        alone = recipe == "table4/mixed-alone"
        result["model.adapter"] = "null" if alone else arguments.runs / Path(WARMUP).name / "model.safetensors"
    return result | {"run.seed": arguments.seed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="of `alignment.py pack`")
    parser.add_argument("--data", type=Path, required=True, help="of `adapter_data.py`")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, required=True, help="folder for the trainings")
    parser.add_argument("--only", nargs="+", choices=TRAININGS, default=TRAININGS)
    arguments = parser.parse_args()
    for recipe in TRAININGS:
        output = arguments.runs / Path(recipe).name
        if recipe not in arguments.only or (output / "model.safetensors").exists():
            continue
        changes = [f"--set={key}={value}" for key, value in settings(recipe, arguments).items()]
        command = [sys.executable, "-m", "maskadapter", "train", f"{ROOT}/recipes/{recipe}.yaml", "--cpu"]
        subprocess.run([*command, "--output", str(output), *changes], check=True)


if __name__ == "__main__":
    main()
