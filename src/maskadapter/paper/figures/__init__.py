"""The paper's kinds of figures, for the user's own images, models and runs."""

from typing import TYPE_CHECKING

from maskadapter.paper.figures.page import check_output
from maskadapter.paper.figures.unseen_figure import unseen_curve
from maskadapter.paper.figures.upper_bound_figure import METRICS, upper_bound
from maskadapter.system.lazy_door import on_first_use

if TYPE_CHECKING:
    from maskadapter.paper.figures.torch_door import *
else:
    __getattr__ = on_first_use("maskadapter.paper.figures.torch_door")
