"""timm's layers, imported when what they need of torchvision is declared."""

from maskadapter.system.torchvision_stub import declare_missing_schemas

declare_missing_schemas()

from timm.layers import LayerNorm2d  # noqa: E402, F401
