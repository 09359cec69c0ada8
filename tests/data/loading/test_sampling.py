"""The order of training batches, and loading them."""

from collections import Counter
from itertools import islice

import numpy as np
import pytest

from maskadapter.data.dataset import Sample
from maskadapter.data.loading.batches import load_batches
from maskadapter.data.loading.sampling import TrainingOrder, repeat_factors
from maskadapter.data.loading.transforms import TrainingTransform
from maskadapter.errors import DatasetError, RecipeError
from maskadapter.types.target import Target
from maskadapter.vocabulary.vocabulary import Vocabulary


class Numbered:
    """Images of noise, some of which cannot be read."""

    task = "semantic"

    def __init__(self, length, name="numbered", damaged=()):
        self.name = name
        self.vocabulary = Vocabulary.of(["a", "b"])
        self._length = length
        self._damaged = damaged

    def __len__(self):
        return self._length

    def __getitem__(self, index):
        if index in self._damaged:
            raise DatasetError(f"damaged image {index}.png")
        image = np.random.default_rng(index).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        return Sample(image, Target.of_labels(np.full((6, 6), index % 2)), f"{index}.png")


class Instances(Numbered):
    """Every image shows class 0, the first one class 1 too, the last none."""

    def classes_of(self, index):
        return [] if index == len(self) - 1 else [0, 1] if index == 0 else [0]


def _flat(lists):
    return [entry for part in lists for entry in part]


def _indices(order, steps, **where):
    return [[draw.index for draw in batch] for batch in islice(order.batches(**where), steps)]


def test_every_sample_comes_once_before_any_comes_again():
    drawn = _flat(_indices(TrainingOrder([Numbered(12)], batch_size=4), 9))
    epochs = [drawn[start : start + 12] for start in (0, 12, 24)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(12))] * 3
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_a_batch_that_spans_two_epochs_loses_nothing():
    drawn = _flat(_indices(TrainingOrder([Numbered(7)], batch_size=3), 7))
    assert Counter(drawn) == dict.fromkeys(range(7), 3)


def test_the_order_depends_on_the_seed():
    orders = [_indices(TrainingOrder([Numbered(50)], batch_size=5, seed=seed), 20) for seed in (1, 1, 2)]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]


@pytest.mark.parametrize("first", [1, 17, 4095, 4096, 9001])
def test_going_on_from_any_step_is_the_same_as_never_stopping(first):
    def order():
        datasets = [Instances(9), Instances(31, "other")]
        return TrainingOrder(datasets, 4, seed=3, ratios=[1, 2], repeat_thresholds=[0.4, 0.4])

    straight = list(islice(order().batches(), first, first + 30))
    assert list(islice(order().batches(first=first), 30)) == straight
    assert [draw.number for batch in straight for draw in batch] == list(range(first * 4, (first + 30) * 4))


@pytest.mark.parametrize("processes", [2, 3, 6])
def test_processes_share_the_batch_that_one_would_see_alone(processes):
    def order():
        return TrainingOrder([Numbered(20), Numbered(33, "other")], batch_size=6, seed=8)

    alone = list(islice(order().batches(first=5), 40))
    parts = [islice(order().batches(5, process, processes), 40) for process in range(processes)]
    assert [_flat(step) for step in zip(*parts, strict=True)] == alone


def test_steps_are_divided_by_ratio_and_each_is_of_one_data_set():
    order = TrainingOrder([Numbered(10), Numbered(11, "other")], batch_size=2, ratios=[1, 3])
    batches = list(islice(order.batches(), 6000))
    assert all(len({draw.source for draw in batch}) == 1 for batch in batches)
    share = np.mean([batch[0].source for batch in batches])
    assert share == pytest.approx(0.75, abs=0.02)  # 3.6 standard errors
    of_other = [draw.index for batch in batches for draw in batch if draw.source == 1]
    assert Counter(of_other[:1100]) == dict.fromkeys(range(11), 100)


def test_repeat_factors_by_hand():
    # Class 7 in one of four images, class 5 in two: sqrt(.64 / .25) = 1.6, sqrt(.64 / .5) = 1.131.
    factors = repeat_factors([[7, 5], [5, 5], [], [3, 4]], threshold=0.64)
    assert factors == pytest.approx([1.6, np.sqrt(0.64 / 0.5), 1.0, 1.6])
    assert repeat_factors([[7], [5]]).tolist() == [1.0, 1.0]


def test_rare_classes_come_as_often_as_their_factor_says():
    # Class 1 is in 1 of 10 images: sqrt(.225 / .1) = 1.5; class 0 in 9 of 10: 1.
    order = TrainingOrder([Instances(10)], batch_size=5, repeat_thresholds=[0.225])
    counted = Counter(_flat(_indices(order, 2000)))
    others = [counted[index] for index in range(1, 10)]
    assert max(others) - min(others) <= 1
    assert counted[0] / np.mean(others) == pytest.approx(1.5, abs=0.05)  # 3 standard errors of 952 epochs


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: TrainingOrder([Numbered(3)], batch_size=4), RecipeError, "'numbered' has 3 images.*batch of 4"),
        (lambda: TrainingOrder([Numbered(3)], 2, ratios=[1, 2]), RecipeError, "1 positive numbers"),
        (lambda: TrainingOrder([Numbered(3)], 2, ratios=[0]), RecipeError, "positive"),
        (lambda: TrainingOrder([Numbered(3)], 2, repeat_thresholds=[0.1]), DatasetError, "does not know which classes"),
        (lambda: TrainingOrder([Numbered(9)], 4).batches(processes=3), RecipeError, "multiple of 3"),
    ],
)
def test_impossible_orders_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def _loaded(datasets, workers, steps=4, seed=0):
    order = TrainingOrder(datasets, batch_size=3, seed=seed)
    transforms = [TrainingTransform(16, color=True)] * len(datasets)
    batches = load_batches(datasets, transforms, islice(order.batches(first=2), steps), seed, workers)
    return [
        (batch.source, batch.draws, [(s.name, s.image, s.target.labels()) for s in batch.samples]) for batch in batches
    ]


def test_workers_load_what_one_process_loads():
    datasets = [Numbered(5), Numbered(200, "other")]
    alone, shared = _loaded(datasets, 0), _loaded(datasets, 2)
    assert len(alone) == 4
    for one, other in zip(alone, shared, strict=True):
        assert one[:2] == other[:2]
        for (name, *arrays), (same, *others) in zip(one[2], other[2], strict=True):
            assert name == same
            assert all((a == b).all() for a, b in zip(arrays, others, strict=True))


def test_an_image_that_comes_again_is_transformed_anew():
    images = [
        image for _, _, samples in _loaded([Numbered(3)], 0, steps=8) for name, image, _ in samples if name[0] == "1"
    ]
    assert len(images) == 8
    assert len({image.tobytes() for image in images}) == 8


@pytest.mark.parametrize("workers", [0, 1])
def test_the_error_of_a_damaged_sample_arrives_unchanged(workers):
    with pytest.raises(DatasetError, match=r"^damaged image 1.png$"):
        _loaded([Numbered(3, damaged=[1])], workers)
