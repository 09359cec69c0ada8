"""What the room offers and PyTorch computes: imported when the door is first asked for one of these names."""

from maskadapter.evaluation.bootstrapping import (
    METRICS,
    RESAMPLES,
    SEED,
    bootstrap,
    image_counts,
    metric_function,
    name_and_group,
    standard_error,
)
from maskadapter.evaluation.evaluator import Metric, evaluate
from maskadapter.evaluation.predictions import PanopticImages, Predictions, file_of, read_predictions
from maskadapter.evaluation.records import Records
