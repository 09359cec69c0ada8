"""Open-vocabulary segmentation: a picture and any words give masks with names; your own masks get names.

Names are imported on first use, so that ``import maskadapter`` stays instant.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "load": "maskadapter.hub",
    "OpenVocabularySegmenter": "maskadapter.models.segmenter",
    "MaskAdapter": "maskadapter.models.mask_adapter",
    "segment_pictures": "maskadapter.batch",
    "label_pictures": "maskadapter.labelling",
    "open_dataset": "maskadapter.data.opening",
    "prepare": "maskadapter.data.prepare",
    "evaluate": "maskadapter.evaluation.evaluate",
    "read_recipe": "maskadapter.training.recipe",
    "train": "maskadapter.training.train",
    "Vocabulary": "maskadapter.vocabulary",
    "Segmentation": "maskadapter.segmentation",
    "Classification": "maskadapter.classification",
    "MaskAdapterError": "maskadapter.errors",
}
__all__ = sorted([*_HOME, "__version__"])

if TYPE_CHECKING:
    from maskadapter.batch import segment_pictures as segment_pictures
    from maskadapter.classification import Classification as Classification
    from maskadapter.data.opening import open_dataset as open_dataset
    from maskadapter.data.prepare import prepare as prepare
    from maskadapter.errors import MaskAdapterError as MaskAdapterError
    from maskadapter.evaluation.evaluate import evaluate as evaluate
    from maskadapter.hub import load as load
    from maskadapter.labelling import label_pictures as label_pictures
    from maskadapter.models.mask_adapter import MaskAdapter as MaskAdapter
    from maskadapter.models.segmenter import OpenVocabularySegmenter as OpenVocabularySegmenter
    from maskadapter.segmentation import Segmentation as Segmentation
    from maskadapter.training.recipe import read_recipe as read_recipe
    from maskadapter.training.train import train as train
    from maskadapter.vocabulary import Vocabulary as Vocabulary


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'maskadapter' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
