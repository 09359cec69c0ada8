"""The model, and the names of the published ones."""

from typing import TYPE_CHECKING

from maskadapter.models.names import MODEL_NAMES, TINY_NAMES, PoolerName, Precision, PrecisionName
from maskadapter.system.lazy_door import on_first_use

if TYPE_CHECKING:
    from maskadapter.models.torch_door import *
else:
    __getattr__ = on_first_use("maskadapter.models.torch_door")
