"""Whether a loss falls: a run that learns nothing says so early."""

STILL = 0.99
"""A loss that is above this share of what it was has not moved."""


def not_moved(first: float, last: float, todo: str) -> str:
    """The warning for a loss that has not moved."""
    return f"the loss does not fall: {first:.2f} at first, {last:.2f} now; {todo}"


class LossWatch:
    """Follows the loss over a run of ``iterations`` steps. history: of the steps that are done."""

    def __init__(self, iterations: int, history: list[float]) -> None:
        self._iterations, self.history = iterations, history

    def add(self, loss: float) -> str | None:
        """Note the loss of a step. Returns a warning after the first fifth and at the end, where it has not moved.

        The means of the first and of the last tenth are compared: single batches differ. Under 50 steps say nothing.
        """
        self.history.append(loss)
        done = len(self.history)
        if self._iterations < 50 or done not in (self._iterations // 5, self._iterations):
            return None
        tenth = max(1, done // 10)
        first, last = (sum(part) / tenth for part in (self.history[:tenth], self.history[-tenth:]))
        todo = "set model.adapter to a trained adapter (tiny), raise optimizer.lr, or check the labels"
        return not_moved(first, last, f"{todo}") if last > STILL * first else None
