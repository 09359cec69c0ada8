"""Test ``maskadapter plot``: the figures show the numbers that they are made from."""

import inspect
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluated import VOCABULARY, InMemory, samples
from PIL import Image
from small_results import classification
from small_segmenter import small

import maskadapter as ma
from maskadapter.cli import main, plot, plot_results
from maskadapter.errors import MaskAdapterError
from maskadapter.evaluation.evaluator import evaluate
from maskadapter.evaluation.partition import Partition
from maskadapter.hub.model_source import ModelSource
from maskadapter.io import images as ma_images
from maskadapter.io.masks import mask_parts
from maskadapter.models.config import AdapterConfig
from maskadapter.models.mask_adapter import MaskAdapter
from maskadapter.models.poolers.adapter_pooling import AdapterPooler
from maskadapter.models.poolers.mask_pooling import MaskPooling
from maskadapter.paper import figures
from maskadapter.paper.figures import shown_masks
from maskadapter.paper.figures.gallery_figure import figure9, figure10, gallery, labels_of
from maskadapter.paper.figures.image_grid import Row, at_print_size, image_grid, mask_at_print_size
from maskadapter.paper.figures.map_figures import figure4, figure6, most_different
from maskadapter.paper.figures.model_columns import FIGURE5, FIGURE6
from maskadapter.paper.figures.page import COLORS, DPI, TEXT, check_output, legend_shape, page
from maskadapter.paper.figures.pooler_comparison import ADAPTER, POOLING, PoolerComparison
from maskadapter.paper.figures.tsne_figure import figure5, same_class_neighbors
from maskadapter.paper.figures.unseen_figure import _RUNS, figure7
from maskadapter.paper.figures.upper_bound_figure import figure1
from maskadapter.paper.figures.vocabulary_figure import figure11
from maskadapter.paper.table import TABLES
from maskadapter.results.activation_maps import ActivationMaps
from maskadapter.system.renamed import renamed
from maskadapter.types.target import Target


def run(*arguments):
    with pytest.raises(SystemExit) as stop:
        main(["plot", *map(str, arguments)])
    return stop.value.code or 0


@pytest.fixture(scope="module")
def comparison():
    segmenter = small("adapter")
    return PoolerComparison(segmenter, {POOLING: MaskPooling(), ADAPTER: segmenter.pooler})


@pytest.fixture
def quick(comparison, monkeypatch):
    """Replace every model by a tiny random one; the list holds which were asked for. Titles with "one" have one map."""
    asked = []

    def load_comparison(models, device):
        asked.append((models, device))
        one = AdapterPooler(MaskAdapter(32, AdapterConfig(32, num_maps=1))).eval()
        poolers = {title: one if "one" in title else comparison.poolers[ADAPTER] for title in models}
        return PoolerComparison(comparison.segmenter, {POOLING: MaskPooling(), **poolers})

    monkeypatch.setattr(PoolerComparison, "load", load_comparison)
    for module in ("gallery_figure", "vocabulary_figure"):
        monkeypatch.setattr(
            f"maskadapter.paper.figures.{module}.load",
            lambda source, **given: asked.append((source.name, source.pooler)) or comparison.segmenter,
        )
    return asked


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (2, 70, 110, 3), dtype=np.uint8)
    for name, image in zip("ab", noise, strict=True):
        Image.fromarray(image).save(folder / f"{name}.png")
    return folder


# The file ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ending", "magic"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")])
def test_the_same_figure_is_the_same_file(tmp_path, ending, magic):
    written = []
    for name in ("one", "two"):
        with page(check_output(tmp_path / "new" / f"{name}{ending}"), 2, 1) as figure:
            figure.subplots().set_title(r"$\no formula$")
        written.append((tmp_path / "new" / f"{name}{ending}").read_bytes())
    assert written[0].startswith(magic)
    assert written[0] == written[1]
    assert len(list((tmp_path / "new").iterdir())) == 2


def test_nothing_is_written_after_an_error_and_no_style_stays(tmp_path):
    from matplotlib import rcParams

    before = dict(rcParams)
    with pytest.raises(ZeroDivisionError), page(tmp_path / "a.png", 2, 1):
        1 / 0  # noqa: B018
    assert not list(tmp_path.iterdir())
    assert dict(rcParams) == before


@pytest.mark.parametrize("name", ["a.jpg", "a", "folder.png"])
def test_an_output_that_cannot_be_written_is_refused_first(tmp_path, name):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(MaskAdapterError, match=r"output is .*(\.png, \.pdf, \.svg is needed|name of a file)"):
        figure7([], tmp_path / name)


def test_a_missing_extra_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(MaskAdapterError, match=r"sklearn is needed .* pip install 'maskadapter\[plot\]'"):
        figure5(InMemory([]), tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert run("figure7", tmp_path, "-o", tmp_path / "a.png") == 2


def test_a_legend_fits():
    assert legend_shape(["a", "b", "c"], 3.25)[1:] == (3, pytest.approx(0.25))
    assert legend_shape(["mask pooling (FC-CLIP)", "b", "c"], 3.25)[1:] == (1, pytest.approx(0.55))
    bars = ["mask cropping", "mask pooling", "Mask-Adapter"]
    assert [legend_shape(bars, 3.25, handle=handle)[1] for handle in (1, 2.6)] == [3, 2]
    (text,), columns, high = legend_shape(["a very long label " * 9], 3.25)
    assert columns == 1
    assert max(map(len, text.split("\n"))) < 45
    assert high == pytest.approx(0.1 + 0.15 * (1 + text.count("\n")))


def test_a_long_label_is_not_cut_off(tmp_path):
    run_folder = log(tmp_path, "run", [entry(1, 1.0, 2.0), entry(2, 1.0, 3.0)])
    figure = figure7([f"{'many words ' * 9}={run_folder}"], tmp_path / "curve.png")
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1


def test_letters_that_the_font_lacks_are_reported_in_one_line(tmp_path, caplog):
    with page(tmp_path / "a.png", 2, 1) as figure:
        figure.text(0, 0, "\u30ab\u30c3\u30d7")
    assert [record.message for record in caplog.records] == [
        f"{tmp_path / 'a.png'}: boxes stand for letters that the figure's font does not have"
    ]


def test_a_notebook_shows_a_figure_once(tmp_path):
    formatters = pytest.importorskip("IPython.core.formatters")
    run_folder = log(tmp_path, "run", [entry(1, 1.0, 2.0), entry(2, 1.0, 3.0)])
    shown, _ = formatters.DisplayFormatter().format(figure7([run_folder], tmp_path / "curve.png"))
    assert shown.keys() == {"text/plain", "image/png"}
    assert shown["image/png"].startswith(b"\x89PNG")


@pytest.mark.parametrize("overwritten", ["photos/a.png", "masks.png"])
def test_a_figure_never_overwrites_what_it_is_made_of(photos, tmp_path, capsys, overwritten):
    Image.fromarray(np.ones((70, 110), np.uint8)).save(tmp_path / "masks.png")
    output, before = tmp_path / overwritten, (tmp_path / overwritten).read_bytes()
    image, masks = photos / "a.png", tmp_path / "masks.png"
    draws = [
        lambda: figure4(image, output, masks=masks, model="tiny"),
        lambda: figure6(image, output, masks=masks, models=["tiny"]),
        lambda: figure11(image, output, classes=["cat"], masks=str(masks), model="tiny"),
    ]
    if output == image:
        draws.append(lambda: gallery(image, output, classes="cat"))
    for draw in draws:
        with pytest.raises(MaskAdapterError, match=r"output is .*, from which the figure is made: give another name"):
            draw()
    assert run("figure4", image, "--masks", masks, "-o", output, "-m", "tiny") == 2
    assert "from which the figure is made" in capsys.readouterr().err
    assert output.read_bytes() == before


def test_the_grid_of_images(tmp_path):
    wide, tall = np.zeros((40, 80, 3), np.uint8), np.full((400, 80, 3), 200, np.uint8)
    outline = np.zeros((40, 80), bool)
    outline[:, :30] = True
    rows = [
        Row([wide] * 3, "a label", [outline] * 2, ["", "7", "many letters " * 9]),
        Row([tall, None, tall], "one of very many " * 9),
    ]
    figure = image_grid(rows, ["x", "y", "a title of many words " * 9], tmp_path / "grid.png")
    assert len(figure.axes) == 5
    places = [axes.get_position() for axes in figure.axes]
    assert all(-1e-9 <= edge <= 1 + 1e-9 for place in places for edge in (*place.min, *place.max))
    assert places[3].y1 < places[0].y0
    texts = [text.get_text() for text in figure.texts]
    assert texts[:2] == ["x", "y"]
    assert [len(text.splitlines()) for text in texts] == [1, 1, 3, 1, 2]
    assert [text.get_text() for text in figure.axes[1].texts] == ["7"]
    assert figure.axes[2].texts[0].get_text().endswith(" ...")
    assert [len(axes.collections) > 0 for axes in figure.axes[:3]] == [True, True, False]
    drawer = figure.canvas.get_renderer()
    boxes = [text.get_window_extent(drawer) for text in [*figure.texts, *figure.axes[2].texts]]
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1 for box in boxes)
    assert boxes[-1].x1 <= figure.axes[2].get_window_extent(drawer).x1
    with Image.open(tmp_path / "grid.png") as written:
        assert written.width <= TEXT * DPI + 1


def test_masks_are_shrunk_like_images():
    mask = np.zeros((400, 800), bool)
    mask[:200, :400] = True
    small_mask = mask_at_print_size(mask, 4)
    assert small_mask.shape[1] == 2 * small_mask.shape[0]
    assert small_mask[: len(small_mask) // 2, : small_mask.shape[1] // 2].all()
    assert small_mask.mean() == pytest.approx(0.25, abs=0.01)


# Where each pooler pools ---------------------------------------------------------------------------------------------


def test_maps_stand_above_their_masks(comparison, quick, photos, tmp_path):
    masks = np.zeros((4, 70, 110), bool)
    masks[0, :10, :10] = masks[1, 20:60, 30:90] = masks[2, :, 60:] = True  # the last is empty
    figure = figure4(photos / "a.png", tmp_path / "maps.png", masks=masks, top=2, model=ModelSource("name"))
    assert quick == [({ADAPTER: ModelSource("name")}, "cpu")]
    assert [text.get_text() for text in figure.texts if text.get_text()] == ["Mask-Adapter", "mask"]
    maps, below = figure.axes[:2], figure.axes[2:]
    assert [axes.texts[0].get_text() for axes in below] == ["mask 3", "mask 2"]
    for above, under in zip(maps, below, strict=True):
        assert above.get_position().y0 > under.get_position().y1
        assert above.get_position().x0 == under.get_position().x0
    photo = np.asarray(Image.open(photos / "a.png"))
    adapted = comparison.maps(photo, masks[[2, 1]])[ADAPTER]
    small = at_print_size(at_print_size(photo, 1), 2)
    for number, (above, under) in enumerate(zip(maps, below, strict=True)):
        expected = adapted.heat(adapted.weights[number].mean(axis=0), Image.fromarray(small))
        np.testing.assert_array_equal(above.images[0].get_array(), np.asarray(expected))
        inside = mask_at_print_size(masks[[2, 1][number]], 2)
        shown = np.asarray(under.images[0].get_array())
        np.testing.assert_array_equal(shown[inside], small[inside])
        assert shown[~inside].min() >= 191  # faded


def test_single_maps_and_mask_pooling_are_rows_between(comparison, quick, photos, tmp_path):
    masks = np.zeros((1, 70, 110), bool)
    masks[0, 20:60, 30:90] = True
    figure = figure4(photos / "a.png", tmp_path / "maps.png", masks=masks, single=2, pooling=True)
    titles = [text.get_text() for text in figure.texts if text.get_text()]
    assert titles == ["Mask-Adapter", "single map", "single map", "mask pooling", "mask"]
    photo = np.asarray(Image.open(photos / "a.png"))
    maps = comparison.maps(photo, masks)
    numbers = most_different(maps[ADAPTER].weights[0], 2)
    assert [axes.texts[0].get_text() for axes in figure.axes[1:3]] == [f"map {number + 1}" for number in numbers]
    small = Image.fromarray(at_print_size(at_print_size(photo, 1), 1))
    for axes, of, weights in (
        (figure.axes[1], maps[ADAPTER], maps[ADAPTER].weights[0, numbers[0]]),
        (figure.axes[3], maps[POOLING], maps[POOLING].weights[0, 0]),
    ):
        np.testing.assert_array_equal(axes.images[0].get_array(), np.asarray(of.heat(weights, small)))


def test_one_map_stands_beside_several(quick, photos, tmp_path):
    masks = np.zeros((2, 70, 110), bool)
    masks[0, :10, :10] = masks[1, 20:60, 30:90] = True
    figure = figure6(photos / "a.png", tmp_path / "maps.png", masks=masks, top=2, single=2)
    assert quick[0][0] == {
        "one map": ModelSource("runs/1-map/model.safetensors"),
        "several maps": ModelSource("runs/fcclip-large-warmup/model.safetensors"),
    }
    titles = [text.get_text().replace("\n", " ") for text in figure.texts[:5]]
    assert titles == ["mask", "one map", "several maps: mean of 16", "single map", "single map"]
    assert len(figure.axes) == 2 * 5
    panels = [np.asarray(axes.images[0].get_array()) for axes in figure.axes[:5]]
    assert all((one != other).any() for index, one in enumerate(panels) for other in panels[:index])
    assert {text.get_text() for text in figure.texts} >= {"mask 1", "mask 2"}
    alone = figure6(photos / "a.png", tmp_path / "maps.png", masks=masks, models=["runs/16/model.safetensors"])
    assert len(alone.axes) == 1 * 5
    assert alone.texts[1].get_text().startswith("16: mean")


def test_both_poolers_are_those_of_the_model(comparison):
    image = np.random.default_rng(1).integers(0, 256, (70, 110, 3), dtype=np.uint8)
    masks = np.zeros((2, 70, 110), bool)
    masks[0, :40], masks[1, 40:] = True, True
    own = comparison.segmenter.activation_maps(image, masks)
    found = comparison.maps(image, masks)
    assert isinstance(found[ADAPTER], ActivationMaps)
    np.testing.assert_array_equal(found[ADAPTER].weights, own.weights)
    assert found[POOLING].weights.shape[1] == 1
    vectors = comparison.embeddings(image, masks)
    np.testing.assert_allclose(np.linalg.norm(vectors[POOLING], axis=1), 1, atol=1e-5)
    labels = comparison.segmenter.classify(image, masks, "cat, dog, sky").labels
    text_embeddings = comparison.segmenter.encode_text("cat, dog, sky").text_embeddings.numpy()
    np.testing.assert_array_equal((vectors[ADAPTER] @ text_embeddings.T).argmax(axis=1), labels)


def test_the_embedded_model_pools_as_it_does_alone():
    loaded = PoolerComparison.load({ADAPTER: ModelSource()})
    assert isinstance(loaded.poolers[ADAPTER], AdapterPooler)
    image = np.random.default_rng(1).integers(0, 256, (70, 110, 3), dtype=np.uint8)
    masks = np.zeros((1, 70, 110), bool)
    masks[0, 20:25, 30:37] = True  # smaller than a feature location: area weights
    alone = ma.load("tiny", pooler="pooling").activation_maps(image, masks)
    np.testing.assert_allclose(loaded.maps(image, masks)[POOLING].weights, alone.weights, atol=1e-6)


def test_the_maps_that_differ_most():
    maps = np.full((5, 2, 2), 0.25)
    maps[1] = [[1, 0], [0, 0]]
    maps[3] = [[0, 0], [0, 1]]
    maps[4] = [[0.9, 0], [0, 0.1]]
    assert most_different(maps, 3) == [3, 1, 0]


def test_of_many_given_masks_only_the_largest_are_kept(quick, photos, tmp_path, monkeypatch):
    """They come some at a time, of the same size too: the first is the larger."""
    masks = np.zeros((30, 70, 110), bool)
    for index in range(30):
        masks[index, : 1 + index % 7, : 1 + index % 10] = True
    np.save(tmp_path / "masks.npy", masks)
    order = np.argsort(-masks.sum(axis=(1, 2)), kind="stable")[:4]

    def names():
        figure = figure4(photos / "a.png", tmp_path / "maps.png", masks=tmp_path / "masks.npy", top=4)
        return [axes.texts[0].get_text() for axes in figure.axes[4:]]

    assert names() == [f"mask {index + 1}" for index in order]
    monkeypatch.setattr("maskadapter.io.masks._PIXELS", 3 * 70 * 110)
    parts = []
    monkeypatch.setattr(
        shown_masks, "mask_parts", lambda *given: (parts.append(len(part)) or part for part in mask_parts(*given))
    )
    assert names() == [f"mask {index + 1}" for index in order]
    assert max(parts) == 3


def test_images_are_read_when_they_are_drawn(comparison, photos, tmp_path, monkeypatch):
    """Only the first is looked at before the model is loaded."""
    done = []
    read = ma_images.read_image
    monkeypatch.setattr(
        "maskadapter.paper.figures.shown_masks.read_image", lambda path: done.append(path.name) or read(path)
    )
    monkeypatch.setattr(PoolerComparison, "load", lambda *given: done.append("model") or comparison)
    figure4(photos, tmp_path / "maps.png", classes="cat, sky", background="none", top=1)
    assert done == ["a.png", "model", "a.png", "b.png"]
    (photos / "a.png").write_text("no image")
    done.clear()
    with pytest.raises(MaskAdapterError, match=r"a\.png"):
        figure4(photos, tmp_path / "maps.png", classes="cat", top=1)
    assert done == ["a.png"]


def test_more_images_than_rows_are_refused_first(quick, tmp_path):
    for number in range(21):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / f"{number}.png")
    for figure, most in ((figure4, 10), (figure6, 20), (figure11, 20)):
        with pytest.raises(MaskAdapterError, match=f"21 images were given; at most {most} fit"):
            figure(tmp_path, tmp_path / "out" / "maps.png", classes=["cat"])
    assert quick == []


def test_a_clip_alone_has_no_adapter_to_show():
    with pytest.raises(
        MaskAdapterError, match=r"^clip:ViT-B-16:openai is a CLIP alone, without an adapter: give a model "
    ):
        PoolerComparison.load({ADAPTER: ModelSource("clip:ViT-B-16:openai")})


def test_activations_of_the_segments_of_classes(quick, photos, tmp_path):
    figure = figure4(photos, tmp_path / "maps.svg", classes="cat, sky", background="none", top=1)
    assert 1 <= len(figure.axes) // 2 <= 2
    assert {axes.texts[0].get_text() for axes in figure.axes[1::2]} <= {"cat", "sky"}


def test_classes_label_given_masks(comparison, quick, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(
        type(comparison.segmenter),
        "classify",
        lambda self, image, masks, classes: classification(VOCABULARY, np.eye(4)[:1]),
    )
    masks = np.ones((1, 70, 110), bool)
    figure = figure4(photos / "a.png", tmp_path / "maps.png", masks=masks, classes=VOCABULARY)
    assert figure.axes[-1].texts[0].get_text() == "cat"


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({}, "give masks, or classes"),
        ({"classes": "cat", "top": 0}, "top is 0, single 0; 1 to 8 masks"),
        ({"classes": "cat", "top": 9}, "top is 9"),
        ({"masks": "m.npy"}, "2 images need their masks in one COCO file"),
        ({"classes": "cat", "images": "nowhere.png"}, "no such file or folder: nowhere.png"),
        ({"masks": np.zeros((0, 70, 110), bool), "images": "a.png"}, "there are no masks to show"),
        ({"masks": np.ones((30, 70, 110), bool), "images": "a.png", "top": 30, "draw": figure6}, "more than 20 rows"),
        ({"classes": "cat", "models": ["tiny"] * 4, "draw": figure6}, "4 were given to be compared; 1 to 3"),
        ({"classes": "cat", "single": 5, "draw": figure6}, "top is 1, single 5"),
    ],
)
def test_maps_that_cannot_be_drawn(quick, photos, tmp_path, given, line):
    name = given.pop("images", "")
    source = photos / name if name != "nowhere.png" else name
    with pytest.raises(MaskAdapterError, match=line):
        given.pop("draw", figure4)(source, tmp_path / "maps.png", **given)
    assert not (tmp_path / "maps.png").exists()


# Embeddings on a plane --------------------------------------------------------------------------------------------


def test_a_point_for_every_mask(quick, tmp_path):
    dataset = InMemory(samples(4, crowd=True))
    figure = figure5(dataset, tmp_path / "tsne.png", limit=3, top=3, partition=None)
    assert quick[0][0] == {
        "without mask consistency": ModelSource("runs/no-consistency/model.safetensors"),
        "with mask consistency": ModelSource("runs/fcclip-large-mixed/model.safetensors"),
    }
    assert [axes.get_title() for axes in figure.axes] == [
        "mask pooling",
        "Mask-Adapter,\nwithout mask consistency",
        "Mask-Adapter,\nwith mask consistency",
    ]
    held = np.zeros(4, int)
    for index in range(3):
        target = dataset[index].target
        visible = target.masks().any(axis=(1, 2)) & ~target.is_crowd
        np.add.at(held, target.classes[visible], 1)
    order = np.argsort(-held, kind="stable")[:3]
    for axes in figure.axes:
        assert [len(points.get_offsets()) for points in axes.collections] == held[order].tolist()
        assert [points.get_label() for points in axes.collections] == [VOCABULARY.names[label] for label in order]
    again = figure5(dataset, tmp_path / "again.png", limit=3, top=3, partition=None)
    assert (tmp_path / "tsne.png").read_bytes() == (tmp_path / "again.png").read_bytes()
    assert again.legends[0].get_title().get_text() == f"{held[order].sum()} masks of small"


def test_one_adapter_has_two_panels(quick, tmp_path):
    figure = figure5(InMemory(samples(2)), tmp_path / "tsne.png", partition=None, models=["tiny"])
    assert [axes.get_title() for axes in figure.axes] == ["mask pooling", "Mask-Adapter, tiny"]


@pytest.fixture(scope="module")
def two_files(tmp_path_factory):
    """The embedded model with its adapter as a file, and the same with another CLIP."""
    folder = tmp_path_factory.mktemp("weights")
    model = ma.load("tiny", pooler="adapter")
    ma.save(model, folder / "one.safetensors", "tiny")
    with torch.no_grad():
        next(model.clip.parameters()).add_(1)
    ma.save(model, folder / "other.safetensors", "tiny")
    return folder


def test_adapters_of_several_files_share_the_features_of_one_clip(two_files):
    sources = {"tiny": ModelSource(), "file": ModelSource(two_files / "one.safetensors")}
    found = PoolerComparison.load(sources)
    assert list(found.poolers) == [POOLING, "tiny", "file"]
    image = np.random.default_rng(1).integers(0, 256, (70, 110, 3), dtype=np.uint8)
    masks = np.zeros((1, 70, 110), bool)
    masks[0, 20:45, 30:77] = True
    vectors = found.embeddings(image, masks)
    np.testing.assert_array_equal(vectors["tiny"], vectors["file"])
    assert (vectors["tiny"] != vectors[POOLING]).any()
    with pytest.raises(MaskAdapterError, match="hold different values of clip"):
        PoolerComparison.load(sources | {"other": ModelSource(two_files / "other.safetensors")})


def test_unseen_classes_have_triangles(quick, tmp_path):
    (tmp_path / "seen.txt").write_text("cat\nsky\n")
    figure = figure5(InMemory(samples(2)), tmp_path / "tsne.png", partition=tmp_path / "seen.txt")
    corners = {points.get_label(): len(points.get_paths()[0].vertices) for points in figure.axes[0].collections}
    assert {name for name, count in corners.items() if count == 4} == {"dog", "grass"} & set(corners)
    assert "triangles: unseen" in figure.legends[0].get_title().get_text()


def test_neighbors_are_counted():
    angles = np.array([0, 1, 2, 90, 91, 3]) * np.pi / 180
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert same_class_neighbors(vectors, np.array([0, 0, 0, 1, 1, 1])) == pytest.approx(5 / 6)


@pytest.mark.parametrize(
    ("dataset", "given", "line"),
    [
        (InMemory(samples(1, segments=1)), {}, "masks of small are too few: at least 5"),
        (InMemory(samples(1, segments=1, crowd=True)), {}, "the first 1 images of small have no masks"),
        (InMemory(samples(1)), {"top": 22}, "limit is 200, top 22; .* 1 to 21 classes"),
        (InMemory(samples(1)), {"limit": 0}, "limit is 0"),
        (InMemory(samples(1)), {"partition": "nothing"}, "no partition 'nothing'"),
    ],
)
def test_planes_that_cannot_be_drawn(quick, tmp_path, dataset, given, line):
    with pytest.raises(MaskAdapterError, match=line):
        figure5(dataset, tmp_path / "tsne.png", **given)
    assert not list(tmp_path.iterdir())


# Classes of ground-truth masks --------------------------------------------------------------------------------------


def report_of(dataset, output, right, partition=None, model=None):
    """Evaluate a classifier that is right with a probability."""

    def classify(image, masks):
        number = int(image[0, 0, 0])
        rng = np.random.default_rng((number, len(masks)))
        target = dataset[number].target
        visible = target.masks().any(axis=(1, 2))
        true = np.concatenate([target.classes[visible], np.unique(target.classes[visible])])
        predicted = np.where(rng.random(len(true)) < right, true, rng.integers(0, 4, len(true)))
        return classification(VOCABULARY, np.eye(4)[predicted])

    settings = {"model": model or f"right {right}", "proposals": "ground-truth"}
    return evaluate(classify, dataset, output, metrics=["masks"], partition=partition, settings=settings)


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    folder, dataset = tmp_path_factory.mktemp("reports"), InMemory(samples(12))
    partition = Partition("two", (True, False, True, False))
    rates = {"low": 0.3, "high": 0.9}
    return folder, {name: report_of(dataset, folder / name, right, partition) for name, right in rates.items()}


def test_bars_are_the_reports_numbers(reports, tmp_path):
    folder, written = reports
    sources = [f"ours={folder / 'low'}", folder / "high" / "report.json"]
    metrics = ("accuracy of segments", "mIoU", "mIoU unseen")
    figure = figure1(sources, tmp_path / "bars.pdf", metrics=metrics)
    (axes,) = figure.axes
    bars = [container for container in axes.containers if hasattr(container, "patches")]
    assert [container.get_label() for container in bars] == ["ours", "right 0.9"]
    for container, name in zip(bars, ("low", "high"), strict=True):
        heights = [patch.get_height() for patch in container.patches]
        assert heights == pytest.approx([written[name].numbers[metric] for metric in metrics])
    assert [label.get_text().replace("\n", " ") for label in axes.get_xticklabels()] == list(metrics)
    assert "small, 12 images" in axes.get_xlabel()


def error_bars(figure):
    """Half of the length of every error bar, in percent."""
    lines = [c for c in figure.axes[0].collections if type(c).__name__ == "LineCollection"]
    return [(segment[1][1] - segment[0][1]) / 2 for line in lines for segment in line.get_segments()]


def test_standard_errors_are_those_of_the_images(reports, tmp_path):
    """Of the accuracy they are known: the error of a ratio of sums, by the delta method."""
    folder, written = reports
    figure = figure1([folder / "low"], tmp_path / "bars.png", metrics=["accuracy of segments"], resamples=4000)
    lines = (folder / "low" / "records-0.jsonl").read_text().splitlines()
    rows = [np.array(json.loads(line)["masks"]["segments"]) for line in lines]
    right = np.array([row[row[:, 0] == row[:, 1], 2].sum() for row in rows])
    masks = np.array([row[:, 2].sum() for row in rows])
    rate = right.sum() / masks.sum()
    assert 100 * rate == pytest.approx(written["low"].numbers["accuracy of segments"])
    expected = 100 * np.sqrt(((right - rate * masks) ** 2).sum()) / masks.sum()
    assert error_bars(figure) == [pytest.approx(expected, rel=0.06)]


def test_a_report_alone_has_no_error_bars(reports, tmp_path):
    alone = tmp_path / "report.json"
    alone.write_bytes((reports[0] / "low" / "report.json").read_bytes())
    assert error_bars(figure1([alone], tmp_path / "bars.png")) == []
    assert [label.get_text() for label in figure1([alone], tmp_path / "bars.png").axes[0].get_xticklabels()] == [
        "accuracy of segments"
    ]


def test_standard_errors_are_those_of_reproduce(reports, tmp_path):
    from maskadapter.evaluation.bootstrapping import bootstrap, image_counts, metric_function, standard_error

    folder, _ = reports
    lines = (folder / "low" / "records-0.jsonl").read_text().splitlines()
    partition = Partition("two", (True, False, True, False))
    metrics = ("mIoU", "accuracy of class masks unseen")
    expected = [
        standard_error(bootstrap(image_counts(map(json.loads, lines), metric, 4), metric_function(metric, partition)))
        for metric in metrics
    ]
    assert error_bars(figure1([folder / "low"], tmp_path / "bars.png", metrics=metrics)) == pytest.approx(expected)


def test_nothing_is_no_bar_and_zero_is_one(reports, tmp_path):
    """One report lacks a metric, in the other it is 0."""
    from matplotlib.colors import to_hex

    for name, unseen in (("low", None), ("high", 0.0)):
        content = json.loads((reports[0] / name / "report.json").read_text())
        content["numbers in percent"]["mIoU unseen"] = unseen
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    sources, metrics = [tmp_path / "low.json", tmp_path / "high.json"], ("mIoU", "mIoU unseen")
    (axes,) = figure1(sources, tmp_path / "bars.png", metrics=metrics).axes
    assert [len(container.patches) for container in axes.containers] == [1, 2]
    assert [text.get_text() for text in axes.texts].count("0.0") == 1
    figure = figure1(sources, tmp_path / "bars.png", metrics=["mIoU unseen"])
    patches = figure.legends[0].get_patches()
    assert [to_hex(patch.get_facecolor()) for patch in patches] == [*map(to_hex, COLORS[:2])]  # without bar too
    (axes,) = figure1(sources[1:], tmp_path / "bars.png", metrics=["mIoU unseen"]).axes
    assert [patch.get_height() for patch in axes.containers[0].patches] == [0.0]


def test_reports_that_cannot_be_compared(reports, tmp_path):
    folder, _ = reports
    output = tmp_path / "bars.png"
    report_of(InMemory(samples(3)), tmp_path / "few", 0.5)
    (tmp_path / "else.json").write_text("[]")
    content = json.loads((folder / "low" / "report.json").read_text())
    del content["numbers in percent"]["accuracy of segments"]
    (tmp_path / "other.json").write_text(json.dumps(content))
    for sources, line in (
        ([folder / "low", tmp_path / "few"], r"different images \(12 of small and 3 of small\): 'right 0.5'"),
        ([folder / "low", folder / "low"], "two have the label 'right 0.3'"),
        ([tmp_path / "else.json"], "else.json is not a report of maskadapter evaluate"),
        ([tmp_path / "other.json"], "evaluate with --masks ground-truth"),
        ([tmp_path / "nowhere"], "no such file: .*nowhere"),
        ([], "0 were given to be compared; 1 to 7"),
    ):
        with pytest.raises(MaskAdapterError, match=line):
            figure1(sources, output)
    with pytest.raises(MaskAdapterError, match="no metric 'PQ': choose from accuracy of segments"):
        figure1([folder / "low"], output, metrics=["PQ"])
    with pytest.raises(MaskAdapterError, match="no report has the metric mIoU seen"):
        figure1([tmp_path / "few"], output, metrics=["mIoU seen"])
    assert not output.exists()


# The curve --------------------------------------------------------------------------------------------------------


def log(folder, name, entries, rest=""):
    (folder / name).mkdir()
    (folder / name / "log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries) + rest)
    return folder / name


def entry(step, seen, unseen, dataset="ade"):
    numbers = {"mIoU": 0.0, "mIoU seen": seen, "mIoU unseen": unseen, "PQ seen": seen / 2, "PQ unseen": unseen / 2}
    return {"step": step, **{f"evaluation/{dataset}/{name}": value for name, value in numbers.items()}}


def test_curves_are_the_logs_numbers(tmp_path):
    one = log(tmp_path, "one", [{"step": 10, "lr": 0.1}, entry(20, 30.0, 10.0), entry(40, 28.0, 12.0)], '{"step": 60,')
    two = log(tmp_path, "two", [entry(20, 31.0, 9.0), entry(30, 31.0, float("nan"))])
    figure = figure7([one, f"other={two}"], tmp_path / "curve.png", seen=True)
    lines = figure.axes[0].lines
    drawn_lines = {line.get_label(): (line.get_linestyle(), *map(list, line.get_data())) for line in lines}
    assert drawn_lines == {
        "one, unseen": ("-", [20, 40], [10.0, 12.0]),
        "one, seen": ("--", [20, 40], [30.0, 28.0]),
        "other, unseen": ("-", [20], [9.0]),
        "other, seen": ("--", [20, 30], [31.0, 31.0]),
    }
    assert lines[0].get_color() == lines[1].get_color() != lines[2].get_color()
    assert figure.axes[0].get_ylabel() == "mIoU (%)"
    assert figure7([one], tmp_path / "pq.png", metric="PQ").axes[0].lines[0].get_ydata()[0] == 5.0


def test_the_papers_curves_are_of_unseen_classes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for name in ("fcclip-large-warmup", "on-coco-panoptic-and-lvis"):
        log(tmp_path / "runs", name, [entry(10_000, 30.0, 10.0)])
    (axes,) = figure7(None, "curve.png").axes
    assert [line.get_label() for line in axes.lines] == ["COCO-Panoptic", "COCO-Panoptic and LVIS"]
    assert [list(line.get_ydata()) for line in axes.lines] == [[10.0], [10.0]]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("iteration, evaluated on ade", "unseen mIoU (%)")


def test_a_curve_of_zeros_has_no_negative_percentages(tmp_path):
    runs = [log(tmp_path, "run", [entry(1, 1.0, 0.0), entry(2, 1.0, 0.0)])]
    (axes,) = figure7(runs, tmp_path / "curve.png").axes
    assert axes.get_ylim() == (0, 1)


def test_curves_that_cannot_be_drawn(tmp_path):
    output = tmp_path / "curve.png"
    both = log(tmp_path, "both", [entry(1, 1.0, 2.0), entry(1, 3.0, 4.0, "voc")])
    ade = log(tmp_path, "ade", [entry(1, 1.0, 2.0)])
    voc = log(tmp_path, "voc", [entry(1, 1.0, 2.0, "voc")])
    seen = log(tmp_path, "seen", [{"step": 1, "evaluation/ade/mIoU seen": 3.0}])
    nan = log(tmp_path, "nan", [{"step": 1, "evaluation/ade/mIoU unseen": float("nan")}])
    for runs, given, line in (
        ([ade / "log.jsonl"], {}, r"no log\.jsonl in .*: give the folder of a run"),
        ([tmp_path / "nowhere"], {}, r"no log\.jsonl in .*nowhere: give the folder of a run"),
        ([seen], {}, r"has no metrics of unseen classes: train with evaluation\.every"),
        ([nan], {}, r"has no metrics of unseen classes"),
        ([both], {}, "several data sets: choose from ade, voc"),
        ([both], {"dataset": "coco"}, "no data set 'coco' in all runs: choose from ade, voc"),
        ([ade, voc], {}, "no data set in common"),
        ([ade], {"metric": "AP"}, "no metric 'AP' in all runs: choose from mIoU, PQ"),
    ):
        with pytest.raises(MaskAdapterError, match=line):
            figure7(runs, output, **given)
    assert not output.exists()
    assert figure7([both], output, dataset="voc").axes[0].lines[0].get_ydata()[0] == 4.0


# Results side by side ---------------------------------------------------------------------------------------------


def test_a_gallery_of_images(quick, photos, tmp_path):
    models = ("tiny", "tiny:pooling", "ours=own/file.safetensors:adapter")
    figure = gallery(photos, tmp_path / "gallery.png", classes="cat, sky", models=models)
    assert quick == [("tiny", None), ("tiny", "pooling"), ("own/file.safetensors", "adapter")]
    assert len(figure.axes) == 2 * 4
    titles = [text.get_text() for text in figure.texts if text.get_text()]
    assert titles == ["image", "tiny", "tiny, pooling", "ours"]


def test_a_gallery_of_a_data_set(quick, tmp_path):
    dataset = InMemory(samples(3))
    figure = gallery((), tmp_path / "gallery.png", dataset=dataset, numbers=[2, 0])
    assert len(figure.axes) == 2 * 3
    assert [text.get_text() for text in figure.texts if text.get_text()] == ["image", "ground truth", "tiny"]
    assert [int(figure.axes[index].images[0].get_array()[0, 0, 0]) for index in (0, 3)] == [2, 0]
    ground_truth = figure.axes[1].images[0].get_array()
    unlabeled = mask_at_print_size(dataset[2].target.labels() < 0, 3)
    changed = (ground_truth != 2).any(axis=2)
    assert changed[~unlabeled].mean() > 0.99
    assert changed[unlabeled].mean() < 0.5  # outlines and labels


def test_the_papers_results_are_galleries_of_its_models(quick, tmp_path):
    dataset = InMemory(samples(2))
    for draw, models in ((figure9, ("fcclip-large", "maftplus-large")), (figure10, ("fcclip-large",))):
        quick.clear()
        figure = draw(dataset, tmp_path / "results.png", limit=1)
        assert quick == [(model, pooler) for model in models for pooler in ("pooling", "adapter")]
        titles = [text.get_text().replace("\n", " ") for text in figure.texts if text.get_text()]
        ours = ["FC-CLIP", "FC-CLIP with Mask-Adapter", "MAFT+", "MAFT+ with Mask-Adapter"]
        assert titles == ["image", "ground truth", *ours[: 2 * len(models)]]


def test_a_column_for_every_vocabulary(comparison, quick, photos, tmp_path, monkeypatch):
    np.save(tmp_path / "masks.npy", np.ones((1, 70, 110), bool))
    encoded, encode = [], type(comparison.segmenter).encode_image
    monkeypatch.setattr(
        type(comparison.segmenter),
        "encode_image",
        lambda self, image, masks=None: (
            encoded.append(image) if masks is not None else None,
            encode(self, image, masks),
        )[1],
    )
    classes, masks = ["coco-stuff", "cat, sky"], str(tmp_path / "masks.npy")
    figure = figure11(photos / "a.png", tmp_path / "columns.png", classes=classes, masks=masks)
    assert quick == [("fcclip-large", None)]
    assert len(encoded) == 1  # one pass for all vocabularies
    assert [text.get_text() for text in figure.texts if text.get_text()] == ["image", "coco-stuff", "cat, sky"]
    panels = [np.asarray(axes.images[0].get_array()) for axes in figure.axes]
    assert len(panels) == 3
    assert (panels[1] != panels[2]).any()
    for wrong, line in (([], "0 vocabularies were given; 1 to 5"), (["cat", ["cat"]], "two vocabularies are the same")):
        with pytest.raises(MaskAdapterError, match=line):
            figure11(photos / "a.png", tmp_path / "wrong.png", classes=wrong)
    assert not (tmp_path / "wrong.png").exists()


def test_masks_that_overlap_lie_on_each_other_by_size():
    masks = np.zeros((2, 4, 4), bool)
    masks[0, :2, :2], masks[1, :3] = True, True
    labels = labels_of(Target.of_masks(masks, [5, 6]))
    assert labels.tolist() == [[5, 5, 6, 6], [5, 5, 6, 6], [6] * 4, [-1] * 4]


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({}, "give classes, or a data set"),
        ({"classes": "cat", "models": []}, "0 were given to be compared; 1 to 5"),
        ({"classes": "cat", "models": ["tiny:adaptor"]}, "no pooler 'adaptor' in 'tiny:adaptor': adapter, pooling"),
        ({"classes": "cat", "models": ["tiny", "tiny"]}, "two have the label 'tiny'"),
        ({"dataset": InMemory(samples(1))}, "leave images and classes out"),
        ({"dataset": InMemory(samples(1)), "images": (), "numbers": [1]}, "small has the images 0 to 0"),
        ({"dataset": InMemory([]), "images": ()}, "0 images were given; 1 to 20"),
    ],
)
def test_galleries_that_cannot_be_drawn(quick, photos, tmp_path, given, line):
    with pytest.raises(MaskAdapterError, match=line):
        gallery(given.pop("images", photos), tmp_path / "gallery.png", **given)
    assert not (tmp_path / "gallery.png").exists()


def test_the_papers_runs_are_those_that_the_tables_ask_for():
    asked = {f"runs/{Path(row.same_training[0]).name}" for t in TABLES.values() for row in t.rows if row.recipe}
    runs = [text.partition("=")[2].removesuffix("/model.safetensors") for text in (*FIGURE5, *FIGURE6, *_RUNS)]
    assert len(runs) == 6
    assert set(runs) <= asked


# The commands -----------------------------------------------------------------------------------------------------


def test_the_commands_print_what_they_wrote(quick, reports, photos, tmp_path, capsys):
    (tmp_path / "masks.json").write_text(
        json.dumps([{"segmentation": [[0, 0, 60, 0, 60, 60, 0, 60]]}, {"segmentation": [[5, 5, 9, 5, 9, 9]]}])
    )
    curve = log(tmp_path, "run", [entry(1, 1.0, 2.0)])
    (tmp_path / "own").mkdir()
    for sample in samples(2, segments=9):
        Image.fromarray(sample.image).save(tmp_path / "own" / sample.name)
    (tmp_path / "labels").mkdir()
    for sample in samples(2, segments=9):
        Image.fromarray((sample.target.labels() + 1).astype(np.uint8)).save(tmp_path / "labels" / sample.name)
    (tmp_path / "own.yaml").write_text(
        "task: semantic\nclasses: [cat, dog, sky, grass]\nfirst_value: 1\nignore: [0]\n"
        "val: {images: own, labels: labels}\n"
    )
    for arguments in (
        ("figure1", reports[0] / "low", "--metric", "mIoU"),
        ("figure4", photos / "a.png", "--masks", tmp_path / "masks.json", "--single", 1, "--pooling", "-m", "tiny"),
        ("figure5", tmp_path / "own.yaml", "--partition", "none", "--top", 4, "-m", "tiny"),
        ("figure6", photos / "a.png", "--masks", tmp_path / "masks.json", "-m", "one=tiny", "-m", "tiny"),
        ("figure7", curve, "--seen"),
        ("figure9", tmp_path / "own.yaml", "-m", "tiny:pooling", "-m", "tiny:adapter", "--limit", 1),
        ("figure10", tmp_path / "own.yaml", "-m", "tiny:pooling", "--number", 0),
        ("figure11", photos / "a.png", "-c", "cat, sky", "-c", "cat", "--masks", tmp_path / "masks.json", "-m", "tiny"),
        ("gallery", "--dataset", tmp_path / "own.yaml", "--number", 1, "-m", "tiny", "-m", "tiny:pooling"),
        ("gallery", photos / "a.png", "-c", "cat, sky"),
    ):
        output = tmp_path / f"{arguments[0]}.png"
        assert run(*arguments, "-o", output) == 0, capsys.readouterr().err
        assert capsys.readouterr().out.split() == [str(output)]
        with Image.open(output) as written:
            written.load()
        output.unlink()


def test_a_command_has_the_defaults_of_its_function():
    """Those that stand in both, because the functions are not imported for a help page."""
    for name, command in {**vars(plot), **vars(plot_results)}.items():
        if name.startswith("figure"):
            defaults = {key: one.default for key, one in inspect.signature(getattr(figures, name)).parameters.items()}
            own = {key: one.default for key, one in inspect.signature(command).parameters.items()}
            shared = {key for key in defaults.keys() & own.keys() if isinstance(defaults[key], str | int)}
            assert {key: own[key] for key in shared} == {key: defaults[key] for key in shared}, name
            assert shared or name == "figure1"


def test_a_mistake_in_a_command_is_one_line(tmp_path, capsys):
    assert run("figure7", tmp_path, "-o", tmp_path / "curve.png") == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: no log.jsonl in")
    assert printed.count("\n") == 1
    assert not list(tmp_path.iterdir())
    assert run("gallery", "-o", tmp_path / "gallery.png", "--classes", "cat") == 2
    assert "no images" in capsys.readouterr().err


@pytest.mark.parametrize(("old", "new"), renamed("figure").items())
def test_an_old_name_of_a_figure_is_one_line_with_the_new_one(old, new, capsys):
    line = f"{old} is called {new} since version 0.3"
    if "_" not in old:
        assert run(old, "x", "-o", "a.png") == 2
        assert capsys.readouterr().err == f"error: {line}\n"
    if "-" not in old:
        with pytest.raises(MaskAdapterError, match=f"^{line}$"):
            getattr(figures, old)
    assert callable(getattr(figures, new))
