"""Every recipe runs a step of every data set, on models of the published kinds and hardly any size."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from maskadapter.data.scenes.scenes import Scenes
from maskadapter.errors import DatasetError
from maskadapter.hub.loading import find
from maskadapter.hub.model_source import ModelSource
from maskadapter.hub.saving import save
from maskadapter.models.builder import Architecture, published
from maskadapter.models.clip.clip import Clip
from maskadapter.models.config import InferenceConfig
from maskadapter.models.maftplus import ContentDependentTransfer
from maskadapter.models.mask_adapter import MaskAdapter
from maskadapter.models.poolers.adapter_pooling import AdapterPooler
from maskadapter.models.poolers.mask_pooling import MaskPooling
from maskadapter.models.preprocess import InputSize
from maskadapter.models.proposals.mask2former.mask2former import Mask2FormerHead, MaskDecoder
from maskadapter.models.proposals.mask2former.pixel_decoder import PixelDecoder
from maskadapter.models.segmenter import OpenVocabularySegmenter
from maskadapter.training import initial_weights
from maskadapter.training.recipe import read_recipe
from maskadapter.training.trainer import train
from maskadapter.training.weights_check import check_weights
from maskadapter.vocabulary.vocabulary import Vocabulary

PUBLISHED = ("fcclip-large", "maftplus-base", "maftplus-large")
FOLDER = Path(__file__).parents[2] / "recipes"
FILES = sorted(FOLDER.rglob("*.yaml"))
SMALL_CLIP = {
    "embed_dim": 32,
    "vision_cfg": {"timm_model_name": "mobilenetv2_035", "timm_pool": "", "timm_proj": "mlp", "image_size": 64},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


def small(name):
    """A builder of a model of the same parts as a published one."""

    def builder(architecture, config):
        clip = Clip.build(SMALL_CLIP, output_stride=16)
        masks = Mask2FormerHead(
            PixelDecoder(clip.pyramid_dims, 32, 32, num_layers=1, num_heads=2),
            MaskDecoder(32, 32, 32, num_queries=6, num_layers=1, num_heads=2, ffn_dim=16),
        )
        return OpenVocabularySegmenter(
            clip,
            masks if architecture.generator else None,
            AdapterPooler(MaskAdapter(32, replace(config.adapter, hidden_dim=8))) if config.adapter else MaskPooling(),
            InferenceConfig(InputSize(64, 64), seen_in="coco-panoptic", alpha=0.7, beta=0.9),
            ContentDependentTransfer(32, num_heads=2) if name.startswith("maftplus") else None,
        )

    return builder


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """Published model -> file of its small counterpart, as a segmenter with pooling."""
    folder = tmp_path_factory.mktemp("starts")
    torch.manual_seed(0)
    files = {}
    for name in PUBLISHED:
        pooling = Architecture(name, "pooling")
        model = small(name)(pooling, published(pooling))
        files[name] = save(model, folder / f"{name}.safetensors", name)
    return files


class Watched(Scenes):
    """Scenes that know whether one of them was drawn."""

    drawn = False

    def __getitem__(self, index):
        self.drawn = True
        return super().__getitem__(index)


class FreeTextScenes:
    """Scenes whose samples bring their own classes, as those of GranD do."""

    name, task, free_text = "grand", "instance", True

    def __init__(self, scenes):
        self.scenes = scenes

    @property
    def vocabulary(self):
        raise DatasetError("free text has no list of classes")

    def __len__(self):
        return len(self.scenes)

    def __getitem__(self, index):
        sample = self.scenes[index]
        present, classes = np.unique(sample.target.classes, return_inverse=True)
        own = Vocabulary.of([self.scenes.vocabulary.names[number] for number in present])
        return replace(sample, target=replace(sample.target, classes=classes), vocabulary=own)


# test_classifier.py runs the stage that has no steps.
@pytest.mark.parametrize(
    "file", [file for file in FILES if file.stem != "own-data"], ids=lambda file: f"{file.parent.name}/{file.stem}"
)
def test_a_step_of_every_data_set(file, started, tmp_path, monkeypatch):
    recipe = read_recipe(file)
    name = recipe.model.architecture
    changes = {"adapter": None, "hidden_dim": 8}  # the warm-up's adapter has not been trained
    if name in PUBLISHED:
        monkeypatch.setitem(initial_weights.MODELS, name, small(name))
        # A CLIP encoder would be downloaded: FC-CLIP's own file has the same CLIP.
        changes["weights"] = str(started[name])
    model = recipe.model.model_copy(update=changes)
    mixture = len(recipe.data.train) > 1
    run = {"iterations": 8 if mixture else 1, "batch_size": 2, "precision": "fp32", "checkpoint_blocks": False}
    changed = recipe.model_copy(
        update={
            "model": model,
            "run": recipe.run.model_copy(update=run),
            "data": recipe.data.model_copy(update={"crop": 64, "workers": 0}),
        }
    )
    scenes = [Watched(8, seed=part) for part in range(len(recipe.data.train))]
    sets = zip(scenes, recipe.data.train, strict=True)
    datasets = [FreeTextScenes(one) if part.name == "grand" else one for one, part in sets]
    written = load_file(train(changed, datasets, tmp_path, device="cpu"))
    assert all(one.drawn for one in scenes)
    begun = find(ModelSource(model.weights, "pooling")).tensors
    assert any(key.startswith("pooler.adapter.") for key in written)
    part = "generator." if recipe.stage == "generator" else "pooler."
    trained = (part, *(("void_embedding.",) if recipe.trains_void_embedding else ()))
    assert all(
        torch.equal(tensor.float(), written[key].float())
        for key, tensor in begun.items()
        if not key.startswith(trained)
    )
    void = written["void_embedding.weight"]
    assert torch.equal(void, begun["void_embedding.weight"].float()) != recipe.trains_void_embedding


def test_both_stages_run_on_the_embedded_model(tmp_path, monkeypatch):
    # As docs/training.md says: the mixed stage goes on from runs/fcclip-large-warmup, below the current folder.
    monkeypatch.chdir(tmp_path)
    changes = ["model.architecture=tiny", "model.weights=tiny", "run.precision=fp32", "run.iterations=1"]
    changes += ["run.batch_size=2", "data.crop=64", "data.workers=0", "evaluation.every=0"]
    for file in ("table1/fcclip-large-warmup.yaml", "table4/both-stages.yaml"):
        recipe = read_recipe(FOLDER / file, changes)
        check_weights(recipe)
        written = load_file(train(recipe, [Scenes(4)], Path("runs") / Path(file).stem, device="cpu"))
        assert any(key.startswith("pooler.adapter.") for key in written)


def test_all_of_them_were_found():
    assert len(FILES) == sum(1 for path in FOLDER.rglob("*") if path.suffix in (".yaml", ".yml"))
    assert len(FILES) >= 40
