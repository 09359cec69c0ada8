"""The harness itself: a logit within rounding of a threshold may flip, a real error may not."""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

from maskadapter.hub.checkpoints.key_names import to_official
from maskadapter.models.segmenter import OpenVocabularySegmenter
from parity.fixture import GOLDEN, Recording, read_golden, read_official
from parity.stages import NEAR, compare_case
from parity.test_official import _allowed, _comparison_of

FIXTURES = os.environ.get("MASKADAPTER_FIXTURES")
needs_fixtures = pytest.mark.skipif(
    not FIXTURES or not (Path(FIXTURES) / "tiny_maft").is_dir(),
    reason="MASKADAPTER_FIXTURES names no folder with the recordings",
)


def wrong_stages(recording: Recording, case: str = "A") -> list[str]:
    compared = _comparison_of(recording, case)(recording, case, set())
    return [comparison.stage for comparison in compared if not comparison.error <= _allowed(comparison)]


def changed(recording: Recording, key: str, array: np.ndarray) -> Recording:
    return dataclasses.replace(recording, tensors={**recording.tensors, key: array})


@pytest.fixture(scope="module")
def golden() -> Recording:
    return read_golden(GOLDEN / "tiny_fcclip")


def flip(recording: Recording, key: str, nearest: bool) -> Recording:
    """The recording with one logit, the nearest to 0 or the farthest from it, on the other side of 0."""
    logits = np.array(recording.tensors[key])
    index = np.abs(logits).argmin() if nearest else np.abs(logits).argmax()
    assert not nearest or np.abs(logits.flat[index]) < NEAR / 2 * np.abs(logits).max()  # else it says nothing
    logits.flat[index] *= -1
    return changed(recording, key, logits)


def test_a_logit_within_rounding_of_zero_may_be_on_either_side(golden: Recording) -> None:
    assert wrong_stages(flip(golden, "A.pred_masks", nearest=True)) == []


def test_a_logit_on_the_wrong_side_is_found(golden: Recording) -> None:
    assert "pred_masks" in wrong_stages(flip(golden, "A.pred_masks", nearest=False))


@needs_fixtures
@pytest.mark.parametrize("nearest", [True, False])
def test_flips_of_ours_between_the_layers_of_the_decoder(monkeypatch: pytest.MonkeyPatch, nearest: bool) -> None:
    """In the masks that the decoder makes of its queries, at any size, one logit is on the other side of 0: the nearest
    to 0 where that is within rounding of it, or the farthest."""
    count: list[Tensor] = []
    official = read_official(Path(str(FIXTURES)) / "tiny_fcclip")
    build = Recording.build

    def flipping(recording: Recording) -> OpenVocabularySegmenter:
        segmenter = build(recording)
        decoder = segmenter.generator.mask_decoder
        masks_of = decoder.masks

        def flipped(queries: Tensor, pixels: Tensor) -> Tensor:
            logits = masks_of(queries, pixels)
            flat = logits.flatten()
            index = flat.abs().argmin() if nearest else flat.abs().argmax()
            if not nearest or flat[index].abs() < NEAR / 2 * flat.abs().max():
                flat[index] *= -1
                count.append(index)
            return flat.view_as(logits)

        decoder.masks = flipped
        return segmenter

    monkeypatch.setattr(Recording, "build", flipping)
    wrong = wrong_stages(official)
    assert len(count) > 3
    if nearest:
        assert wrong == []
    else:
        assert {"dec.attention0", "dec.pred_masks0", "pred_masks"} <= set(wrong)


@pytest.mark.parametrize("name", ["generator.mask_decoder.class_embed.layers.0.weight", "pooler.adapter.fuse.weight"])
def test_wrong_weights_are_found(golden: Recording, name: str) -> None:
    broken = {**golden.weights, name: golden.weights[name].flip(0)}
    assert wrong_stages(dataclasses.replace(golden, weights=broken))


@needs_fixtures
@pytest.mark.parametrize("recording", ["tiny_fcclip", "tiny_maft"])
def test_noise_of_another_processor_is_tolerated(recording: str) -> None:
    """Rounding as another processor has it: CLIP's weights moved in their last bits move every stage a little."""
    official = read_official(Path(str(FIXTURES)) / recording)
    generator = torch.Generator().manual_seed(0)
    weights = {
        key: tensor * (1 + 1e-7 * torch.randn(tensor.shape, generator=generator))
        if tensor.is_floating_point()
        else tensor
        for key, tensor in official.weights.items()
    }
    noisy = dataclasses.replace(official, weights=weights)
    for case in ("A", "B"):
        assert [c for c in compare_case(noisy, case, set()) if not c.error <= _allowed(c)] == []


@pytest.fixture
def maftplus_warmup(tmp_path: Path) -> Path:
    """An imitation of a recording of MAFT+'s warm-up: MAFT+'s own recording as the warm-up's package would write it,
    with the official tensors of the stages that both have."""
    source = Path(str(FIXTURES)) / "tiny_maft"
    config = json.loads((source / "config.json").read_text())
    cfg = yaml.safe_load(config["cfg"])
    cfg["MODEL"]["META_ARCHITECTURE"] = "MASK_Adapter"
    cfg["MODEL"]["MASK_ADAPTER"]["TRAIN_MAFT"] = True
    config |= {"pkg": "mask_adapter", "cfg": yaml.safe_dump(cfg)}
    official = read_official(source)
    kept = {key: value for key, value in official.weights.items() if not key.startswith("generator.")}
    torch.save({"model": {to_official(key): value for key, value in kept.items()}}, tmp_path / "model.pth")
    outputs = np.load(source / "outputs.npz")
    prefixes = ("A.images_tensor", "A.clip", "A.text_classifier", "A.pixel")
    stages = {key: outputs[key] for key in outputs.files if key.startswith(prefixes)}
    inputs = {key: array for key, array in np.load(source / "inputs.npz").items() if key.startswith("A.")}
    labels = np.zeros(inputs["A.orig_uint8_hwc"].shape[:2], np.int64)
    labels[20:90, 30:150] = 2
    np.savez(tmp_path / "inputs.npz", **inputs, **{"A.sem_seg": labels})
    np.savez(tmp_path / "outputs.npz", **stages)
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


@needs_fixtures
def test_a_warm_up_of_maftplus_is_read(maftplus_warmup: Path) -> None:
    recording = read_official(maftplus_warmup)
    assert recording.settings.transfer_heads == 8
    met: set[str] = set()
    compared = list(_comparison_of(recording, "A")(recording, "A", met))
    assert [c for c in compared if not c.error <= _allowed(c)] == []
    stages = {c.stage for c in compared}
    assert {"clip_vis_dense_proj", "text_classifier_after_cdt", "text_classifier_final"} <= stages
    assert not set(recording.tensors) - met


@needs_fixtures
def test_a_warm_up_of_maftplus_without_its_transfer_is_found(maftplus_warmup: Path) -> None:
    recording = read_official(maftplus_warmup)
    moved = {k: v * 2 if k.startswith("text_transfer.linear") else v for k, v in recording.weights.items()}
    assert "text_classifier_after_cdt" in wrong_stages(dataclasses.replace(recording, weights=moved))
