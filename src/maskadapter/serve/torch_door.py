"""What the room offers and PyTorch computes: imported when the door is first asked for one of these names."""

from maskadapter.serve.app import create_app
from maskadapter.serve.model_worker import ModelWorker
from maskadapter.serve.service import Service
