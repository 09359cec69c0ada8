"""Measure proposals on the photos held out from training: by color as before, by boundaries, and other weights of the
merging's cost. What is chosen stands in `merging.py`.

    python tools/tiny/proposals.py --shared ../shared --work build/tiny

One thread: about 6 minutes. Reads the trained parts. Writes `results/embedded-model/proposals.json`: mean best IoU of
the labeled segments and their recall at IoU 0.5, in percent, of all segments and of those above 1 % of the image.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from assemble import LONGEST, build, load_parts
from augment import fit
from coco import splits
from end_to_end import best_ious
from torch.nn import functional as F

from maskadapter.models.preprocess import to_batch
from maskadapter.models.proposals.superpixels import merging
from maskadapter.models.proposals.superpixels.pieces import without_padding
from maskadapter.models.proposals.superpixels.regions import Merging

RESULT = Path(__file__).parents[2] / "results/embedded-model/proposals.json"
CHOSEN = (merging.BOUNDARY_WEIGHT, merging.COLOR_WEIGHT, merging.SIZE_POWER, merging.AREA_POWER)
# BOUNDARY_WEIGHT, COLOR_WEIGHT, SIZE_POWER, AREA_POWER
TRIED = (CHOSEN, (0, 0.5, 0.5, 0.25), (2, 0.5, 0.5, 0.25), (1, 0, 0.5, 0.25), (1, 2, 0.5, 0.25), (1, 0.5, 0.3, 0.25))
TRIED = (*TRIED, (1, 0.5, 0.7, 0.25), (1, 0.5, 0.5, 0), (1, 0.5, 0.5, 0.5))


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="folder with data/")
    parser.add_argument("--work", type=Path, required=True, help="folder with the trained parts")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = load_parts(build(), arguments.work).eval()
    found: dict[str, list] = defaultdict(list)
    for photo in splits(arguments.shared / "data/coco")[1]:
        image, ids = fit(photo.image(), photo.masks()[0], LONGEST)
        pixels = to_batch([image], model.clip.size_divisor)
        features, padded = model.clip.encode_image(pixels), (pixels.shape[-2], pixels.shape[-1])
        logits = F.interpolate(model.generator.boundaries(pixels, features.pyramid), padded, mode="bilinear")
        boundaries = logits.sigmoid()[0, :, : ids.shape[0], : ids.shape[1]].numpy()
        projected = without_padding(features.projected[0], ids.shape, padded)
        # As version 0.2: color, and the features of the encoder of today.
        merging.COLOR_WEIGHT, merging.AREA_POWER = 2.0, 0
        found["by color, stride 2"].append(best_ious(Merging().regions(image, projected).masks(), ids))
        for weights in TRIED:
            merging.BOUNDARY_WEIGHT, merging.COLOR_WEIGHT, merging.SIZE_POWER, merging.AREA_POWER = weights
            regions = model.generator.merging.regions(image, projected, boundaries)
            name = f"boundary {weights[0]}, color {weights[1]}, size power {weights[2]}, area power {weights[3]}"
            found[name].append(best_ious(regions.masks(), ids))
        merging.BOUNDARY_WEIGHT, merging.COLOR_WEIGHT, merging.SIZE_POWER, merging.AREA_POWER = CHOSEN
    result = {}
    for name, photos in found.items():
        iou, share = (np.concatenate(parts) for parts in zip(*photos, strict=True))
        result[name] = {
            f"{kind}{size}": round(100 * float(values[kept].mean()), 1)
            for size, kept in (("", share > 0), (" above 1 %", share >= 0.01))
            for kind, values in (("mean best IoU", iou), ("recall at 0.5", iou >= 0.5))
        }
        print(name, result[name], flush=True)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
