"""CLIP through open_clip: dense features, text embeddings and their cache."""

from maskadapter.models.clip.clip import Clip, download_pretrained, repository_of
from maskadapter.models.clip.image_encoders import TransformerEncoder
from maskadapter.models.clip.text_cache import TextCache
