"""Measure the figures of docs/everyday.md: text encoding at the first and the next start, a photo of 48 megapixels.

    python tools/everyday.py

About five minutes and 3 GB on two cores. Prints one line for each figure.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import skimage
from PIL import Image

ENCODE = """
import time, torch, maskadapter
model = maskadapter.load()
encode, asked = model.clip.encode_text, []
model.clip.encode_text = lambda names: (asked.extend(names), encode(names))[1]
start = time.perf_counter()
model.encode_text("ade20k-847")
count = len(maskadapter.Vocabulary.builtin("ade20k-847").synonyms)
print(f"ade20k-847, {count} names: {time.perf_counter() - start:.2f} s, {len(asked)} of them encoded")
"""
PADDED = """
import time, torch, maskadapter
clip = maskadapter.load().clip
names = maskadapter.Vocabulary.builtin("ade20k-150").synonyms
prompts = [template.format(name) for name in names for template in clip.templates]
with torch.inference_mode():
    for turn in range(2):  # the first one warms up
        start = time.perf_counter()
        clip.encode_text(names)
        short = time.perf_counter() - start
        start = time.perf_counter()
        for first in range(0, len(prompts), 256):
            clip.model.encode_text(clip.tokenizer(prompts[first : first + 256]))
        padded = time.perf_counter() - start
print(f"{len(prompts)} prompts: {short:.2f} s, by open_clip with their padding {padded:.2f} s")
"""


def memory() -> float:
    """Resident memory of this process, GB. Linux."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e9


def large_image(folder: Path) -> None:
    import maskadapter
    from maskadapter.results.segmentation import FORMATS

    photo = Image.open(Path(skimage.__file__).parent / "data" / "coffee.png")
    photo.resize((8000, 6000), Image.Resampling.BICUBIC).save(folder / "large.jpg")
    model = maskadapter.load()
    model.encode_text("coco-stuff")
    base, peak, over = memory(), [0.0], threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            peak[0] = max(peak[0], memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    result = model.segment(folder / "large.jpg", "cup, saucer|plate, spoon, table")
    for name in FORMATS:
        before = time.perf_counter()
        maps = model.activation_maps(folder / "large.jpg", result) if name == "activations" else None
        result.save(folder / "out", [name], activation_maps=maps)
        print(f"  {name}: {time.perf_counter() - before:.1f} s")
    over.set()
    watcher.join()
    print(
        f"8,000 x 6,000: {time.perf_counter() - start:.0f} s, {peak[0] - base:.2f} GB above the weights, "
        f"{len(result.background)} background classes, "
        f"results of {Image.open(folder / 'out' / 'large-labels.png').size}"
    )


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MASKADAPTER_CACHE"] = f"{folder}/cache"
        for _ in range(2):
            subprocess.run([sys.executable, "-c", ENCODE], check=True)
        subprocess.run([sys.executable, "-c", PADDED], check=True)
        large_image(Path(folder))


if __name__ == "__main__":
    main()
