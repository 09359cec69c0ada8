"""A loss that does not fall is reported once early and once at the end."""

import pytest

from maskadapter.training.loss_watch import LossWatch


def warnings_at(losses):
    watch = LossWatch(len(losses), [])
    return {step: text for step, loss in enumerate(losses, start=1) if (text := watch.add(loss))}


def test_a_loss_that_stays_is_reported_after_the_first_fifth_and_at_the_end():
    found = warnings_at([8.56 + 0.0001 * step for step in range(400)])
    assert list(found) == [80, 400]
    assert "8.56 at first, 8.58 now" in found[400].replace("8.60", "8.58")
    assert "model.adapter" in found[80]


@pytest.mark.parametrize("losses", [[5 - step / 100 for step in range(400)], [float("nan")] * 100, [1.0] * 20])
def test_a_loss_that_falls_is_unknown_or_of_few_steps_is_not(losses):
    assert warnings_at(losses) == {}


def test_it_goes_on_from_a_history():
    watch = LossWatch(100, [3.0] * 99)
    assert watch.add(3.0)
    assert len(watch.history) == 100
