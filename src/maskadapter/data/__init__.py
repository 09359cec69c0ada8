"""Images with their ground truth: data sets, their preparation, training transforms and sampling, synthetic scenes."""

from maskadapter.data.catalog import KNOWN, known_set
from maskadapter.data.dataset import Dataset, FreeText, Sample
from maskadapter.data.ground_truth import require_masks
from maskadapter.data.opening import has_split, open_dataset
