"""The geometric ensemble against its formula, and where the formula overflows."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from maskadapter.models.ensemble import geometric_ensemble, with_void


@given(st.integers(0, 1000), st.floats(0, 1), st.floats(0, 1))
def test_it_is_the_normalized_geometric_mean(seed: int, alpha: float, beta: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    in_logits, out_logits = torch.randn(2, 4, 6, generator=generator).double()
    seen = torch.rand(6, generator=generator) > 0.5
    weight = torch.where(seen, alpha, beta).double()
    product = in_logits.softmax(-1) ** (1 - weight) * out_logits.softmax(-1) ** weight
    expected = product / product.sum(dim=-1, keepdim=True)
    torch.testing.assert_close(geometric_ensemble(in_logits, out_logits, seen, alpha, beta), expected)


@pytest.mark.parametrize(("alpha", "beta"), [(0.0, 0.0), (1.0, 1.0), (0.0, 1.0), (0.7, 0.9)])
def test_underflowed_probabilities_give_no_nan(alpha: float, beta: float) -> None:
    sure, contrary = torch.tensor([[0.0, 1e4, -1e4]]), torch.tensor([[1e4, -1e4, 0.0]])
    assert (sure.softmax(-1) == 0).any()  # the direct product would meet log(0) * 0
    probs = geometric_ensemble(sure, contrary, torch.tensor([True, False, True]), alpha, beta)
    assert probs.isfinite().all()
    torch.testing.assert_close(probs.sum(), torch.tensor(1.0))


def test_void_takes_its_share_first() -> None:
    class_probs, logits = torch.tensor([[0.25, 0.75]]), torch.tensor([[0.0, 0.0, 2.0]])
    void = logits.softmax(-1)[0, -1]
    probs = with_void(class_probs, logits)
    torch.testing.assert_close(probs, torch.stack([0.25 * (1 - void), 0.75 * (1 - void), void])[None])
