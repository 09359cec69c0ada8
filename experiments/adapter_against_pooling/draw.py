"""Draw the pooling weights of mask pooling, the adapter and the blind adapter for one test image.

    python experiments/adapter_against_pooling/draw.py --output FOLDER

FOLDER is that of run.py; models that it lacks are trained first.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from poolers import untrained_weights
from train_adapter import AdapterTraining, train_adapter
from train_clip import ClipTraining, train_clip
from world import render, test_scenes

from maskadapter.system.atomic_files import write_atomically


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="the folder that run.py wrote; gets maps.png")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--image", type=int, default=0, help="number of the test image")
    options = parser.parse_args()
    clip = train_clip(options.output, options.seed, ClipTraining())
    scenes = test_scenes()
    images, targets = render(scenes, [options.image])
    features = clip.encode_image(images)
    masks = torch.from_numpy(targets[0].masks()).float()[None]
    size = (features.dense.shape[-2], features.dense.shape[-1])
    weights = {"mask pooling": untrained_weights(masks, size)["mask pooling"][0]}
    for kind in ("mask-adapter", "blind adapter"):
        model = train_adapter(options.output, kind, clip, options.seed, AdapterTraining())
        weights[kind] = model.pooler.weights(features, masks - 0.5)[0].mean(dim=1)  # type: ignore
    image = scenes[options.image].image
    names = [scenes.vocabulary.names[index] for index in targets[0].classes]
    figure, axes = plt.subplots(len(names), 1 + len(weights), figsize=(7.2, 1.9 * len(names)), squeeze=False)
    for row, name in enumerate(names):
        axes[row, 0].imshow(image)
        axes[row, 0].set_ylabel(name, fontsize=8)
        for column, (way, maps) in enumerate(weights.items(), start=1):
            axes[row, column].imshow(maps[row], cmap="magma", extent=(0, image.shape[1], image.shape[0], 0))
            axes[0, column].set_title(way, fontsize=9)
        for column, axis in enumerate(axes[row]):
            axis.contour(masks[0, row], levels=[0.5], colors="white" if column else "black", linewidths=1)
            axis.set(xticks=[], yticks=[])
    figure.tight_layout()
    with write_atomically(options.output / "maps.png") as path:
        figure.savefig(path, dpi=110, format="png")


if __name__ == "__main__":
    main()
