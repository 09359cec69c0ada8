"""A plan is computed shard by shard: each image is one row, whatever happens, and equals that of the plain loop."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from many import Halves, contents, make_images

import maskadapter as ma
from maskadapter.errors import MaskAdapterError

pytest.importorskip("pyarrow")
pytest.importorskip("fsspec")

import pyarrow.parquet as pq

from maskadapter.io import decode_segmentation
from maskadapter.pipelines.bulk import ShardWorker, read_plan, share

CLASSES = "cat, wall|partition"


@pytest.fixture
def plan(photos, tmp_path):
    return ma.plan_shards(photos, CLASSES, tmp_path / "bulk", shard_size=4)


def rows(plan):
    return [row for shard in range(plan.shards) for row in pq.read_table(plan.part(shard)).to_pylist()]


def test_every_image_is_one_row_and_equals_the_plain_loop(photos, plan, compute):
    reports = compute(plan)
    assert [(one.state, one.images, one.failed) for one in reports] == [("done", 4, 1), ("done", 2, 0)]
    found = {row["name"]: row for row in rows(plan)}
    assert list(found) == ["a/x.png", "b.jpg", "bad.png", "c.png", "d.png", "e.png"]
    bad = found.pop("bad.png")
    assert bad["segments"] is None
    assert bad["error"] == f"not an image that can be read: {photos / 'bad.png'}"
    assert bad["size"] == 8
    (photos / "bad.png").unlink()
    loop = {path.stem: result for path, result in ma.segment_each(Halves(), photos, CLASSES)}
    for name, row in found.items():
        result = loop[name.partition(".")[0]]
        assert row["error"] is None
        assert (row["height"], row["width"]) == result.size
        assert row["size"] == (photos / name).stat().st_size
        assert len(row["segments"]) == len(result)
        for kept, segment in zip(row["segments"], result, strict=True):
            mask = decode_segmentation({"size": result.size, "counts": kept["counts"]}, result.size)
            assert np.array_equal(mask, segment.mask)
            facts = (segment.label, segment.class_name, segment.score, segment.area, list(segment.box))
            assert tuple(kept[key] for key in ("label", "class", "score", "area", "box")) == facts
            assert [(one["class"], one["probability"]) for one in kept["best"]] == segment.top(5)


def test_the_same_plan_gives_the_same_bytes(photos, plan, compute, tmp_path):
    compute(plan)
    other = ma.plan_shards(photos, CLASSES, tmp_path / "other", shard_size=4)
    compute(other)
    assert contents(plan.folder / "parts") == contents(other.folder / "parts")
    assert len(contents(plan.folder / "parts")) == 2
    assert contents(plan.folder / "locks") == {}


def test_what_is_done_stays_and_the_rest_is_computed(plan, compute):
    compute(plan)
    before = contents(plan.folder / "parts")
    plan.part(1).unlink()
    model = Halves()
    assert [one.state for one in compute(plan, model)] == ["before", "done"]
    assert len(model.given) == 2
    assert contents(plan.folder / "parts") == before


def test_a_shard_that_another_process_computes_is_left_to_it(plan, compute):
    class Second(Halves):
        def segment(self, *given, **options):
            self.state = ShardWorker(plan.folder, load=lambda *given, **options: Halves()).work(0).state
            return super().segment(*given, **options)

    model = Second()
    compute(plan, model)
    assert model.state == "before"  # of the second shard's images
    plan.part(0).unlink()
    compute(plan, model)
    assert model.state == "busy"


def test_a_fault_of_the_program_is_a_row_and_a_mistake_for_all_images_stops(plan, compute):
    class Broken(Halves):
        def segment(self, *given, **options):
            raise ValueError(f"lost\n{object()}")

    compute(plan, Broken())
    assert {row["error"].partition(": ")[2] for row in rows(plan)} == {
        "ValueError: lost <object object at 0x...>",
        f"{rows(plan)[2]['path']}",  # the bad file
    }

    class Refuses(Halves):
        def segment(self, *given, **options):
            raise MaskAdapterError("these weights hold no mask generator")

    plan.part(1).unlink()
    with pytest.raises(MaskAdapterError, match="no mask generator"):
        compute(plan, Refuses())
    assert not plan.part(1).exists()
    assert list(plan.part(1).parent.iterdir()) == [plan.part(0)]


def test_status_counts_and_names_what_failed(photos, plan, compute):
    assert ma.shard_status(plan.folder).done == ()
    compute(plan)
    plan.part(1).unlink()
    status = ma.shard_status(plan.folder)
    assert (status.done, status.images, status.failed) == ((0,), 4, 1)
    assert status.errors == (f"not an image that can be read: {photos / 'bad.png'}",)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"classes": "cat, dog"}, "classes was"),
        ({"things": "wall"}, "is_thing was"),
        ({"background": "none"}, 'background was "coco-stuff" and is null'),
        ({"model": ma.ModelSource("tiny", pooler="adapter")}, "model.pooler was null"),
        ({"model": ma.ModelSource("tiny", precision="bf16")}, 'model.precision was "fp32" and is "bf16"'),
        ({"shard_size": 3}, "shard_size was 4 and is 3"),
        ({"sources": "photos/c.png"}, "images.count was 6 and is 1"),
    ],
)
def test_other_settings_in_the_same_folder_are_refused(photos, plan, monkeypatch, changed, message):
    monkeypatch.chdir(photos.parent)
    given = {"sources": photos, "classes": CLASSES, "output": plan.folder, "shard_size": 4}
    before = contents(plan.folder)
    with pytest.raises(MaskAdapterError, match=message):
        ma.plan_shards(**given | changed)
    assert contents(plan.folder) == before
    assert ma.plan_shards(**given).settings_hash == plan.settings_hash


def test_an_edited_plan_and_parts_of_others_are_refused(plan, compute, tmp_path, photos):
    compute(plan)
    other = ma.plan_shards(photos, "dog", tmp_path / "other", shard_size=4)
    other.part(0).parent.mkdir()
    os.link(plan.part(0), other.part(0))
    with pytest.raises(MaskAdapterError, match="was made with other settings than the plan's"):
        ma.shard_status(other.folder)
    other.part(0).unlink()
    other.part(0).write_bytes(b"PAR1")
    with pytest.raises(MaskAdapterError, match="is damaged: remove it"):
        ma.shard_status(other.folder)
    path = plan.folder / "plan.yaml"
    path.write_text(path.read_text().replace("- cat", "- dog"))
    with pytest.raises(MaskAdapterError, match="is not as it was planned"):
        ma.run_shards(plan.folder)


def test_weights_that_changed_are_refused(photos, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"one")
    plan = ma.plan_shards(photos, CLASSES, tmp_path / "bulk", model=path)
    path.write_bytes(b"two")
    with pytest.raises(MaskAdapterError, match=r"is not the file that .* was planned with"):
        ma.run_shards(plan.folder)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"workers": 0}, "workers is 0"),
        ({"engine": "spark"}, "no engine 'spark': choose from processes, ray"),
        ({"shards": [1, 2]}, "shards 1 to 2 were given: the plan has 0 to 1"),
    ],
)
def test_runs_that_cannot_be(plan, given, message):
    with pytest.raises(MaskAdapterError, match=message):
        ma.run_shards(plan.folder, **given)


def test_a_missing_engine_is_one_line(plan, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MaskAdapterError, match=r"ray is needed for this: pip install 'maskadapter\[ray\]'"):
        ma.run_shards(plan.folder, engine="ray")


def test_a_folder_without_a_plan(tmp_path):
    with pytest.raises(MaskAdapterError, match=r"no plan in .*: write one with 'maskadapter bulk plan'"):
        read_plan(tmp_path)
    with pytest.raises(MaskAdapterError, match="precision auto depends on the machine"):
        ma.plan_shards(tmp_path, "cat", tmp_path / "out", model=ma.ModelSource(precision="auto"))


def test_shares_are_all_shards_once(plan):
    assert [list(share(plan, text)) for text in (None, "0/2", "1/2", "2/3")] == [[0, 1], [0], [1], []]
    for wrong in ("2/2", "1", "-1/2", "a/b", "1/0"):
        with pytest.raises(MaskAdapterError, match="i/n is needed"):
            share(plan, wrong)


def test_memory_holds_some_rows_of_a_part(tmp_path, compute):
    make_images(tmp_path / "many", [f"{number}.png" for number in range(40)], (8, 8))
    plan = ma.plan_shards(tmp_path / "many", CLASSES, tmp_path / "bulk")
    compute(plan)
    assert pq.ParquetFile(plan.part(0)).metadata.num_row_groups == 2


class Fake:
    """Stands in for a process: dies in the midst of a shard as often as it is asked to."""

    deaths: dict
    log: list

    def __init__(self, folder, device):
        self.log.append("start")

    def work(self, shard):
        from maskadapter.pipelines.bulk.shard_report import ShardReport
        from maskadapter.pipelines.bulk.worker import WorkerDied

        if self.deaths.get(shard, 0):
            self.deaths[shard] -= 1
            raise WorkerDied("its process ended with exit code -9")
        return ShardReport(shard, "done", 2, 0, 0.5)

    def close(self):
        self.log.append("close")


@pytest.mark.parametrize(("deaths", "lost"), [(1, ()), (2, ((0, "its process ended with exit code -9"),))])
def test_a_shard_goes_to_a_new_worker_once(plan, monkeypatch, deaths, lost):
    fake = type("Fake", (Fake,), {"deaths": {0: deaths}, "log": []})
    monkeypatch.setattr("maskadapter.pipelines.bulk.running.ProcessWorker", fake)
    estimates = []
    report = ma.run_shards(plan.folder, price=3600.0, on_estimate=estimates.append)
    assert report.lost == lost
    assert (report.shards, report.done, report.before) == (2, 2 - len(lost), 0)
    assert fake.log.count("start") == fake.log.count("close") == 1 + deaths
    assert [(one.images_per_second, one.cost) for one in estimates] == [(4.0, (6 - 2) / 4)]


def test_the_plan_is_readable(plan):
    settings = json.loads(json.dumps(plan.settings))
    assert settings["classes"] == [["cat"], ["wall", "partition"]]
    assert settings["model"]["precision"] == "fp32"
    assert plan.background == "coco-stuff"
    assert Path(plan.images(1)[0].path).name == "d.png"
