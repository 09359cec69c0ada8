"""EVA-CLIP's image encoder gives a feature map, and files of its own code are read."""

import json
import pickle

import numpy as np
import open_clip
import pytest
import torch
from open_clip.timm_model import TimmModel
from timm.models import register_model
from timm.models.eva import Eva

import maskadapter as ma
from maskadapter.errors import CheckpointError, MaskAdapterError
from maskadapter.models.clip.image_encoders import EvaEncoder, image_encoder_of

KINDS = {  # as EVA01-g, EVA02-B and -L, EVA02-E are built
    "absolute": {},
    "rotary": {
        "use_rot_pos_emb": True,
        "ref_feat_shape": (3, 3),
        "qkv_fused": False,
        "swiglu_mlp": True,
        "scale_mlp": True,
        "scale_attn_inner": True,
    },
    "norm after": {"use_post_norm": True},
}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}


def name_of(kind):
    return f"eva_test_{kind.replace(' ', '_')}"


def trunk(kind, **options):
    return Eva(img_size=32, patch_size=8, embed_dim=24, depth=3, num_heads=2, mlp_ratio=2, **KINDS[kind] | options)


for each in KINDS:

    def build(pretrained=False, kind=each, **options):
        return trunk(kind, num_classes=options["num_classes"], global_pool=options["global_pool"])

    build.__name__ = name_of(each)
    register_model(build)


def config(kind):
    vision = {"timm_model_name": name_of(kind), "timm_pool": "token", "timm_proj": None, "image_size": 32}
    return {"embed_dim": 16, "vision_cfg": vision, "text_cfg": TEXT, "custom_text": True}


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return request.param


def clip_model(kind):
    torch.manual_seed(0)
    model = open_clip.CustomTextCLIP(**{key: value for key, value in config(kind).items() if key != "custom_text"})
    for name, parameter in model.visual.named_parameters():
        torch.nn.init.normal_(parameter, mean=float("norm" in name), std=0.3)  # timm's own are nearly 0
    return model.eval()


@pytest.fixture(scope="module")
def visual(kind):
    return clip_model(kind).visual


def images(height, width, seed=0):
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [(32, 32), (64, 32), (40, 88)])
@torch.inference_mode()
def test_a_location_attends_to_itself_alone_in_the_last_block(visual, kind, size):
    """As in timm's own encoder for any size, where the attention of the last block is masked but for the location."""
    reference = trunk(kind, num_classes=16, global_pool="token", dynamic_img_size=True).eval()
    reference.load_state_dict(visual.trunk.state_dict())
    seen = []
    reference.blocks[-1].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    reference(images(*size))
    alone = torch.full((seen[0].shape[1],) * 2, float("-inf")).fill_diagonal_(0)
    expected = reference.blocks[-1](seen[0], attn_mask=alone)[:, 1:]
    dense, stages = image_encoder_of(visual).features(images(*size))
    assert (dense.shape[-2:], stages) == ((size[0] // 8, size[1] // 8), {})
    torch.testing.assert_close(dense.flatten(2).mT, expected, rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_alike_locations_are_projected_as_the_image(kind):
    """One color everywhere, no position, a class token like the patches: attention has no choice in any block."""
    encoder = image_encoder_of(clip_model(kind).visual)
    patches, one_color = encoder.visual.trunk.patch_embed, torch.full((1, 3, 32, 32), 0.5)
    encoder.visual.trunk.pos_embed.zero_()
    encoder.visual.trunk.cls_token.copy_(patches(one_color)[:, :1])
    location = encoder.project(encoder.features(one_color)[0][:, :, 1, 2])
    torch.testing.assert_close(location, encoder.whole(one_color), rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_another_size_leaves_the_encoder_as_it_was(kind):
    visual = clip_model(kind).visual
    expected = visual(images(32, 32))
    encoder = image_encoder_of(visual)
    encoder.features(images(40, 88))
    torch.testing.assert_close(encoder.whole(images(32, 32)), expected, rtol=0, atol=0)
    torch.testing.assert_close(visual(images(32, 32)), expected, rtol=0, atol=0)


VISION = {name: open_clip.get_model_config(name)["vision_cfg"] for name in open_clip.list_models()}
PUBLISHED = [name for name in VISION if VISION[name].get("timm_model_name", "").startswith(("eva", "vit_pe"))]


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_configuration_is_read_or_refused(name):
    vision = VISION[name]
    with torch.device("meta"):
        visual = TimmModel(vision["timm_model_name"], 16, pool=vision["timm_pool"], proj=vision["timm_proj"])
        if name.startswith("EVA"):
            encoder = image_encoder_of(visual)
            assert isinstance(encoder, EvaEncoder)
            patch = 16 if name == "EVA02-B-16" else 14
            assert (encoder.size_divisor, 896 % encoder.size_divisor) == ({14: 28, 16: 16}[patch], 0)
            locations = encoder.features(torch.zeros(1, 3, 448, 896))[0].permute(0, 2, 3, 1)
            assert encoder.project(locations).shape == (1, 448 // patch, 896 // patch, 16)
        else:
            with pytest.raises(MaskAdapterError, match=r"\(Eva\) has no feature map to pool: use the pooler cropping"):
                image_encoder_of(visual)


@pytest.fixture(scope="module")
def configuration(kind, tmp_path_factory):
    """A name that open_clip knows, with a model of that configuration."""
    folder = tmp_path_factory.mktemp("configs")
    name = f"small-{name_of(kind)}"
    (folder / f"{name}.json").write_text(json.dumps(config(kind)))
    open_clip.add_model_config(folder)
    return name, clip_model(kind)


def in_eva_clip(model):
    """A model's weights under the names of EVA-CLIP's own code, with its tables of rotary positions."""
    names = {
        "visual.trunk.": "visual.",
        "attn.norm.": "attn.inner_attn_ln.",
        "mlp.norm.": "mlp.ffn_ln.",
        "mlp.fc1_g.": "mlp.w1.",
        "mlp.fc1_x.": "mlp.w2.",
        "q_proj.bias": "q_bias",
        "v_proj.bias": "v_bias",
    }
    state = {}
    for key, tensor in model.state_dict().items():
        if "mlp.fc1_g.weight" in model.visual.trunk.blocks[0].state_dict():
            key = key.replace("mlp.fc2.", "mlp.w3.") if key.startswith("visual.") else key
        for ours, theirs in names.items():
            key = key.replace(ours, theirs)
        state[key] = tensor
    if model.visual.trunk.rope is not None:
        for holder in ("visual", "visual.blocks.0.attn"):
            state |= {f"{holder}.rope.freqs_{part}": torch.zeros(16, 12) for part in ("cos", "sin")}
    return state


@pytest.mark.parametrize(
    ("form", "pooler"), [("EVA-CLIP", "cropping"), ("CLIPSelf", "pooling"), ("open_clip", "pooling")]
)
def test_files_of_eva_clip_and_clipself_are_read(configuration, form, pooler, tmp_path):
    name, model = configuration
    state = model.state_dict() if form == "open_clip" else in_eva_clip(model)
    wrapped = {"epoch": 6, "name": "run", "state_dict": state, "optimizer": {"state": {}, "param_groups": []}}
    torch.save(wrapped if form == "CLIPSelf" else state, tmp_path / "weights.pt")
    loaded = ma.load(f"clip:{name}:{tmp_path / 'weights.pt'}", pooler=pooler)
    got = loaded.clip.model.state_dict()
    assert got.keys() == model.state_dict().keys()
    assert all(torch.equal(got[key], tensor) for key, tensor in model.state_dict().items())
    masks = np.zeros((2, 90, 120), bool)
    masks[0, 10:60, 20:90], masks[1, 60:] = True, True
    photo = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    probs = loaded.classify(photo, masks, ["cat", "dog", "tree"]).probs
    assert np.isfinite(probs).all()
    assert not np.allclose(probs[0], probs[1])


class Mischief:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_files_that_do_not_fit_are_one_line(configuration, kind, tmp_path):
    name, model = configuration
    weights, state = tmp_path / "weights.pt", in_eva_clip(model)
    image_alone = {key.removeprefix("visual."): tensor for key, tensor in state.items() if key.startswith("visual.")}
    for prefix in ("", "visual."):
        torch.save({prefix + key: tensor for key, tensor in image_alone.items()}, weights)
        with pytest.raises(CheckpointError, match=r"weights.pt holds EVA-CLIP's image encoder alone: give a file with"):
            ma.load(f"clip:{name}:{weights}")
    torch.save(state | {"visual.norm.weight": torch.ones(5)}, weights)
    with pytest.raises(CheckpointError, match=f"open_clip cannot load {name} with .*weights.pt") as caught:
        ma.load(f"clip:{name}:{weights}")
    assert "\n" not in str(caught.value)
    assert "visual.trunk.norm.weight" in str(caught.value)  # what does not fit
    weights.write_bytes(pickle.dumps(state | {"a": Mischief(tmp_path / "executed")}, protocol=2))
    line = rf"open_clip cannot load {name} with .*weights.pt \(it is damaged, or holds more than tensors\)"
    with pytest.raises(CheckpointError, match=line):
        ma.load(f"clip:{name}:{weights}")
    assert not (tmp_path / "executed").exists()
