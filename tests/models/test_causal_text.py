"""Prompts are encoded as a tree: as open_clip encodes them one by one, with fewer rows."""

import open_clip
import pytest
import torch

from maskadapter.models.clip.causal_text import CausalTextEncoder

VISION = {"layers": 1, "width": 64, "patch_size": 16, "image_size": 32}
TEXT = {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 3}
TEXTS = ["a photo of a cat.", "", "cat", "a photo of a cat in the scene", "cat", "There is a cat", "a long name " * 9]
TOKENIZE = open_clip.SimpleTokenizer(context_length=24)


def model(kind=open_clip.CLIP, **text):
    torch.manual_seed(0)
    return kind(16, VISION, TEXT | text).eval().requires_grad_(False)


@pytest.mark.parametrize("kind", [open_clip.CLIP, open_clip.CustomTextCLIP])
@pytest.mark.parametrize("batch_size", [1, 3, 256])
@pytest.mark.parametrize("text", [{}, {"ls_init_value": 0.5}])
def test_every_text_is_encoded_as_alone(kind, batch_size, text):
    of = model(kind, **text)
    encoder, tokens = CausalTextEncoder.of(of), TOKENIZE(TEXTS)
    assert encoder.embed_dim == 16
    expected = of.encode_text(tokens, normalize=True)
    torch.testing.assert_close(encoder(tokens, batch_size), expected, atol=1e-6, rtol=1e-5)
    assert (expected - expected[:1])[[1, 3, 5]].abs().amax(dim=1).min() > 1e-3  # they differ


OTHERS = [{"no_causal_mask": True}, {"pool_type": "last"}, {"embed_cls": True}, {"qk_norm": True}, {"proj_bias": True}]


@pytest.mark.parametrize("text", OTHERS)
def test_other_kinds_of_text_encoders_are_left_to_open_clip(text):
    assert CausalTextEncoder.of(model(open_clip.CustomTextCLIP, **text)) is None


def test_equal_beginnings_are_computed_once():
    of, tokens, rows = model(), TOKENIZE(TEXTS), []
    for block in of.transformer.resblocks:
        block.mlp.register_forward_hook(lambda mlp, inputs, output: rows.append(len(output)))
    CausalTextEncoder.of(of)(tokens, 256)
    texts = [text[: text.index(max(text)) + 1] for text in tokens.tolist()]
    begun = {tuple(text[:end]) for text in texts for end in range(1, len(text) + 1)}
    assert rows == [len(begun), len(begun), len(set(TEXTS))]  # of the last block only the ends are needed
