"""Every test here prepares small imitations of the published data sets, without waiting between downloads."""

import pytest
from small_sets import shrink_counts

from maskadapter.system import http_download


@pytest.fixture(autouse=True)
def two_images(monkeypatch):
    shrink_counts(monkeypatch)
    monkeypatch.delenv("MASKADAPTER_OFFLINE", raising=False)
    monkeypatch.setattr(http_download.time, "sleep", lambda seconds: None)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "datasets"
