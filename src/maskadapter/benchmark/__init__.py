"""Time, memory and agreement of the exact and the pruned computation, measured against the paper's formula."""

from typing import TYPE_CHECKING

from maskadapter.benchmark.request import check_request
from maskadapter.system.lazy_door import on_first_use

if TYPE_CHECKING:
    from maskadapter.benchmark.torch_door import *
else:
    __getattr__ = on_first_use("maskadapter.benchmark.torch_door")
