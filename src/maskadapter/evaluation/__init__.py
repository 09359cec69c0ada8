"""Evaluate any predictor on a data set: mIoU, PQ, AP and the accuracy of classifying ground-truth masks."""

from typing import TYPE_CHECKING

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
from maskadapter.evaluation.partition import Partition
from maskadapter.evaluation.records import Records
from maskadapter.system.lazy_door import on_first_use

if TYPE_CHECKING:
    from maskadapter.evaluation.torch_door import *
else:
    __getattr__ = on_first_use("maskadapter.evaluation.torch_door")
