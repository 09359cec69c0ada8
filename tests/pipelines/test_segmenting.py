"""Many images: everything is written, what fails is reported, and a run that was stopped can go on."""

import gc
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
import skimage
from many import Halves, contents, make_images
from PIL import Image

import maskadapter
from maskadapter.errors import ImageError, MaskAdapterError
from maskadapter.io.image_files import find_image_files
from maskadapter.pipelines import image_run
from maskadapter.pipelines.segmenting import segment_each, segment_images
from maskadapter.results.segmentation import ENDINGS, FORMATS, Segmentation
from maskadapter.system import progress

NAMES = ("a/x.png", "b/x.png", "c.jpg", "d.png", "e.png")
PHOTOS = Path(skimage.__file__).parent / "data"


@pytest.fixture
def photos(tmp_path):
    return make_images(tmp_path / "photos", NAMES)


@pytest.mark.parametrize("format", FORMATS)
def test_the_list_of_files_is_what_save_writes(photos, tmp_path, format):
    model = Halves()
    result = model.segment(photos / "d.png", model.encode_text("cat, wall"))
    maps = model.activation_maps(photos / "d.png", result)
    written = result.save(tmp_path / "one", format, activation_maps=maps)
    assert tuple(path.name.removeprefix("d") for path in written) == ENDINGS[format]


def test_a_folder(photos, tmp_path):
    model = Halves()
    report = segment_images(model, photos, "cat, sofa|couch", tmp_path / "out", "labels", settings={"model": "m"})
    assert (report.done, report.before, report.failed) == (5, 0, ())
    files = contents(tmp_path / "out")
    stems = ["a/x", "b/x", "c", "d", "e"]
    assert set(files) == {f"{stem}-{end}" for stem in stems for end in ("labels.png", "classes.json")} | {"run.json"}
    assert files["a/x-labels.png"] != files["b/x-labels.png"]
    record = json.loads(files["run.json"])
    assert record["classes"] == [["cat"], ["sofa", "couch"]]
    assert (record["model"], record["formats"], list(record["images"])) == ("m", ["labels"], stems)
    assert record["maskadapter"] == maskadapter.__version__
    assert str(tmp_path) not in files["run.json"].decode()


def test_one_image_leaves_no_record(photos, tmp_path):
    assert segment_images(Halves(), photos / "d.png", "cat", tmp_path / "out", "labels").done == 1
    assert set(contents(tmp_path / "out")) == {"d-labels.png", "d-classes.json"}


def test_words_are_encoded_once(photos, tmp_path, monkeypatch):
    model, calls = Halves(), []
    monkeypatch.setattr(model, "encode_text", lambda *given: calls.append(given) or Halves().encode_text(*given))
    segment_images(model, photos, "cat, dog", tmp_path / "out", "labels", things=["dog"])
    assert calls == [("cat, dog", ["dog"])]
    assert json.loads((tmp_path / "out/run.json").read_text())["is_thing"] == [False, True]


def test_images_that_fail_are_reported_and_the_others_done(photos, tmp_path, monkeypatch):
    (photos / "bad.jpg").write_text("words")
    (photos / "cut.png").write_bytes((photos / "d.png").read_bytes()[:300])
    os.symlink("gone.png", photos / "dead.png")
    segment = Halves.segment

    def trip(self, source, encoded, background):
        if source.name == "c.jpg":
            raise RuntimeError("out of memory")
        return segment(self, source, encoded, background)

    monkeypatch.setattr(Halves, "segment", trip)
    report = segment_images(Halves(), photos, "cat", tmp_path / "out", "labels")
    assert report.done == 4
    assert [(Path(name).name, line.split(str(photos))[0]) for name, line in report.failed] == [
        ("bad.jpg", "not an image that can be read: "),
        ("c.jpg", ""),
        ("cut.png", "damaged image "),
        ("dead.png", "no such file: "),
    ]
    assert report.failed[1][1] == f"{photos / 'c.jpg'}: RuntimeError: out of memory"
    assert len(contents(tmp_path / "out")) == 4 * 2 + 1


def stop_at(monkeypatch, error, number):
    """Let the writing of the results break at the image of that number, in the middle of a file."""
    save, count = Image.Image.save, []

    def break_off(self, path, **options):
        count.append(path)
        if len(count) == number:
            Path(path).write_bytes(b"half")
            raise error
        save(self, path, **options)

    monkeypatch.setattr(Image.Image, "save", break_off)


@pytest.mark.parametrize("number", [1, 2, 3, 10])
def test_stopped_and_resumed_is_the_same_as_one_run(photos, tmp_path, monkeypatch, number):
    (photos / "bad.jpg").write_text("words")
    segment_images(Halves(), photos, "cat, wall", tmp_path / "whole", FORMATS[:2])
    with monkeypatch.context() as patch:
        stop_at(patch, KeyboardInterrupt(), number)
        with pytest.raises(KeyboardInterrupt, match=f"stopped: {(number - 1) // 2} of 6 images are done, --resume"):
            segment_images(Halves(), photos, "cat, wall", tmp_path / "parts", FORMATS[:2])
    whole, parts = contents(tmp_path / "whole"), contents(tmp_path / "parts")
    assert set(parts) < set(whole)
    assert all(whole[name] == parts[name] for name in parts if name != "run.json")
    model = Halves()
    report = segment_images(model, photos, "cat, wall", tmp_path / "parts", FORMATS[:2], resume=True)
    assert (report.done, report.before, len(report.failed)) == (5, (number - 1) // 2, 1)
    assert len(model.given) == 5 - report.before  # the one that cannot be read fails before
    assert contents(tmp_path / "parts") == whole


def test_resume_without_a_run_is_a_run(photos, tmp_path):
    assert segment_images(Halves(), photos, "cat", tmp_path / "out", resume=True).before == 0
    assert segment_images(Halves(), photos, "cat", tmp_path / "out", resume=True).before == 5
    make_images(photos, ["f.png"])
    report = segment_images(Halves(), photos, "cat", tmp_path / "out", resume=True)
    assert (report.done, report.before) == (6, 5)
    assert len(json.loads((tmp_path / "out/run.json").read_text())["images"]) == 6


def test_resume_with_other_settings_is_refused_and_changes_nothing(photos, tmp_path):
    segment_images(Halves(), photos, "cat, dog", tmp_path / "out", "labels", settings={"model": "m"})
    before = contents(tmp_path / "out")
    for given, differs in [
        ({"classes": "cat, cow"}, r"\(classes\)"),
        ({"formats": "overlay"}, r"\(formats\)"),
        ({"things": []}, r"\(is_thing\)"),
        ({"background": None}, r"\(background\)"),
        ({"background": "sofa, wall"}, r"\(background\)"),
        ({"settings": {"model": "n"}}, r"\(model\)"),
        ({"settings": {}, "classes": "cow"}, r"\(classes, is_thing, model\)"),
    ]:
        wanted = {"classes": "cat, dog", "formats": "labels", "settings": {"model": "m"}, **given}
        with pytest.raises(MaskAdapterError, match=f"out was made with other settings {differs}: repeat them"):
            segment_images(Halves(), photos, output=tmp_path / "out", resume=True, **wanted)
    assert contents(tmp_path / "out") == before


def test_results_of_other_settings_do_not_pass_for_this_runs(photos, tmp_path, monkeypatch):
    segment_images(Halves(), photos, "cat, dog", tmp_path / "out", "labels")
    with monkeypatch.context() as patch:
        stop_at(patch, KeyboardInterrupt(), 2)
        with pytest.raises(KeyboardInterrupt):
            segment_images(Halves(), photos, "cow, wall", tmp_path / "out", "labels")
    assert segment_images(Halves(), photos, "cow, wall", tmp_path / "out", "labels", resume=True).before == 1
    for path in (tmp_path / "out").rglob("*-classes.json"):
        assert list(json.loads(path.read_text()).values()) == ["cow", "wall"]
    # Nor those of images that this run was not about.
    segment_images(Halves(), [photos / "c.jpg", photos / "d.png"], "pig", tmp_path / "out", "labels")
    assert segment_images(Halves(), photos, "pig", tmp_path / "out", "labels", resume=True).before == 2


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"images": 3}', "\xff"])
def test_a_record_that_is_none(photos, tmp_path, text):
    (tmp_path / "run.json").write_text(text, encoding="latin-1")
    with pytest.raises(MaskAdapterError, match=r"run\.json is not the record of a run of this version"):
        segment_images(Halves(), photos, "cat", tmp_path, resume=True)
    with pytest.raises(MaskAdapterError, match=r"run\.json .*: it would be overwritten"):
        segment_images(Halves(), photos, "cat", tmp_path)
    assert (tmp_path / "run.json").read_text(encoding="latin-1") == text


def test_a_record_that_cannot_be_read(photos, tmp_path):
    (tmp_path / "run.json").mkdir()
    with pytest.raises(MaskAdapterError, match=r"cannot read .*run\.json: Is a directory"):
        segment_images(Halves(), photos, "cat", tmp_path, resume=True)


def test_a_full_disk_stops_the_run(photos, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_at(patch, OSError(28, "No space left on device"), 3)
        with pytest.raises(
            MaskAdapterError, match=r"cannot write .*c-labels\.png: No space left .*; 2 of 5 .*--resume"
        ):
            segment_images(Halves(), photos, "cat", tmp_path / "out", "labels")
    assert len(contents(tmp_path / "out")) == 2 * 2 + 1
    assert segment_images(Halves(), photos, "cat", tmp_path / "out", "labels", resume=True).before == 2


def test_a_folder_that_cannot_be_written(photos, tmp_path):
    (tmp_path / "file").touch()
    model = Halves()
    with pytest.raises(MaskAdapterError, match=r"cannot write .*file: Not a directory"):
        segment_images(model, photos, "cat", tmp_path / "file")
    with pytest.raises(MaskAdapterError, match="cannot write /dev/null/x"):
        segment_images(model, photos, "cat", "/dev/null/x")
    assert model.given == []


def test_two_results_are_in_memory_at_a_time(photos, tmp_path, monkeypatch):
    (photos / "bad.jpg").write_text("words")
    results, most, make = weakref.WeakSet(), [], Segmentation.__init__

    def count(self, *given, **named):
        make(self, *given, **named)
        results.add(self)
        most.append(len(results))

    monkeypatch.setattr(Segmentation, "__init__", count)
    monkeypatch.setattr(Segmentation, "__hash__", object.__hash__)
    monkeypatch.setattr(Segmentation, "__eq__", object.__eq__)
    gc.disable()
    try:
        segment_images(Halves(), photos, "cat", tmp_path / "out", "labels")
        for _, result in segment_each(Halves(), photos, "cat", on_error=lambda image, error: None):
            del result
    finally:
        gc.enable()
    assert max(most[:5]) == 2  # one is computed while the one before is written
    assert most[5:] == [1] * 5


def test_reading_and_writing_go_on_while_an_image_is_computed(photos, tmp_path, monkeypatch):
    read, computed = threading.Event(), threading.Event()
    read_input, segment, save = image_run.read_input, Halves.segment, Segmentation.save

    def reading(source):
        if source.stem == "c":  # the third image
            read.set()
        return read_input(source)

    def computing(self, source, *given, **named):
        if source.name == "x.png" and self.given:  # the second one
            computed.set()
            assert read.wait(10), "the next image is not read"
        return segment(self, source, *given, **named)

    def writing(self, folder, *given, stem, **named):
        if stem == "a/x":
            assert computed.wait(10), "the next image is not computed"
        return save(self, folder, *given, stem=stem, **named)

    monkeypatch.setattr(image_run, "read_input", reading)
    monkeypatch.setattr(Halves, "segment", computing)
    monkeypatch.setattr(Segmentation, "save", writing)
    shown = []
    report = segment_images(
        Halves(), photos, "cat", tmp_path / "out", "labels", on_result=lambda _, files: shown.append(files[0].name)
    )
    assert (report.done, report.failed) == (5, ())
    assert shown == ["x-labels.png", "x-labels.png", "c-labels.png", "d-labels.png", "e-labels.png"]


def test_one_after_another(photos):
    model = Halves()
    results = segment_each(model, photos, ["cat", "wall"])
    image, result = next(results)
    assert (image.stem, result.class_names, len(model.given)) == ("a/x", ("cat", "wall"), 1)
    assert [image.stem for image, _ in results] == ["b/x", "c", "d", "e"]


def test_one_after_another_with_bad_ones(photos):
    (photos / "bad.jpg").write_text("words")
    with pytest.raises(ImageError, match="not an image"):
        list(segment_each(Halves(), find_image_files(photos), "cat"))
    bad = []
    assert len(list(segment_each(Halves(), photos, "cat", on_error=lambda *given: bad.append(given)))) == 5
    assert [(image.stem, str(error)[:12]) for image, error in bad] == [("bad", "not an image")]


def test_the_bar_counts_what_was_done_before(photos, tmp_path, monkeypatch):
    segment_images(Halves(), photos / "d.png", "cat", tmp_path / "out", "labels", resume=True)
    seen = []

    class Bar:
        def __init__(self, what, total, done=0):
            seen.append((what, total, done))

        def __enter__(self):
            return seen.append

        def __exit__(self, *error):
            pass

    monkeypatch.setattr(image_run, "bar", Bar)
    segment_images(Halves(), photos, "cat", tmp_path / "out", "labels", resume=True)
    assert seen == [("images", 5, 1), 1, 1, 1, 1]
    assert progress.bar is not Bar


RUN = [sys.executable, "-m", "maskadapter", "segment", "photos", "-c", "cat, cup|mug, wall", "-o"]


@pytest.mark.slow
def test_ctrl_c_on_the_command_line_and_resume(tmp_path):
    make_images(tmp_path / "photos", [f"{number}.png" for number in range(20)], size=(160, 120))
    subprocess.run([*RUN, "whole"], cwd=tmp_path, check=True, capture_output=True)
    process = subprocess.Popen([*RUN, "parts"], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "parts/0-overlay.png").exists():
        time.sleep(0.01)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "of 20 images are done, --resume goes on from there" in err
    whole, parts = contents(tmp_path / "whole"), contents(tmp_path / "parts")
    assert 0 < len(parts) < len(whole)
    assert all(whole[name] == parts[name] for name in parts if name != "run.json")
    subprocess.run([*RUN, "parts", "--resume"], cwd=tmp_path, check=True, capture_output=True)
    assert contents(tmp_path / "parts") == whole


MEMORY = """
import os, maskadapter
from maskadapter.pipelines import image_run
page, seen = os.sysconf("SC_PAGE_SIZE"), []
class Bar:
    def __init__(self, *given, **named): pass
    def __exit__(self, *error): pass
    def __enter__(self):
        return lambda step: seen.append(int(open("/proc/self/statm").read().split()[1]) * page)
image_run.bar = Bar
report = maskadapter.segment_images(maskadapter.load(), "photos", "cat, cup|mug, table, wall, sky", "out")
print(report.done, sorted(seen[9:60])[25], sorted(seen[-50:])[25])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_200_photos_take_no_more_memory_than_10(tmp_path):
    (tmp_path / "photos").mkdir()
    sources = [Image.open(PHOTOS / name).convert("RGB") for name in ("chelsea.png", "coffee.png", "astronaut.png")]
    for number in range(200):
        source = sources[number % 3]
        left, top = number * 7 % (source.width - 240), number * 5 % (source.height - 180)
        source.crop((left, top, left + 240, top + 180)).save(tmp_path / f"photos/{number:03}.png")
    done = subprocess.run([sys.executable, "-c", MEMORY], cwd=tmp_path, check=True, capture_output=True, text=True)
    count, early, late = map(int, done.stdout.split())  # medians: it goes up and down by 50 MB from image to image
    print(f"after 10 to 60 images {early / 1e6:.0f} MB, after 150 to 200 {late / 1e6:.0f} MB")
    assert count == 200
    assert late < 1.05 * early


def test_other_images_of_the_same_name_are_done_again(photos, tmp_path):
    segment_images(Halves(), photos, "cat, wall", tmp_path / "out", "labels")
    other = make_images(tmp_path / "other", NAMES[::-1])
    report = segment_images(Halves(), other, "cat, wall", tmp_path / "out", "labels", resume=True)
    assert (report.done, report.before) == (5, 1)  # the one in the middle has the same content
    segment_images(Halves(), other, "cat, wall", tmp_path / "fresh", "labels")
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def test_an_image_done_alone_with_other_words_is_done_again(photos, tmp_path):
    segment_images(Halves(), photos, "cat, wall", tmp_path / "out", "labels")
    before = contents(tmp_path / "out")
    segment_images(Halves(), photos / "d.png", "zebra", tmp_path / "out", "labels")
    assert contents(tmp_path / "out")["d-classes.json"] != before["d-classes.json"]
    report = segment_images(Halves(), photos, "cat, wall", tmp_path / "out", "labels", resume=True)
    assert (report.done, report.before) == (5, 4)
    assert contents(tmp_path / "out") == before


def test_a_name_too_long_for_its_results_is_that_images_failure(photos, tmp_path):
    (photos / "d.png").rename(photos / f"{'d' * 250}.png")
    for resume in (False, True):
        report = segment_images(Halves(), photos, "cat, wall", tmp_path / "out", "labels", resume=resume)
        assert (report.done, len(report.failed), report.fault) == (4, 1, None)
        assert "names that are too long" in report.failed[0][1]


def test_an_image_that_gets_another_name_is_refused(photos, tmp_path):
    segment_images(Halves(), photos, "cat", tmp_path / "out", "labels")
    (photos / "d.jpg").write_bytes((photos / "c.jpg").read_bytes())
    with pytest.raises(MaskAdapterError, match=r"d\.png is in .*out as d and would now be called d\.png"):
        segment_images(Halves(), photos, "cat", tmp_path / "out", "labels", resume=True)
    assert segment_images(Halves(), photos, "cat", tmp_path / "out", "labels").done == 6


def test_found_images_and_paths_may_be_mixed(photos, tmp_path):
    given = [*find_image_files(photos / "d.png"), photos / "e.png"]
    assert segment_images(Halves(), given, "cat", tmp_path / "out", "labels").done == 2


@pytest.mark.parametrize(
    "images", [io.BytesIO(b"x\n"), Image.new("RGB", (9, 9)), 3, [io.BytesIO()], [np.zeros((9, 9, 3), np.uint8)], None]
)
def test_values_that_are_no_files_are_refused(tmp_path, images):
    with pytest.raises(ImageError, match="images are looked for in files, folders and patterns, not in"):
        segment_images(Halves(), images, "cat", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
