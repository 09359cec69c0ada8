"""The networks. They import timm and open_clip, which import torchvision: see ``torchvision_schemas``."""

from maskadapter.torchvision_schemas import declare_missing_schemas

declare_missing_schemas()
