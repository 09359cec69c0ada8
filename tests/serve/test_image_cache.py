import json

import numpy as np
import pytest
import torch

from maskadapter.serve.image_cache import ImageCache, bytes_of, content_id
from maskadapter.types import ClipFeatures, EncodedImage, ImageSizes


def encoded(side):
    features = ClipFeatures({}, torch.zeros(1, 2, 4, 4), torch.zeros(1, 3, 4, 4))
    sizes = ImageSizes((side, side), (side, side), (side, side))
    return EncodedImage(np.zeros((side, side, 3), np.uint8), None, sizes, features, None, None)


def test_bytes_are_those_of_pixels_and_tensors():
    assert bytes_of(encoded(10)) == 300 + 4 * 16 * 5


def test_the_image_that_was_used_longest_ago_goes_first():
    cache = ImageCache(2 * bytes_of(encoded(10)))
    images = {name: encoded(10) for name in "abc"}
    assert cache.put("a", images["a"])
    assert cache.put("b", images["b"])
    assert cache.get("a") is images["a"]
    assert cache.put("c", images["c"])
    assert cache.get("b") is None
    assert cache.get("a") is images["a"]
    assert (cache.hits, cache.misses, len(cache)) == (2, 1, 2)
    assert cache.bytes == 2 * bytes_of(images["a"])


def test_the_same_image_counts_once_and_a_larger_one_than_the_cache_is_not_kept():
    cache = ImageCache(bytes_of(encoded(10)))
    assert cache.put("a", encoded(10))
    assert cache.put("a", encoded(10))
    assert cache.bytes == bytes_of(encoded(10))
    assert not cache.put("b", encoded(100))
    assert cache.peek("a") is not None
    assert cache.peek("b") is None
    assert (cache.hits, cache.misses) == (0, 0)


def test_an_id_follows_from_the_content_alone():
    assert content_id(b"cat") == content_id(b"cat") != content_id(b"cat ")
    assert len(content_id(b"")) == 40


@pytest.mark.parametrize("most", [1, 3])
def test_class_names_of_clients_are_remembered_up_to_a_number_and_in_no_file(model, most, tmp_path):
    from maskadapter.models import TextCache
    from maskadapter.serve.client_text_cache import ClientTextCache

    cache = ClientTextCache(model.clip, TextCache(tmp_path, model.clip), most)
    names = ["gizmo", "cat", "gadget", "gizmo"]
    found = cache.text_embeddings(names)
    torch.testing.assert_close(found, model.clip.encode_text(names).float().cpu())
    assert len(cache._sent) == min(most, 2)
    torch.testing.assert_close(cache.text_embeddings(["gadget"]), found[2:3])
    (file,) = tmp_path.iterdir()
    with np.load(file) as stored:
        assert json.loads(stored["names"].item()) == ["cat"]
