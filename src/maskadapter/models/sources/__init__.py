"""Masks from outside the model: SAM, Hugging Face segmenters, superpixels, files."""

from typing import TYPE_CHECKING

from maskadapter.models.sources.source_names import (
    check_masks,
    given_by_user,
    is_source,
    mask_source,
    masks_from,
    parsed,
)
from maskadapter.system.lazy_door import on_first_use

if TYPE_CHECKING:
    from maskadapter.models.sources.torch_door import *
else:
    __getattr__ = on_first_use("maskadapter.models.sources.torch_door")
