"""The sizes of one image on its way through the networks."""

from dataclasses import dataclass

Size = tuple[int, int]
"""(height, width) in pixels."""


@dataclass(frozen=True)
class ImageSizes:
    """Sizes of one image on its way through the networks, each (height, width) in pixels.

    padded: the networks' input. resized: the part of it that holds the image, top left. original: the image itself, the
    size of every result.
    """

    padded: Size
    resized: Size
    original: Size
