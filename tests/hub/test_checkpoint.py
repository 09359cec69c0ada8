"""Weights: official key lists, files by path alone, refusals, safety, fusing, and our own format."""

import contextlib
import json
import os
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from official_files import needed, official_state, write
from torch import Tensor

import maskadapter
from maskadapter.errors import CheckpointError, MaskAdapterError
from maskadapter.hub.checkpoints.checkpoint import Checkpoint, compare, read_checkpoint, write_checkpoint
from maskadapter.hub.checkpoints.key_names import to_official, to_ours
from maskadapter.models.builder import Architecture, build, published
from maskadapter.models.config import AdapterConfig

KEYS = Path(__file__).parents[1] / "official_keys"
ARCHITECTURES = {
    "fcclip-large": Architecture("fcclip-large", "adapter"),
    "maftplus-base": Architecture("maftplus-base", "adapter"),
    "maftplus-large": Architecture("maftplus-large", "adapter"),
    "fcclip-large-warmup": Architecture("fcclip-large", "adapter", generator=False),
    "maftplus-base-warmup": Architecture("maftplus-base", "adapter", generator=False),
}
PUBLISHED = ["fcclip-large", "maftplus-base", "maftplus-large"]


def official_shapes(name: str) -> dict[str, tuple[int, ...]]:
    return {key: tuple(shape) for key, shape in json.loads((KEYS / f"{name}.json").read_text()).items()}


def on_meta(name: str, pooler: str = "adapter") -> maskadapter.OpenVocabularySegmenter:
    with torch.device("meta"):
        return build(Architecture(name, pooler))


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return official_state(Architecture("maftplus-base", "adapter"))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_official_key_is_consumed(name: str) -> None:
    found = {to_ours(key): shape for key, shape in official_shapes(name).items()}
    assert len(found) > 500
    assert not compare(needed(ARCHITECTURES[name]), found)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_names_translate_both_ways(name: str) -> None:
    keys = list(official_shapes(name))
    ours = [to_ours(key) for key in keys]
    assert len(set(ours)) == len(keys)
    assert [to_official(key) for key in ours] == keys


# Test size, training list, alpha, beta, order, overlap, mask threshold, CDT form, queries: the official configurations.
SETTINGS = {
    ("fcclip-large", "adapter", True): ((896, 896), "coco-panoptic", 0.7, 0.9, "masks-first", 0.8, 0.5, None, 250),
    ("fcclip-large", "pooling", True): ((800, 1333), "coco-panoptic", 0.4, 0.8, "masks-first", 0.8, None, None, 250),
    ("fcclip-large", "adapter", False): ((800, 1333), "coco-panoptic", 0.7, 0.9, "masks-first", 0.8, 0.5, None, None),
    ("maftplus-base", "adapter", True): ((896, 896), "coco-stuff", 0.7, 1, "classes-first", 0.7, 0.45, "sum", 100),
    ("maftplus-base", "pooling", True): ((800, 1333), "coco-stuff", 1, 1, "classes-first", 0.7, None, "sum", 100),
    ("maftplus-base", "adapter", False): (
        (800, 1333),
        "coco-stuff",
        0.7,
        1,
        "classes-first",
        0.7,
        0.45,
        "update",
        None,
    ),
    ("maftplus-large", "adapter", True): ((896, 896), "coco-stuff", 0.8, 1, "masks-first", 0.7, 0.4, "update", 100),
    ("maftplus-large", "pooling", True): ((800, 1333), "coco-stuff", 1, 1, "classes-first", 0.7, None, "sum", 100),
}


@pytest.mark.parametrize("variant", SETTINGS, ids=str)
def test_published_settings(variant: tuple) -> None:
    with torch.device("meta"):
        model = build(Architecture(*variant))
    size, seen_in, alpha, beta, order, overlap, threshold, norm, queries = SETTINGS[variant]
    inference = model.inference
    assert (inference.input_size.shortest, inference.input_size.longest) == size
    assert (inference.seen_in, inference.alpha, inference.beta) == (seen_in, alpha, beta)
    assert (model.quirks.semantic_order, inference.overlap_threshold) == (order, overlap)
    assert getattr(model.pooler, "mask_threshold", None) == threshold
    assert getattr(model.text_transfer, "norm_placement", None) == norm
    assert model.quirks.projection_layout == ("channels-last" if norm is None else "as-stored")
    assert (model.generator.mask_decoder.query_feat.num_embeddings if model.generator else None) == queries


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("pooler", ["adapter", "pooling"])
def test_an_official_file_is_known_by_its_path_alone(tmp_path: Path, name: str, pooler: str) -> None:
    state = official_state(Architecture(name, pooler))
    path = write(tmp_path / "model.pth", {"model": state, "optimizer": {}, "iteration": 1})
    model = maskadapter.load(path, precision="fp32")
    expected = on_meta(name, pooler)
    assert model.inference == expected.inference
    assert type(model.pooler) is type(expected.pooler)
    assert model.quirks == expected.quirks
    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor.flatten()[:1], state[to_official(key)].flatten()[:1]), key


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_segmenter_and_a_warmup_file_are_fused(tmp_path: Path, name: str) -> None:
    segmenter = official_state(Architecture(name, "pooling"))
    warmup = official_state(Architecture(name, "adapter", generator=False), seed=1)
    warmup |= {key: value for key, value in segmenter.items() if key.startswith(("backbone.", "cdt."))}
    # The official tool reads FC-CLIP's file from its 'model' entry and MAFT+'s as bare tensors.
    content = {"model": segmenter} if name == "fcclip-large" else segmenter
    adapter = write(tmp_path / "warmup.pth", {"model": warmup})
    model = maskadapter.load(write(tmp_path / "segmenter.pth", content), adapter=adapter, precision="fp32")
    ours = model.state_dict()
    for key, tensor in ours.items():
        source = warmup if key.startswith("pooler.") else segmenter
        assert torch.equal(tensor.flatten()[:1], source[to_official(key)].flatten()[:1]), key
    assert model.inference == on_meta(name).inference
    assert model.quirks == on_meta(name).quirks


@pytest.mark.parametrize(
    "kept",
    [
        "official",
        "by an earlier version",
        pytest.param("converted", marks=pytest.mark.slow),
        pytest.param("of one's own", marks=pytest.mark.slow),
    ],
)
def test_a_joined_model_infers_as_published_with_an_adapter(tmp_path: Path, kept: str) -> None:
    """Not as its warm-up did, which had no generator, nor as was published without an adapter."""
    segmenter = official_state(Architecture("maftplus-base", "pooling"))
    warmup = official_state(Architecture("maftplus-base", "adapter", generator=False), seed=1)
    warmup |= {key: value for key, value in segmenter.items() if key.startswith(("backbone.", "cdt."))}
    path = write(tmp_path / "segmenter.pth", {"model": segmenter})
    if kept != "official":
        model = maskadapter.load(path, precision="fp32")
        if kept == "of one's own":
            model.inference = replace(model.inference, alpha=0.25, seen_in=("cat", "dog"))
        path = maskadapter.save(model, tmp_path / "segmenter.safetensors", "maftplus-base")
    if kept == "by an earlier version":
        checkpoint = read_checkpoint(path)
        settings = json.loads(checkpoint.metadata["settings"])
        settings["inference"] |= {"exact": False}
        del settings["inference"]["join_touching"]
        write_checkpoint(path, checkpoint.tensors, {**checkpoint.metadata, "settings": json.dumps(settings)})
    own = maskadapter.load(write(tmp_path / "warmup.pth", {"model": warmup}), precision="fp32")
    own.pooler.adapter.config = replace(own.pooler.adapter.config, mask_threshold=0.3)
    adapter = maskadapter.save(own, tmp_path / "warmup.safetensors", "maftplus-base")
    joined = maskadapter.load(path, adapter=adapter)
    assert joined.pooler.mask_threshold == 0.3
    assert joined.quirks == on_meta("maftplus-base").quirks
    if kept == "of one's own":
        assert (joined.inference.alpha, joined.inference.seen_in) == (0.25, ("cat", "dog"))
    else:
        assert joined.inference == on_meta("maftplus-base").inference


def test_an_adapter_trained_on_another_clip_is_refused(tmp_path: Path) -> None:
    segmenter = write(tmp_path / "s.pth", official_state(Architecture("maftplus-base", "pooling")))
    warmup = write(
        tmp_path / "w.pth", official_state(Architecture("maftplus-base", "adapter", generator=False), seed=1)
    )
    with pytest.raises(CheckpointError, match="different values of clip"):
        maskadapter.load(segmenter, adapter=warmup)


def test_fusing_two_different_models_is_refused(tmp_path: Path) -> None:
    segmenter = write(tmp_path / "s.pth", official_state(Architecture("fcclip-large", "pooling")))
    warmup = write(tmp_path / "w.pth", official_state(Architecture("maftplus-base", "adapter", generator=False)))
    with pytest.raises(CheckpointError, match="not of one model"):
        maskadapter.load(segmenter, adapter=warmup)


KEY = "mask_adapter.cnext2.pwconv1.weight"


def test_a_changed_key_is_refused_with_its_name(tmp_path: Path, state: dict[str, Tensor]) -> None:
    path = write(tmp_path / "m.pth", {"model": {**state, KEY: torch.zeros(3, 4)}})
    with pytest.raises(CheckpointError, match=rf"{KEY} has shape \(3, 4\), \(3072, 768\) is needed.*architecture=NAME"):
        maskadapter.load(path)


def test_a_missing_key_is_refused_with_its_name(tmp_path: Path, state: dict[str, Tensor]) -> None:
    path = write(tmp_path / "m.pth", {"model": {key: value for key, value in state.items() if key != KEY}})
    with pytest.raises(CheckpointError, match=f"does not fit maftplus-base with adapter: missing: {KEY}"):
        maskadapter.load(path)


def test_an_extra_key_is_refused_with_its_name(tmp_path: Path, state: dict[str, Tensor]) -> None:
    path = write(tmp_path / "m.pth", {"model": {**state, "left.over": torch.zeros(1)}})
    with pytest.raises(CheckpointError, match=r"unexpected: left\.over"):
        maskadapter.load(path)


def test_an_architecture_names_the_model_to_compare_with(tmp_path: Path, state: dict[str, Tensor]) -> None:
    path = write(tmp_path / "m.pth", {"model": state})
    with pytest.raises(CheckpointError, match="does not fit fcclip-large with adapter"):
        maskadapter.load(path, architecture="fcclip-large")
    with pytest.raises(CheckpointError, match="unknown model 'fcclip'"):
        maskadapter.load(path, architecture="fcclip")


def test_what_training_leaves_behind_is_no_part_of_the_model(tmp_path: Path) -> None:
    state = official_state(Architecture("maftplus-base", "pooling"))
    leftovers = {"criterion.empty_weight": torch.zeros(172), "backbone_t.clip_model.logit_scale": torch.zeros(())}
    assert maskadapter.load(write(tmp_path / "m.pth", {**state, **leftovers})).generator is not None


def test_the_wanted_pooler_must_be_in_the_file(tmp_path: Path, state: dict[str, Tensor]) -> None:
    pooling = write(tmp_path / "p.pth", official_state(Architecture("maftplus-base", "pooling")))
    with pytest.raises(CheckpointError, match="holds no adapter"):
        maskadapter.load(pooling, pooler="adapter")
    with pytest.raises(CheckpointError, match="would leave it out"):
        maskadapter.load(write(tmp_path / "a.pth", state), pooler="pooling")


class Payload:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        return (os.mkdir, (str(self.trace),))


@pytest.mark.parametrize("place", ["beside the weights", "instead of them", "raw pickle"])
def test_a_malicious_pickle_does_not_execute(tmp_path: Path, state: dict[str, Tensor], place: str) -> None:
    trace, path = tmp_path / "executed", tmp_path / "m.pth"
    if place == "raw pickle":
        path.write_bytes(pickle.dumps(Payload(trace)))
    else:
        torch.save({"model": state, "optimizer": Payload(trace)} if "beside" in place else Payload(trace), path)
    with pytest.raises(CheckpointError, match="was not loaded"):
        maskadapter.load(path)
    assert not trace.exists()
    pickle.loads(pickle.dumps(Payload(trace)))  # the payload is a real one
    assert trace.exists()


def test_numpy_scalars_in_a_scheduler_are_harmless(tmp_path: Path, state: dict[str, Tensor]) -> None:
    scheduler = {"last_lr": np.float64(1e-4), "step": np.int64(3), "small": np.float32(0.5), "flag": np.bool_(True)}
    path = write(tmp_path / "m.pth", {"model": state, "scheduler": scheduler, "iteration": 7})
    assert read_checkpoint(path).shapes.keys() == {to_ours(key) for key in state}


def test_numpy_scalars_of_files_written_under_numpy_1(tmp_path: Path) -> None:
    new = write(tmp_path / "new.pth", {"model": {"a": torch.zeros(1)}, "scheduler": {"last_lr": np.float64(1e-4)}})
    old = tmp_path / "old.pth"
    with zipfile.ZipFile(new) as source, zipfile.ZipFile(old, "w") as target:
        for member in source.infolist():
            target.writestr(member.filename, source.read(member).replace(b"numpy._core.multi", b"numpy.core.multi"))
    assert b"numpy.core.multiarray" in old.read_bytes()
    assert read_checkpoint(old).shapes == {"a": (1,)}


def test_other_numpy_objects_are_refused(tmp_path: Path, state: dict[str, Tensor]) -> None:
    path = write(tmp_path / "m.pth", {"model": state, "scheduler": np.random.default_rng(0)})
    with pytest.raises(CheckpointError, match="was not loaded"):
        read_checkpoint(path)


def test_mutations_of_a_file_give_one_line_or_load(tmp_path: Path) -> None:
    path = tmp_path / "m.pth"
    random = np.random.default_rng(0)
    for legacy in (False, True):
        torch.save(
            {"model": {"a.b": torch.zeros(3)}, "lr": np.float64(1)}, path, _use_new_zipfile_serialization=not legacy
        )
        whole = np.frombuffer(path.read_bytes(), dtype=np.uint8)
        for _ in range(150):
            damaged = whole.copy()
            places = random.integers(0, len(whole), random.integers(1, 6))
            damaged[places] = random.integers(0, 256, len(places))
            path.write_bytes(damaged[: random.integers(1, len(whole) + 1)].tobytes())
            with contextlib.suppress(CheckpointError):  # anything else fails the test
                read_checkpoint(path)


def test_a_compressed_archive_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    plain, bomb = write(tmp_path / "plain.pth", {"model": {"a": torch.zeros(1_000_000)}}), tmp_path / "bomb.pth"
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as target:
        for member in source.infolist():
            target.writestr(member.filename, source.read(member))
    assert bomb.stat().st_size < plain.stat().st_size / 100
    with pytest.raises(CheckpointError, match="is a compressed archive"):
        read_checkpoint(bomb)


def test_names_that_are_no_text_and_whole_numbers_as_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no state dict"):
        read_checkpoint(write(tmp_path / "m.pth", {0: torch.zeros(1)}))
    state = official_state(Architecture("maftplus-base", "pooling"))
    state = {key: torch.zeros((), dtype=torch.int64).expand(tensor.shape) for key, tensor in state.items()}
    with pytest.raises(CheckpointError, match="wrong type") as caught:
        maskadapter.load(write(tmp_path / "m.pth", state))
    assert "\n" not in str(caught.value)


def test_half_precision_files_become_float32(tmp_path: Path) -> None:
    state = {key: tensor.half() for key, tensor in official_state(Architecture("maftplus-base", "pooling")).items()}
    model = maskadapter.load(write(tmp_path / "m.pth", state), precision="fp32")
    assert {p.dtype for p in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut off"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_damaged_file_gives_one_line(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"m{suffix}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        maskadapter.load(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [{}, {"model": {}}, [1, 2], {"model": {"a": 3}}])
def test_a_file_without_weights_gives_one_line(tmp_path: Path, content: object) -> None:
    with pytest.raises(CheckpointError, match="holds no state dict"):
        maskadapter.load(write(tmp_path / "m.pth", content))


@pytest.mark.parametrize("device", ["nonsense", "cuda:99"])
def test_a_device_that_is_not_there_gives_one_line(device: str) -> None:
    with pytest.raises(MaskAdapterError, match=f"device '{device}' cannot be used here") as caught:
        maskadapter.load("fcclip-large", device=device)
    assert "\n" not in str(caught.value)


def test_unknown_names_and_missing_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKADAPTER_CACHE", str(tmp_path))
    monkeypatch.setenv("MASKADAPTER_OFFLINE", "1")
    with pytest.raises(CheckpointError, match="unknown model 'fclip'"):
        maskadapter.load("fclip")
    with pytest.raises(CheckpointError, match=r"no weights at nowhere\.pth"):
        maskadapter.load("nowhere.pth")
    with pytest.raises(CheckpointError, match="fcclip-large with adapter are not on this machine"):
        maskadapter.load("fcclip-large")


@pytest.mark.parametrize("settings", ["{", "[]", '{"inference": {}}', '{"inference": {"input_size": {"longest": 3}}}'])
def test_damaged_settings_give_one_line(tmp_path: Path, settings: str) -> None:
    tensors = {to_ours(k): t.clone() for k, t in official_state(Architecture("tiny", "pooling")).items()}
    path = tmp_path / "m.safetensors"
    write_checkpoint(path, tensors, {"model": "tiny", "settings": settings})
    with pytest.raises(CheckpointError, match="damaged settings") as caught:
        maskadapter.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("earlier", [{}, {"exact": True}, {"prune_proposals": False}, {"fast": False}])
def test_how_to_compute_is_no_setting_of_a_file(tmp_path: Path, earlier: dict[str, bool]) -> None:
    path = maskadapter.save(build(Architecture("tiny", "pooling")), tmp_path / "m.safetensors", "tiny")
    saved = read_checkpoint(path)
    settings = json.loads(saved.metadata["settings"])
    assert not {"prune_proposals", "exact"} & set(settings["inference"])
    settings["inference"] |= earlier
    write_checkpoint(path, saved.tensors, {**saved.metadata, "settings": json.dumps(settings)})
    assert not maskadapter.load(path).inference.prune_proposals
    assert maskadapter.load(path, prune_proposals=True).inference.prune_proposals


@pytest.mark.slow
def test_a_model_saved_as_safetensors_comes_back(tmp_path: Path) -> None:
    model = build(Architecture("maftplus-base", "adapter"))
    model.inference = replace(model.inference, alpha=0.25)
    model.pooler.adapter.config = replace(model.pooler.adapter.config, mask_threshold=0.3)
    model.quirks = replace(model.quirks, transfer_norm="update", semantic_order="masks-first")
    path = maskadapter.save(model, tmp_path / "m.safetensors", "maftplus-base", license="Apache-2.0")
    checkpoint = read_checkpoint(path)
    assert checkpoint.metadata["model"] == "maftplus-base"
    assert checkpoint.metadata["license"] == "Apache-2.0"
    again = maskadapter.load(path, precision="fp32")
    assert (again.inference, again.quirks) == (model.inference, model.quirks)
    assert again.pooler.mask_threshold == 0.3
    assert isinstance(checkpoint, Checkpoint)
    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[key]), key


def test_an_adapter_other_than_the_published_one_is_saved_and_loaded(tmp_path):
    torch.manual_seed(0)
    architecture = Architecture("tiny", "adapter", generator=False)
    adapter = AdapterConfig(hidden_dim=256, num_blocks=1, num_maps=3)
    made = build(architecture, replace(published(architecture), adapter=adapter))
    path = maskadapter.save(made, tmp_path / "small.safetensors", "tiny")
    loaded = maskadapter.load(path)
    assert loaded.pooler.adapter.config == adapter
    assert len(loaded.pooler.adapter.blocks) == 1


@pytest.mark.parametrize("adapter", ['{"num_maps": "x"}', '{"patchify": "no"}', "7", '{"layers": 3}'])
def test_damaged_options_of_an_adapter_are_refused(tmp_path, adapter):
    path = tmp_path / "m.safetensors"
    write_checkpoint(path, {"void_embedding.weight": torch.zeros(1, 384)}, {"settings": f'{{"adapter": {adapter}}}'})
    with pytest.raises(CheckpointError, match="damaged settings"):
        maskadapter.load(path)


def test_equal_tensors_give_equal_files_that_others_may_read(tmp_path) -> None:
    tensors = {"b": torch.arange(4.0), "a": torch.ones(3, 2).half(), "steps": torch.tensor(7)}
    facts = {
        "model": "tiny",
        "format": "maskadapter",
        "note": 'é "\n\x7f\u2028',
        "settings": {"z": 1, "a": [2]},
        "b": "1",
    }
    for number in range(8):
        write_checkpoint(tmp_path / f"{number}.safetensors", tensors, facts)
    assert len({(tmp_path / f"{number}.safetensors").read_bytes() for number in range(8)}) == 1
    found = read_checkpoint(tmp_path / "0.safetensors")
    assert all(torch.equal(found.tensors[key], tensor) for key, tensor in tensors.items())
    assert found.metadata["note"] == facts["note"]
    (tmp_path / "plain").touch()
    assert (tmp_path / "0.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode
