"""Converting ADE20K's full release: smaller images, and label maps of the 847 most frequent classes.

Source: FC-CLIP's prepare_ade20k_full_sem_seg.py. It takes the list of files from a pickle; here the folders are walked.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from maskadapter.data.catalog import KNOWN, category_ids
from maskadapter.data.formats.image_label_pairs import check_size, read_label
from maskadapter.data.layout import Gap, missing_files, too_few_images
from maskadapter.data.prepare.conversion import convert_each, write_label
from maskadapter.errors import DatasetError
from maskadapter.io import read_stored
from maskadapter.system.atomic_files import write_atomically

OTHER = 65535  # value of pixels that belong to none of the 847 classes
SHORT_SIDE = 512
_RELEASE = "images"  # folder of the release, in subfolders by scene


def source_gaps(folder: Path, split: str) -> list[Gap]:
    """Return which files of the release are missing for a split."""
    found = _images(folder, split)
    missing = [_segmentation(path).name for path in found if not _segmentation(path).is_file()]
    gaps = too_few_images(_RELEASE, len(found), KNOWN["ade20k-847"].splits[split].count)
    return gaps + missing_files(_RELEASE, missing)


def convert(folder: Path, split: str) -> None:
    """Write those images and label maps of a split that do not exist yet.

    Raises DatasetError, naming the file, for an image without a label and a label of another size.
    """
    layout = KNOWN["ade20k-847"].splits[split]

    def one(image: Path) -> None:
        small, label = folder / layout.images / image.name, folder / layout.labels / f"{image.stem}.tif"
        if small.is_file() and label.is_file():
            return
        # Pixels as stored, without EXIF orientation: the labels were drawn on those.
        pixels, values = read_stored(image), read_label(_segmentation(image), image)
        if values.ndim != 3:
            raise DatasetError(f"{_segmentation(image)} is not a segmentation of ADE20K: RGB is needed")
        check_size(image, pixels, str(_segmentation(image)), values.shape[:2])
        size = small_size(*pixels.shape[:2])
        write_label(classes_847(shrink_labels(values, size)), label)
        with write_atomically(small) as temporary:
            # Quality 75, Pillow's default: the published results were measured on such files.
            Image.fromarray(shrink_image(pixels, size)).save(temporary, "JPEG")

    convert_each(_images(folder, split), one, f"converting ade20k-847, {split}")


def classes_847(segmentation: np.ndarray) -> np.ndarray:
    """Convert the pixels of a ``*_seg.png``, (H, W, 3) uint8, to classes, (H, W) uint16: 0 to 846, or OTHER."""
    red, green = segmentation[..., 0].astype(np.int32), segmentation[..., 1].astype(np.int32)
    classes = category_ids("ade20k-847")
    table = np.full(256 // 10 * 256 + 256, OTHER, dtype=np.uint16)
    table[list(classes)] = list(classes.values())
    return table[red // 10 * 256 + green]


def small_size(height: int, width: int) -> tuple[int, int]:
    """Return the size, (height, width), with a short side of 512 pixels where both sides are longer, else unchanged."""
    short = min(height, width)
    if short <= SHORT_SIDE:
        return height, width
    long = round(max(height, width) / short * SHORT_SIDE)
    return (SHORT_SIDE, long) if height <= width else (long, SHORT_SIDE)


def shrink_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize an image, (H, W) or (H, W, 3) uint8, bilinearly without antialiasing, as OpenCV's INTER_LINEAR does.

    size: (height, width). OpenCV rounds its weights to 11 bits: single pixels differ by one level.
    """
    if image.shape[:2] == size:
        return image
    import torch
    import torch.nn.functional as F

    planes = torch.from_numpy(image.reshape(*image.shape[:2], -1).transpose(2, 0, 1).astype(np.float32))
    small = F.interpolate(planes[None], size, mode="bilinear", align_corners=False)[0].round().byte().numpy()
    return small.transpose(1, 2, 0).reshape(*size, *image.shape[2:])


def shrink_labels(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize labels, (H, W, ...), to ``size`` (height, width), rounding down as OpenCV's INTER_NEAREST does."""
    rows, columns = (
        np.minimum(np.floor(np.arange(new) * (old / new)).astype(int), old - 1)
        for new, old in zip(size, labels.shape[:2], strict=True)
    )
    return labels[rows][:, columns]


def _images(folder: Path, split: str) -> list[Path]:
    return sorted((folder / _RELEASE).rglob(f"ADE_{split}_*.jpg"))


def _segmentation(image: Path) -> Path:
    return image.with_name(f"{image.stem}_seg.png")
