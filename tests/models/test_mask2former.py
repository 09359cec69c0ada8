"""Deformable attention by brute force, and the properties of the decoders that the recordings do not show."""

import torch

from maskadapter.models.classifier import TextClassifier
from maskadapter.models.proposals.mask2former import mask2former, pixel_decoder
from maskadapter.models.proposals.mask2former.deformable_attention import DeformableAttention, location_centers
from maskadapter.models.proposals.mask2former.mask2former import MaskDecoder, attend, where_to_look
from maskadapter.models.proposals.mask2former.pixel_decoder import EncoderLayer


def bilinear(level: torch.Tensor, x: float, y: float) -> torch.Tensor:
    """level (h, w, D) read at (x, y) in cells, centers at whole numbers, zero outside."""
    h, w, dim = level.shape
    x0, y0 = int(x // 1), int(y // 1)
    value = torch.zeros(dim, dtype=level.dtype)
    for yy, wy in ((y0, 1 - (y - y0)), (y0 + 1, y - y0)):
        for xx, wx in ((x0, 1 - (x - x0)), (x0 + 1, x - x0)):
            if 0 <= yy < h and 0 <= xx < w:
                value += wy * wx * level[yy, xx]
    return value


def test_deformable_attention_point_by_point() -> None:
    torch.manual_seed(0)
    sizes, heads, points, dim = [(2, 3), (4, 5)], 2, 3, 8
    attention = DeformableAttention(dim, len(sizes), heads, points).double()
    torch.nn.init.normal_(attention.sampling_offsets.weight, std=0.5)
    length = sum(h * w for h, w in sizes)
    query, values = torch.randn(2, 1, length, dim, dtype=torch.float64)
    places = location_centers(sizes, example=query)
    attention.requires_grad_(False)
    got = attention(query, places, attention.values(values), sizes)[0]

    projected = attention.value_proj(values)[0].split([h * w for h, w in sizes])
    levels = [v.view(h, w, heads, -1) for v, (h, w) in zip(projected, sizes, strict=True)]
    offsets = attention.sampling_offsets(query)[0].view(length, heads, len(sizes), points, 2)
    weights = attention.attention_weights(query)[0].view(length, heads, -1).softmax(-1)
    weights = weights.view(length, heads, len(sizes), points)
    for i in range(length):
        parts = []
        for head in range(heads):
            total = torch.zeros(dim // heads, dtype=torch.float64)
            for n, (h, w) in enumerate(sizes):
                for p in range(points):
                    # An offset of 1 is one cell; the first cell's center lies half a cell from the border.
                    x = float(places[i, 0] * w + offsets[i, head, n, p, 0] - 0.5)
                    y = float(places[i, 1] * h + offsets[i, head, n, p, 1] - 0.5)
                    total += weights[i, head, n, p] * bilinear(levels[n][:, :, head], x, y)
            parts.append(total)
        torch.testing.assert_close(got[i], attention.output_proj(torch.cat(parts)))


def test_a_query_whose_mask_is_empty_looks_everywhere() -> None:
    logits = torch.full((1, 2, 4, 4), -5.0)
    logits[0, 1, :2, :2] = 5.0
    seen = where_to_look(logits).view(2, 4, 4)
    assert seen[0].all()
    assert seen[1].float().mean() == 0.25
    assert seen[1, :2, :2].all()


def test_attending_with_one_mask_is_attending_with_one_for_every_head() -> None:
    torch.manual_seed(0)
    attention = torch.nn.MultiheadAttention(16, 4, batch_first=True).double()
    torch.nn.init.normal_(attention.in_proj_bias)
    query, cells = torch.randn(2, 5, 16, dtype=torch.float64), torch.randn(2, 7, 16, dtype=torch.float64)
    seen = torch.rand(2, 5, 7) > 0.5
    seen[:, :, 0] = True
    expected, _ = attention(query, cells + 1, cells, attn_mask=~seen.repeat_interleave(4, dim=0))
    torch.testing.assert_close(attend(attention, query, cells + 1, cells, seen), expected)
    assert not torch.allclose(attend(attention, query, cells + 1, cells, torch.ones_like(seen)), expected)


def test_cells_go_through_a_layer_a_piece_at_a_time(monkeypatch) -> None:
    torch.manual_seed(0)
    sizes = [(2, 3), (4, 5), (6, 7)]
    layer = EncoderLayer(32, 4).double()
    torch.nn.init.normal_(layer.self_attn.sampling_offsets.weight, std=0.5)
    x, position = torch.randn(2, 2, 68, 32, dtype=torch.float64)
    places = location_centers(sizes, example=x)
    whole = layer(x, position[:1], places, sizes)
    monkeypatch.setattr(pixel_decoder, "_LOCATIONS", 30)
    torch.testing.assert_close(layer(x, position[:1], places, sizes), whole)
    separate = [layer(one[None], position[:1], places, sizes) for one in x]
    torch.testing.assert_close(torch.cat(separate), whole)


def test_where_queries_look_follows_from_their_masks_made_smaller(monkeypatch) -> None:
    torch.manual_seed(0)
    decoder = MaskDecoder(16, dim=16, mask_dim=16, num_queries=5, num_layers=4, num_heads=4, ffn_dim=8).double()
    pixels = torch.randn(1, 16, 16, 12, dtype=torch.float64)
    levels = [torch.randn(1, 16, *size, dtype=torch.float64) for size in ((2, 2), (5, 3), (8, 6))]
    looked = []
    monkeypatch.setattr(mask2former, "where_to_look", lambda masks: looked.append(masks) or where_to_look(masks))
    heads = decoder.every_head(pixels, levels)
    assert len(looked) == 4
    for number, (masks, (full, _)) in enumerate(zip(looked, heads[:-1], strict=True)):
        size = levels[number % 3].shape[-2:]
        expected = torch.nn.functional.interpolate(full, size, mode="bilinear", align_corners=False)
        torch.testing.assert_close(masks, expected)


def test_the_decoder_embeds_for_classification_once() -> None:
    torch.manual_seed(0)
    decoder = MaskDecoder(16, dim=16, mask_dim=16, num_queries=5, num_layers=3, num_heads=4, ffn_dim=8)
    calls = []
    decoder.class_embed.register_forward_hook(lambda *_: calls.append(1))
    levels = [torch.randn(2, 16, size, size) for size in (2, 4, 8)]
    masks, embeddings = decoder(torch.randn(2, 16, 16, 16), levels)
    assert (masks.shape, embeddings.shape) == ((2, 5, 16, 16), (2, 5, 16))
    assert len(calls) == 1


def test_a_class_is_as_good_as_its_best_synonym() -> None:
    rows = torch.eye(4)
    embeddings = torch.tensor([[[0.0, 3.0, 4.0, 0.0]]])
    logits = TextClassifier(rows, (2, 1)).logits(embeddings, torch.tensor(10.0).log())
    torch.testing.assert_close(logits, torch.tensor([[[6.0, 8.0, 0.0]]]))


def test_the_scale_never_exceeds_a_hundred() -> None:
    logits = TextClassifier(torch.eye(2), (1,)).logits(torch.eye(2)[None], torch.tensor(9.0))
    torch.testing.assert_close(logits[0], 100 * torch.eye(2))
