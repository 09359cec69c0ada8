"""Whatever is given to the command line, it answers right or with one line that says what to do.

Every case makes its files in an empty folder and runs the command there. A good one ends with 0 and has its results; a
bad one ends with 2, one line on standard error, and nothing in the folder of results.
"""

import errno
import io
import json
import pickle
import re
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from safetensors.torch import save_file

import maskadapter
from maskadapter.cli import main
from maskadapter.hub.model_source import ModelSource
from maskadapter.io import images
from maskadapter.io.coco_format import encode_mask
from maskadapter.models.preprocess import InputSize
from maskadapter.system.warn_once import warn_once

SIZE = (24, 32)  # height, width
CLASSES = ["-c", "cat, grass"]
WEIGHTS = Path(maskadapter.__file__).parent / "hub" / "weights" / "tiny.safetensors"


@pytest.fixture(scope="module")
def model():
    """The embedded model; it looks at smaller images than usual, which takes a fifth of the time."""
    model = maskadapter.load()
    model.inference = replace(model.inference, input_size=InputSize(96, 96))
    return model


@pytest.fixture
def run(model, tmp_path, monkeypatch, capfd):
    """Runs the command in a folder of its own: exit code, standard output, standard error."""
    really = maskadapter.load

    def load(source, **options):
        # The model in the package is read once for all cases; everything else goes the whole way.
        plain = source == ModelSource("tiny") and options["device"] == "cpu"
        return model if plain else really(source, **options)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(maskadapter, "load", load, raising=False)

    def run(arguments):
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        written = capfd.readouterr()
        return stopped.value.code or 0, written.out, written.err

    return run


def photo(name="photo.png", mode="RGB", size=SIZE, **options):
    """A smooth image with noise, saved in the working folder."""
    rng = np.random.default_rng(0)
    pixels = np.clip(np.linspace(0, 200, size[1])[None, :, None] + rng.integers(0, 50, (*size, 3)), 0, 255)
    Image.fromarray(pixels.astype(np.uint8)).convert(mode).save(name, **options)
    return name


def cut(name, share, **options):
    data = Path(photo(name, size=(200, 300), **options)).read_bytes()
    Path(name).write_bytes(data[: int(len(data) * share)])
    return name


def file(name, content):
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return name


def bomb(name="bomb.png", width=60_000, height=60_000):
    """A PNG of a few bytes that claims to be enormous."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    return file(name, b"\x89PNG\r\n\x1a\n" + body)


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return photo("photo.jpg", exif=exif)


def wide(name="photo.png"):
    Image.fromarray(np.linspace(0, 65535, SIZE[0] * SIZE[1]).reshape(SIZE).astype(np.uint16)).save(name)
    return name


def animated(name):
    frames = [Image.new("RGB", SIZE[::-1], color) for color in ("red", "green")]
    frames[0].save(name, save_all=True, append_images=frames[1:])
    return name


def palette():
    image = Image.new("P", SIZE[::-1], 1)
    image.putpalette([0, 0, 0, 200, 30, 30])
    image.save("photo.png", transparency=0)
    return "photo.png"


def masks(count=3, size=SIZE):
    return np.random.default_rng(1).random((count, *size)) > 0.5


def saved(array, name="masks.npy"):
    np.save(name, array)
    return name


def labels(values, name="masks.png", mode=None):
    image = Image.fromarray(np.asarray(values))
    if mode:
        image = image.convert(mode)
    image.save(name)
    return name


def as_json(content, name="masks.json"):
    return file(name, json.dumps(content))


def coco(segmentation):
    return as_json([{"segmentation": segmentation}])


# name -> what makes its files and returns the path of the image
GOOD_IMAGES = {
    "gray": lambda: photo(mode="L"),
    "black and white": lambda: photo(mode="1"),
    "transparent": lambda: photo(mode="RGBA"),
    "gray with alpha": lambda: photo(mode="LA"),
    "palette with transparency": palette,
    "16 bit": wide,
    "16 bit TIFF": lambda: wide("photo.tif"),
    "CMYK": lambda: photo("photo.jpg", "CMYK"),
    "progressive": lambda: photo("photo.jpg", progressive=True),
    "WebP": lambda: photo("photo.webp"),
    "TIFF": lambda: photo("photo.tiff", compression="tiff_lzw"),
    "BMP": lambda: photo("photo.bmp"),
    "animated GIF": lambda: animated("photo.gif"),
    "TIFF of several pages": lambda: animated("photo.tif"),
    **{f"EXIF orientation {i}": lambda i=i: turned(i) for i in range(1, 9)},
    "broken EXIF": lambda: photo("photo.jpg", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff broken"),
    "broken color profile": lambda: photo("photo.jpg", icc_profile=b"no profile"),
    "another suffix than its format": lambda: str(Path(photo("photo.png")).rename("photo.jpg")),
    "upper-case suffix": lambda: str(Path(photo()).rename("PHOTO.PNG")),
    "no suffix": lambda: str(Path(photo()).rename("photo")),
    "a name with spaces and signs": lambda: str(Path(photo()).rename("my [photo] *1* \u0444\u043e\u0442\u043e.png")),
    "1 x 1": lambda: photo(size=(1, 1)),
    "1 x 300": lambda: photo(size=(1, 300)),
    "300 x 1": lambda: photo(size=(300, 1)),
    "one color": lambda: labels(np.full((*SIZE, 3), 90, np.uint8), "photo.png"),
}

GOOD_CLASSES = {
    "one class": ("cat", 1),
    "2,000 classes": (",".join(f"thing number {i}" for i in range(2000)), 2000),
    "a name of 10,000 letters": ("cat, " + "very " * 2000 + "long", 2),
    "any script": (
        "\u0915\u0941\u0924\u094d\u0924\u093e, \u732b, \u0642\u0637, \U0001f431, \u03b3\u03ac\u03c4\u03b1",
        5,
    ),
    "duplicates": ("cat, dog, cat, cat|kitten", 2),
    "surplus commas and spaces": (" , cat,, dog ,", 2),
    "markup and braces": ("[bold]cat[/bold], {dog}, {}", 3),
    "a NUL and a tab": ("cat\0, d\tog", 2),
    "a list": ("cityscapes", None),
}
SAID_OF_CLASSES = {
    "any script": "the text encoder knows Latin script alone, .*\n",
    "duplicates": "the same class given more than once counts once: cat, cat, cat\n",
}

GOOD_MASKS = {
    "an array": (lambda: saved(masks()), 3),
    "numbers": (lambda: saved(masks().astype(float)[:, None]), 3),
    "one mask without its axis": (lambda: saved(masks()[0]), 1),
    "no masks": (lambda: saved(masks(0)), 0),
    "empty masks": (lambda: saved(np.zeros((2, *SIZE), bool)), 2),
    "overlapping masks": (lambda: saved(np.ones((2, *SIZE), bool)), 2),
    "a label map": (lambda: labels(masks(1)[0].astype(np.uint8) * 7), 1),
    "a label map of zeros": (lambda: labels(np.zeros(SIZE, np.uint8)), 0),
    "a 16-bit label map": (lambda: labels(masks(1)[0].astype(np.uint16) * 700 + 1), 2),
    "a panoptic PNG": (lambda: labels(np.dstack([masks(1)[0] * np.uint8(9)] * 3)), 1),
    "run lengths": (lambda: coco(encode_mask(masks(1)[0])), 1),
    "polygons": (lambda: coco([[1, 1, 20, 1, 20, 15, 1, 15]]), 1),
    "a polygon outside of the image": (lambda: coco([[-50, -50, 900, -50, 900, 900]]), 1),
    "an empty COCO list": (lambda: as_json([]), 0),
}


@pytest.mark.parametrize("case", GOOD_IMAGES)
def test_images(run, case, tmp_path):
    path = Path(GOOD_IMAGES[case]())
    with Image.open(path) as image:
        width, height = image.size
        upright = (width, height) if image.getexif().get(0x0112, 1) < 5 else (height, width)
    code, out, err = run(["segment", path, *CLASSES, "--save", "overlay,labels,panoptic,coco,summary,activations"])
    assert (code, err) == (0, "")
    written = sorted((tmp_path / "out").iterdir())
    assert len(written) == 8
    for result in written:
        if result.suffix == ".png" and "activations" not in result.name:
            with Image.open(result) as saved_image:
                assert saved_image.size == upright, result
    assert "share of pixels" in out


@pytest.mark.parametrize("case", GOOD_CLASSES)
def test_classes(run, case, tmp_path):
    words, count = GOOD_CLASSES[case]
    warn_once.cache_clear()
    code, _, err = run(["segment", photo(), "-c", words])
    assert code == 0
    assert re.fullmatch(SAID_OF_CLASSES.get(case, ""), err), err
    names = json.loads((tmp_path / "out" / "photo-classes.json").read_text(encoding="utf-8"))
    assert len(names) == (count or len(maskadapter.Vocabulary.builtin(words)))


@pytest.mark.parametrize("case", GOOD_MASKS)
def test_masks(run, case):
    make, count = GOOD_MASKS[case]
    code, out, err = run(["classify", photo(), "--masks", make(), *CLASSES])
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 1 + count


def segment(make, *more):
    return lambda: ["segment", make(), *CLASSES, *more]


def classify(make, *more):
    return lambda: ["classify", photo(), "--masks", make(), *CLASSES, *more]


def words(classes):
    return lambda: ["segment", photo(), "-c", classes]


def weights(make, *more):
    return lambda: ["segment", photo(), *CLASSES, "-m", make(), *more]


class Opens:
    """Runs when it is unpickled by whoever trusts it."""

    def __reduce__(self):
        return (Path.touch, (Path("it ran"),))


def archive():
    np.savez("masks.npz", masks(), masks())
    return str(Path("masks.npz").rename("masks.npy"))


def pickled():
    np.save("masks.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return "masks.npy"


def claims(shape):
    """An .npy file whose header promises more than it holds."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|b1", "fortran_order": False, "shape": shape})
    return file("masks.npy", buffer.getvalue() + b"\1" * 50)


def without_adapter():
    maskadapter.convert("tiny", "model.safetensors", half=True)
    return "model.safetensors"


def other_keys():
    save_file({"a.weight": torch.zeros(3)}, "model.safetensors")
    return "model.safetensors"


# name -> (arguments, words of the message)
BAD = {
    "no such image": (lambda: ["segment", "gone.jpg", *CLASSES], "no such file or folder: gone.jpg"),
    "an empty name": (lambda: ["segment", "", *CLASSES], "an empty name is not an image"),
    "an empty file": (segment(lambda: file("photo.jpg", b"")), "not an image that can be read"),
    "text": (segment(lambda: file("photo.jpg", "words")), "not an image that can be read"),
    "a web page": (segment(lambda: file("photo.png", "<!DOCTYPE html><html>")), "not an image that can be read"),
    "an SVG": (segment(lambda: file("photo.svg", "<svg xmlns='x'/>")), "not an image that can be read"),
    "PostScript": (segment(lambda: file("p.eps", "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")), "not an image"),
    "a cut JPEG": (segment(lambda: cut("photo.jpg", 0.5)), "damaged image photo.jpg"),
    "a cut PNG": (segment(lambda: cut("photo.png", 0.5)), "damaged image photo.png"),
    "a cut header": (segment(lambda: cut("photo.png", 0.0003)), "photo.png"),
    "a decompression bomb": (segment(bomb), "60000 x 60000 pixels, more than max_pixels"),
    "HEIC": (
        segment(lambda: file("IMG_1.HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")),
        "HEIC is not read",
    ),
    "an address": (segment(lambda: "https://example.org/a.jpg"), "is an address; a path on this computer is needed"),
    "an address of classes": (lambda: words("https://example.org/classes.txt")(), "is an address"),
    "a panorama": (segment(lambda: photo(size=(40, 3000))), "less than a patch of 32: cut it into tiles of"),
    "floating-point pixels": (segment(lambda: photo("photo.tif", "F")), "floating-point pixels"),
    "an empty folder": (segment(lambda: Path("photos").mkdir() or "photos"), "no images in photos"),
    "a pattern without matches": (lambda: ["segment", "no*.jpg", *CLASSES], "no images in no*.jpg"),
    "results among the images": (segment(lambda: photo() and ".", "-o", "."), "among the images"),
    "no classes": (words(" , "), "no classes: name at least one"),
    "an empty text": (words(""), "no classes: name at least one"),
    "a file of comments": (lambda: words(file("c.txt", "# nothing\n"))(), "no classes"),
    "no such file of classes": (words("gone.txt"), "no such file of classes: gone.txt"),
    "classes that are not text": (lambda: words(file("c.txt", b"\xff\xfe\x00\xd8"))(), "not UTF-8 text"),
    "a slip in a list's name": (words("ade20k-151"), "did you mean 'ade20k-150'"),
    "half a list's name": (words("lvis"), "did you mean"),
    "no valid text": (words("cat\udcff"), "not valid text"),
    "no option of that name": (lambda: ["segment", photo(), "--clases", "cat"], "No such option"),
    "no classes option": (lambda: ["segment", photo()], "Missing option '--classes'"),
    "no such command": (lambda: ["segmnt"], "no command 'segmnt': did you mean 'segment'?"),
    "an unknown format": (segment(photo, "--save", "svg"), "unknown format 'svg': choose from overlay"),
    "an unknown background": (segment(photo, "--background", "coco-stuf"), "did you mean 'coco-stuff'"),
    "results in a file": (segment(photo, "-o", "photo.png"), "cannot write photo.png"),
    "results below a file": (segment(photo, "-o", "photo.png/out"), "cannot write photo.png"),
    "no such device": (segment(photo, "--device", "abacus"), "device 'abacus' cannot be used here"),
    "no such masks": (classify(lambda: "gone.png"), "no such file: gone.png"),
    "masks of another size": (classify(lambda: saved(masks(size=(9, 9)))), "9 x 9 pixels for an image of 32 x 24"),
    "a label map of another size": (classify(lambda: labels(np.ones((9, 9), np.uint8))), "for an image of 32 x 24"),
    "masks that are logits": (classify(lambda: saved(masks() * 9.0 - 4)), "give masks > 0"),
    "a polygon of two points": (classify(lambda: coco([[1, 1, 5, 5]])), "no polygon has three points"),
    "an archive of arrays": (classify(archive), "none of them named 'masks'"),
    "pickled masks": (classify(pickled), "not a NumPy array file"),
    "a header that lies": (classify(lambda: claims((10**9, *SIZE))), "not a NumPy array file"),
    "masks that are text": (classify(lambda: file("masks.txt", "words")), "not an image that can be read"),
    "a photo as masks": (classify(lambda: photo("masks.tif", "F")), "not a label map"),
    "broken JSON": (classify(lambda: file("masks.json", "[{")), "cannot read masks.json as JSON"),
    "deep JSON": (classify(lambda: file("masks.json", "[" * 100_000)), "cannot read masks.json as JSON"),
    "other JSON": (classify(lambda: as_json({"cats": 1})), "not a COCO file"),
    "JSON of a number": (classify(lambda: as_json(3)), "masks.json"),
    "an annotation without mask": (classify(lambda: as_json([{"bbox": [1, 2, 3, 4]}])), "no 'segmentation'"),
    "run lengths of another size": (classify(lambda: coco({"size": [9, 9], "counts": [81]})), "9 x 9 pixels"),
    "run lengths that end early": (classify(lambda: coco({"size": [*SIZE], "counts": [5]})), "has 5 pixels"),
    "run lengths of rubbish": (classify(lambda: coco({"size": [*SIZE], "counts": "~~~"})), "mask"),
    "a polygon of words": (classify(lambda: coco([["a"] * 6])), "one flat list of numbers"),
    "a COCO file of other images": (
        classify(lambda: as_json({"images": [{"id": 1}, {"id": 2}], "annotations": []})),
        "0 of them named photo.png",
    ),
    "no words to print": (classify(lambda: saved(masks()), "--top", "0"), "--top"),
    "no such weights": (weights(lambda: "gone.safetensors"), "no weights at gone.safetensors"),
    "an unknown model": (weights(lambda: "fclip-large"), "unknown model 'fclip-large'"),
    "weights that are text": (weights(lambda: file("model.pth", "words")), "model.pth"),
    "an empty weights file": (weights(lambda: file("model.safetensors", b"")), "model.safetensors"),
    "cut weights": (weights(lambda: file("m.safetensors", WEIGHTS.read_bytes()[:100_000])), "m.safetensors"),
    "weights of something else": (weights(other_keys), "fits no model"),
    "weights that run code": (weights(lambda: torch.save({"model": Opens()}, "model.pth") or "model.pth"), "model.pth"),
    "weights in a bare pickle": (weights(lambda: file("model.pkl", pickle.dumps(Opens()))), "model.pkl"),
    "an unknown like": (weights(other_keys, "--architecture", "resnet"), "unknown model 'resnet'"),
    "no adapter to load": (weights(without_adapter, "--pooler", "adapter"), "holds no adapter"),
    "an adapter that is none": (segment(photo, "--adapter", str(WEIGHTS)), "holds no adapter"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(run, case, tmp_path):
    make, message = BAD[case]
    arguments = make()
    before = sorted(path for path in tmp_path.rglob("*"))
    code, out, err = run(arguments)
    assert code == 2, (out, err)
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert len(err) < 600
    assert "weights_only" not in err  # PyTorch advises to switch the protection off
    assert sorted(path for path in tmp_path.rglob("*")) == before  # nothing was written, nothing ran


def test_there_are_enough_cases():
    assert len(GOOD_IMAGES) + len(GOOD_CLASSES) + len(GOOD_MASKS) + len(BAD) >= 60


def test_the_limit_on_pixels_can_be_set(run, monkeypatch):
    path = photo(size=(30, 40))
    with pytest.raises(images.ImageError, match="40 x 30 pixels, more than max_pixels = 1,199"):
        images.read_image(path, max_pixels=1199)
    assert images.read_image(path, max_pixels=1200).shape == (30, 40, 3)


def full_disk(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


def refused(*args, **kwargs):
    raise PermissionError(errno.EACCES, "Permission denied")


@pytest.mark.parametrize(("failure", "reason"), [(full_disk, "No space left"), (refused, "Permission denied")])
@pytest.mark.parametrize("formats", ["overlay", "labels", "panoptic", "coco", "summary", "activations"])
def test_a_disk_that_refuses(run, monkeypatch, tmp_path, failure, reason, formats):
    path = photo()
    for owner, name in ((Image.Image, "save"), (Path, "write_text")):
        monkeypatch.setattr(owner, name, failure)
    code, _, err = run(["segment", path, *CLASSES, "--save", formats])
    assert code == 2
    assert err.startswith("error: cannot write ")
    assert reason in err
    assert err.count("\n") == 1
    assert [entry for entry in (tmp_path / "out").rglob("*") if entry.is_file()] == []


def test_a_image_that_may_not_be_read(run, monkeypatch):
    path = photo()
    monkeypatch.setattr(Image, "open", refused)
    code, _, err = run(["segment", path, *CLASSES])
    assert (code, err) == (2, f"error: cannot read {path}: Permission denied\n")


def test_a_bomb_is_refused_without_decoding(run, tmp_path):
    import tracemalloc

    path = bomb(str(tmp_path / "bomb.png"), 20_000, 20_000)
    tracemalloc.start()
    with pytest.raises(images.ImageError, match="20000 x 20000"):
        images.read_image(path)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_a_real_photo_still_works(run, tmp_path):
    path = Path(skimage.data.__file__).parent / "chelsea.png"
    code, out, _ = run(["segment", path, "-c", "cat"])
    assert code == 0
    assert "cat" in out
