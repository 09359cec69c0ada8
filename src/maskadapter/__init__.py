"""Open-vocabulary segmentation: segment an image into classes given as text, and classify masks from any source.

Names are imported on first use, so that ``import maskadapter`` stays instant.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from maskadapter.system.renamed import advice

__version__ = "0.2.0"

# Public name -> its module; behind a colon its name there, where that is another.
_HOME = {
    # models
    "load": "maskadapter.hub.loading",
    "ModelSource": "maskadapter.hub.model_source",
    "OpenVocabularySegmenter": "maskadapter.models.segmenter",
    "EncodedImage": "maskadapter.types.encoded_image",
    "Vocabulary": "maskadapter.vocabulary.vocabulary",
    "Example": "maskadapter.vocabulary.example",
    # results
    "Segmentation": "maskadapter.results.segmentation",
    "Classification": "maskadapter.results.classification",
    "ActivationMaps": "maskadapter.results.activation_maps",
    # the parts of a model
    "MaskAdapter": "maskadapter.models.mask_adapter",
    "AdapterConfig": "maskadapter.models.config",
    "InferenceConfig": "maskadapter.models.config",
    "UpstreamQuirks": "maskadapter.models.config",
    "AdapterPooler": "maskadapter.models.poolers.adapter_pooling",
    "MaskPooling": "maskadapter.models.poolers.mask_pooling",
    "MaskCropping": "maskadapter.models.poolers.mask_cropping",
    "ClipFeatures": "maskadapter.types.encoded_image",
    "Proposals": "maskadapter.types.encoded_image",
    "SegmentAnything": "maskadapter.models.sources.segment_anything",
    "SamOptions": "maskadapter.models.sources.sam_options",
    "Superpixels": "maskadapter.models.sources.superpixels",
    # images and data
    "read_image": "maskadapter.io.images",
    "open_dataset": "maskadapter.data.opening",
    "prepare": "maskadapter.data.prepare.preparation",
    "Sample": "maskadapter.data.dataset",
    "Target": "maskadapter.types.target",
    "Scenes": "maskadapter.data.scenes.scenes",
    # what the commands do
    "classify_images": "maskadapter.pipelines.classifying",
    "segment_images": "maskadapter.pipelines.segmenting",
    "segment_each": "maskadapter.pipelines.segmenting",
    "label_images": "maskadapter.pipelines.labeling",
    "segment_video": "maskadapter.pipelines.video.frame_segmenter",
    "VideoFrame": "maskadapter.pipelines.video.frame_segmenter",
    "write_segmented_video": "maskadapter.pipelines.video.segmented_video",
    "plan_shards": "maskadapter.pipelines.bulk.plan",
    "run_shards": "maskadapter.pipelines.bulk.running",
    "shard_status": "maskadapter.pipelines.bulk.status",
    "export_shards": "maskadapter.pipelines.bulk.exporting",
    "model_predictor": "maskadapter.pipelines.model_evaluation",
    "evaluate": "maskadapter.evaluation.evaluator",
    "read_recipe": "maskadapter.training.recipe",
    "train": "maskadapter.training.trainer",
    "run_benchmark": "maskadapter.benchmark.run:benchmark",  # maskadapter.benchmark is the room
    "Client": "maskadapter.serve.client",
    "export_onnx": "maskadapter.export.exporting:export",  # maskadapter.export is the room
    "reproduce": "maskadapter.paper.tables.reproduction",
    "list_models": "maskadapter.hub.zoo.published_files",
    "download": "maskadapter.hub.zoo.published_files",
    "convert": "maskadapter.hub.saving",
    "save": "maskadapter.hub.saving",
    "push_to_hub": "maskadapter.hub.publishing",
    "check_model": "maskadapter.pipelines.model_check",
    # other tools
    "ImageSegmentation": "maskadapter.integrations.image_segmentation",
    "MaskAdapterError": "maskadapter.errors",
}
__all__ = sorted([*_HOME, "__version__"])

if TYPE_CHECKING:
    from maskadapter.benchmark.run import benchmark as run_benchmark
    from maskadapter.data.dataset import Sample as Sample
    from maskadapter.data.opening import open_dataset as open_dataset
    from maskadapter.data.prepare.preparation import prepare as prepare
    from maskadapter.data.scenes.scenes import Scenes as Scenes
    from maskadapter.errors import MaskAdapterError as MaskAdapterError
    from maskadapter.evaluation.evaluator import evaluate as evaluate
    from maskadapter.export.exporting import export as export_onnx
    from maskadapter.hub.loading import load as load
    from maskadapter.hub.model_source import ModelSource as ModelSource
    from maskadapter.hub.publishing import push_to_hub as push_to_hub
    from maskadapter.hub.saving import convert as convert
    from maskadapter.hub.saving import save as save
    from maskadapter.hub.zoo.published_files import download as download
    from maskadapter.hub.zoo.published_files import list_models as list_models
    from maskadapter.integrations.image_segmentation import ImageSegmentation as ImageSegmentation
    from maskadapter.io.images import read_image as read_image
    from maskadapter.models.config import AdapterConfig as AdapterConfig
    from maskadapter.models.config import InferenceConfig as InferenceConfig
    from maskadapter.models.config import UpstreamQuirks as UpstreamQuirks
    from maskadapter.models.mask_adapter import MaskAdapter as MaskAdapter
    from maskadapter.models.poolers.adapter_pooling import AdapterPooler as AdapterPooler
    from maskadapter.models.poolers.mask_cropping import MaskCropping as MaskCropping
    from maskadapter.models.poolers.mask_pooling import MaskPooling as MaskPooling
    from maskadapter.models.segmenter import OpenVocabularySegmenter as OpenVocabularySegmenter
    from maskadapter.models.sources.sam_options import SamOptions as SamOptions
    from maskadapter.models.sources.segment_anything import SegmentAnything as SegmentAnything
    from maskadapter.models.sources.superpixels import Superpixels as Superpixels
    from maskadapter.paper.tables.reproduction import reproduce as reproduce
    from maskadapter.pipelines.bulk.exporting import export_shards as export_shards
    from maskadapter.pipelines.bulk.plan import plan_shards as plan_shards
    from maskadapter.pipelines.bulk.running import run_shards as run_shards
    from maskadapter.pipelines.bulk.status import shard_status as shard_status
    from maskadapter.pipelines.classifying import classify_images as classify_images
    from maskadapter.pipelines.labeling import label_images as label_images
    from maskadapter.pipelines.model_check import check_model as check_model
    from maskadapter.pipelines.model_evaluation import model_predictor as model_predictor
    from maskadapter.pipelines.segmenting import segment_each as segment_each
    from maskadapter.pipelines.segmenting import segment_images as segment_images
    from maskadapter.pipelines.video.frame_segmenter import VideoFrame as VideoFrame
    from maskadapter.pipelines.video.frame_segmenter import segment_video as segment_video
    from maskadapter.pipelines.video.segmented_video import write_segmented_video as write_segmented_video
    from maskadapter.results.activation_maps import ActivationMaps as ActivationMaps
    from maskadapter.results.classification import Classification as Classification
    from maskadapter.results.segmentation import Segmentation as Segmentation
    from maskadapter.serve.client import Client as Client
    from maskadapter.training.recipe import read_recipe as read_recipe
    from maskadapter.training.trainer import train as train
    from maskadapter.types.encoded_image import ClipFeatures as ClipFeatures
    from maskadapter.types.encoded_image import EncodedImage as EncodedImage
    from maskadapter.types.encoded_image import Proposals as Proposals
    from maskadapter.types.target import Target as Target
    from maskadapter.vocabulary.example import Example as Example
    from maskadapter.vocabulary.vocabulary import Vocabulary as Vocabulary


def __getattr__(name: str) -> Any:
    if name in _HOME:
        module, _, own_name = _HOME[name].partition(":")
        return getattr(import_module(module), own_name or name)
    raise AttributeError(advice("api", name) or f"module 'maskadapter' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
