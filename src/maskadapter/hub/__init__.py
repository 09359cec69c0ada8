"""Load, join, convert and save models."""

from typing import TYPE_CHECKING

from maskadapter.hub.model_source import DEFAULT, PREFIX, ModelSource, is_bare
from maskadapter.hub.source_check import check_destination, check_source
from maskadapter.system.lazy_door import on_first_use

if TYPE_CHECKING:
    from maskadapter.hub.torch_door import *
else:
    __getattr__ = on_first_use("maskadapter.hub.torch_door")
