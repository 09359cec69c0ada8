"""Classes that a client shows by masks of images that the service keeps."""

from collections.abc import Sequence

from maskadapter.serve.image_cache import ImageCache
from maskadapter.serve.refusals import Refusal
from maskadapter.serve.requests import ShownMask
from maskadapter.types import EncodedImage
from maskadapter.vocabulary import Example, Vocabulary, comparable

Classes = list[tuple[str, ...] | Example]


def with_shown(
    vocabulary: Vocabulary, shown: Sequence[ShownMask], cache: ImageCache
) -> tuple[Vocabulary | Classes, list[str] | None]:
    """The classes of a vocabulary, those that ``shown`` has with its masks, and the names of the things among them, as
    ``segment`` takes them.

    A name that no class has is a further class, a thing, and what was shown decides about it alone: as a text it need
    not mean anything. Raises Refusal, 404, for an image that is not kept."""
    if not shown:
        return vocabulary, None
    pairs: dict[str, list[tuple[EncodedImage, object]]] = {}
    names = {comparable(one.name): one.name for one in reversed(shown)}
    for one in shown:
        encoded = cache.get(one.image_id)
        if encoded is None:
            raise Refusal(404, f"no image {one.image_id:.60} of an example is kept: send it again")
        pairs.setdefault(comparable(one.name), []).append((encoded, [{"segmentation": one.mask}]))
    classes: Classes = []
    for synonyms in vocabulary.classes:
        own = pairs.pop(comparable(synonyms[0]), None)
        classes.append(synonyms if own is None else Example("|".join(synonyms), own))
    things = [name for name, is_thing in zip(vocabulary.names, vocabulary.is_thing, strict=True) if is_thing]
    classes += [Example(names[key], own, text=False) for key, own in pairs.items()]
    return classes, [*things, *(names[key] for key in pairs)]
