"""The paper's baselines: mask cropping and mask pooling with any CLIP of open_clip."""

import json
import pickle

import numpy as np
import open_clip
import pytest
import torch

import maskadapter as ma
from maskadapter.cli import main
from maskadapter.data.scenes.scenes import Scenes
from maskadapter.errors import CheckpointError, DownloadError, MaskAdapterError
from maskadapter.evaluation.evaluator import evaluate
from maskadapter.hub.bare_clip import facts
from maskadapter.hub.model_source import ModelSource
from maskadapter.models.clip.clip import Clip
from maskadapter.models.poolers.mask_cropping import MaskCropping
from maskadapter.models.preprocess import PIXEL_MEAN, PIXEL_STD
from maskadapter.pipelines.model_evaluation import model_predictor

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
VISION = {
    "transformer": {"image_size": 64, "layers": 3, "width": 32, "head_width": 16, "patch_size": 16},
    "resnet": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 32},
    "convnext": {  # as open_clip's convnext_large_d_320
        "timm_model_name": "convnext_atto",
        "timm_pool": "",
        "timm_proj": "mlp",
        "timm_drop": 0.1,
        "timm_drop_path": 0.1,
        "image_size": 64,
    },
    "timm transformer": {
        "timm_model_name": "vit_tiny_patch16_224",
        "timm_pool": "token",
        "timm_proj": "linear",
        "image_size": 224,
    },
    "attention pooling": {
        "image_size": 64,
        "layers": 3,
        "width": 32,
        "head_width": 16,
        "patch_size": 16,
        "attentional_pool": True,
        "attn_pooler_heads": 2,
    },
}
COLORS = {"mean": [0.5, 0.45, 0.4], "std": [0.25, 0.3, 0.2]}  # not those of the other models
CELLS = ("transformer", "resnet", "convnext")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Of each kind of encoder a folder as open_clip publishes models, with random weights."""
    made = {}
    for kind, vision in VISION.items():
        folder = tmp_path_factory.mktemp(kind.replace(" ", "-"))
        config = {"embed_dim": 32, "vision_cfg": vision, "text_cfg": TEXT}
        content = {"model_cfg": config, "preprocess_cfg": COLORS if kind == "transformer" else {}}
        (folder / "open_clip_config.json").write_text(json.dumps(content))
        torch.manual_seed(0)
        torch.save(open_clip.CLIP(**config).state_dict(), folder / "open_clip_pytorch_model.bin")
        made[kind] = folder
    return made


def image(seed=0, size=(90, 120)):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def boxes(size=(90, 120)):
    masks = np.zeros((3, *size), bool)
    masks[0, 10:40, 20:90] = True
    masks[1, :, :30] = True
    return masks  # the third is empty


@pytest.mark.parametrize("kind", VISION)
def test_crops_are_embedded_as_open_clip_embeds_images(folders, kind):
    model = ma.load(f"clip:local-dir:{folders[kind]}", pooler="cropping")
    reference, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folders[kind]}")
    side = model.clip.image_size
    pixels = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    ours = (pixels * 255 - torch.tensor(PIXEL_MEAN)[:, None, None]) / torch.tensor(PIXEL_STD)[:, None, None]
    with torch.inference_mode():
        expected = reference.eval().encode_image(transform.transforms[-1](pixels))
        torch.testing.assert_close(model.clip.encode_whole(ours), expected, rtol=1e-3, atol=2e-4)
    named = model.classify(image(), boxes(), ["cat", "dog", "tree"])
    assert named.probs.shape == (3, 3)
    assert not np.allclose(named.probs[0], named.probs[1])
    assert np.isnan(named.probs[2]).all()  # an empty mask has no class


@pytest.mark.parametrize("kind", CELLS)
def test_masks_are_pooled_in_every_kind_of_encoder(folders, kind):
    model = ma.load(f"clip:local-dir:{folders[kind]}")
    named = model.classify(image(), boxes(), ["cat", "dog", "tree"])
    assert named.probs.shape == (3, 3)
    assert np.isfinite(named.probs).all(axis=1).tolist() == [True, True, False]
    assert not np.allclose(named.probs[0], named.probs[1])
    features = model.clip.encode_image(model.prepare(image())[0].pixels)
    assert features.dense.shape[-2:] == features.projected.shape[-2:]
    assert features.projected.shape[1] == 32


@torch.inference_mode()
def test_the_cells_of_a_transformer_look_at_themselves_alone(folders):
    """They are what the last block gives where its attention is masked but for the cell itself."""
    clip = ma.load(f"clip:local-dir:{folders['transformer']}").clip
    visual = clip.model.visual
    seen = []
    hook = visual.transformer.resblocks[-1].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    clip.image_encoder.whole(images)
    hook.remove()
    last, tokens = visual.transformer.resblocks[-1], seen[0]
    alone = torch.full((tokens.shape[1], tokens.shape[1]), float("-inf")).fill_diagonal_(0)
    expected = last(tokens, attn_mask=alone)[:, 1:]
    dense = clip.image_encoder.features(images)[0]
    torch.testing.assert_close(dense.flatten(2).mT, expected, rtol=1e-4, atol=1e-5)
    assert clip.image_encoder.features(torch.zeros(1, 3, 96, 160))[0].shape == (
        1,
        32,
        6,
        10,
    )  # another grid than trained


@torch.inference_mode()
def test_a_cell_of_a_resnet_is_projected_as_its_attention_does(folders):
    clip = ma.load(f"clip:local-dir:{folders['resnet']}").clip
    pool = clip.model.visual.attnpool
    pool.positional_embedding.zero_()
    cell = torch.randn(3, pool.positional_embedding.shape[1], generator=torch.Generator().manual_seed(0))
    everywhere = cell[:, :, None, None].expand(-1, -1, 2, 2)  # all cells alike: attention has no choice
    torch.testing.assert_close(clip.project(cell), pool(everywhere), rtol=1e-4, atol=1e-5)


def test_a_crop_is_the_square_around_the_mask_on_the_mean_color():
    image = torch.arange(1.0, 13).view(1, 1, 12).expand(3, 6, 12).contiguous()  # columns 1 to 12
    mask = torch.zeros(6, 12, dtype=torch.bool)
    mask[1:3, 2:6] = True  # a box of 2 x 4
    mask[1, 2] = False
    square = MaskCropping(lambda images: images, 4, 1).crop(image, mask)[0]
    assert square[0].tolist() == [0, 0, 0, 0]  # a row above the box: the mean color
    assert square[1].tolist() == [0, 4, 5, 6]
    assert square[2].tolist() == [3, 4, 5, 6]
    tall = torch.zeros(6, 12, dtype=torch.bool)
    tall[:, 0] = True  # its square reaches beyond the image
    crop = MaskCropping(lambda images: images, 6, 1).crop(image, tall)[0]
    assert crop.tolist() == [[0, 0, 1, 0, 0, 0]] * 6


def test_named_models_crop_with_their_own_clip(tmp_path):
    dataset = Scenes(1)
    predictor = model_predictor(ModelSource("tiny", "cropping"), dataset, masks="ground-truth")
    assert predictor.settings["model"].startswith("tiny with cropping")
    report = evaluate(
        predictor.predict, dataset, tmp_path / "run", metrics=predictor.metrics, settings=predictor.settings
    )
    assert 0 <= report.numbers["accuracy of segments"] <= 100
    model = ma.load("tiny", pooler="cropping")
    with pytest.raises(MaskAdapterError, match="no activation maps"):
        model.activation_maps(image(), boxes())


@pytest.mark.parametrize("pooler", ["cropping", "pooling"])
@pytest.mark.parametrize("kind", ["transformer", "convnext"])
def test_a_clip_alone_is_evaluated_on_ground_truth(folders, kind, pooler, tmp_path):
    dataset, source = Scenes(1), ModelSource(f"clip:local-dir:{folders[kind]}", pooler)
    predictor = model_predictor(source, dataset, masks="ground-truth")
    assert predictor.settings["model"] == f"a CLIP with {pooler}"
    assert predictor.settings["weights"] != facts(f"clip:local-dir:{folders['resnet']}")["weights"]
    report = evaluate(
        predictor.predict, dataset, tmp_path / "run", metrics=predictor.metrics, settings=predictor.settings
    )
    assert 0 <= report.numbers["accuracy of segments"] <= 100


def test_a_clip_alone_is_evaluated_on_superpixels(folders, tmp_path):
    dataset = Scenes(1)
    name = f"clip:local-dir:{folders['transformer']}"
    pieces = model_predictor(ModelSource(name), dataset, masks="superpixels")
    report = evaluate(pieces.predict, dataset, tmp_path / "pieces", settings=pieces.settings)
    assert 0 <= report.numbers["mIoU"] <= 100
    with pytest.raises(MaskAdapterError, match="has no mask generator"):
        model_predictor(ModelSource(name), dataset)


@pytest.fixture
def small_config(tmp_path):
    """A configuration that open_clip knows by name, and a file of weights for it."""
    config = {"embed_dim": 32, "vision_cfg": VISION["transformer"], "text_cfg": TEXT}
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "small-test.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "configs")
    torch.manual_seed(3)
    torch.save(open_clip.CLIP(**config).state_dict(), tmp_path / "weights.pt")
    return tmp_path / "weights.pt"


def test_weights_come_from_a_file(small_config):
    model = ma.load(f"clip:small-test:{small_config}")
    assert torch.equal(model.clip.model.text_projection, torch.load(small_config, weights_only=True)["text_projection"])
    reported = facts(f"clip:small-test:{small_config}")
    assert reported["clip"] == "small-test"
    assert reported["weights"].startswith("weights.pt, sha256 ")


class Mischief:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_bad_names_and_files_are_one_line(folders, small_config, tmp_path, capsys):
    cells = f"clip:local-dir:{folders['timm transformer']}"
    with pytest.raises(
        MaskAdapterError, match=r"VisionTransformer.* has no feature map to pool: use the pooler cropping"
    ):
        ma.load(cells)
    with pytest.raises(MaskAdapterError, match=r"has no feature map to pool: use the pooler cropping"):
        ma.load(f"clip:local-dir:{folders['attention pooling']}", pooler="pooling")
    with pytest.raises(MaskAdapterError, match="without an adapter: use pooler pooling or cropping"):
        ma.load(cells, pooler="adapter")
    with pytest.raises(MaskAdapterError, match="leave adapter and architecture out"):
        ma.load(cells, adapter=tmp_path / "some.pth")
    with pytest.raises(MaskAdapterError, match="clip:NAME:WEIGHTS is needed"):
        ma.load("clip:ViT-B-16")
    with pytest.raises(DownloadError, match="open_clip has no weights 'nowhere' for ViT-B-16"):
        ma.load("clip:ViT-B-16:nowhere")
    with pytest.raises(CheckpointError, match=r"open_clip cannot load local-dir:.*nowhere"):
        ma.load(f"clip:local-dir:{tmp_path / 'nowhere'}")
    (folders["resnet"] / "other").mkdir()
    with pytest.raises(CheckpointError, match=r"open_clip cannot load local-dir:.*other"):
        ma.load(f"clip:local-dir:{folders['resnet'] / 'other'}")
    small_config.write_bytes(pickle.dumps({"a": Mischief(tmp_path / "executed")}))
    with pytest.raises(CheckpointError, match=r"open_clip cannot load small-test with .*weights.pt") as caught:
        ma.load(f"clip:small-test:{small_config}")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "executed").exists()
    with pytest.raises(SystemExit) as stop:
        main(["segment", str(tmp_path / "none.jpg"), "-c", "cat", "--model", "clip:ViT-B-16"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_folder_without_weights_is_not_a_model(folders, tmp_path):
    content = (folders["convnext"] / "open_clip_config.json").read_text()
    (tmp_path / "open_clip_config.json").write_text(content)
    with pytest.raises(CheckpointError, match="open_clip cannot load"):
        ma.load(f"clip:local-dir:{tmp_path}")


TEXTS = {
    "as CLIP's": {},
    "ends by their own id": {"pool_type": "eos", "eos_id": 49407},
    "the last token": {"pool_type": "last"},
    "every token sees every other": {"no_causal_mask": True, "pool_type": "last"},
    "biased projection": {"proj_bias": True},
}


@pytest.mark.parametrize("kind", TEXTS)
@torch.inference_mode()
def test_text_is_encoded_as_open_clip_encodes_it(kind):
    torch.manual_seed(1)
    model = open_clip.CLIP(32, VISION["transformer"], TEXT | TEXTS[kind]).eval()
    clip = Clip(model, open_clip.SimpleTokenizer(), templates=("a {}.",))
    assert clip.embed_dim == 32
    names = ["cat", "sofa in a room", "7"]
    expected = model.encode_text(clip.tokenizer([f"a {name}." for name in names]), normalize=True)
    torch.testing.assert_close(clip.encode_text(names), expected, rtol=1e-4, atol=1e-5)


def test_text_encoders_that_differ_in_no_weight_have_other_fingerprints():
    """The rows of the one must not be taken from the cache for the other."""
    reported = []
    for text, quick in (
        (TEXT, False),
        (TEXT, True),
        (TEXT | {"pool_type": "last"}, False),
        (TEXT | {"heads": 4}, False),
    ):
        torch.manual_seed(1)
        model = open_clip.CLIP(32, VISION["transformer"], text, quick_gelu=quick)
        reported.append(Clip(model, open_clip.SimpleTokenizer()).text_fingerprint())
    reported.append(Clip(model, open_clip.SimpleTokenizer(clean="canonicalize")).text_fingerprint())
    assert len(set(reported)) == len(reported)


def test_captioning_encoders_crop_too(tmp_path):
    """CoCa's image encoder gives its tokens besides."""
    vision = VISION["attention pooling"] | {"output_tokens": True}
    more = {"multimodal_cfg": {"width": 32, "heads": 2, "layers": 1, "context_length": 76}}
    config = {
        "embed_dim": 32,
        "vision_cfg": vision,
        "text_cfg": TEXT | {"embed_cls": True, "output_tokens": True},
        **more,
    }
    torch.manual_seed(0)
    torch.save(open_clip.CoCa(**config).state_dict(), tmp_path / "open_clip_pytorch_model.bin")
    content = {"model_cfg": config | {"custom_text": True}, "preprocess_cfg": {}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(content))
    model = ma.load(f"clip:local-dir:{tmp_path}", pooler="cropping")
    named = model.classify(image(), boxes(), ["cat", "dog", "tree"])
    assert not np.allclose(named.probs[0], named.probs[1])


@pytest.mark.parametrize("pooler", ["adapter", "pooling", "cropping"])
def test_no_masks_have_no_names(pooler):
    named = ma.load(pooler=pooler).classify(image(), np.zeros((0, 90, 120), bool), ["cat", "dog"])
    assert named.probs.shape == (0, 2)
