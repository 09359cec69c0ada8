"""Outlines of masks as COCO's polygons."""

import numpy as np

_TOLERANCE = 0.45  # pixels that a polygon may be away from the outline; from 0.5 on it would cut the corners of boxes


def mask_polygons(mask: np.ndarray, corner: tuple[int, int] = (0, 0)) -> list[list[float]]:
    """The outlines of a mask (H, W) bool as polygons [x1, y1, x2, y2, ...] in pixels, one for each part; holes are left
    out, because COCO's polygons have none. Of a part of a few pixels it is the box.

    corner: (left, top), where the mask lies in its image."""
    from skimage.measure import approximate_polygon, find_contours  # takes a while to import

    polygons = []
    for outline in find_contours(np.pad(mask, 1).astype(np.float32), 0.5):
        x, y = outline[:, 1] - 0.5, outline[:, 0] - 0.5  # the padding moves by 1, the middle of a pixel is at 0.5
        if float(x[:-1] @ y[1:] - x[1:] @ y[:-1]) <= 0:  # the other way round a hole
            continue
        points = approximate_polygon(np.stack([x, y], axis=1), _TOLERANCE)[:-1]
        if len(points) < 3:
            left, top, right, bottom = x.min(), y.min(), x.max(), y.max()
            points = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
        polygons.append((points + corner).round(1).ravel().tolist())
    return polygons
