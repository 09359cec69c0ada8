"""JSON files come back as they were written, and refusals are one line."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskadapter.errors import DatasetError, MaskAdapterError
from maskadapter.system.json_files import read_json, write_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=3), children, max_size=3),
    max_leaves=8,
)


@settings(derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(st.lists(VALUES) | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=4), VALUES))
def test_what_is_written_is_read(tmp_path, content):
    path = write_json(tmp_path / "folder" / "a.json", content)
    assert read_json(path, DatasetError) == content
    assert [file.name for file in path.parent.iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot read .* as JSON"),
        ("[" * 100_000, "cannot read .* as JSON"),
        ("\x00", "cannot read .* as JSON"),
        ("[1234567890]", "larger than 11 bytes"),
    ],
)
def test_unusable_files(tmp_path, content, message):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(DatasetError, match=message) as refused:
        read_json(tmp_path / "a.json", DatasetError, 1_000_000 if "as JSON" in message else 11)
    assert "\n" not in str(refused.value)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MaskAdapterError, match="cannot write"):
        write_json(tmp_path / "file" / "a.json", {})
