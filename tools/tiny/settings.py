"""Choose the ensemble's weight, and how nested proposals compete, on the photos held out from training: nothing here
sees val2017. What is chosen stands in `region_head.py`, `regions.py` and `builder.py`; of the alphas the one that is
least behind the better of the two classifiers alone in any of mIoU, pACC, PQ and AP.

    python tools/tiny/settings.py --shared ../shared --work build/tiny

One thread: about 8 minutes. Reads the trained parts. Writes `results/embedded-model/settings.json`.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch
from assemble import build, load_parts
from coco import HELD_OUT, splits
from end_to_end import Table

from maskadapter.models.proposals.superpixels import region_head, regions

RESULT = Path(__file__).parents[2] / "results/embedded-model/settings.json"
COMPARED = ("mIoU", "pACC", "PQ", "AP")
ALPHAS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
# LEFT_OUT, CHOSEN, WHOLE_WEIGHT
CUTS = ((1.5, 4, 0.9), (1.5, 4, 1.1), (1.5, 4, 1.3), (3, 6, 0.7), (3, 6, 1.1), (0, 1, 1.1), (0.5, 2, 1.1))


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="folder with data/")
    parser.add_argument("--work", type=Path, required=True, help="folder with the trained parts")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    model = load_parts(build(), arguments.work).eval()
    model.inference = replace(model.inference, join_touching=True)
    table, chosen = Table(model), (region_head.LEFT_OUT, region_head.CHOSEN, regions.WHOLE_WEIGHT)
    for number, photo in enumerate(splits(arguments.shared / "data/coco")[1][:HELD_OUT]):
        encoded = model.encode_image(photo.image())
        for alpha in ALPHAS:
            table.add(f"alpha {alpha}", encoded, photo, number, alpha=alpha)
        inputs, _ = model.prepare(photo.image())
        features = model.clip.encode_image(inputs.pixels)
        for cut in CUTS:
            region_head.LEFT_OUT, region_head.CHOSEN, regions.WHOLE_WEIGHT = cut
            again = replace(encoded, proposals=model.generator(inputs, features))
            table.add(
                f"left out {cut[0]}, chosen {cut[1]}, whole {cut[2]}", again, photo, number, alpha=model.inference.alpha
            )
        region_head.LEFT_OUT, region_head.CHOSEN, regions.WHOLE_WEIGHT = chosen
    measured = table.numbers()
    for name, numbers in measured.items():
        print(name, numbers, flush=True)
    alone = [measured["alpha 0.0"], measured["alpha 1.0"]]
    for alpha in ALPHAS[1:-1]:
        behind = {name: measured[f"alpha {alpha}"][name] - max(one[name] for one in alone) for name in COMPARED}
        print("alpha", alpha, "to the better branch:", {name: round(value, 2) for name, value in behind.items()})
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(measured, indent=1) + "\n")


if __name__ == "__main__":
    main()
