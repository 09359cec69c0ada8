"""The published weights: where they are, and downloading them."""

from maskadapter.hub.zoo.model_zoo import CLIP_WEIGHTS, HUB_REPOSITORY, WEIGHTS, Weights, weights_of
from maskadapter.hub.zoo.published_files import download, list_models, not_here
from maskadapter.hub.zoo.weight_downloads import folder_sha256, models_folder, present, read_record, sha256_of
