"""An image encoder whose features are an earlier stage and the last map together."""

import pytest
import torch

from maskadapter.models.clip.clip import Clip

SMALL = {
    "embed_dim": 16,
    "vision_cfg": {"timm_model_name": "mobilenetv2_050", "timm_pool": "", "timm_proj": "mlp", "image_size": 64},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="module")
def clips() -> tuple[Clip, Clip]:
    """The same trunk, its last map alone and joined with ``res4``."""
    torch.manual_seed(0)
    plain = Clip.build(SMALL, output_stride=16).eval()
    joined = Clip.build(SMALL, output_stride=16, joined=("res4",)).eval()
    joined.model.visual.trunk.load_state_dict(plain.model.visual.trunk.state_dict())
    return plain, joined


@torch.inference_mode()
def test_the_stage_comes_before_the_last_map(clips: tuple[Clip, Clip]) -> None:
    images = torch.randn(2, 3, 64, 96)
    plain, joined = (clip.encode_image(images) for clip in clips)
    assert torch.equal(joined.dense, torch.cat([plain.pyramid["res4"], plain.dense], dim=1))
    assert joined.projected.shape == (2, 16, 4, 6)


@torch.inference_mode()
def test_all_channels_are_projected(clips: tuple[Clip, Clip]) -> None:
    features = torch.randn(3, clips[1].encode_image(torch.zeros(1, 3, 64, 64)).dense.shape[1])
    for half in (features[:, :48], features[:, 48:]):
        before = clips[1].project(features)
        half.mul_(2)
        assert not torch.allclose(clips[1].project(features), before)


@torch.inference_mode()
def test_a_whole_image_is_its_mean_features(clips: tuple[Clip, Clip]) -> None:
    images = torch.randn(1, 3, 64, 64)
    clip = clips[1]
    assert torch.allclose(clip.encode_whole(images), clip.project(clip.encode_image(images).dense.mean(dim=(-2, -1))))
