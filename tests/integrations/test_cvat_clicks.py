"""Clicks choose segments, by the protocol of CVAT's SDK."""

from types import SimpleNamespace

import numpy as np
import pytest
import skimage.data
from PIL import Image

import maskadapter as ma
from maskadapter.integrations.cvat_clicks import CvatClicks, create

cvat = pytest.importorskip("cvat_sdk.auto_annotation")
masks = pytest.importorskip("cvat_sdk.masks")

PHOTO = Image.fromarray(skimage.data.chelsea())


class Prompts(cvat.InteractionPrompts):
    bounding_box, pos_points, neg_points = None, (), ()

    def __init__(self, inside, outside=()):
        self.pos_points, self.neg_points = inside, outside


@pytest.fixture(scope="module")
def clicks():
    function = create("cat, wall")
    return SimpleNamespace(function=function, image=function.preprocess_image(None, PHOTO))


def detect(clicks, *points):
    shapes = clicks.function.detect(None, clicks.image, Prompts(*points))
    assert all(isinstance(shape, cvat.InteractionResultShape) and shape.type == "mask" for shape in shapes)
    return [(masks.decode_mask(one.points, image_width=451, image_height=300), one.attributes) for one in shapes]


def middle(segment):
    ys, xs = segment.mask.nonzero()
    return float(xs[len(xs) // 2]) + 0.5, float(ys[len(ys) // 2]) + 0.5


def test_the_segment_under_a_click_is_returned_with_its_score(clicks):
    assert (clicks.function.spec.min_pos_points, clicks.function.spec.min_neg_points) == (1, 0)
    assert len(clicks.image) > 1
    for segment in clicks.image:
        [(mask, [confidence])] = detect(clicks, [middle(segment)])
        assert np.array_equal(mask, segment.mask)
        assert float(confidence.value) == pytest.approx(segment.score, abs=1e-4)


def test_further_clicks_add_segments_and_leave_them_out(clicks):
    first, second = clicks.image[:2]
    [(mask, [confidence])] = detect(clicks, [middle(first), middle(second)])
    assert np.array_equal(mask, first.mask | second.mask)
    assert float(confidence.value) == pytest.approx(min(first.score, second.score), abs=1e-4)
    [(mask, _)] = detect(clicks, [middle(first), middle(second)], [middle(second)])
    assert np.array_equal(mask, first.mask)
    assert detect(clicks, [middle(first)], [middle(first)]) == []


def test_a_click_outside_the_image_counts_at_its_edge(clicks):
    ids = clicks.image.panoptic().ids
    x, y = int((ids[0] != ids[-5]).argmax()), int((ids[:, 0] != ids[:, -5]).argmax())
    for point, place in [((x, -5), (0, x)), ((x, 1000), (-1, x)), ((-5, y), (y, 0)), ((1000, y), (y, -1))]:
        found = detect(clicks, [point])
        assert bool(found) == bool(ids[place])
        if found:
            assert found[0][0][place]


def test_a_click_where_no_segment_is_gives_nothing(clicks):
    ids = clicks.image.panoptic().ids.copy()
    ids[10:20, 30:40] = 0
    image = SimpleNamespace(panoptic=lambda: SimpleNamespace(ids=ids))
    assert clicks.function.detect(None, image, Prompts([(35.0, 15.0)])) == []


def test_an_old_sdk_is_one_line(monkeypatch):
    monkeypatch.delattr(cvat, "InteractionFunctionSpec")
    with pytest.raises(ma.MaskAdapterError, match="knows no clicks: pip install --upgrade cvat-sdk"):
        CvatClicks(None)
