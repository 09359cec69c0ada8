"""Mistakes are found before PyTorch is imported, which takes seconds: by every command, in a process that lacks it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

RECIPE = Path(__file__).parents[2] / "recipes/own/tiny-warmup.yaml"
WITHOUT_TORCH = """
import contextlib, io, json, sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            raise AssertionError("torch is imported")

sys.meta_path.insert(0, Without())
from maskadapter.cli import main

for arguments in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), contextlib.suppress(SystemExit):
        main(arguments)
    print(json.dumps(err.getvalue()))
"""

SEGMENT = ["segment", "photo.png", "-c", "cat, wall"]
LABEL = ["label", "photo.png", "-c", "cat, wall"]
CLASSIFY = ["classify", "photo.png", "-c", "cat, wall", "--masks", "mask.png"]
EVALUATE = ["evaluate", "tiny", "set.yaml"]
TRAIN = ["train", "recipe.yaml"]
PLAN = ["bulk", "plan", "-c", "cat", "-o", "new"]
GALLERY = ["plot", "gallery", "photo.png", "-o", "a.png"]

MISTAKES = {
    **{
        f"{command[0]} {name}": ([*command, *arguments], message)
        for command in (SEGMENT, LABEL, CLASSIFY)
        for name, arguments, message in [
            ("a model", ["-m", "fcclip-lage"], "did you mean 'fcclip-large'?"),
            ("weights", ["-m", "gone.pth"], "no weights at gone.pth"),
            ("an image as weights", ["-m", "photo.png"], "photo.png is not a file of weights"),
            ("a CLIP", ["-m", "clip:ViT-B-16"], "is not the name of a CLIP"),
            ("a name on the hub", ["-m", "hf:name"], "is not the name of a model on the Hugging Face hub"),
            ("a model of the hub", ["-m", "hf:org/name@v1"], "hf:org/name@v1 is not on this machine"),
            ("an adapter", ["--adapter", "gone.safetensors"], "no weights at gone.safetensors"),
            ("an architecture", ["--architecture", "fcclip-larg"], "did you mean 'fcclip-large'?"),
            ("a model that is not here", ["-m", "maftplus-base"], "run 'maskadapter models download maftplus-base'"),
            ("a device", ["--device", "gpu"], "device 'gpu' cannot be used here"),
            ("classes", ["-c", "gone.yaml"], "no such file of classes: gone.yaml"),
            ("a list", ["-c", "ade20k"], "did you mean 'ade20k-150' or 'ade20k-847'?"),
            ("masks", ["--masks", "gone.png"], "no such file: gone.png"),
            ("masks of another size", ["--masks", "small.npy"], "5 x 5 pixels"),
            ("a text as masks", ["--masks", "text.jpg"], "not an image that can be read: text.jpg"),
            ("its own folder as masks", ["--masks", "."], "no masks in ."),
            ("a mask source", ["--masks", "segmenter:x,a=1"], "segmenter:x has no options"),
            ("an option of SAM", ["--masks", "sam:x,points_per_sid=3"], "did you mean 'points_per_side'?"),
        ]
    },
    **{
        f"{command[0]} {name}": ([*command, *arguments], message)
        for command in (SEGMENT, LABEL)
        for name, arguments, message in [
            ("a second image", ["gone.jpg"], "no such file or folder: gone.jpg"),
            ("things", ["--things", "dog"], 'things names "dog"'),
            ("a background", ["--background", "coco-stuf-1"], "did you mean 'coco-stuff'?"),
            ("a folder that is a file", ["-o", "photo.png"], "cannot write photo.png"),
        ]
    },
    "segment an image": (["segment", "gone.jpg", "-c", "cat"], "no such file or folder: gone.jpg"),
    "segment a text": (["segment", "text.jpg", "-c", "cat"], "not an image that can be read: text.jpg"),
    "segment a format": ([*SEGMENT, "--save", "overlay,mask"], "unknown format 'mask'"),
    "label a full folder": ([*LABEL, "-o", "full"], "full is not empty"),
    "classify an image": (["classify", "gone.jpg", *CLASSIFY[2:]], "gone.jpg"),
    "label a text": (["label", "text.jpg", "-c", "cat"], "not an image that can be read: text.jpg"),
    "evaluate a model": (["evaluate", "fcclip-lage", "set.yaml"], "did you mean 'fcclip-large'?"),
    "evaluate weights": (["evaluate", "gone.pth", "set.yaml"], "no weights at gone.pth"),
    "evaluate on a set": (["evaluate", "tiny", "ade20k-15", "--root", "."], "did you mean 'ade20k-150'?"),
    "evaluate on a file": (["evaluate", "tiny", "gone.yaml"], "gone.yaml"),
    "evaluate on a missing set": (["evaluate", "tiny", "ade20k-150", "--root", "x"], "maskadapter prepare ade20k-150"),
    "evaluate alpha": ([*EVALUATE, "--alpha", "2"], "alpha is 2.0"),
    "evaluate a background": ([*EVALUATE, "--background", "gone.txt"], "no such file of classes: gone.txt"),
    "evaluate annotations": ([*EVALUATE, "--annotations", "a.json"], "--annotations is for predictions in COCO JSON"),
    "evaluate masks": ([*EVALUATE, "--masks", "gone"], "no masks 'gone'"),
    "evaluate a partition": ([*EVALUATE, "--partition", "coco-panoptik"], "did you mean 'coco-panoptic'?"),
    "evaluate into a file": ([*EVALUATE, "-o", "photo.png"], "cannot write photo.png"),
    "evaluate a device": ([*EVALUATE, "--device", "cuda0"], "device 'cuda0' cannot be used here"),
    "train by a recipe": (["train", "gone.yaml"], "gone.yaml"),
    "train a key": ([*TRAIN, "--set", "optimizer.lrr=1"], "did you mean 'lr'?"),
    "train a change": ([*TRAIN, "--set", "optimizer.lr"], "key=value"),
    "train on a set": ([*TRAIN, "--set", "data.train=[{name: gone.yaml}]"], "gone.yaml"),
    "train weights": ([*TRAIN, "--set", "model.weights=gone.pth"], "no weights at gone.pth"),
    "train an adapter": ([*TRAIN, "--set", "model.adapter=gone.pth"], "no weights at gone.pth"),
    "train an architecture": ([*TRAIN, "--set", "model.architecture=tini"], "did you mean 'tiny'"),
    "train into a file": ([*TRAIN, "-o", "photo.png"], "cannot write photo.png"),
    "prepare a set": (["prepare", "ade20k-15", "--root", "."], "did you mean 'ade20k-150'?"),
    "prepare offline": (["prepare", "lvis-v1", "--root", ".", "--offline"], "lvis-v1 in"),
    "benchmark a model": (["benchmark", "fcclip-lage"], "did you mean 'fcclip-large'?"),
    "benchmark a size": (["benchmark", "--size", "100"], "size is 100"),
    "benchmark images": (["benchmark", "--images", "gone"], "no such file or folder: gone"),
    "benchmark classes": (["benchmark", "--second-classes", "gone.txt"], "no such file of classes: gone.txt"),
    "benchmark into": (["benchmark", "-o", "a.txt"], "a file that ends in .json is needed"),
    "export a model": (["export", "fcclip-lage", "-o", "new"], "did you mean 'fcclip-large'?"),
    "export an opset": (["export", "tiny", "-o", "new", "--opset", "17"], "opset is 17"),
    "export here": (["export", "tiny", "-o", "."], "is the current folder"),
    "export into": (["export", "tiny", "-o", "full"], "full is not empty"),
    "export a comparison": (["export", "tiny", "-o", "full", "--check"], "full is not empty: there is no config.json"),
    "reproduce a table": (["reproduce", "table12"], "no table 'table12'"),
    "reproduce without data": (["reproduce", "table3", "--model", "tiny", "--data", "x.yaml"], "no row of table3"),
    "reproduce into a file": (["reproduce", "table3", "-o", "photo.png"], "cannot write photo.png"),
    "reproduce with weights": (["reproduce", "table3", "--weights", "ovseg=x.pt"], "there is no file x.pt"),
    "plot into": (["plot", "gallery", "photo.png", "-c", "cat", "-o", "a.jpg"], "a file that ends in .png"),
    "plot classes": ([*GALLERY, "-c", "gone.csv"], "no such file of classes: gone.csv"),
    "plot an image": (["plot", "gallery", "gone.png", "-c", "cat", "-o", "a.png"], "no such file or folder: gone.png"),
    "plot a model": (
        ["plot", "figure4", "photo.png", "-c", "cat", "-o", "a.png", "-m", "tini"],
        "did you mean 'tiny'",
    ),
    "plot masks": (["plot", "figure4", "photo.png", "--masks", "x.png", "-o", "a.png"], "no such file: x.png"),
    "plot over an image": (["plot", "figure4", "photo.png", "-c", "cat", "-o", "photo.png"], "the figure is made"),
    "plot neither": (["plot", "figure4", "photo.png", "-o", "a.png"], "neither masks nor classes"),
    "plot nine": (["plot", "figure4", "photo.png", "-c", "cat", "-o", "a.png", "--top", "9"], "'--top'"),
    "plot a set": (["plot", "figure5", "coco", "-o", "a.png"], 'unknown data set "coco"'),
    "plot reports": (["plot", "figure1", "gone", "-o", "a.png"], "gone"),
    "plot a metric": (["plot", "figure1", "x", "-o", "a.png", "--metric", "miou"], "no metric 'miou'"),
    "plot runs": (["plot", "figure7", "gone", "-o", "a.png"], "no log.jsonl in gone"),
    "plot the paper's runs": (["plot", "figure7", "-o", "a.png"], "no log.jsonl in runs/fcclip-large-warmup"),
    "plot trained adapters": (
        ["plot", "figure5", "set.yaml", "-o", "a.png"],
        "recipes/table4/no-consistency and table1/fcclip-large-mixed train",
    ),
    "plot trained maps": (
        ["plot", "figure6", "photo.png", "-c", "cat", "-o", "a.png"],
        "no weights at runs/1-map/model.safetensors",
    ),
    "plot a published set": (["plot", "figure9", "--root", "x", "-o", "a.png"], "maskadapter prepare ade20k-150"),
    "plot a model that is not here": (
        ["plot", "figure10", "set.yaml", "-o", "a.png"],
        "run 'maskadapter models download fcclip-large",
    ),
    "plot a vocabulary": (
        ["plot", "figure11", "photo.png", "-c", "cat", "-c", "gone.txt", "-o", "a.png"],
        "no such file of classes: gone.txt",
    ),
    "plot a mask source": (
        ["plot", "figure11", "photo.png", "-c", "cat", "--masks", "sam:x,points_per_sid=3", "-o", "a.png"],
        "did you mean 'points_per_side'?",
    ),
    "plot a pooler": (
        ["plot", "gallery", "photo.png", "-c", "cat", "-o", "a.png", "-m", "tiny:ada"],
        "no pooler 'ada'",
    ),
    "plot an old name": (["plot", "tsne", "set.yaml", "-o", "a.png"], "tsne is called figure5 since version 0.3"),
    "serve a model": (["serve", "-m", "fcclip-lage"], "did you mean 'fcclip-large'?"),
    "serve weights": (["serve", "-m", "gone.pth"], "no weights at gone.pth"),
    "serve a device": (["serve", "--device", "gpu"], "device 'gpu' cannot be used here"),
    "serve at": (["serve", "--host", "203.0.113.1"], "cannot listen on 203.0.113.1, port 8000"),
    "serve a token": (["serve", "--token", ""], "the token is empty"),
    "serve a queue": (["serve", "--queue", "0"], "'--queue'"),
    "video": (["video", "gone.mp4", "-c", "cat"], "no such video: gone.mp4"),
    "video of words": (["video", "text.jpg", "-c", "cat"], "cannot read text.jpg as a video"),
    "video classes": (["video", "text.jpg", "-c", "gone.txt"], "no such file of classes: gone.txt"),
    "video output": (["video", "text.jpg", "-c", "cat", "-o", "a.avi"], "a.avi ends in .avi"),
    "video format": (["video", "text.jpg", "-c", "cat", "--save", "coc"], "unknown format 'coc'"),
    "bulk plan a source": ([*PLAN, "gone"], "no such file or folder: gone"),
    "bulk plan classes": ([*PLAN, "photo.png", "-c", "gone.yaml"], "no such file of classes: gone.yaml"),
    "bulk plan a model": ([*PLAN, "photo.png", "-m", "fcclip-lage"], "did you mean 'fcclip-large'?"),
    "bulk plan a precision": ([*PLAN, "photo.png", "--precision", "auto"], "precision auto depends on the machine"),
    "bulk plan into": ([*PLAN, "photo.png", "-o", "mask.png"], "cannot write mask.png"),
    "bulk run": (["bulk", "run", "full"], "no plan in"),
    "bulk status": (["bulk", "status", "full"], "no plan in"),
    "models check": (["models", "check", "gone.pth"], "no weights at gone.pth"),
    "models check a set": (["models", "check", "tiny", "--root", "gone"], "no ade20k-150 (val) in gone"),
    "models convert": (["models", "convert", "gone.pth", "a.safetensors"], "no weights at gone.pth"),
    "models convert into": (["models", "convert", "tiny", "a.pth"], "does not end in .safetensors"),
    "models download": (["models", "download", "maftplus-bsae"], "did you mean 'maftplus-base'?"),
    "models download offline": (["models", "download", "maftplus-large", "--offline"], "with a network"),
    "models list": (["models", "list"], ""),
}


@pytest.fixture
def folder(tmp_path):
    Image.new("RGB", (60, 40), "teal").save(tmp_path / "photo.png")
    Image.fromarray(np.eye(40, 60, dtype=np.uint8)).save(tmp_path / "mask.png")
    np.save(tmp_path / "small.npy", np.ones((2, 5, 5), bool))
    (tmp_path / "text.jpg").write_text("words")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").touch()
    (tmp_path / "labels").mkdir()
    Image.fromarray(np.zeros((40, 60), np.uint8)).save(tmp_path / "labels/photo.png")
    (tmp_path / "images").mkdir()
    Image.new("RGB", (60, 40)).save(tmp_path / "images/photo.png")
    files = "{images: images, labels: labels}"
    (tmp_path / "set.yaml").write_text(f"task: semantic\nclasses: [cat, dog]\ntrain: {files}\nval: {files}\n")
    recipe = RECIPE.read_text().replace("coco-panoptic", str(tmp_path / "set.yaml"))
    (tmp_path / "recipe.yaml").write_text(recipe)
    return tmp_path


def test_every_command_finds_mistakes_without_torch(folder, monkeypatch):
    monkeypatch.setenv("MASKADAPTER_OFFLINE", "1")
    given = json.dumps([arguments for arguments, _ in MISTAKES.values()])
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH], input=given, cwd=folder, check=True, capture_output=True, text=True
    )
    lines = map(json.loads, done.stdout.splitlines())
    wrong = {
        name: line
        for (name, (_, message)), line in zip(MISTAKES.items(), lines, strict=True)
        if line.count("\n") > 1 or (message and not line.startswith("error: ")) or message not in line
    }
    assert wrong == {}
    assert {path.name for path in folder.iterdir() if path.name not in ("out", "reproduce")} == {
        "photo.png",
        "mask.png",
        "small.npy",
        "text.jpg",
        "full",
        "labels",
        "images",
        "set.yaml",
        "recipe.yaml",
    }
