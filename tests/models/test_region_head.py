"""The embedded model's proposals: pieces end at boundaries, a tree merges them, and one thing is one proposal."""

import numpy as np
import pytest
import torch

from maskadapter.models.classifier import TextClassifier
from maskadapter.models.proposals.superpixels import merging
from maskadapter.models.proposals.superpixels.boundary_head import STRIDE, BoundaryHead
from maskadapter.models.proposals.superpixels.merging import choose, merge
from maskadapter.models.proposals.superpixels.pieces import cut_by_boundaries, measure, pool, without_padding
from maskadapter.models.proposals.superpixels.region_head import RegionHead
from maskadapter.models.proposals.superpixels.regions import Merging, cut
from maskadapter.types import ClipFeatures, ImageBatch, Proposals

HEIGHT, WIDTH, EDGE = 48, 64, 40


def stripes() -> np.ndarray:
    """(H, W, 3) uint8: vertical stripes all over, so that color tells nothing of the two halves."""
    image = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    image[:, ::8] = 220
    return image


def boundaries() -> np.ndarray:
    """(2, H, W): edges at all stripes, an object boundary in one column alone."""
    found = np.zeros((2, HEIGHT, WIDTH))
    found[0, :, ::8] = 0.5
    found[1, :, EDGE] = 1.0
    return found


def test_pieces_do_not_cross_a_boundary() -> None:
    labels = cut_by_boundaries(boundaries(), 1)
    left, right = set(np.unique(labels[:, : EDGE - 1])), set(np.unique(labels[:, EDGE + 2 :]))
    assert len(left | right) > 2
    assert not left & right


def test_what_lies_between_pieces_is_measured() -> None:
    cut_image = np.zeros((4, 6), int)
    cut_image[:, 2:] = 7  # any numbers
    found = np.zeros((2, 4, 6))
    found[1, :2, 2] = 0.8
    pieces = measure(cut_image, np.zeros((4, 6, 3)), found)
    assert pieces.pairs.tolist() == [[0, 1]]
    assert pieces.lengths.tolist() == [4]
    assert pieces.strengths[0] == pytest.approx([0, 0.4])
    assert pieces.areas == pytest.approx([1 / 3, 2 / 3])


def test_what_an_object_boundary_parts_is_merged_last() -> None:
    found = Merging(stride=1).regions(stripes(), None, boundaries())
    last = found.tree.members[-1]
    assert last.all()
    halves = [
        node for node in range(len(found.tree.parent) - 1) if found.tree.parent[node] == len(found.tree.parent) - 1
    ]
    masks = found.tree.members[halves][:, found.pieces.labels]
    assert sorted(mask[:, : EDGE - 1].mean() for mask in masks) == [0, 1]


def test_without_boundaries_color_decides() -> None:
    image = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    image[:, :24] = 30
    found = Merging().regions(image)
    assert any((mask[:, :11].all() and not mask[:, 13:].any()) for mask in found.masks())


def test_the_object_boundary_weighs_more_than_stripes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "BOUNDARY_WEIGHT", 0.0)
    found = Merging(stride=1).regions(stripes(), None, boundaries())
    root = len(found.tree.parent) - 1
    halves = [node for node in range(root) if found.tree.parent[node] == root]
    masks = found.tree.members[halves][:, found.pieces.labels]
    assert sorted(mask[:, : EDGE - 1].mean() for mask in masks) != [0, 1]


def test_no_proposal_covers_nearly_everything() -> None:
    found = Merging(stride=1, largest=0.95).regions(stripes(), None, boundaries())
    assert found.masks().mean(axis=(1, 2)).max() <= 0.95
    assert Merging().regions(stripes()).masks().all(axis=(1, 2)).any()  # a source of masks may have the whole image
    pieces = measure(np.zeros((4, 4), int), np.zeros((4, 4, 3)))
    assert choose(merge(pieces), pieces.areas, 100, 0.001, 0.95).tolist() == [0]  # but where there is nothing else


def test_each_proposal_knows_the_smallest_around_it() -> None:
    found = Merging(stride=1).regions(stripes(), None, boundaries())
    masks, (parents, areas) = found.masks(), found.nesting()
    assert areas == pytest.approx(masks.mean(axis=(1, 2)))
    assert (parents >= 0).any()
    for number, parent in enumerate(parents.tolist()):
        around = [i for i in range(len(masks)) if i != number and (masks[i] | masks[number] == masks[i]).all()]
        assert parent == (min(around, key=lambda i: areas[i]) if around else -1)


def test_of_nested_proposals_the_most_likely_are_chosen() -> None:
    parents, areas = np.array([2, 2, -1]), np.array([0.3, 0.3, 0.6])
    assert cut(parents, areas, np.array([0.9, 0.9, 0.1])).tolist() == [True, True, False]
    assert cut(parents, areas, np.array([0.2, 0.3, 0.9])).tolist() == [False, False, True]


def test_boundaries_come_at_half_of_the_input() -> None:
    head = BoundaryHead({"res2": 4, "res3": 6})
    pyramid = {"res2": torch.randn(2, 4, 8, 16), "res3": torch.randn(2, 6, 4, 8)}
    assert head(torch.randn(2, 3, 32, 64), pyramid).shape == (2, 2, 32 // STRIDE, 64 // STRIDE)


@pytest.fixture
def head() -> RegionHead:
    torch.manual_seed(0)
    return RegionHead({"res2": 4}, in_channels=8, embed_dim=5).eval()


def test_images_of_a_batch_are_independent_and_padded_with_empty_masks(head: RegionHead) -> None:
    images = [stripes(), np.full((HEIGHT, WIDTH, 3), 90, np.uint8)]
    images[1][10:30, 20:50] = 200
    pixels = torch.stack([torch.from_numpy(one).permute(2, 0, 1).float() / 100 for one in images])
    torch.manual_seed(1)
    features = ClipFeatures({"res2": torch.randn(2, 4, 12, 16)}, torch.randn(2, 8, 3, 4), torch.randn(2, 5, 3, 4))
    with torch.inference_mode():
        both = head(ImageBatch(pixels, images), features)
        alone = [
            head(
                ImageBatch(pixels[i : i + 1], images[i : i + 1]),
                ClipFeatures(
                    {"res2": features.pyramid["res2"][i : i + 1]},
                    features.dense[i : i + 1],
                    features.projected[i : i + 1],
                ),
            )
            for i in (0, 1)
        ]
    assert both.objectness is not None
    for number, one in enumerate(alone):
        count = one.mask_logits.shape[1]
        assert torch.equal(both.mask_logits[number, :count] > 0, one.mask_logits[0] > 0)
        assert torch.allclose(both.objectness[number, :count], one.objectness[0], atol=1e-4)
        assert not (both.mask_logits[number, count:] > 0).any()
        assert (both.objectness[number, count:] < -50).all()


def test_void_depends_on_objectness_and_not_on_the_classes(head: RegionHead) -> None:
    objectness = torch.tensor([[2.0, -1.0]])
    proposals = Proposals(torch.zeros(1, 2, 4, 4), torch.randn(1, 2, 5), objectness)
    for count in (1, 30):
        text = TextClassifier(torch.randn(count + 1, 5), [1] * count)
        probs = head.class_logits(proposals, text).softmax(-1)
        assert probs.shape == (1, 2, count + 1)
        assert torch.allclose(probs[..., -1], torch.sigmoid(-objectness), atol=1e-5)


def test_padding_and_pieces_smaller_than_a_location_have_features() -> None:
    grid = torch.arange(12.0).view(1, 3, 4)
    assert without_padding(grid, (32, 48), (48, 64)).flatten().tolist() == [0, 1, 2, 4, 5, 6]
    labels = np.zeros((6, 8), int)
    labels[5, 7] = 1
    assert pool(labels, 2, grid)[1].item() == 11
