"""The embedded file's table of token embeddings, stored as factors in 8 and 16 bits."""

from pathlib import Path

import pytest
import torch

import maskadapter
from maskadapter.errors import CheckpointError
from maskadapter.hub.checkpoints.checkpoint import read_checkpoint, write_checkpoint

TABLE = "clip.model.token_embedding."
FACTORS = {
    "factor_a": torch.tensor([[127, -127], [64, 0], [0, 1]], dtype=torch.int8),
    "factor_a_scale": torch.tensor([[0.5], [0.25], [2.0]]).half(),
    "factor_b": torch.tensor([[1.0, 0.0, 2.0], [0.0, 1.0, 0.0]]).half(),
}


@pytest.mark.parametrize("parts", [("factor_a", "factor_a_scale", "factor_b"), ("factor_a", "factor_b")])
def test_the_token_table_is_the_product_of_its_factors(tmp_path: Path, parts: tuple[str, ...]) -> None:
    held = {part: FACTORS[part] if len(parts) == 3 else FACTORS[part].half() for part in parts}
    write_checkpoint(tmp_path / "m.safetensors", {TABLE + part: tensor for part, tensor in held.items()}, {})
    (key, found), *others = read_checkpoint(tmp_path / "m.safetensors").tensors.items()
    whole = [[63.5, -63.5, 127.0], [16.0, 0.0, 32.0], [0.0, 2.0, 0.0]]
    version_0_2 = [[127.0, -127.0, 254.0], [64.0, 0.0, 128.0], [0.0, 1.0, 0.0]]
    assert (key, others, found.dtype) == (TABLE + "weight", [], torch.float32)
    assert found.tolist() == (whole if len(parts) == 3 else version_0_2)


@pytest.mark.parametrize(
    ("parts", "lacking"),
    [
        (("factor_a", "factor_b"), "factor_a_scale"),
        (("factor_a", "factor_a_scale"), "factor_b"),
        (("factor_a_scale", "factor_b"), "factor_a"),
        (("factor_b",), "factor_a"),
    ],
)
def test_a_part_of_a_token_table_gives_one_line(tmp_path: Path, parts: tuple[str, ...], lacking: str) -> None:
    path = tmp_path / "m.safetensors"
    write_checkpoint(path, {TABLE + part: FACTORS[part] for part in parts}, {"model": "tiny"})
    with pytest.raises(CheckpointError, match=f"lacks {TABLE}{lacking}[,:]") as caught:
        maskadapter.load(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
