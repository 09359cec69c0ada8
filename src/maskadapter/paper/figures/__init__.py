"""The paper's figures, for the user's own images, models and runs: a function for each, called after it."""

from typing import TYPE_CHECKING, Any

from maskadapter.errors import MaskAdapterError
from maskadapter.paper.figures.model_columns import (
    FIGURE5,
    FIGURE6,
    FIGURE9,
    FIGURE10,
    adapters_by_title,
    models_by_title,
)
from maskadapter.paper.figures.page import check_no_input, check_output
from maskadapter.paper.figures.unseen_figure import figure7
from maskadapter.paper.figures.upper_bound_figure import METRICS, figure1
from maskadapter.system.lazy_door import on_first_use
from maskadapter.system.renamed import advice

if TYPE_CHECKING:
    from maskadapter.paper.figures.torch_door import *
else:
    _find = on_first_use("maskadapter.paper.figures.torch_door")

    def __getattr__(name: str) -> Any:
        # An AttributeError would lose its text in ``from maskadapter.paper.figures import tsne``.
        if line := advice("figure", name):
            raise MaskAdapterError(line)
        return _find(name)
