"""Shared by all tests."""

import pytest

import maskadapter.models  # noqa: F401 (declares what timm needs before a test imports it)


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory):
    """No test reads or fills the cache of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MASKADAPTER_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
