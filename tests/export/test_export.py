"""Exported files compute what the model computes: other classes, masks and sizes included."""

import json
from dataclasses import replace
from pathlib import Path
from runpy import run_path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from small_segmenter import CLIP, small
from torch.export import Dim

import maskadapter as ma
from maskadapter.cli import main
from maskadapter.errors import MaskAdapterError
from maskadapter.models.clip.clip import Clip
from maskadapter.models.config import InferenceConfig
from maskadapter.models.poolers.mask_cropping import MaskCropping
from maskadapter.models.poolers.mask_pooling import MaskPooling, area_weights
from maskadapter.models.preprocess import InputSize
from maskadapter.models.proposals.mask2former.deformable_attention import DeformableAttention, location_centers
from maskadapter.models.proposals.superpixels.region_head import RegionHead
from maskadapter.models.segmenter import OpenVocabularySegmenter

onnx = pytest.importorskip("onnx", reason="the extra [export] is not installed")
pytest.importorskip("onnxruntime", reason="the extra [export] is not installed")
pytest.importorskip("onnxscript", reason="the extra [export] is not installed")

SCRIPT = Path(__file__).parents[2] / "examples" / "segment_onnx.py"
EXAMPLE = run_path(str(SCRIPT))
CLASSES = [("cat",), ("sofa", "couch"), ("wall",)]
OTHERS = [("red carpet", "rug"), ("dog's ear",), ("sky",), ("grass",), ("Tür 24",)]
PHOTOS = {"wide": skimage.data.coffee()[::5, ::5], "upright": skimage.data.chelsea()[:130, 200:290]}


def regions() -> OpenVocabularySegmenter:
    """The embedded model's parts with small random weights."""
    torch.manual_seed(0)
    clip = Clip.build(CLIP, templates=("{}",))
    head = RegionHead(clip.pyramid_dims, clip.pyramid_dims["res5"], clip.embed_dim)
    inference = InferenceConfig(InputSize(96, 96), "coco-panoptic", alpha=0.2, beta=0.9)
    return OpenVocabularySegmenter(clip, head, MaskPooling("area"), inference).eval()


def varied(pooler: str = "adapter", maft: bool = False) -> OpenVocabularySegmenter:
    """A small model whose masks are sharp, so that its results have several classes."""
    model = small(pooler, maft=maft).requires_grad_(False)
    model.generator.pixel_decoder.mask_features.weight *= 300
    weight = 0.1 if maft else 0.3
    model.inference = replace(model.inference, alpha=weight, beta=weight)
    return model


MODELS = {
    "adapter": varied,
    "pooling": lambda: varied("pooling"),
    "MAFT+": lambda: varied(maft=True),
    "regions": regions,
    "no proposals": lambda: small(generator=False),
}
SLOW = pytest.mark.slow
KINDS = ["adapter", *(pytest.param(kind, marks=SLOW) for kind in MODELS if kind != "adapter")]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A function that returns a model by its kind and the folder of its files, exported once."""
    made = {}

    def make(kind, **options):
        key = (kind, *options.items())
        if key not in made:
            folder = tmp_path_factory.mktemp("export") / "onnx"
            model = MODELS[kind]().requires_grad_(False)
            made[key] = model, folder, ma.export_onnx(model, folder, **options)
        return made[key]

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_files_agree_with_pytorch(exported, kind):
    model, folder, files = exported(kind, check=True)
    assert all(file.path.is_file() and file.difference < 1e-4 for file in files)
    pixels = onnx.load(folder / "image.onnx").graph.input[0]
    assert [one.dim_param or one.dim_value for one in pixels.type.tensor_type.shape.dim] == [1, 3, "height", "width"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["config.json", "tokenizer.json", *(file.path.name for file in files)]
    )
    again = ma.export_onnx(model, folder, check=True)  # compares what is there
    assert [file.difference for file in again] == [file.difference for file in files]


@pytest.mark.parametrize("kind", ["adapter", *(pytest.param(kind, marks=SLOW) for kind in ("pooling", "MAFT+"))])
@pytest.mark.parametrize("photo", PHOTOS)
@pytest.mark.parametrize("classes", [CLASSES, OTHERS], ids=["classes", "other classes"])
def test_the_example_gives_the_model_s_semantic_result(exported, kind, photo, classes):
    model, folder, _ = exported(kind, check=True)
    result = model.segment(PHOTOS[photo], classes, background=None)
    expected, scores = result.semantic(), np.sort(result.semantic_scores(), axis=0)
    found = EXAMPLE["OnnxModel"](folder).segment(PHOTOS[photo], classes)
    assert len(np.unique(expected)) > 1
    decided = scores[-1] - scores[-2] > 1e-6  # elsewhere every mask is far below 0
    assert decided.mean() > 0.5
    assert (found == expected)[decided].mean() >= 0.999


@pytest.mark.slow
@pytest.mark.parametrize("photo", PHOTOS)
def test_regions_of_the_embedded_model_s_kind_give_its_semantic_result(exported, photo):
    model, folder, _ = exported("regions", check=True)
    onnx_model = EXAMPLE["OnnxModel"](folder)
    found, sides = onnx_model.encode_image(PHOTOS[photo])

    class FromOnnx(torch.nn.Module):
        """The superpixels' code, with everything that networks compute taken from the files."""

        def forward(self, pixels, pyramid):
            return torch.from_numpy(found["boundary_logits"])

    inputs, _ = model.prepare(PHOTOS[photo])
    head, own = model.generator, model.generator.boundaries
    features = ma.ClipFeatures({}, *(torch.from_numpy(found[name]) for name in ("dense", "projected")))
    try:
        head.boundaries = FromOnnx()
        proposals = head(inputs, features)
        ((_, pooled, shapes),) = head.proposed(inputs, features)
    finally:
        head.boundaries = own
    computed = onnx_model.run("regions", pooled=pooled.numpy(), shapes=shapes.numpy())
    cut = proposals.objectness[0].detach().numpy() - head.objectness(shapes)[:, 0].detach().numpy()
    found |= {"class_embeddings": computed["class_embeddings"][None], "objectness": computed["objectness"] + cut}
    logits = proposals.mask_logits.numpy()
    labels = onnx_model.semantic(logits[0], onnx_model.probabilities(found, logits, CLASSES), sides)
    expected = model.segment(PHOTOS[photo], CLASSES, background=None).semantic()
    assert (labels == expected).mean() >= 0.999


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 13])
def test_any_number_of_given_masks_is_classified(exported, kind, count):
    model, folder, _ = exported(kind, check=True)
    photo, rng = skimage.data.coffee()[:64, :96], np.random.default_rng(0)
    masks = np.zeros((count, 64, 96), bool)
    for mask, (top, left) in zip(masks, rng.integers(0, (40, 60), (count, 2)), strict=True):
        mask[top : top + 30, left : left + 50] = True
    expected = model.segment(photo, CLASSES, masks=masks, background=None).semantic()
    found = EXAMPLE["OnnxModel"](folder).segment(photo, CLASSES, masks)
    assert (found == expected).mean() >= 0.999


def test_names_become_the_same_tokens(exported):
    model, folder, _ = exported("adapter", check=True)
    names = ["a photo of a cat.", "T-Shirt's 100% cotton_bag", "Bücherregal", "  two\n words", "猫 and 🐈", "x" * 300]
    expected = [row[: row.argmax() + 1].tolist() for row in model.clip.tokenizer(names)]
    assert [EXAMPLE["OnnxModel"](folder).tokens(name) for name in names] == expected
    library = pytest.importorskip("tokenizers").Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert [library.encode(name).ids for name in names[:-1]] == expected[:-1]


@pytest.fixture
def copied(exported, tmp_path):
    """A model and a folder of its files that may be changed."""
    model, folder, _ = exported("adapter", check=True)
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return model, tmp_path


def _shift(path):
    content = onnx.load(path)
    weight = max(content.graph.initializer, key=lambda one: len(one.raw_data))
    weight.raw_data = (np.frombuffer(weight.raw_data, np.float32) * 1.1).tobytes()
    onnx.save(content, path)


def _cut(path):
    path.write_bytes(path.read_bytes()[:-1000])


def _set_alpha(path):
    path.write_text(json.dumps(json.loads(path.read_text()) | {"alpha": 0.1}))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("adapter.onnx", _shift, "adapter.onnx differs from PyTorch by"),
        ("text.onnx", _cut, "onnxruntime cannot load"),
        ("image.onnx", Path.unlink, "onnxruntime cannot load"),
        ("config.json", _set_alpha, "differs from the model in 'alpha'"),
        ("tokenizer.json", Path.unlink, "tokenizer.json"),
    ],
)
def test_changed_files_are_refused(copied, name, change, message):
    model, folder = copied
    change(folder / name)
    with pytest.raises(MaskAdapterError, match=message) as error:
        ma.export_onnx(model, folder, check=True)
    assert "\n" not in str(error.value)


def test_files_of_another_model_are_refused(copied):
    _, folder = copied
    torch.manual_seed(1)
    other = varied()
    other.clip.model.token_embedding.weight.mul_(1.1)
    with pytest.raises(MaskAdapterError, match=r"text\.onnx differs from PyTorch"):
        ma.export_onnx(other, folder, check=True)


def test_nothing_is_left_of_an_export_that_fails(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise MaskAdapterError("no")

    monkeypatch.setattr("maskadapter.export.exporting.write_onnx", refuse)
    with pytest.raises(MaskAdapterError, match="no"):
        ma.export_onnx(small(), tmp_path / "onnx")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_exported_is_said(tmp_path):
    cropping = small("pooling")
    cropping.pooler = MaskCropping(cropping.clip.encode_whole, cropping.clip.image_size, 32)
    with pytest.raises(MaskAdapterError, match="mask cropping"):
        ma.export_onnx(cropping, tmp_path / "onnx")
    with pytest.raises(MaskAdapterError, match="opset is 17"):
        ma.export_onnx(small(), tmp_path / "onnx", opset=17)
    (tmp_path / "a.txt").touch()
    for check in (False, True):
        with pytest.raises(MaskAdapterError, match="is not empty"):
            ma.export_onnx(small(), tmp_path, check=check)


@pytest.mark.slow
def test_files_for_tensorrt_have_opset_18(exported):
    _, _, files = exported("adapter", opset=18, int8=True, check=True)
    versions = {file.path.name: onnx.load(file.path).opset_import[0].version for file in files if file.loss is None}
    assert set(versions.values()) == {18}
    assert all(file.difference < 1e-4 for file in files if file.loss is None)


@pytest.mark.slow
def test_files_of_8_bits_are_smaller_and_their_loss_is_measured(exported):
    _, folder, files = exported("adapter", opset=18, int8=True, check=True)
    small_files = [file for file in files if file.loss is not None]
    assert {file.path.name for file in small_files} == {"image.int8.onnx", "adapter.int8.onnx", "text.int8.onnx"}
    for file in small_files:
        assert 0 < file.loss < 0.2
        whole = file.path.with_name(file.path.name.replace(".int8", ""))
        assert file.path.stat().st_size < whole.stat().st_size
    assert json.loads((folder / "config.json").read_text())["int8"]["text"]["loss"] == small_files[-1].loss


def test_the_adapter_passes_through_torch_export():
    adapter = small().pooler.adapter
    features, masks = torch.randn(1, 32, 4, 6), torch.rand(1, 5, 16, 24) > 0.5
    shapes = {"features": {2: Dim.DYNAMIC, 3: Dim.DYNAMIC}, "masks": {1: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}}
    program = torch.export.export(adapter, (features, masks), dynamic_shapes=shapes).module()
    features, masks = torch.randn(1, 32, 3, 7), torch.rand(1, 9, 12, 28) > 0.5
    torch.testing.assert_close(program(features, masks), adapter(features, masks))


def test_what_is_traced_equals_what_is_computed(monkeypatch):
    torch.manual_seed(0)
    sizes = [(3, 4), (6, 8), (12, 16)]
    attention = DeformableAttention(16, 3, 4)
    query, values = torch.randn(2, 252, 16), attention.values(torch.randn(2, 252, 16))
    places, masks = location_centers(sizes, query), torch.randn(1, 3, 50, 37)

    def computed():
        return attention(3 * query, places, values, sizes), area_weights(masks, (7, 9))

    expected = computed()
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    for traced, one in zip(computed(), expected, strict=True):
        torch.testing.assert_close(traced, one)


@pytest.mark.slow
def test_the_command_exports_the_embedded_model_and_the_example_uses_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = ["export", "tiny", "--output", "onnx", "--check"]
    for _ in range(2):  # then it compares what is there
        with pytest.raises(SystemExit) as stopped:
            main(command)
        written = capsys.readouterr()
        assert not stopped.value.code, written.err
        assert [line.split(":")[0] for line in written.out.splitlines()] == [
            f"onnx/{name}.onnx" for name in ("image", "pooling", "regions", "text")
        ]
    Image.fromarray(skimage.data.chelsea()).save("cat.png")
    monkeypatch.setattr("sys.argv", ["segment_onnx.py", "onnx", "cat.png", "cat, wall|floor"])
    run_path(str(SCRIPT), run_name="__main__")
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == ["cat", "wall"]
    assert (np.asarray(Image.open("cat-labels.png"))[100:200, 150:300] == 1).mean() > 0.5
    (tmp_path / "onnx" / "text.onnx").write_bytes(b"no graph")
    with pytest.raises(SystemExit) as stopped:
        main(command)
    line = capsys.readouterr().err
    assert stopped.value.code == 2
    assert line.startswith("error: onnxruntime cannot load onnx/text.onnx")
    assert line.count("\n") == 1
