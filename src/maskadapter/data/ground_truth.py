"""Whether a data set has any ground truth: training and evaluation on none would end well and mean nothing."""

from maskadapter.data.dataset import Dataset, KnowsClasses
from maskadapter.errors import DatasetError


def require_masks(dataset: Dataset, count: int | None = None) -> None:
    """Raise DatasetError where not one of the first ``count`` images, None for all, has a mask that counts.

    Crowds, unlabeled pixels and segments without a pixel do not count. Single images without masks are fine: samples
    are read up to the first that has one. Raises also what reading a sample raises.
    """
    images = len(dataset) if count is None else min(count, len(dataset))
    for index in range(images):
        if isinstance(dataset, KnowsClasses) and not dataset.classes_of(index):
            continue
        if dataset[index].target.has_masks:
            return
    reason = "every pixel is unlabeled" if dataset.task == "semantic" else "there is no mask, or crowds alone"
    problem = f"{dataset.name} has no ground truth in its {images:,} images ({reason})"
    raise DatasetError(f"{problem}: nothing can be learned or scored; correct the labels")
