import subprocess
import sys

import pytest

import maskadapter


@pytest.mark.parametrize("name", maskadapter.__all__)
def test_every_public_name_resolves_and_is_documented(name):
    value = getattr(maskadapter, name)
    if name != "__version__":
        assert value.__doc__
        assert value.__module__.startswith("maskadapter.")


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="no attribute 'segmnt'"):
        maskadapter.segmnt  # noqa: B018


def test_a_model_source_holds_the_whole_choice():
    source = maskadapter.ModelSource("tiny", pooler="adapter")
    assert isinstance(maskadapter.load(source).pooler, maskadapter.AdapterPooler)
    with pytest.raises(maskadapter.MaskAdapterError, match="a ModelSource has pooler, adapter and architecture in it"):
        maskadapter.load(source, pooler="pooling")


def test_dir_lists_what_all_lists():
    assert set(maskadapter.__all__) <= set(dir(maskadapter))


@pytest.mark.parametrize("module", ["maskadapter", "maskadapter.cli", "maskadapter.vocabulary.vocabulary"])
def test_importing_pulls_in_nothing_heavy(module):
    code = f"import sys, {module}; print(sorted({{'torch', 'numpy', 'PIL', 'scipy', 'open_clip'}} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
