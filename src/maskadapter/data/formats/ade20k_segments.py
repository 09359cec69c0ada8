"""ADE20K-150 as a panoptic or instance data set: stuff from its semantic labels, things from its instance labels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from maskadapter.data.dataset import Sample, Task
from maskadapter.data.formats.image_label_pairs import Pair, check_size, read_label, read_pair
from maskadapter.errors import DatasetError
from maskadapter.types import UNLABELED, Target
from maskadapter.vocabulary import Vocabulary


class Ade20kSegments:
    """ADE20K-150 with panoptic or instance ground truth.

    pairs: images with their semantic labels (``annotations``). instances: folder of the instance labels
    (``annotations_instance``): R numbers the 100 things in the order of the 150 classes, G the instances of an image,
    both from 1. Where the two disagree the instance label wins; a thing without an instance label is unlabeled.

    Source: Mask2Former, prepare_ade20k_pan_seg.py and ade20k_instance_catid_mapping.txt.
    """

    def __init__(self, name: str, vocabulary: Vocabulary, pairs: Sequence[Pair], instances: Path, task: Task) -> None:
        self.name, self.vocabulary, self.pairs, self.instances, self.task = name, vocabulary, pairs, instances, task
        is_thing = np.array(vocabulary.is_thing)
        self._things = np.flatnonzero(is_thing)
        # By the value of the semantic label; 0 for unlabeled pixels, things and values out of range.
        self._stuff = np.zeros(256, dtype=np.int32)
        if task == "panoptic":
            self._stuff[np.flatnonzero(~is_thing) + 1] = np.flatnonzero(~is_thing) + 1

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        """Raises DatasetError, naming the file: a label that is missing, of another size or type, or unknown values."""
        image_path, semantic = self.pairs[index]
        image, stuff = read_pair(image_path, semantic)
        path = self.instances / semantic.name
        things = read_label(path, image_path)
        check_size(image_path, image, str(path), things.shape[:2])
        if stuff.ndim != 2 or stuff.dtype != np.uint8:
            raise DatasetError(f"{semantic} is not an 8-bit label map")
        if stuff.max() > len(self.vocabulary):
            raise DatasetError(f"{semantic} has the value {stuff.max()}; ADE20K-150 has {len(self.vocabulary)} classes")
        if things.ndim != 3:
            raise DatasetError(f"{path} is not an instance label of ADE20K: RGB, R class and G number, is needed")
        # One number for each segment: the value of the stuff, or 256 and above for an instance, which covers the stuff.
        category, instance = things[..., 0].astype(np.int32), things[..., 1].astype(np.int32)
        numbers, first, ids = np.unique(
            np.where(instance > 0, 255 + instance, self._stuff[stuff]), return_index=True, return_inverse=True
        )
        ids = ids.reshape(stuff.shape)
        kinds = category.ravel()[first]
        if (kinds[ids] != category)[instance > 0].any():
            raise DatasetError(f"{path} has an instance of two different classes")
        strange = kinds[(numbers > 255) & ((kinds < 1) | (kinds > len(self._things)))]
        if strange.size:
            raise DatasetError(f"{path} has the thing {strange[0]}; things are numbered 1 to {len(self._things)}")
        classes = np.where(numbers > 255, self._things[(kinds - 1).clip(0, len(self._things) - 1)], numbers - 1)
        unlabeled = int(numbers[0] == 0)
        target = Target(
            classes[unlabeled:].astype(np.int64),
            np.zeros(len(numbers) - unlabeled, dtype=bool),
            np.maximum(ids - unlabeled, UNLABELED).astype(np.int32),
        )
        return Sample(image, target, image_path.name)
