"""Write the files that README and docs use: ``python examples/sample_files.py``, in the folder where you try things.

``photo.jpg`` and ``masks.png`` (a label map, 1 = cat); ``photos/`` and ``masks/``, a label map for each photo;
``clip.mp4``, the photo moved past, where PyAV is installed. The photos are scikit-image's. Any photos of yours will do
as well.
"""

from contextlib import suppress
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

with suppress(ImportError):
    import av

    with av.open("clip.mp4", "w") as clip:
        stream = clip.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for left in range(0, 96, 8):
            frame = av.VideoFrame.from_image(photo.crop((left, 30, left + 320, 270)))
            clip.mux(stream.encode(frame))
        clip.mux(stream.encode(None))
    print("clip.mp4")
