"""The same model with another pooler."""

import pytest
import torch
from skimage.data import chelsea

import maskadapter as ma
from maskadapter.hub import with_other_pooler
from maskadapter.models.poolers import AdapterPooler, MaskPooling


def scores(model):
    return [one.score for one in model.segment(chelsea(), "cat, wall")]


@pytest.mark.parametrize(
    ("pooler", "other", "kind"), [(None, "adapter", AdapterPooler), ("adapter", "pooling", MaskPooling)]
)
def test_the_embedded_model_has_both(pooler, other, kind):
    source = ma.ModelSource(pooler=pooler)
    model = ma.load(source)
    found = with_other_pooler(model, source)
    assert isinstance(found.pooler, kind)
    assert found.clip is model.clip
    assert scores(found) == scores(ma.load(pooler=other))
    assert not found.training


def test_an_adapter_of_a_file_is_compared_with_the_pooling_of_its_model(tmp_path):
    model = ma.load(pooler="adapter")
    ma.save(model, tmp_path / "own.safetensors", "tiny")
    source = ma.ModelSource(name=tmp_path / "own.safetensors")
    found = with_other_pooler(ma.load(source), source)
    encoded = model.encode_image(chelsea())
    ours, theirs = (one.pooler.weights(encoded.features, encoded.proposals.mask_logits) for one in (found, ma.load()))
    assert torch.equal(ours, theirs)


def test_a_model_without_an_adapter_has_no_other():
    source = ma.ModelSource(pooler="cropping")
    assert with_other_pooler(ma.load(source), source) is None
