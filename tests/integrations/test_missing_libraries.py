"""Without a tool's library one line says what to install."""

import sys

import pytest

import maskadapter as ma
from maskadapter.integrations import cvat, cvat_clicks, cvat_function, fiftyone_model


@pytest.fixture
def without(monkeypatch):
    for name in [*sys.modules, "cvat_sdk", "fiftyone"]:
        if name.partition(".")[0] in ("cvat_sdk", "fiftyone"):
            monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.parametrize(
    ("make", "package"),
    [
        (lambda: cvat_function(None, "cat"), "cvat-sdk"),
        (lambda: cvat.create("cat", model="gone.pth"), "cvat-sdk"),
        (lambda: cvat_clicks.create(model="gone.pth"), "cvat-sdk"),
        (lambda: fiftyone_model(None, "cat"), "fiftyone"),
    ],
)
def test_what_to_install_is_one_line(without, make, package):
    with pytest.raises(ma.MaskAdapterError, match=f"^{package} is needed for this: pip install {package}") as caught:
        make()
    assert "\n" not in str(caught.value)
