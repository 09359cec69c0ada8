"""A model as ONNX files, for programs without PyTorch; class names stay an input."""

from typing import TYPE_CHECKING

from maskadapter.export.request import OPSETS, check_request
from maskadapter.system.lazy_door import on_first_use

if TYPE_CHECKING:
    from maskadapter.export.torch_door import *
else:
    __getattr__ = on_first_use("maskadapter.export.torch_door")
