"""The metrics: counts of one image, and what the counts of many images add up to."""

from maskadapter.evaluation.metrics.semantic import CONVENTIONS, Convention, confusion, mean_iou, pixel_counts
