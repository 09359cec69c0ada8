"""Convert the three quantized TFLite teachers to PyTorch: MobileNetV2 trunks, and the two DeepLabs' heads.

Batch norm is already folded into the files' convolutions: the biases go into timm's norms, whose scale becomes the
identity. timm pads symmetrically, TensorFlow at the right and bottom; at stride 2 that only shifts the whole map.

    python tools/tiny/teachers.py --shared ../shared --work build/tiny

Needs `ai-edge-litert`. Seconds. Writes `teachers.pt`.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from open_clip_import import timm
from torch import nn
from torch.nn import functional as F

FILES = {
    "imagenet": "mobilenet_v2_1.0_224_quant.tflite",
    "pascal": "deeplabv3_mnv2_pascal_quant.tflite",
    "ade20k": "deeplabv3_mnv2_ade20k_uint8.tflite",
}
# OpenAI CLIP's normalization in units of 0..255; the teachers see x / 127.5 - 1.
CLIP_MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]) * 255
CLIP_STD = torch.tensor([0.26862954, 0.26130258, 0.27577711]) * 255
PASCAL = [
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "dining table",
    "dog",
    "horse",
    "motorbike",
    "person",
    "potted plant",
    "sheep",
    "sofa",
    "train",
    "tv monitor",
]
ADE20K = [
    "other",
    "wall",
    "building",
    "sky",
    "floor",
    "tree",
    "ceiling",
    "road",
    "bed",
    "window",
    "grass",
    "cabinet",
    "sidewalk",
    "person",
    "earth",
    "door",
    "table",
    "mountain",
    "plant",
    "curtain",
    "chair",
    "car",
    "water",
    "painting",
    "sofa",
    "shelf",
    "house",
    "sea",
    "mirror",
    "rug",
    "field",
    "armchair",
]


def dequantize(details: dict, values: np.ndarray) -> torch.Tensor:
    scales, zeros = details["quantization_parameters"]["scales"], details["quantization_parameters"]["zero_points"]
    axis = details["quantization_parameters"]["quantized_dimension"]
    if len(scales) > 1:
        shape = [-1 if i == axis else 1 for i in range(values.ndim)]
        scales, zeros = scales.reshape(shape), zeros.reshape(shape)
    return torch.from_numpy(((values.astype(np.float64) - zeros) * scales).astype(np.float32))


def read_convolutions(path: Path) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Weights (out, in, kh, kw; depthwise: (C, 1, kh, kw)) and biases of every convolution, in the order of the
    graph.
    """
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    tensors = {details["index"]: details for details in interpreter.get_tensor_details()}
    convolutions = []
    for operator in interpreter._get_ops_details():  # the package has no public list of operators
        if "CONV_2D" in operator["op_name"]:
            weight, bias = (dequantize(tensors[i], interpreter.get_tensor(i)) for i in operator["inputs"][1:3])
            depthwise = operator["op_name"].startswith("DEPTHWISE")
            convolutions.append((weight.permute(3, 0, 1, 2) if depthwise else weight.permute(0, 3, 1, 2), bias))
    return convolutions


def trunk_state(convolutions: list, reference: nn.Module) -> dict[str, torch.Tensor]:
    """Convolutions -> timm `mobilenetv2_100` state for inputs normalized as OpenAI CLIP's."""
    state = reference.state_dict()
    modules = [
        (name, module) for name, module in reference.named_modules() if isinstance(module, (nn.Conv2d, nn.BatchNorm2d))
    ]
    pairs = list(zip(modules[0::2], modules[1::2], strict=True))
    for (weight, bias), ((conv_name, conv), (norm_name, norm)) in zip(convolutions, pairs, strict=False):
        assert conv.weight.shape == weight.shape, (conv_name, conv.weight.shape, weight.shape)
        if conv_name == "conv_stem":
            bias = bias + (weight * (CLIP_MEAN / 127.5 - 1).view(1, 3, 1, 1)).sum((1, 2, 3))
            weight = weight * (CLIP_STD / 127.5).view(1, 3, 1, 1)
        state[f"{conv_name}.weight"] = weight
        state[f"{norm_name}.weight"] = torch.ones_like(bias)
        state[f"{norm_name}.bias"] = bias
        state[f"{norm_name}.running_mean"] = torch.zeros_like(bias)
        state[f"{norm_name}.running_var"] = torch.full_like(bias, 1 - norm.eps)
    return {name: value.clone() for name, value in state.items()}


def build_trunk() -> nn.Module:
    """MobileNetV2 with output stride 16."""
    return timm.create_model(
        "mobilenetv2_100", pretrained=False, num_classes=0, global_pool="", output_stride=16
    ).eval()


class Teacher(nn.Module):
    """`forward(images (B, 3, H, W) normalized as CLIP's) -> (B, K, h, w)` class probabilities per feature location:
    stride 16, ADE20K stride 4.
    """

    def __init__(self, name: str, state: dict, head: list):
        super().__init__()
        self.name, self.trunk, self.head = name, build_trunk(), head
        self.trunk.load_state_dict(state)

    @torch.no_grad()
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        trunk = self.trunk
        if self.name == "imagenet":
            x = trunk.forward_features(images)
            return F.conv2d(x, *self.head[0])[:, 1:].softmax(1)
        x = trunk.bn1(trunk.conv_stem(images))
        low = None
        for i, stage in enumerate(trunk.blocks):
            for j, block in enumerate(stage):
                if (i, j) == (1, 1):  # the DeepLab decoder reads this block's depthwise output
                    low = block.bn2(block.conv_dw(block.bn1(block.conv_pw(x))))
                x = block(x)
        pooled, aspp = (self.head[0], self.head[1]) if self.name == "ade20k" else (self.head[1], self.head[0])
        globally = F.relu(F.conv2d(x.mean((2, 3), keepdim=True), *pooled)).expand(-1, -1, *x.shape[2:])
        x = F.relu(F.conv2d(torch.cat([globally, F.relu(F.conv2d(x, *aspp))], 1), *self.head[2]))
        if self.name == "ade20k":
            low = F.relu(F.conv2d(low, *self.head[3]))
            x = torch.cat([F.interpolate(x, low.shape[2:], mode="bilinear"), low], 1)
            for depthwise, pointwise in ((4, 5), (6, 7)):
                x = F.relu(F.conv2d(x, *self.head[depthwise], padding=1, groups=x.shape[1]))
                x = F.relu(F.conv2d(x, *self.head[pointwise]))
        return F.conv2d(x, *self.head[-1]).softmax(1)


def load_teachers(work: Path) -> dict[str, Teacher]:
    saved = torch.load(work / "teachers.pt", weights_only=True)
    return {name: Teacher(name, entry["trunk"], entry["head"]).eval() for name, entry in saved.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="folder with data/teachers/")
    parser.add_argument("--work", type=Path, required=True, help="folder for results")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    teachers = {}
    for name, file in FILES.items():
        convolutions = read_convolutions(arguments.shared / "data/teachers" / file)
        count = 52 if name == "imagenet" else 51
        print(name, len(convolutions), [tuple(weight.shape) for weight, _ in convolutions[count:]])
        # The DeepLabs have no 320 -> 1280 convolution: theirs stays random and is not used.
        teachers[name] = {
            "trunk": trunk_state(convolutions[:count], build_trunk()),
            "head": [list(pair) for pair in convolutions[count:]],
        }
    torch.save(teachers, arguments.work / "teachers.pt")


if __name__ == "__main__":
    main()
