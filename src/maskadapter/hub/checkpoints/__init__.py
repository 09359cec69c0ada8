"""Files of weights: reading them safely, the names of their tensors, their metadata."""

from maskadapter.hub.checkpoints.checkpoint import Checkpoint, compare, read_checkpoint, shapes_of
from maskadapter.hub.checkpoints.metadata import read_settings
