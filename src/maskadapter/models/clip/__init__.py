"""CLIP through open_clip: dense features, text embeddings and their cache."""

from maskadapter.system.torchvision_stub import declare_missing_schemas

declare_missing_schemas()  # before open_clip and timm import torchvision

from maskadapter.models.clip.clip import Clip, download_pretrained, fingerprint, repository_of  # noqa: E402
from maskadapter.models.clip.image_encoders import ConvolutionalEncoder, TransformerEncoder  # noqa: E402
from maskadapter.models.clip.text_cache import TextCache  # noqa: E402
