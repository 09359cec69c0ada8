"""True and pseudo labels of the training photos in one numbering, and which classes each stands for."""

from pathlib import Path

import numpy as np
import torch
from coco import Photo
from PIL import Image

# Names of MOSAIC's class ids: ADE20K's 31 most frequent classes.
ADE20K = [
    *("other", "wall", "building", "sky", "floor", "tree", "ceiling", "road", "bed", "window", "grass", "cabinet"),
    *("sidewalk", "person", "earth", "door", "table", "mountain", "plant", "curtain", "chair", "car", "water"),
    *("painting", "sofa", "shelf", "house", "sea", "mirror", "rug", "field", "armchair"),
]
CLASSES, THINGS = 133, 80
STUFF, BOX = CLASSES, CLASSES + len(ADE20K)  # first label of MOSAIC's classes and of the SSD's
LEAST_TRUST = 0.4  # a class of MOSAIC that is right less often is not used
LEAST_SHARE = 0.02  # of the image, for a region of MOSAIC
# Stuff that MOSAIC finds so well that a box of the SSD is cut where it lies.
CUTTING = [
    ADE20K.index(name)
    for name in (
        *("wall", "building", "sky", "floor", "tree", "ceiling", "road"),
        *("grass", "earth", "mountain", "water", "sea", "field"),
    )
]


class Labels:
    """`classes`: (labels, 133) float, 1 where a label can be that class. `trust`: (labels,), weight of a label."""

    def __init__(self, work: Path):
        data = torch.load(work / "pseudo_labels.pt", weights_only=True)
        self.photos, meaning = data["photos"], data["meanings"].float()
        once = torch.eye(CLASSES)
        self.classes = torch.cat([once, meaning, once])
        trusted = data["trust"] * (data["trust"] >= LEAST_TRUST) * meaning.any(1)
        self.trust = torch.cat([torch.ones(CLASSES), trusted, torch.full((CLASSES,), 0.7)])
        self.with_things = meaning[:, :THINGS].any(1)

    def of(self, photo: Photo) -> tuple[np.ndarray, np.ndarray, list[int]]:
        """Image, label map and labels, see `augment.Masks`. True labels are never painted over."""
        (ids, labels), image = photo.masks(), photo.image()
        if photo.path.name not in self.photos:
            return image, ids, labels
        found, free, labels = self.photos[photo.path.name], ids == 0, list(labels)
        stuff = np.asarray(Image.fromarray(found["stuff"].numpy()).resize(ids.shape[::-1], Image.NEAREST))
        unlabelled = "coco_photos" in photo.path.parts  # in the others every thing is labeled or in a crowd
        for number in np.unique(stuff).tolist():
            region = (stuff == number) & free
            usable = self.trust[STUFF + number] > 0 and (unlabelled or not self.with_things[number])
            if usable and region.mean() >= LEAST_SHARE:
                labels.append(STUFF + number)
                ids[region] = len(labels)
        height, width = ids.shape
        for label, _, left, top, right, bottom in sorted(
            found["boxes"], key=lambda box: -(box[4] - box[2]) * (box[5] - box[3])
        ):
            box = np.zeros(ids.shape, bool)
            box[round(top * height) : round(bottom * height), round(left * width) : round(right * width)] = True
            region = box & free & ~np.isin(stuff, CUTTING)
            if region.sum() < 0.3 * box.sum():  # MOSAIC missed the thing
                region = box & free
            if region.any():
                labels.append(BOX + label)
                ids[region] = len(labels)
        return image, ids, labels
