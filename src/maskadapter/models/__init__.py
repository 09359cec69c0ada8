"""The model. It imports timm and open_clip, which import torchvision: see ``system.torchvision_stub``."""

from maskadapter.system.torchvision_stub import declare_missing_schemas

declare_missing_schemas()
