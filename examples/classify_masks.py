"""Classify masks from elsewhere: ``python examples/classify_masks.py [PHOTO MASKS [CLASSES]]``.

MASKS is a label map, a panoptic PNG, COCO JSON, or a ``.npy`` file of bool (N, H, W). Without arguments it takes a
photo of a cat and a graph-based segmentation of it, both from scikit-image. It prints the three most
probable classes of every mask.
"""

import sys

import numpy as np
import skimage.data
import skimage.segmentation

import maskadapter as ma

if len(sys.argv) > 2:
    photo, masks = sys.argv[1], sys.argv[2]
else:
    photo = skimage.data.chelsea()
    segments = skimage.segmentation.felzenszwalb(photo, scale=500, sigma=1.0, min_size=3000)
    masks = segments == np.unique(segments)[:, None, None]  # (N, H, W) bool
classes = sys.argv[3] if len(sys.argv) > 3 else "cat, dog, sofa|couch, wall, blanket"

model = ma.load()
classified = model.classify(photo, masks, classes)
for number, best in enumerate(classified.top(3)):
    print(f"mask {number}:", ", ".join(f"{name} {probability:.0%}" for name, probability in best))
