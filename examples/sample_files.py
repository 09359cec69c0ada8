"""Write the files that README and docs use: ``python examples/sample_files.py``, in the folder where you try things.

``photo.jpg`` and ``masks.png`` (a label map, 1 = cat); ``photos/`` and ``masks/``, a label map for each photo. The
photos are scikit-image's. Any photos of yours will do as well.
"""

from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

photo = Image.fromarray(skimage.data.chelsea())
labels = np.zeros((photo.height, photo.width), np.uint8)
labels[60:280, 80:380] = 1
labels = Image.fromarray(labels)

CROPS = {".": (0, 0, 451, 300), "photos": (0, 40, 240, 200), "photos/garden": (200, 60, 400, 260)}
for folder, box in CROPS.items():
    masks = Path(folder.replace("photos", "masks"))
    Path(folder).mkdir(exist_ok=True)
    masks.mkdir(exist_ok=True)
    name = "photo.jpg" if folder == "." else "cat.jpg"
    photo.crop(box).save(Path(folder, name), quality=95)
    labels.crop(box).save(masks / ("masks.png" if folder == "." else "cat.png"))
    print(Path(folder, name))
