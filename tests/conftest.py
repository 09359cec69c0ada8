"""Shared by all tests."""

import maskadapter.models  # noqa: F401 (declares what timm needs before a test imports it)
