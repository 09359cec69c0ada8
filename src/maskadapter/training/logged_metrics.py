"""The metrics that evaluations during training add to the log."""

LOGGED_METRICS = tuple(
    f"{metric}{part}" for metric in ("mIoU", "accuracy of segments", "PQ", "AP") for part in ("", " seen", " unseen")
)
