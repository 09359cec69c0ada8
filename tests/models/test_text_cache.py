"""Text embeddings are computed once: for a process, for the next one, for two at a time."""

import copy
import multiprocessing
import stat

import numpy as np
import pytest
import torch

from maskadapter.models.clip.clip import fingerprint
from maskadapter.models.clip.text_cache import TextCache

NAMES = ["cat", "dog", "cat", "\u0936\u0928\u093f", "a'; DROP TABLE text; --"]


class Encoder:
    """A text encoder that counts what it is asked for; an embedding shows which name it belongs to."""

    embed_dim = 2

    def __init__(self, weights="weights", templates=("{}",)):
        self.weights, self.templates = weights, templates
        self.asked, self.hashed = [], 0

    def text_fingerprint(self):
        self.hashed += 1
        return fingerprint({}, self.weights, *self.templates)

    def encode_text(self, names):
        self.asked += names
        prompts = [self.templates[0].format(name) for name in names]
        return torch.tensor([[len(prompt), ord(prompt[0])] for prompt in prompts], dtype=torch.float32)


def embeddings(folder, names, encoder=None):
    return TextCache(folder, encoder or Encoder()).text_embeddings(names)


def only_file(folder):
    (path,) = folder.iterdir()
    return path


@pytest.mark.parametrize("stored", [True, False])
def test_names_are_encoded_once(tmp_path, stored):
    encoder = Encoder()
    cache = TextCache(tmp_path / "new" if stored else None, encoder)
    first = cache.text_embeddings(NAMES)
    assert torch.equal(first, Encoder().encode_text(NAMES))
    assert torch.equal(cache.text_embeddings([*NAMES, "cow"])[:-1], first)
    assert encoder.asked == ["cat", "dog", NAMES[3], NAMES[4], "cow"]
    assert encoder.hashed == stored


def test_the_next_process_encodes_nothing(tmp_path):
    names = [f"name {index}" for index in range(2000)]
    first = embeddings(tmp_path / "text", names)
    assert torch.equal(embeddings(tmp_path / "text", names, encoder := Encoder()), first)
    assert (encoder.asked, encoder.hashed) == ([], 1)


def test_other_weights_and_prompts_have_files_of_their_own(tmp_path):
    embeddings(tmp_path / "text", ["cat"])
    for encoder in (Encoder("other weights"), Encoder(templates=("a {}",))):
        embeddings(tmp_path / "text", ["cat"], encoder)
        assert encoder.asked == ["cat"]
    assert len(list((tmp_path / "text").iterdir())) == 3


def test_what_was_done_before_an_interruption_is_kept(tmp_path):
    names = [f"name {index}" for index in range(100)]
    interrupted = Encoder()

    def stop(batch):
        if "name 64" in batch:
            raise KeyboardInterrupt
        return Encoder().encode_text(batch)

    interrupted.encode_text = stop
    with pytest.raises(KeyboardInterrupt):
        embeddings(tmp_path / "text", names, interrupted)
    embeddings(tmp_path / "text", names, encoder := Encoder())
    assert encoder.asked == names[64:]


def _fill(folder, names):
    for start in range(0, len(names), 10):
        embeddings(folder, names[start : start + 10])


def test_processes_that_write_at_once_leave_a_whole_file(tmp_path):
    folder, names = tmp_path / "text", [f"name {index}" for index in range(600)]
    other = multiprocessing.get_context("spawn").Process(target=_fill, args=(folder, names))
    other.start()
    while not folder.exists():  # it writes now
        other.join(0.01)
        assert other.exitcode is None
    _fill(folder, names[200:])
    other.join()
    assert other.exitcode == 0
    only_file(folder)
    assert torch.equal(embeddings(folder, names), Encoder().encode_text(names))
    assert torch.equal(embeddings(folder, names, encoder := Encoder()), Encoder().encode_text(names))
    assert encoder.asked == []


def test_what_another_process_stored_in_the_meantime_stays(tmp_path):
    cache = TextCache(tmp_path / "text", Encoder())
    cache.text_embeddings(["cat"])
    embeddings(tmp_path / "text", ["dog"])
    cache.text_embeddings(["cow"])
    embeddings(tmp_path / "text", ["cat", "dog", "cow"], encoder := Encoder())
    assert encoder.asked == []


@pytest.mark.parametrize("content", [b"", b"\xff" * 5000, b"{}" * 100, None, 0])
def test_a_damaged_file_is_replaced(tmp_path, content):
    embeddings(tmp_path / "text", ["cat"])
    path = only_file(tmp_path / "text")
    whole = path.read_bytes()
    damaged = {None: whole[:-3], 0: whole.replace(np.float32(99).tobytes(), np.float32(98).tobytes())}
    path.write_bytes(damaged.get(content, content))
    assert path.read_bytes() != whole
    assert torch.equal(embeddings(tmp_path / "text", NAMES), Encoder().encode_text(NAMES))
    embeddings(tmp_path / "text", NAMES, encoder := Encoder())
    assert encoder.asked == []


@pytest.mark.parametrize(
    "arrays",
    [
        {"text_embeddings": np.zeros((1, 3), np.float32), "names": np.array('["cat"]')},
        {"text_embeddings": np.zeros((1, 2), np.float32), "names": np.array('["cat", "dog"]')},
        {"text_embeddings": np.zeros((1, 2), np.float16), "names": np.array('["cat"]')},
        {"text_embeddings": np.zeros((1, 2), np.float32), "names": np.array("cat")},
        {"text_embeddings": np.zeros((1, 2), np.float32), "names": np.array(["cat", "dog"])},
        {"text_embeddings": np.zeros((1, 2), np.float32)},
        {"text_embeddings": np.array([None]), "names": np.array('["cat"]')},
    ],
)
def test_a_file_that_holds_something_else_is_not_used(tmp_path, arrays):
    embeddings(tmp_path / "text", ["cat"])
    np.savez(only_file(tmp_path / "text"), **arrays)
    assert torch.equal(embeddings(tmp_path / "text", ["cat"], encoder := Encoder()), Encoder().encode_text(["cat"]))
    assert encoder.asked == ["cat"]


def test_a_folder_that_cannot_be_written_costs_time_and_nothing_else(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    assert torch.equal(embeddings(tmp_path / "file" / "text", NAMES), Encoder().encode_text(NAMES))
    embeddings(tmp_path / "text", ["cat"])
    path = only_file(tmp_path / "text")
    path.parent.chmod(stat.S_IRUSR | stat.S_IXUSR)

    def refuse(*arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "replace", refuse)  # root may write into any folder
    cache = TextCache(path.parent, encoder := Encoder())
    assert torch.equal(cache.text_embeddings(NAMES), Encoder().encode_text(NAMES))
    assert encoder.asked == NAMES[1:2] + NAMES[3:]
    cache.text_embeddings([*NAMES, "cow"])
    path.parent.chmod(stat.S_IRWXU)
    assert only_file(tmp_path / "text") == path


def test_changed_prompts_are_noticed(tmp_path):
    encoder = Encoder()
    cache = TextCache(tmp_path / "text", encoder)
    plain = cache.text_embeddings(["cat"])
    encoder.templates = ("a photo of a {}",)
    assert torch.equal(cache.text_embeddings(["cat"]), encoder.encode_text(["cat"]))
    encoder.templates = ("{}",)
    assert torch.equal(cache.text_embeddings(["cat"]), plain)


def test_a_copy_hashes_its_own_weights(tmp_path):
    cache = TextCache(tmp_path / "text", Encoder())
    cache.text_embeddings(["cat"])
    copied = copy.deepcopy(cache)
    copied._encoder.weights = "changed"
    copied.text_embeddings(["cat"])
    assert copied._encoder.asked == ["cat", "cat"]
    assert len(list((tmp_path / "text").iterdir())) == 2


def test_the_fingerprint_sees_every_bit():
    tensors = {"a": torch.zeros(3), "b": torch.ones(2, 2)}
    first = fingerprint(tensors, "a {}")
    changed = torch.zeros(3)
    changed[2] = 1e-30
    assert fingerprint(tensors, "a {}") == first
    others = [
        fingerprint({**tensors, "a": changed}, "a {}"),
        fingerprint({"a": tensors["a"], "c": tensors["b"]}, "a {}"),
        fingerprint({**tensors, "b": torch.ones(4)}, "a {}"),
        fingerprint(tensors, "the {}"),
        fingerprint(tensors, "a {}", "cuda"),
    ]
    assert len({first, *others}) == 6
