"""What a user gets back: segmentations, classifications, activation maps, and how they are drawn and saved."""

from typing import TYPE_CHECKING

from maskadapter.results.saving import ENDINGS, MASK_ENDINGS, check_formats, write_file
from maskadapter.system.lazy_door import on_first_use

if TYPE_CHECKING:
    from maskadapter.results.torch_door import *
else:
    __getattr__ = on_first_use("maskadapter.results.torch_door")
