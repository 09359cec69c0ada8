"""What the room offers and PyTorch computes: imported when the door is first asked for one of these names."""

from maskadapter.training.run_folder import fingerprint
from maskadapter.training.trainer import train
from maskadapter.training.validation import Validation
