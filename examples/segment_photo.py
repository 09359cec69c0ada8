"""Segment a photo into your own classes: ``python examples/segment_photo.py [PHOTO] [CLASSES]``.

Without arguments it takes a photo of scikit-image, a cup of coffee on a table. It prints the share of every class and
writes an overlay, a label map and a summary to ``out/``.
"""

import sys

import skimage.data

import maskadapter as ma

photo = sys.argv[1] if len(sys.argv) > 1 else skimage.data.coffee()
classes = sys.argv[2] if len(sys.argv) > 2 else "cup, spoon, table|dining table"

model = ma.load()  # the small embedded model; ma.load("fcclip-large") downloads a large one
result = model.segment(photo, classes)

labels = result.semantic()  # (H, W), index into result.class_names, -1 = none of them
for index, name in enumerate(result.class_names):
    print(f"{name}: {(labels == index).mean():.1%}")
for path in result.save("out/", ["overlay", "labels", "summary"]):
    print(path)
