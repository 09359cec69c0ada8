"""Training batches: transforms, the order of samples, loading."""

from maskadapter.data.loading.batches import LoadedBatch, load_batches
from maskadapter.data.loading.sampling import TrainingOrder
from maskadapter.data.loading.transforms import TrainingTransform
