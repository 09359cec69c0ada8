"""The networks. They import timm and open_clip, which import torchvision: see ``torchvision_schemas``."""

from maskadapter.system.torchvision_stub import declare_missing_schemas

declare_missing_schemas()
