"""Libraries of extras: imported, or named with the command that installs them."""

import json
import sys

import pytest

from maskadapter.errors import MaskAdapterError
from maskadapter.system.extras import load_extra


def test_a_library_is_imported():
    assert load_extra("json", "label") is json


def test_a_missing_library_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(MaskAdapterError, match=r"^supervision is needed for this: pip install 'maskadapter\[label\]'$"):
        load_extra("supervision", "label")
