"""The HTTP service: one model that many clients ask."""

from typing import TYPE_CHECKING

from maskadapter.serve.client import Client
from maskadapter.serve.served_model import ServedModel
from maskadapter.serve.settings import Settings
from maskadapter.system.lazy_door import on_first_use

if TYPE_CHECKING:
    from maskadapter.serve.torch_door import *
else:
    __getattr__ = on_first_use("maskadapter.serve.torch_door")
