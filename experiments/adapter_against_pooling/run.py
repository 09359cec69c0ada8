"""Run the controlled experiment of docs/experiment.md: train the CLIPs and adapters, evaluate them, write the tables.

    python experiments/adapter_against_pooling/run.py --output FOLDER

The result of every step (one CLIP, one adapter, one evaluation of one seed) is kept in the folder; started again, the
command goes on with the step that was stopped, from its last checkpoint.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch
from accuracy import image_level, mask_level
from checkpoints import minutes
from poolers import TRAINED
from summary import summary
from train_adapter import AdapterTraining, train_adapter
from train_clip import ClipTraining, train_clip

from maskadapter.system.atomic_files import write_atomically


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder of checkpoints, logs and results")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="each trains a CLIP and all adapters")
    parser.add_argument("--blocks", type=int, default=ClipTraining.blocks, help="of CLIP: fewer see less far")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--share", type=float, default=1.0, help="of all steps and test images, to try things out")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)  # denormal numbers make training several times slower
    for seed in options.seeds:
        one_seed(options.output, seed, ClipTraining(blocks=options.blocks), options.share)
    found = [json.loads(path.read_text()) for path in sorted(options.output.glob("seed-*.json"))]
    table = summary(found)
    with write_atomically(options.output / "experiment.md") as path:
        path.write_text(table, encoding="utf-8")
    print(table)


def one_seed(folder: Path, seed: int, clip_training: ClipTraining, share: float) -> None:
    result = folder / f"seed-{seed}.json"
    if result.exists():
        return
    adapters = AdapterTraining()
    clip_training = replace(clip_training, steps=_part(clip_training.steps, share))
    adapters = replace(adapters, warmup=_part(adapters.warmup, share), mixed=_part(adapters.mixed, share))
    clip = train_clip(folder, seed, clip_training)
    models = {kind: train_adapter(folder, kind, clip, seed, adapters) for kind in TRAINED}
    models["mask-adapter, both stages"] = train_adapter(folder, "mask-adapter", clip, seed, adapters, mixed=True)
    values = {
        "seed": seed,
        "clip": vars(clip_training),
        "adapters": vars(adapters),
        "minutes": {path.stem: minutes(path) for path in sorted(folder.glob(f"*-{seed}*.log"))},
        "images": image_level(clip, _part(1000, share, multiple=20)),
        **mask_level(clip, models, _part(1000, share, multiple=20)),
    }
    with write_atomically(result) as path:
        path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def _part(whole: int, share: float, multiple: int = 1) -> int:
    return max(round(whole * share / multiple), 1) * multiple


if __name__ == "__main__":
    main()
