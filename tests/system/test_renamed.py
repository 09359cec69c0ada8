"""Spellings of version 0.1: each is refused in one line, with the name of today."""

import pytest

import maskadapter
from maskadapter.cli import main
from maskadapter.errors import MaskAdapterError
from maskadapter.models.builder import Architecture, build
from maskadapter.models.sources.source_names import mask_source
from maskadapter.system.renamed import advice, renamed


@pytest.mark.parametrize(("old", "new"), renamed("api").items())
def test_an_old_name_of_the_api(old, new):
    with pytest.raises(AttributeError, match=f"^{old} is called {new} since version 0.2$"):
        getattr(maskadapter, old)
    assert new in maskadapter.__all__


@pytest.mark.parametrize(("old", "new"), renamed("attribute").items())
def test_an_old_attribute_of_a_model(old, new):
    model = build(Architecture("tiny", "pooling"))
    assert hasattr(model, new)
    for use in (lambda: getattr(model, old), lambda: setattr(model, old, None)):
        with pytest.raises(AttributeError, match=f"^{old} is called {new} since version 0.2$"):
            use()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: maskadapter.load(model="tiny"), "load: model is called name"),
        (lambda: maskadapter.load(embedding="pooling"), "load: embedding is called pooler"),
        (lambda: maskadapter.load("tiny", like="tiny"), "load: like is called architecture"),
        (lambda: maskadapter.load(fast=True), "load: fast is called prune_proposals"),
        (lambda: maskadapter.convert("tiny", "a.safetensors", like="tiny"), "convert: like is called architecture"),
        (lambda: maskadapter.evaluate(None, None, "out", measures=["masks"]), "evaluate: measures is called metrics"),
        (lambda: maskadapter.segment_images(None, pictures="photos"), "segment_images: pictures is called images"),
        (lambda: maskadapter.label_images(None, pictures="photos"), "label_images: pictures is called images"),
    ],
)
def test_an_old_keyword(call, message):
    with pytest.raises(MaskAdapterError, match=f"^{message} since version 0.2$"):
        call()


def test_a_keyword_that_never_was_is_pythons_own_error():
    with pytest.raises(TypeError, match="size"):
        maskadapter.load(size=3)


@pytest.mark.parametrize(("old", "new"), renamed("SAM option").items())
def test_an_old_option_of_sam(old, new):
    with pytest.raises(MaskAdapterError) as caught:
        mask_source(f"sam:some/model,{old}=1")
    assert str(caught.value) == f"sam:some/model: {old} is called {new} since version 0.2"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["segment", "photo.jpg", "-c", "cat", "--embedding", "pooling"], "--embedding is called --pooler"),
        (["segment", "photo.jpg", "-c", "cat", "--like", "tiny"], "--like is called --architecture"),
        (["segment", "photo.jpg", "-c", "cat", "--exact"], "every proposal is computed unless --fast is given"),
        (["label", "photos", "-c", "cat", "--embedding=pooling"], "--embedding is called --pooler"),
        (["evaluate", "tiny", "ade20k-150", "--subset", "train"], "--subset is called --split"),
        (["evaluate", "tiny", "ade20k-150", "--split", "synonyms"], "--split is called --partition"),
        (["evaluate", "tiny", "ade20k-150", "--proposals", "ground-truth"], "--proposals is called --masks"),
        (
            ["evaluate", "tiny", "ade20k-150", "--branch", "in"],
            "--branch: in is called in-vocabulary since version 0.2",
        ),
        (["evaluate", "tiny", "ade20k-150", "--branch=out"], "--branch: out is called out-of-vocabulary since"),
        (["evaluate", "tiny", "ade20k-150", "--branch", "clip"], "'clip' is not one of 'ensemble'"),
        (["benchmark", "tiny", "--pictures", "photos"], "--pictures is called --images"),
        (["models", "check", "tiny", "--embedding", "pooling"], "--embedding is called --pooler"),
        (["models", "download", "fcclip-large", "--embedding", "pooling"], "--embedding is called --pooler"),
        (["plot", "figure7", "run", "-o", "a.png", "--measure", "mIoU"], "--measure is called --metric"),
    ],
)
def test_an_old_option_of_a_command(capsys, arguments, message):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    written = capsys.readouterr()
    assert (stopped.value.code, written.out) == (2, "")
    assert written.err.startswith("error: ")
    assert message in written.err
    assert written.err.count("\n") == 1


def test_split_takes_the_images_of_a_data_set(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", "tiny", "no-such-set", "--split", "train"])
    assert stopped.value.code == 2
    assert "--partition" not in capsys.readouterr().err


def test_a_name_of_today_needs_no_advice():
    for kind in ("api", "attribute", "keyword", "option", "branch", "figure", "recipe key", "SAM option"):
        assert advice(kind, "something") is None
