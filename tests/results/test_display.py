"""Results show themselves: in one line, as an image, in a window, as a figure."""

import sys
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image, ImageShow

from maskadapter.errors import MaskAdapterError
from maskadapter.results.segmentation import Segmentation
from maskadapter.types.encoded_image import ImageSizes
from maskadapter.vocabulary.vocabulary import Vocabulary


def stripes(*labels, classes="cat, wall", size=(20, 30)):
    """Upright stripes of the classes."""
    vocabulary, width = Vocabulary.of(classes), size[1]
    logits, probs = torch.full((len(labels), *size), -10.0), torch.zeros(len(labels), len(vocabulary) + 1)
    for index, label in enumerate(labels):
        logits[index, :, width * index // len(labels) : width * (index + 1) // len(labels)] = 10
        probs[index, label] = 1
    image = np.full((*size, 3), 128, np.uint8)
    return Segmentation(image, vocabulary, logits, probs, ImageSizes(size, size, size), file_name="photo.jpg")


@pytest.mark.parametrize(
    ("result", "line"),
    [
        (stripes(0, 1, 0), "photo.jpg, 30 x 20 pixels, 3 segments: 2 cat, 1 wall; background: none"),
        (stripes(0), "photo.jpg, 30 x 20 pixels, 1 segment: 1 cat; background: none"),
        (stripes(), "photo.jpg, 30 x 20 pixels, 0 segments; background: none"),
        (
            stripes(*range(10), classes=[f"c{index}" for index in range(10)]),
            "photo.jpg, 30 x 20 pixels, 10 segments: 1 c0, 1 c1, 1 c2, 1 c3, 1 c4, 1 c5, 1 c6, 1 c7, "
            "and 2 more classes; background: none",
        ),
    ],
)
def test_a_result_in_one_line(result, line):
    assert repr(result) == f"Segmentation({line})"


def test_a_segment_in_one_line():
    assert repr(stripes(0, 1)[1]) == "ResultSegment(id=2, class_name='wall', score=1, area=300, box=(15, 0, 30, 20))"


@pytest.mark.parametrize(("size", "shown"), [((20, 30), (30, 20)), ((30, 2048), (1024, 15)), ((1100, 4), (4, 1024))])
def test_notebooks_show_the_overlay_and_no_huge_image(size, shown):
    result = stripes(0, size=size)
    with Image.open(BytesIO(result._repr_png_())) as image:
        assert image.format == "PNG"
        assert image.size == shown
        if size == (20, 30):
            np.testing.assert_array_equal(np.asarray(image), np.asarray(result.overlay()))


def test_a_result_without_segments_shows_its_image():
    assert (np.asarray(stripes().overlay()) == 128).all()
    assert stripes()


def test_show_opens_a_viewer(monkeypatch):
    opened = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(ImageShow, "show", lambda image: opened.append(image) or True)
    stripes(0).show()
    assert [image.size for image in opened] == [(30, 20)]


def test_show_without_a_viewer_is_one_line(monkeypatch):
    monkeypatch.setattr(ImageShow, "_viewers", [])
    monkeypatch.setenv("DISPLAY", ":0")
    with pytest.raises(MaskAdapterError, match="no window to show an image in: save the result"):
        stripes(0).show()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ImageShow, "show", lambda image: pytest.fail("there is no display"))
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(MaskAdapterError, match="no window"):
        stripes(0).show()


def test_show_in_a_notebook_displays_below_the_cell(monkeypatch):
    shown, shell = [], SimpleNamespace(kernel=None)
    display = SimpleNamespace(display=shown.append, Image=lambda content: Image.open(BytesIO(content)))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell, display=display))
    stripes(0).show()
    stripes(size=(1500, 3000)).show()  # not the whole of it, which would stay in the notebook's file
    assert [(image.format, image.size) for image in shown] == [("PNG", (30, 20)), ("PNG", (1024, 512))]


@pytest.mark.parametrize("classes", [["cat", "_wall"], ["$cat$", "cost $5"], ["a very long name " * 9, "wall"]])
def test_a_figure_lists_the_classes_and_their_segments(classes):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    figure = stripes(0, 1, 0, classes=classes).plot()
    try:
        figure.savefig(BytesIO())
        names = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
        assert [name.endswith(f" ({count})") for name, count in zip(names, (2, 1), strict=True)] == [True, True]
        assert names[1] == f"{classes[1]} (1)"
    finally:
        pyplot.close(figure)


def test_a_long_list_and_no_class_fit_into_a_figure():
    pyplot = pytest.importorskip("matplotlib.pyplot")
    many = stripes(*range(30), classes=[f"class {index}" for index in range(30)])
    for result, lines in ((many, 25), (stripes(), 0)):
        figure = result.plot()
        figure.savefig(BytesIO())
        legend = figure.axes[0].get_legend()
        assert len(legend.get_texts() if legend else []) == lines
        pyplot.close(figure)


def test_a_figure_without_matplotlib_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(MaskAdapterError, match=r"matplotlib.* is needed for this: pip install 'maskadapter\[plot\]'"):
        stripes(0).plot()
