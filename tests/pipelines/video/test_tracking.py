"""Things keep their ids: arrays in, numbers out."""

import numpy as np
import pytest

from maskadapter.pipelines.video.tracking import Tracker

SIZE = (40, 80)
RED, BLUE, GREEN = np.eye(3)


def square(left, top=12, side=12, width=None):
    mask = np.zeros(SIZE, bool)
    mask[max(0, top) : max(0, top + side), max(0, left) : max(0, left + (width or side))] = True
    return mask


def ids_of(tracker, *things, elapsed=1.0):
    """things: (mask, label, embedding or None)."""
    masks = np.array([mask for mask, _, _ in things]).reshape(-1, *SIZE)
    known = [embedding for _, _, embedding in things if embedding is not None]
    embeddings = np.array(known) if len(known) == len(things) and things else None
    return tracker.update(masks, [label for _, label, _ in things], embeddings, elapsed)


def test_ids_count_from_one_and_stay():
    tracker = Tracker()
    assert ids_of(tracker, (square(0), 0, RED), (square(50), 0, BLUE)) == [1, 2]
    assert ids_of(tracker, (square(53), 0, BLUE), (square(3), 0, RED)) == [2, 1]
    assert ids_of(tracker, (square(6), 0, RED), (square(56), 0, BLUE), (square(30), 0, GREEN)) == [1, 2, 3]


def test_a_frame_without_things():
    tracker = Tracker()
    assert ids_of(tracker) == []
    ids_of(tracker, (square(0), 0, RED))
    assert ids_of(tracker) == []
    assert ids_of(tracker, (square(0), 0, RED)) == [1]


def test_a_thing_is_waited_for_and_not_for_ever():
    tracker = Tracker(patience=3)
    ids_of(tracker, (square(0), 0, RED))
    for _ in range(3):
        ids_of(tracker)
    assert ids_of(tracker, (square(0), 0, RED)) == [1]
    for _ in range(4):
        ids_of(tracker)
    assert ids_of(tracker, (square(0), 0, RED)) == [2]


def test_ids_are_not_given_twice():
    tracker = Tracker(patience=0)
    ids_of(tracker, (square(0), 0, RED))
    ids_of(tracker)
    assert ids_of(tracker, (square(0), 0, RED)) == [2]


def test_a_model_that_wavers_between_classes_does_not_change_the_id():
    tracker = Tracker()
    ids_of(tracker, (square(0), 0, RED))
    assert ids_of(tracker, (square(2), 1, RED)) == [1]


def test_another_class_that_overlaps_a_little_is_another_thing():
    tracker = Tracker()
    ids_of(tracker, (square(0), 0, RED))
    assert ids_of(tracker, (square(6), 1, RED)) == [2]


def test_the_embedding_decides_between_masks_that_overlap_alike():
    tracker = Tracker()
    ids_of(tracker, (square(20, top=6), 0, RED), (square(20, top=18), 0, BLUE))
    assert ids_of(tracker, (square(20, top=12), 0, BLUE), (square(20, top=0), 0, RED)) == [2, 1]


def test_a_fast_thing_is_found_where_it_looks_alike_and_not_otherwise():
    tracker = Tracker()
    ids_of(tracker, (square(0), 0, RED))
    assert ids_of(tracker, (square(20), 0, RED)) == [1]
    assert ids_of(tracker, (square(40), 0, BLUE)) == [2]


def test_a_thing_that_looks_alike_far_away_is_another():
    tracker = Tracker()
    ids_of(tracker, (square(0), 0, RED))
    assert ids_of(tracker, (square(60), 0, RED)) == [2]


@pytest.mark.parametrize("embeddings", [True, False])
def test_a_thing_goes_on_as_before_while_it_is_hidden(embeddings):
    tracker, color = Tracker(), RED if embeddings else None
    for left in (0, 6, 12, 18, 24):
        assert ids_of(tracker, (square(left), 0, color)) == [1]
    for _ in range(3):
        ids_of(tracker)
    assert ids_of(tracker, (square(48), 0, color)) == [1]


def test_the_time_between_frames_counts():
    tracker = Tracker()
    for left in (0, 4, 8, 12):
        ids_of(tracker, (square(left), 0, None), elapsed=0.1)
    assert ids_of(tracker, (square(52), 0, None), elapsed=1.0) == [1]


@pytest.mark.parametrize("same_look", [False, True])
def test_two_things_that_cross(same_look):
    """The one in front hides the other for some frames."""
    tracker, found = Tracker(), {}
    for step in range(17):
        front, behind = 4 * step, 64 - 4 * step
        things = {"front": (square(front), 0, RED), "behind": (square(behind), 0, RED if same_look else BLUE)}
        things["behind"][0][things["front"][0]] = False
        things = {name: thing for name, thing in things.items() if thing[0].any()}
        found[step] = dict(zip(things, ids_of(tracker, *things.values()), strict=True))
    assert found[0] == found[16]
    assert all(ids.get("front") == 1 for ids in found.values())
    assert set().union(*(ids.values() for ids in found.values())) == {1, 2}


def test_a_mask_too_small_for_the_grid_disturbs_nothing():
    tracker = Tracker()
    nothing = np.zeros(SIZE, bool)
    ids_of(tracker, (nothing, 0, RED), (square(0), 0, BLUE))
    assert ids_of(tracker, (square(2), 0, BLUE), (nothing, 0, RED))[0] == 2
