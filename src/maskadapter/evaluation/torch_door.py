"""What the room offers and PyTorch computes: imported when the door is first asked for one of these names."""

from maskadapter.evaluation.evaluator import Metric, evaluate
from maskadapter.evaluation.predictions import PanopticImages, Predictions, read_predictions
