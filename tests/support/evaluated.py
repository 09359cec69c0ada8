"""Small data sets in memory, and predictors for them."""

from dataclasses import dataclass

import numpy as np

from maskadapter.data.dataset import Sample
from maskadapter.results.postprocessing import Instances, PanopticMap, Segment, boxes_of
from maskadapter.types.target import Target
from maskadapter.vocabulary.vocabulary import Vocabulary

VOCABULARY = Vocabulary((("cat", "kitten"), ("dog",), ("sky",), ("grass",)), (True, True, False, False))


@dataclass
class InMemory:
    """A data set of the given samples."""

    samples: list
    vocabulary: Vocabulary = VOCABULARY
    task: str = "panoptic"
    name: str = "small"

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]


@dataclass
class FixedResult:
    """A result with fixed answers."""

    labels: np.ndarray | None = None
    map: PanopticMap | None = None
    found: Instances | None = None

    def semantic(self):
        return self.labels

    def panoptic(self):
        return self.map

    def instances(self, top):
        return self.found


def random_target(rng, size=(24, 32), classes=4, segments=6, crowd=False):
    """Segments of random rectangles, later ones over earlier ones, some pixels unlabeled."""
    ids = np.full(size, -1, np.int32)
    for number in range(segments):
        top, left = rng.integers(0, size[0] - 4), rng.integers(0, size[1] - 4)
        ids[top : top + rng.integers(3, 14), left : left + rng.integers(3, 18)] = number
    is_crowd = np.zeros(segments, bool)
    is_crowd[0] = crowd
    return Target(rng.integers(0, classes, segments), is_crowd, ids)


def samples(count, seed=0, **options):
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        target = random_target(rng, **options)
        # The image shows its number, so that a predictor can find its target.
        image = np.full((*target.size, 3), number, np.uint8)
        made.append(Sample(image, target, f"{number:03}.png"))
    return made


def perfect_result(target, vocabulary=VOCABULARY):
    """The ground truth itself, as a result."""
    everything = target.masks()
    kept = [n for n, mask in enumerate(everything) if mask.any() and not target.is_crowd[n]]
    things = [n for n in kept if vocabulary.is_thing[target.classes[n]]]
    result = FixedResult(
        found=Instances(everything[things], boxes_of(everything[things]), target.classes[things], np.ones(len(things)))
    )
    if target.segment_ids is not None:
        result.labels = target.labels()
        result.map = PanopticMap(
            target.segment_ids + 1,
            tuple(Segment(n + 1, int(label), True, 1.0, 0, 0) for n, label in enumerate(target.classes)),
        )
    return result


def noisy(dataset, seed=1):
    """Predicts for each image the ground truth of a shifted image with some classes changed: partly right."""

    def predict(image):
        number = int(image[0, 0, 0])
        target = dataset[number].target
        rng = np.random.default_rng((seed, number))
        classes = np.where(
            rng.random(len(target.classes)) < 0.3, rng.integers(0, 4, len(target.classes)), target.classes
        )
        moved = Target(classes, np.zeros(len(classes), bool), np.roll(target.segment_ids, rng.integers(0, 3), axis=1))
        result = perfect_result(moved, dataset.vocabulary)
        result.found = Instances(
            result.found.masks, result.found.boxes, result.found.labels, rng.random(len(result.found.labels))
        )
        return result

    return predict


def table_rows(markdown):
    """The rows of all tables in a Markdown text, by their first cell."""
    rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in markdown.splitlines() if line.startswith("|"))
    return {name: cells for name, *cells in rows}
