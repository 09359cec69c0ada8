"""Linear layers in 8 bits, for processors that multiply such numbers faster (VNNI)."""

import torch
from torch import Tensor, nn

_LARGEST = 127.0  # symmetric: -128 is not used
_TINY = torch.finfo(torch.float32).tiny


class Int8Linear(nn.Module):
    """A linear layer with a scale for each output of its weight and for each row of its input, (..., in) -> (..., out).

    linear: what it replaces. dtype: of its results. The scale of a row is found when it comes (dynamic quantization),
    so that nothing needs to be calibrated. Source: Dettmers et al. 2022, section 2.1, vector-wise quantization."""

    weight: Tensor  # (out, in) int8
    scale: Tensor  # (out,)

    def __init__(self, linear: nn.Linear, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype, self.bias = dtype, linear.bias
        weight = linear.weight.detach().float()
        scale = weight.abs().amax(dim=1).clamp(min=_TINY) / _LARGEST
        self.register_buffer("weight", (weight / scale[:, None]).round().to(torch.int8))
        self.register_buffer("scale", scale)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        scale = rows.abs().amax(dim=1, keepdim=True).float().clamp(min=_TINY) / _LARGEST
        products = torch._int_mm((rows / scale).round_().to(torch.int8), self.weight.T)  # exact, in int32
        result = (products * scale).mul_(self.scale)
        result = result if self.bias is None else result.add_(self.bias)
        return result.to(self.dtype).view(*x.shape[:-1], len(self.weight))
