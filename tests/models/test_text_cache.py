"""Text embeddings are computed once: for a process, for the next one, for two at a time."""

import multiprocessing
import sqlite3
import stat

import pytest
import torch

from maskadapter.models.clip.text_cache import TextCache, fingerprint


class ImageEncoder:
    """Counts what it is asked for; a row says which name it belongs to."""

    def __init__(self):
        self.asked = []

    def __call__(self, names):
        self.asked += names
        return torch.tensor([[len(name), ord(name[0])] for name in names], dtype=torch.float32)


def cache_at(path, key="weights"):
    return TextCache(path, lambda: key, lambda: 0, dim=2)


NAMES = ["cat", "dog", "cat", "\u0936\u0928\u093f", "a'; DROP TABLE text; --"]


@pytest.mark.parametrize("stored", [True, False])
def test_names_are_encoded_once(tmp_path, stored):
    image_encoder = ImageEncoder()
    cache = cache_at(tmp_path / "new" / "text.sqlite" if stored else None)
    rows = cache.rows(NAMES, image_encoder)
    assert torch.equal(rows, ImageEncoder()(NAMES))
    assert torch.equal(cache.rows([*NAMES, "cow"], image_encoder)[:-1], rows)
    assert image_encoder.asked == ["cat", "dog", NAMES[3], NAMES[4], "cow"]


def test_the_next_process_encodes_nothing(tmp_path):
    names = [f"name {index}" for index in range(2000)]
    first = cache_at(tmp_path / "text.sqlite").rows(names, ImageEncoder())
    image_encoder = ImageEncoder()
    assert torch.equal(cache_at(tmp_path / "text.sqlite").rows(names, image_encoder), first)
    assert image_encoder.asked == []


def test_other_weights_have_rows_of_their_own(tmp_path):
    cache_at(tmp_path / "text.sqlite").rows(["cat"], ImageEncoder())
    image_encoder = ImageEncoder()
    cache_at(tmp_path / "text.sqlite", key="other weights").rows(["cat"], image_encoder)
    assert image_encoder.asked == ["cat"]


def test_what_was_done_before_an_interruption_is_kept(tmp_path):
    names = [f"name {index}" for index in range(100)]

    def interrupted(block):
        if "name 64" in block:
            raise KeyboardInterrupt
        return ImageEncoder()(block)

    with pytest.raises(KeyboardInterrupt):
        cache_at(tmp_path / "text.sqlite").rows(names, interrupted)
    image_encoder = ImageEncoder()
    cache_at(tmp_path / "text.sqlite").rows(names, image_encoder)
    assert image_encoder.asked == names[64:]


def _fill(path, names):
    cache_at(path).rows(names, ImageEncoder())


def test_two_processes_share_a_file(tmp_path):
    path, names = tmp_path / "text.sqlite", [f"name {index}" for index in range(600)]
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_fill, args=(path, names[start:])) for start in (0, 200)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    image_encoder = ImageEncoder()
    assert torch.equal(cache_at(path).rows(names, image_encoder), ImageEncoder()(names))
    assert image_encoder.asked == []


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\x00" + b"\xff" * 5000, b"no database at all" * 100])
def test_a_damaged_file_is_made_anew(tmp_path, content):
    path = tmp_path / "text.sqlite"
    path.write_bytes(content)
    for _ in range(2):
        image_encoder = ImageEncoder()
        assert torch.equal(cache_at(path).rows(NAMES, image_encoder), ImageEncoder()(NAMES))
    cache_at(path).rows(NAMES, image_encoder := ImageEncoder())
    assert image_encoder.asked == []


def test_rows_of_another_length_are_not_used(tmp_path):
    path = tmp_path / "text.sqlite"
    cache_at(path).rows(["cat"], ImageEncoder())
    with sqlite3.connect(path) as database:
        database.execute("UPDATE text SET row = x'00'")
    assert torch.equal(cache_at(path).rows(["cat"], image_encoder := ImageEncoder()), ImageEncoder()(["cat"]))
    assert image_encoder.asked == ["cat"]


def test_a_folder_that_cannot_be_written_costs_time_and_nothing_else(tmp_path):
    (tmp_path / "file").write_text("no folder")
    cache = cache_at(tmp_path / "file" / "text.sqlite")
    assert torch.equal(cache.rows(NAMES, ImageEncoder()), ImageEncoder()(NAMES))
    path = tmp_path / "text.sqlite"
    cache_at(path).rows(["cat"], ImageEncoder())
    path.chmod(stat.S_IRUSR)
    assert torch.equal(cache_at(path).rows(NAMES, ImageEncoder()), ImageEncoder()(NAMES))


def test_changed_weights_are_noticed(tmp_path):
    weights = {"text": 1.0}
    path = tmp_path / "text.sqlite"

    def encode(names):
        return torch.full((len(names), 2), weights["text"])

    cache = TextCache(path, lambda: f"hash of {weights['text']}", lambda: weights["text"], dim=2)
    assert cache.rows(["cat"], encode).unique().item() == 1
    weights["text"] = 2.0
    assert cache.rows(["cat", "dog"], encode).unique().item() == 2
    weights["text"] = 1.0
    assert cache.rows(["cat", "dog"], encode).unique().item() == 1
    old = TextCache(path, lambda: "hash of 1.0", lambda: 0, dim=2)
    assert old.rows(["cat"], encode).unique().item() == 1


def test_a_folder_that_may_not_be_entered_costs_time_and_nothing_else(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(type(tmp_path), "is_file", refuse)
    assert torch.equal(cache_at(tmp_path / "text.sqlite").rows(NAMES, ImageEncoder()), ImageEncoder()(NAMES))


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
