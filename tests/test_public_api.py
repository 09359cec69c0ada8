import subprocess
import sys

import pytest

import maskadapter
from maskadapter.models.build import Architecture, build
from maskadapter.system.renamed import renamed


@pytest.mark.parametrize("name", maskadapter.__all__)
def test_every_public_name_resolves_and_is_documented(name):
    value = getattr(maskadapter, name)
    if name != "__version__":
        assert value.__doc__
        assert value.__module__.startswith("maskadapter.")


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="no attribute 'segmnt'"):
        maskadapter.segmnt  # noqa: B018


@pytest.mark.parametrize(("old", "new"), renamed("api").items())
def test_an_old_name_is_refused_with_the_new_one(old, new):
    with pytest.raises(AttributeError, match=f"^{old} is called {new} since version 0.2$"):
        getattr(maskadapter, old)
    assert new in maskadapter.__all__


@pytest.mark.parametrize(("old", "new"), renamed("attribute").items())
def test_an_old_attribute_of_a_model_is_refused_with_the_new_one(old, new):
    model = build(Architecture("tiny", "pooling"))
    assert hasattr(model, new)
    for use in (lambda: getattr(model, old), lambda: setattr(model, old, None)):
        with pytest.raises(AttributeError, match=f"{old} is called {new} since version 0.2"):
            use()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: maskadapter.load(model="tiny"), "load: model is called name"),
        (lambda: maskadapter.load(embedding="pooling"), "load: embedding is called pooler"),
        (lambda: maskadapter.load("tiny", like="tiny"), "load: like is called architecture"),
        (lambda: maskadapter.load(fast=True), "load: fast is called prune_proposals"),
        (lambda: maskadapter.load(masks="sam:NAME,crop_layers=1"), "crop_layers is called crop_n_layers"),
        (lambda: maskadapter.convert("tiny", "a.safetensors", like="tiny"), "convert: like is called architecture"),
    ],
)
def test_an_old_keyword_is_refused_with_the_new_one(call, message):
    with pytest.raises(maskadapter.MaskAdapterError, match=message):
        call()


def test_a_keyword_that_never_was_is_pythons_own_error():
    with pytest.raises(TypeError, match="colour"):
        maskadapter.load(colour="red")


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
