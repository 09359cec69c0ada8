"""Frames turned as a player shows them."""

import numpy as np


def upright(image: np.ndarray, matrix: np.ndarray | None) -> tuple[np.ndarray, bool]:
    """Turn and mirror an image (H, W, 3) as a display matrix says, and return whether width and height changed places.

    matrix: nine numbers (a, b, u, c, d, v, x, y, w), of which (a, b) is where the image's x axis points in what is
    shown and (c, d) its y axis; None leaves the image. An angle between those of a right one is rounded.
    Source: ISO/IEC 14496-12, track header, ``matrix``."""
    if matrix is None:
        return image, False
    a, b, _, c, d = (int(value) for value in matrix[:5])
    turned = abs(b) > abs(a)
    if turned:
        image, (down, right) = image.transpose(1, 0, 2), (b, c)
    else:
        right, down = a, d
    image = image[:: -1 if down < 0 else 1, :: -1 if right < 0 else 1]
    return np.ascontiguousarray(image), turned
