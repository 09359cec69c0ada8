"""Encode the images of a run, several at once where that is faster."""

import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from maskadapter.errors import MaskAdapterError
from maskadapter.io import InputImage
from maskadapter.system.error_text import first_line
from maskadapter.system.warn_once import warn_once
from maskadapter.types import EncodedImage

if TYPE_CHECKING:
    from maskadapter.models import OpenVocabularySegmenter

_log = logging.getLogger(__name__)

Item = TypeVar("Item")
Content = TypeVar("Content")


def encoded_ahead(
    segmenter: "OpenVocabularySegmenter",
    images: "Iterable[tuple[Item, Future[tuple[Content, InputImage]]]]",
    fits: Callable[[Item], bool] = lambda _: True,
) -> "Iterator[tuple[Item, Future[tuple[Content, InputImage | EncodedImage]]]]":
    """Yield images with the futures of what was read, in order, encoded where several could be read and ``fits``.

    As many are encoded at once as is best for the model where it is. Where that fails, as for lack of memory, they are
    yielded as read: what is wrong with one shows later."""
    images = iter(images)
    while group := list[tuple[Item, Any]](islice(images, segmenter.images_together)):
        chosen = [n for n, (image, read) in enumerate(group) if fits(image) and read.exception() is None]
        contents = [group[number][1].result() for number in chosen]
        try:
            encoded = segmenter.encode_images([pixels for _, pixels in contents]) if len(chosen) > 1 else []
        except Exception as error:
            encoded = []
            if not isinstance(error, MaskAdapterError):
                warn_once(_log, f"{len(chosen)} images at once failed ({first_line(error)}): each is tried alone")
        for number, (content, _), one in zip(chosen, contents, encoded, strict=False):
            future: Future[Any] = Future()
            future.set_result((content, one))
            group[number] = group[number][0], future
        yield from group
