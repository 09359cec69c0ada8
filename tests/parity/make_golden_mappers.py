"""Write the golden files of the mappers: ``python tests/parity/make_golden_mappers.py FIXTURES_FOLDER``.

The three official packages make the same of the image wherever they have the same mapper, so one of them is kept.
"""

import re
import shutil
import sys
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parent / "golden_mappers"
EVERY = 12  # pixels, down and across

# The semantic mapper makes the same image as the panoptic one, the combined one the same masks.
REPEATED = re.compile(r"semantic\.s\d\.(image|gt_masks)|combine_pan\.s\d\.gt_masks")


def main(fixtures: Path) -> None:
    GOLDEN.mkdir(exist_ok=True)
    for name in ("img.png", "pan.png", "sem.png", "segments_info.json"):
        shutil.copyfile(fixtures / "mappers" / name, GOLDEN / name)
    with np.load(fixtures / "mappers" / "mask_adapter.npz") as recorded:
        kept = {key: _kept(array) for key, array in recorded.items() if not REPEATED.search(key)}
    np.savez_compressed(GOLDEN / "mask_adapter.npz", every=np.array(EVERY), **kept)


def _kept(array: np.ndarray) -> np.ndarray:
    return (array[..., ::EVERY, ::EVERY] if array.ndim > 1 else array).astype(np.uint8)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
