"""An image encoder's MLPs give the same, some cells at a time."""

import pytest
import torch
from timm.layers import Mlp
from timm.models.convnext import ConvNeXt

from maskadapter.models.clip.clip import Clip
from maskadapter.models.clip.image_encoders import PiecewiseMlp, compute_in_pieces


@pytest.mark.parametrize("shape", [(2, 40, 30, 8), (1, 1, 1, 8), (3, 1024, 8), (0, 4, 4, 8)])
def test_pieces_change_neither_result_nor_gradients(shape):
    torch.manual_seed(0)
    mlp = Mlp(8, 32, 6).double()
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    whole = mlp(x)
    expected = torch.autograd.grad(whole.square().sum(), [x, *mlp.parameters()])
    piecewise = PiecewiseMlp(mlp)
    torch.testing.assert_close(piecewise(x), whole)
    torch.testing.assert_close(torch.autograd.grad(piecewise(x).square().sum(), [x, *mlp.parameters()]), expected)
    assert piecewise.state_dict().keys() == mlp.state_dict().keys()


@pytest.mark.parametrize(("dtype", "pieces"), [(torch.float32, [1000] * 6), (torch.bfloat16, [2000] * 3)])
def test_only_a_piece_is_wide_at_a_time_and_in_16_bits_one_twice_as_long(dtype, pieces):
    mlp, widths = Mlp(8, 32).to(dtype), []
    mlp.act.register_forward_hook(lambda _, __, hidden: widths.append(hidden.shape))
    PiecewiseMlp(mlp)(torch.zeros(1, 60, 100, 8, dtype=dtype))
    assert widths == [(rows, 32) for rows in pieces]


def test_a_encoder_keeps_its_keys_and_its_result():
    torch.manual_seed(0)
    image_encoder = ConvNeXt(depths=(1, 2, 1, 1), dims=(8, 16, 16, 16), num_classes=0).eval()
    keys, image = list(image_encoder.state_dict()), torch.randn(1, 3, 256, 224)
    expected = image_encoder(image)
    compute_in_pieces(image_encoder)
    assert sum(isinstance(module, PiecewiseMlp) for module in image_encoder.modules()) == 5
    assert list(image_encoder.state_dict()) == keys
    torch.testing.assert_close(image_encoder(image), expected)


def test_the_published_encoders_are_computed_so():
    with torch.device("meta"):
        clip = Clip.build("convnext_base_w_320")
    assert sum(isinstance(module, PiecewiseMlp) for module in clip.modules()) == 36
