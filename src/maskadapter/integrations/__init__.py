"""Other programs that call the models: each file is a thin adapter to one of them."""

from maskadapter.integrations.cvat import cvat_function
from maskadapter.integrations.fiftyone_model import fiftyone_model
from maskadapter.integrations.image_segmentation import ImageSegmentation
