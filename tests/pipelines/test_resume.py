"""Resume knows images by their content, and keeps what people changed by hand."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from many import Halves, contents, make_images
from PIL import Image
from pycocotools.coco import COCO

from maskadapter.errors import MaskAdapterError
from maskadapter.pipelines.labeling import label_images
from maskadapter.pipelines.segmenting import segment_images
from maskadapter.results.segmentation import Segmentation
from maskadapter.system.working_folder import working_folder

NAMES = ("a/x.png", "c.jpg", "d.png")


@pytest.fixture
def photos(tmp_path):
    return make_images(tmp_path / "photos", NAMES)


def segment(photos, output, resume=False, classes="cat, wall", model=None, **given):
    return segment_images(model or Halves(), photos, classes, output, "labels", resume=resume, **given)


def label(photos, output, format="coco", resume=False, model=None, **given):
    return label_images(model or Halves(), photos, "cat, wall", output, format, resume=resume, **given)


def edit_coco(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return content


@pytest.mark.parametrize("run", [segment, label])
def test_images_copied_anew_are_not_done_again(photos, tmp_path, run):
    run(photos, tmp_path / "out")
    before = contents(tmp_path / "out")
    copies = shutil.copytree(photos, tmp_path / "copies", copy_function=shutil.copyfile)
    for path in copies.rglob("*.*"):
        os.utime(path, (1, 1))
    model = Halves()
    report = run(copies, tmp_path / "out", resume=True, model=model)
    assert (report.done, report.before, report.kept, model.given) == (3, 3, (), [])
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize("run", [segment, label])
def test_an_image_of_the_same_size_and_time_but_other_content_is_done_again(tmp_path, run):
    Image.new("RGB", (30, 20), "teal").save(tmp_path / "a.bmp")
    Image.new("RGB", (30, 20), "navy").save(tmp_path / "b.bmp")
    run([tmp_path / "a.bmp", tmp_path / "b.bmp"], tmp_path / "out", resume=True)
    facts = (tmp_path / "a.bmp").stat()
    Image.open(tmp_path / "b.bmp").rotate(180).save(tmp_path / "b.bmp")
    Image.new("RGB", (30, 20), "gold").save(tmp_path / "a.bmp")
    os.utime(tmp_path / "a.bmp", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert (tmp_path / "a.bmp").stat().st_size == facts.st_size
    assert run([tmp_path / "a.bmp", tmp_path / "b.bmp"], tmp_path / "out", resume=True).before == 1


def test_results_edited_by_hand_stay(photos, tmp_path):
    segment(photos, tmp_path / "out")
    edited, removed = tmp_path / "out/c-labels.png", tmp_path / "out/d-classes.json"
    edited.write_bytes(b"mine")
    gone = removed.read_bytes()
    removed.unlink()
    make_images(photos, ["new.png"])
    (tmp_path / "out/new-labels.png").write_bytes(b"also mine")
    for before in (2, 4):
        report = segment(photos, tmp_path / "out", resume=True)
        assert (report.done, report.before, report.kept) == (4, before, ("c-labels.png", "new-labels.png"))
        assert edited.read_bytes() == b"mine"
        assert (tmp_path / "out/new-labels.png").read_bytes() == b"also mine"
        assert removed.read_bytes() == gone
    Image.new("RGB", (40, 30), "teal").save(photos / "c.jpg")  # the image changes, too
    report = segment(photos, tmp_path / "out", resume=True)
    assert (report.before, report.kept) == (3, ("c-labels.png", "new-labels.png"))
    assert edited.read_bytes() == b"mine"
    for images in (photos, photos / "c.jpg", photos):
        model = Halves()
        with pytest.raises(MaskAdapterError, match=r"c-labels\.png is not as it was written and would be overwritten"):
            segment(images, tmp_path / "out", model=model)
        assert model.given == []
    assert edited.read_bytes() == b"mine"


@pytest.mark.parametrize("format", ["coco", "yolo"])
def test_a_training_set_is_no_place_for_the_results_of_another_command(photos, tmp_path, format):
    label(photos, tmp_path / "set", format)
    before = contents(tmp_path / "set")
    for resume in (False, True):
        with pytest.raises(MaskAdapterError, match=r"holds results of label|made with other settings"):
            segment(photos, tmp_path / "set", resume=resume)
    assert contents(tmp_path / "set") == before


def test_results_of_other_formats_stay_and_are_known(photos, tmp_path):
    segment(photos, tmp_path / "out")
    before = contents(tmp_path / "out")
    segment_images(Halves(), photos, "cat, wall", tmp_path / "out", "summary")
    after = contents(tmp_path / "out")
    assert {name: after.get(name) for name in before if name != "run.json"} == {
        name: content for name, content in before.items() if name != "run.json"
    }
    assert len(after) == len(before) + 3
    edited = tmp_path / "out/a/x-labels.png"
    edited.write_bytes(b"corrected")
    with pytest.raises(MaskAdapterError, match=r"x-labels\.png is not as it was written and would be overwritten"):
        segment(photos, tmp_path / "out")
    assert edited.read_bytes() == b"corrected"


@pytest.mark.parametrize("format", ["coco", "yolo"])
def test_an_image_that_was_taken_out_leaves_the_lists(photos, tmp_path, format):
    given = {"val": 0.4} if format == "yolo" else {}
    label(photos, tmp_path / "set", format, **given)
    (photos / "c.jpg").unlink()
    label(photos, tmp_path / "set", format, resume=True, **given)

    def listed():
        names = ("train.txt", "val.txt") if format == "yolo" else ("annotations.json",)
        return " ".join((tmp_path / "set" / name).read_text() for name in names)

    assert "c.jpg" in listed()  # not given any more, but still there
    (tmp_path / "set/images/c.jpg").unlink()
    label(photos, tmp_path / "set", format, resume=True, **given)
    assert "c.jpg" not in listed()
    assert "d.png" in listed()


def test_nothing_is_removed_before_its_successor_is_there(photos, tmp_path, monkeypatch):
    segment(photos, tmp_path / "out")
    before, save = contents(tmp_path / "out"), Segmentation.save

    def stop(self, folder, *given, stem, **named):
        assert {**contents(tmp_path / "out"), **before}.keys() >= before.keys()
        if stem == "c":
            raise KeyboardInterrupt
        return save(self, folder, *given, stem=stem, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Segmentation, "save", stop)
        with pytest.raises(KeyboardInterrupt):
            segment(photos, tmp_path / "out", classes="cow, pig")
    after = contents(tmp_path / "out")
    same = {name for name in before if after[name] == before[name]}
    assert same == {"c-labels.png", "c-classes.json", "d-labels.png", "d-classes.json"}
    assert segment(photos, tmp_path / "out", classes="cow, pig", resume=True).before == 1
    assert json.loads((tmp_path / "out/d-classes.json").read_text()) == {"1": "cow", "2": "pig"}


@pytest.mark.parametrize("stop", range(1, 6))
def test_stopped_while_files_take_their_places(tmp_path, monkeypatch, stop):
    photos = make_images(tmp_path / "photos", ["a.png", "b.png"])
    segment(photos, tmp_path / "out")
    make_images(photos, ["b.png", "a.png"])
    segment(photos, tmp_path / "fresh", classes="cow, pig")
    replace, count = os.replace, []

    def move(*given):
        count.append(given)
        if len(count) == stop:
            raise KeyboardInterrupt
        replace(*given)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", move)
        with pytest.raises(KeyboardInterrupt):
            segment(photos, tmp_path / "out", classes="cow, pig")
    report = segment(photos, tmp_path / "out", classes="cow, pig", resume=stop > 1)
    assert (report.done, report.kept) == (2, ())
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def test_corrections_in_annotations_json_stay(photos, tmp_path):
    out = tmp_path / "set"
    label(photos, out)
    index, model = out / "annotations.json", Halves()

    def change(content):
        content["info"] = {"description": "corrected"}
        content["images"] = [one for one in content["images"] if one["file_name"] != "d.png"]  # out of the set
        kept = {one["id"] for one in content["images"]}
        content["annotations"] = [one for one in content["annotations"] if one["image_id"] in kept]
        content["annotations"][0] |= {"category_id": 9, "id": 700, "note": "mine"}
        content["categories"] = [{"id": 9, "name": "wall"}, {"id": 1, "name": "kitty"}]

    edited = edit_coco(index, change)
    report = label(photos, out, resume=True)
    assert (report.before, report.kept, json.loads(index.read_text())) == (3, ("annotations.json",), edited)
    make_images(photos, ["sub/new.png"], size=(60, 40))
    for expected in (3, 4):
        report = label(photos, out, resume=True, model=model)
        assert (report.before, report.kept, len(model.given)) == (expected, ("annotations.json",), 1)
        content = json.loads(index.read_text())
        images, count = len(edited["images"]), len(edited["annotations"])
        assert content["images"][:images] == edited["images"]
        assert content["annotations"][:count] == edited["annotations"]
        assert {**content, "images": 0, "annotations": 0} == {**edited, "images": 0, "annotations": 0}
        assert [one["file_name"] for one in content["images"][images:]] == ["sub/new.png"]
        new = content["annotations"][count:]
        assert [one["category_id"] for one in new] == [1, 9]
        assert [one["id"] for one in new] == [701, 702]
    assert len(COCO(index).getAnnIds(imgIds=content["images"][-1]["id"])) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "as JSON"),
        ("[]", "is not a COCO file any more"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1, "name": "cat"}]}', "no category 'wall' any more"),
        ('{"images": [], "annotations": [], "categories": [{"id": "1", "name": "cat"}]}', "not whole numbers"),
        ('{"images": [{"id": 1}], "annotations": [], "categories": []}', "'file_name'"),
    ],
)
def test_an_edited_set_that_cannot_take_more_is_one_line_before_any_work(photos, tmp_path, text, message):
    label(photos, tmp_path / "set")
    (tmp_path / "set/annotations.json").write_text(text)
    before, model = contents(tmp_path / "set"), Halves()
    assert label(photos, tmp_path / "set", resume=True).before == 3  # nothing to add
    make_images(photos, ["new.png"])
    with pytest.raises(MaskAdapterError, match=message):
        label(photos, tmp_path / "set", resume=True, model=model)
    assert (model.given, contents(tmp_path / "set")) == ([], before)


def test_corrections_of_single_labels_and_images_stay(photos, tmp_path):
    for format, name, text in [
        ("yolo", "labels/c.txt", "1 0 0 1 0 1 1\n"),
        ("voc", "annotations/c.xml", "<annotation/>"),
        ("yolo", "images/c.jpg", "retouched"),
    ]:
        out = tmp_path / f"{format}-{Path(name).name}"
        label(photos, out, format)
        (out / name).write_text(text)
        report = label([photos, *make_images(tmp_path / "more", ["new.png"]).glob("*")], out, format, resume=True)
        assert (report.done, report.before, report.kept) == (4, 3, (name,))
        assert (out / name).read_text() == text
    part = tmp_path / "coco/annotations/c.json"
    label(photos, tmp_path / "coco")
    edit_coco(part, lambda content: content["annotations"].clear())
    assert label(photos, tmp_path / "coco", resume=True).kept == ("annotations/c.json",)
    index = COCO(tmp_path / "coco/annotations.json")  # made of its parts
    assert [len(index.getAnnIds(imgIds=i)) for i in index.getImgIds()] == [2, 0, 2]


def test_data_yaml_edited_by_hand_stays(photos, tmp_path):
    label(photos, tmp_path / "set", "yolo")
    path = tmp_path / "set/data.yaml"
    path.write_text(path.read_text().replace("cat", "kitty") + "download: none\n")
    edited = path.read_text()
    make_images(photos, ["new.png"])
    report = label(photos, tmp_path / "set", "yolo", resume=True)
    assert (report.done, report.kept, path.read_text()) == (4, ("data.yaml",), edited)
    make_images(photos, ["newer.png"])
    for names in ("[wall, cat]", "[cat]", "3", "{0: cat}", "{1: cat, 0: wall}"):
        path.write_text(f"names: {names}\n")
        model = Halves()
        with pytest.raises(MaskAdapterError, match=r"data\.yaml was edited and"):
            label(photos, tmp_path / "set", "yolo", resume=True, model=model)
        assert model.given == []


def splits(folder):
    return [(folder / f"{split}.txt").read_text().splitlines() for split in ("train", "val")]


def test_a_split_is_of_the_right_size_and_stays_when_images_are_added(tmp_path):
    photos = make_images(tmp_path / "photos", [f"{number}.png" for number in range(10)])
    report = label(photos, tmp_path / "set", "yolo", val=0.2)
    assert report.note.endswith("\n8 images for train, 2 for val")
    train, val = splits(tmp_path / "set")
    assert sorted(train + val) == sorted(f"./images/{number}.png" for number in range(10))
    content = yaml.safe_load((tmp_path / "set/data.yaml").read_text())
    assert (content["path"], content["train"], content["val"]) == ("", "train.txt", "val.txt")
    others = make_images(tmp_path / "others", [f"{number}.png" for number in range(10)])
    for path in others.glob("*"):  # other names, the same content
        path.rename(path.with_stem(f"n{path.stem}"))
    label(others, tmp_path / "named", "yolo", val=0.2)
    assert splits(tmp_path / "named")[1] == [line.replace("images/", "images/n") for line in val]
    make_images(photos, [f"m{number}.png" for number in range(20)])
    label(photos, tmp_path / "set", "yolo", val=0.2, resume=True)
    more = splits(tmp_path / "set")
    assert set(val) < set(more[1])
    assert set(train) < set(more[0])
    assert not set(more[0]) & set(more[1])


def test_small_splits(tmp_path):
    photos = make_images(tmp_path / "photos", ["a.png", "b.png"])
    for val, counts in [(0.01, (1, 1)), (0.99, (1, 1)), (1, (1, 1))]:
        label(photos, tmp_path / f"{val}", "yolo", val=val)
        assert tuple(map(len, splits(tmp_path / f"{val}"))) == counts
    report = label(photos / "a.png", tmp_path / "one", "yolo", val=0.5)
    assert splits(tmp_path / "one") == [["./images/a.png"]] * 2
    assert report.note.endswith("1 images for train, 1 for val, the same")
    for format in ("coco", "voc"):
        with pytest.raises(MaskAdapterError, match=f"val is for the format yolo, and {format} was given"):
            label(photos, tmp_path / "none", format, val=0.2)
    with pytest.raises(MaskAdapterError, match="val is 2: a number from 0 to 1"):
        label(photos, tmp_path / "none", "yolo", val=2)


def test_an_edited_list_stays_and_new_images_are_added(tmp_path):
    photos = make_images(tmp_path / "photos", [f"{number}.png" for number in range(5)])
    label(photos, tmp_path / "set", "yolo", val=0.2)
    train, val = splits(tmp_path / "set")
    (tmp_path / "set/train.txt").write_text("\n".join([*train[1:], "/elsewhere/x.png"]))  # one is out
    make_images(photos, [f"m{number}.png" for number in range(5)])
    report = label(photos, tmp_path / "set", "yolo", val=0.2, resume=True)
    assert report.kept == ("train.txt",)
    more = splits(tmp_path / "set")
    assert more[0][:4] == [*train[1:], "/elsewhere/x.png"]
    assert len(more[0]) + len(more[1]) == 10
    assert set(val) < set(more[1])
    (tmp_path / "set/train.txt").write_bytes(b"\xff\xfe")
    make_images(photos, [f"z{number}.png" for number in range(5)])
    with pytest.raises(MaskAdapterError, match=r"train\.txt: it is not UTF-8 text"):
        label(photos, tmp_path / "set", "yolo", val=0.2, resume=True)
    assert (tmp_path / "set/train.txt").read_bytes() == b"\xff\xfe"


def test_a_record_of_an_earlier_version_is_one_line(photos, tmp_path):
    segment(photos, tmp_path / "out")
    record = json.loads((tmp_path / "out/run.json").read_text())
    old = {**record, "images": dict.fromkeys(record["images"], "1234-1700000000000000000")}
    (tmp_path / "out/run.json").write_text(json.dumps(old))
    with pytest.raises(MaskAdapterError, match=r"run\.json is not the record of a run of this version"):
        segment(photos, tmp_path / "out", resume=True)
    assert segment(photos, tmp_path / "out").done == 3


@pytest.mark.parametrize("run", [segment, label])
def test_a_second_run_in_the_folder_is_refused(photos, tmp_path, run):
    run(photos, tmp_path / "out", resume=True)
    before = contents(tmp_path / "out")
    with working_folder(tmp_path / "out", alone=True), pytest.raises(MaskAdapterError, match="another run is writing"):
        run(photos, tmp_path / "out", resume=True)
    assert contents(tmp_path / "out") == before


def test_single_images_may_be_segmented_side_by_side(photos, tmp_path):
    with working_folder(tmp_path / "out", alone=False):
        assert segment(photos / "c.jpg", tmp_path / "out").done == 1
        with pytest.raises(MaskAdapterError, match="another run is writing"):
            segment(photos, tmp_path / "out")
    assert segment(photos, tmp_path / "out").done == 3


def test_a_report_that_fails_is_not_the_images_failure(photos, tmp_path, caplog):
    def fail(result, paths):
        assert all(path.is_file() for path in paths)
        print("\u25a0".encode("cp1252"))

    report = segment(photos, tmp_path / "out", on_result=fail)
    assert (report.done, report.failed, report.fault) == (3, (), None)
    assert [line.split(": ")[:2] for line in caplog.messages] == [
        [f"{photos / name} is done, but its report failed", "UnicodeEncodeError"] for name in NAMES
    ]


def test_home_folder(photos, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    segment(photos, "~/out")
    label(photos, "~/set")
    assert (tmp_path / "out/run.json").is_file()
    assert (tmp_path / "set/annotations.json").is_file()
    for run in (segment, label):
        with pytest.raises(MaskAdapterError, match="is an address"):
            run(photos, "s3://bucket/out")


def test_segments_of_a_low_score_are_left_out(photos, tmp_path):
    segment_images(Halves(), photos, "cat, wall", tmp_path / "out", "summary", score=0.7)
    for path in (tmp_path / "out").rglob("*-summary.json"):
        assert [one["name"] for one in json.loads(path.read_text())["segments"]] == ["cat"]
    with pytest.raises(MaskAdapterError, match=r"other settings \(score\)"):
        segment_images(Halves(), photos, "cat, wall", tmp_path / "out", "summary", resume=True)
    with pytest.raises(MaskAdapterError, match="score is nan"):
        segment(photos, tmp_path / "none", score=float("nan"))


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
import torch  # before the processes part; no threads stay here
from many import Halves, contents
from maskadapter.pipelines.labeling import label_images
from maskadapter.pipelines.segmenting import segment_images
from maskadapter.results import load_supervision
load_supervision()

def work(command, folder, resume, classes="cat, wall"):
    if command == "segment":
        segment_images(Halves(), "photos", classes, folder, "labels", resume=resume)
    else:
        label_images(Halves(), "photos", "cat, wall", folder, command, resume=resume, val=0.5 * (command == "yolo"))

def run(command, folder, resume, stop=0, classes="cat, wall"):
    '''In a process of its own, which kills itself when a file is about to take its place for the stop-th time.'''
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    replace, count = os.replace, []
    def move(*given):
        count.append(given)
        if len(count) == stop:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(*given)
    os.replace = move
    try:
        work(command, folder, resume, classes)
        os._exit(0)
    finally:
        os._exit(1)

for command in sys.argv[1:]:
    work(command, "whole", False)  # in this process: what it imports need not be imported again in every other
    whole = contents(Path("whole"))
    stop, killed, again = 0, 9, 0
    while killed:
        stop += 1
        if command == "segment":  # the results of other settings are replaced
            assert run(command, "parts", False, classes="cow, pig") == 0
        killed = run(command, "parts", False, stop)
        assert killed in (0, 9), (command, stop)
        if killed and stop % 3 == 0:
            assert run(command, "parts", True, 2) == 9
        resume = command != "segment" or stop > 2  # these files are the record with the new settings
        assert run(command, "parts", resume) == 0, (command, stop)
        assert contents(Path("parts")) == whole, (command, stop, contents(Path("parts")).keys() ^ whole.keys())
        shutil.rmtree("parts")
    print(command, stop)
    shutil.rmtree("whole")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
def test_killed_at_any_moment_and_resumed_is_the_same_as_one_run(tmp_path):
    make_images(tmp_path / "photos", ["a/x.png", "c.jpg"])
    paths = os.pathsep.join([*map(str, sys.path), str(Path(__file__).parents[1] / "support")])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", KILLED, "segment", "coco", "yolo"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    stops = [int(line.split()[1]) for line in done.stdout.splitlines()]
    assert all(stop > 8 for stop in stops), stops
