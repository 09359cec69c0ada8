"""Labeling interfaces of Label Studio: classes, forms, images, and what is refused."""

import pytest

from maskadapter.errors import MaskAdapterError
from maskadapter.integrations.labeling_servers.label_config import Control, read_label_config

IMAGE = '<Image name="image" value="$photo" zoom="true"/>'
BRUSH = '<BrushLabels name="tag" toName="image"><Label value="Cat"/><Label value=" Wall " alias="w"/></BrushLabels>'


def test_classes_and_where_the_image_is():
    config = read_label_config(f"<View><!-- a comment -->{IMAGE}{BRUSH}</View>")
    assert config.keys == {"image": "photo"}
    assert config.controls == (Control("tag", "image", "brush", {"Cat": ("Cat",), "w": ("Wall",)}),)


def test_predicted_values_are_the_names_to_ask_for():
    label = '<Label value="Vehicle" predicted_values="car, truck,,bus "/>'
    config = read_label_config(f'<View>{IMAGE}<PolygonLabels name="p" toName="image">{label}</PolygonLabels></View>')
    assert config.controls[0].labels == {"Vehicle": ("car", "truck", "bus")}


def test_every_form_in_the_order_of_the_interface():
    tags = "".join(
        f'<{form}Labels name="{form}" toName="image"><View><Label value="Cat"/></View></{form}Labels>'
        for form in ("Rectangle", "Brush", "Polygon")
    )
    config = read_label_config(f"<View>{tags}<Choices name='c' toName='image'/>{IMAGE}</View>")
    assert [control.form for control in config.controls] == ["rectangle", "brush", "polygon"]


@pytest.mark.parametrize(
    "text",
    [
        f"<View>{IMAGE}</View>",
        f'<View>{IMAGE}<BrushLabels name="tag" toName="image" value="$labels"/></View>',
        f"<View>{BRUSH}</View>",
        f"<View>{IMAGE}{BRUSH.replace('image', 'audio')}</View>",
        f'<View>{IMAGE}<RectangleLabels name="tag"><Label value="Cat"/></RectangleLabels></View>',
        f'<View>{IMAGE}<BrushLabels name="tag" toName="image"><Label value=" "/></BrushLabels></View>',
    ],
)
def test_no_classes(text):
    with pytest.raises(MaskAdapterError, match="has no classes to segment"):
        read_label_config(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is not XML"),
        ("<View>", "is not XML"),
        ("cat, wall", "is not XML"),
        ('<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><View>&b;</View>', "has a DOCTYPE"),
        ('<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><View>&a;</View>', "has a DOCTYPE"),
        (f"<View>{' ' * 1_000_000}</View>", "far too long"),
    ],
)
def test_what_is_not_read(text, sentence):
    with pytest.raises(MaskAdapterError, match=sentence):
        read_label_config(text)
