"""Evaluate any predictor on a data set: mIoU, PQ, AP and the accuracy of classifying ground-truth masks."""

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
from maskadapter.evaluation.partition import Partition
from maskadapter.evaluation.predictions import PanopticImages, Predictions, file_of, read_predictions
from maskadapter.evaluation.records import Records
