"""MAFT+'s two residual forms and its order of cells, written out with NumPy."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from maskadapter.data.scenes.scenes import Scenes
from maskadapter.hub.checkpoints.checkpoint import Checkpoint
from maskadapter.hub.checkpoints.stored_tensors import Tensors
from maskadapter.hub.model_source import ModelSource
from maskadapter.hub.source_check import published_weights
from maskadapter.hub.zoo.model_zoo import weights_of
from maskadapter.models.builder import Architecture
from maskadapter.models.clip.clip import Clip
from maskadapter.models.config import AdapterConfig, InferenceConfig
from maskadapter.models.maftplus import ContentDependentTransfer
from maskadapter.models.mask_adapter import MaskAdapter
from maskadapter.models.poolers.adapter_pooling import AdapterPooler
from maskadapter.models.preprocess import InputSize
from maskadapter.models.segmenter import OpenVocabularySegmenter
from maskadapter.pipelines import model_evaluation
from maskadapter.pipelines.model_evaluation import model_predictor

SMALL = {
    "embed_dim": 32,
    "vision_cfg": {"timm_model_name": "mobilenetv2_050", "timm_pool": "", "timm_proj": "mlp", "image_size": 64},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


def layer_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * weight + bias


def position(height: int, width: int, dim: int) -> np.ndarray:
    """(height * width, dim): sines and cosines of row and column, cell by cell as the formula says."""
    out = np.zeros((height, width, dim))
    for y in range(height):
        for x in range(width):
            for half, (place, count) in enumerate([(y, height), (x, width)]):
                angle = (place + 1) / (count + 1e-6) * 2 * np.pi
                for i in range(dim // 2):
                    value = angle / 10000 ** (2 * (i // 2) / (dim // 2))
                    out[y, x, half * (dim // 2) + i] = np.sin(value) if i % 2 == 0 else np.cos(value)
    return out.reshape(-1, dim)


@pytest.mark.parametrize("norm", ["sum", "update"])
def test_transfer(norm: str) -> None:
    torch.manual_seed(0)
    dim, heads = 16, 2
    transfer = ContentDependentTransfer(dim, heads, norm)
    torch.nn.init.normal_(transfer.norm.weight)
    text, dense = torch.randn(5, dim), torch.randn(2, dim, 3, 4)
    got = transfer(text, dense).detach().numpy()
    p = {name: value.detach().double().numpy() for name, value in transfer.named_parameters()}
    for b in range(2):
        cells = dense[b].flatten(1).T.double().numpy()
        keys_in = cells + position(3, 4, dim)
        projected = []
        for i, x in enumerate((text.double().numpy(), keys_in, cells)):
            rows = slice(i * dim, (i + 1) * dim)
            projected.append(x @ p["attention.in_proj_weight"][rows].T + p["attention.in_proj_bias"][rows])
        query, key, value = (x.reshape(len(x), heads, -1) for x in projected)
        score = np.einsum("qhd,khd->hqk", query, key) / np.sqrt(dim / heads)
        weight = np.exp(score) / np.exp(score).sum(-1, keepdims=True)
        attended = np.einsum("hqk,khd->qhd", weight, value).reshape(5, dim)
        attended = attended @ p["attention.out_proj.weight"].T + p["attention.out_proj.bias"]
        update = attended @ p["linear.weight"].T + p["linear.bias"]
        w, bias, t = p["norm.weight"], p["norm.bias"], text.double().numpy()
        expected = layer_norm(t + update, w, bias) if norm == "sum" else t + layer_norm(update, w, bias)
        np.testing.assert_allclose(got[b], expected, atol=1e-5)


def test_the_order_of_cells_is_an_option() -> None:
    torch.manual_seed(0)
    right = Clip.build(SMALL, output_stride=16).eval()
    images = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        features = right.encode_image(images)
        one_cell = right.project(features.dense[0, :, 2, 3])
        torch.testing.assert_close(features.projected[0, :, 2, 3], one_cell, atol=1e-5, rtol=1e-4)

        mixed = Clip(right.model, right.tokenizer, projection_layout="as-stored").encode_image(images)
        first_row = mixed.dense.flatten()[: mixed.dense.shape[1]]  # channels of many places, as they lie in memory
        torch.testing.assert_close(mixed.projected[0, :, 0, 0], right.project(first_row), atol=1e-5, rtol=1e-4)
        assert not torch.allclose(mixed.projected, features.projected, atol=1e-2)


def test_ground_truth_is_classified_with_adapter_and_transferred_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``evaluate maftplus-large --masks ground-truth`` does it, on a small model of that architecture."""
    torch.manual_seed(0)
    transfer = ContentDependentTransfer(32, 2, "update")
    torch.nn.init.normal_(transfer.norm.weight)
    adapter = AdapterPooler(MaskAdapter(32, AdapterConfig(hidden_dim=8, num_blocks=1, num_maps=2)))
    inference = InferenceConfig(InputSize(64, 64), "coco-stuff", 0.8, 1.0)
    segmenter = OpenVocabularySegmenter(Clip.build(SMALL, output_stride=16), None, adapter, inference, transfer).eval()
    checkpoint = Checkpoint(Path(__file__), Tensors({}), official=True, metadata={})
    monkeypatch.setattr(
        model_evaluation, "identified", lambda source: (checkpoint, Architecture(source.name, "adapter"))
    )
    monkeypatch.setattr(model_evaluation, "assemble", lambda *_: segmenter)
    dataset = Scenes(1)
    predictor = model_predictor(ModelSource("maftplus-large"), dataset, masks="ground-truth")
    assert published_weights(ModelSource("maftplus-large")) == weights_of("maftplus-large", "adapter")
    assert predictor.metrics == ("masks",)
    assert predictor.settings["norm of the text transfer"] == "update"
    image, masks = np.zeros((64, 64, 3), np.uint8), np.zeros((2, 64, 64), bool)
    masks[0, 8:40, 8:30], masks[1, 40:], image[:, 20:] = True, True, 200
    probs = predictor.predict(image, masks).probs
    with torch.inference_mode():
        features = segmenter.clip.encode_image(segmenter.prepare(image)[0].pixels)
        embeddings = adapter.embed(features, torch.from_numpy(masks)[None], segmenter.clip.project)
        text = segmenter.text_classifier(segmenter.encode_text(dataset.vocabulary))
        moved = replace(text, weights=transfer(text.weights, features.projected))
        expected = [one.logits(embeddings, segmenter.clip.logit_scale)[0, :, :-1].softmax(-1) for one in (moved, text)]
    np.testing.assert_allclose(probs, expected[0], rtol=0.01)  # masks of another size than the adapter's
    assert not np.allclose(probs, expected[1], rtol=0.05)
