"""Open-vocabulary segmentation: an image and any words give masks with names; your own masks get names.

Names are imported on first use, so that ``import maskadapter`` stays instant.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "load": "maskadapter.hub.loading",
    "OpenVocabularySegmenter": "maskadapter.models.segmenter",
    "MaskAdapter": "maskadapter.models.mask_adapter",
    "segment_images": "maskadapter.pipelines.segmenting",
    "label_images": "maskadapter.pipelines.labeling",
    "open_dataset": "maskadapter.data.opening",
    "prepare": "maskadapter.data.prepare.preparation",
    "evaluate": "maskadapter.evaluation.evaluator",
    "read_recipe": "maskadapter.training.recipe",
    "train": "maskadapter.training.trainer",
    "Vocabulary": "maskadapter.vocabulary.vocabulary",
    "Segmentation": "maskadapter.results.segmentation",
    "Classification": "maskadapter.results.classification",
    "MaskAdapterError": "maskadapter.errors",
}
__all__ = sorted([*_HOME, "__version__"])

if TYPE_CHECKING:
    from maskadapter.data.opening import open_dataset as open_dataset
    from maskadapter.data.prepare.preparation import prepare as prepare
    from maskadapter.errors import MaskAdapterError as MaskAdapterError
    from maskadapter.evaluation.evaluator import evaluate as evaluate
    from maskadapter.hub.loading import load as load
    from maskadapter.models.mask_adapter import MaskAdapter as MaskAdapter
    from maskadapter.models.segmenter import OpenVocabularySegmenter as OpenVocabularySegmenter
    from maskadapter.pipelines.labeling import label_images as label_images
    from maskadapter.pipelines.segmenting import segment_images as segment_images
    from maskadapter.results.classification import Classification as Classification
    from maskadapter.results.segmentation import Segmentation as Segmentation
    from maskadapter.training.recipe import read_recipe as read_recipe
    from maskadapter.training.trainer import train as train
    from maskadapter.vocabulary.vocabulary import Vocabulary as Vocabulary


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'maskadapter' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
