"""Encoded images that are kept, by the hash of their files."""

import threading
from collections import OrderedDict
from hashlib import blake2b

from maskadapter.types import EncodedImage


def content_id(content: bytes) -> str:
    """The id of an image file: 40 letters that follow from its content alone."""
    return blake2b(content, digest_size=20).hexdigest()


def bytes_of(encoded: EncodedImage) -> int:
    """The memory of an encoded image: its pixels and its tensors."""
    features, proposals = encoded.features, encoded.proposals
    tensors = [features.dense, features.projected, encoded.mask_embeddings, *features.pyramid.values()]
    if proposals is not None:
        tensors += [proposals.mask_logits, proposals.class_embeddings, proposals.objectness]
    return encoded.image.nbytes + sum(one.nbytes for one in tensors if one is not None)


class ImageCache:
    """Keeps encoded images up to ``max_bytes``; those that were used longest ago go first. Safe for several threads."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes, self.bytes, self.hits, self.misses = max_bytes, 0, 0, 0
        self._images: OrderedDict[str, tuple[EncodedImage, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._images)

    def get(self, image_id: str) -> EncodedImage | None:
        """The encoded image of that id, or None where it is not here, or not any more. Counts as a hit or a miss."""
        with self._lock:
            found = self._images.get(image_id)
            if found is None:
                self.misses += 1
                return None
            self.hits += 1
            self._images.move_to_end(image_id)
            return found[0]

    def peek(self, image_id: str) -> EncodedImage | None:
        """As ``get``, without counting and without making it younger."""
        with self._lock:
            return self._images.get(image_id, (None, 0))[0]

    def put(self, image_id: str, encoded: EncodedImage) -> bool:
        """Keep an encoded image; returns whether it is kept: one that is larger than the whole cache is not."""
        size = bytes_of(encoded)
        with self._lock:
            if size > self.max_bytes:
                return False
            _, before = self._images.pop(image_id, (None, 0))
            self._images[image_id] = encoded, size
            self.bytes += size - before
            while self.bytes > self.max_bytes:
                _, (_, dropped) = self._images.popitem(last=False)
                self.bytes -= dropped
            return True
