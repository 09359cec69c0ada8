"""Every table from end to end: each row's training, Mask2Former and SAM by their names, and one page, with ``tiny``."""

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_networks import sam, universal
from small_sets import coco_panoptic

from maskadapter.data.scenes.scenes import Scenes
from maskadapter.paper.table import TABLES
from maskadapter.training.recipe import read_recipe
from maskadapter.training.trainer import train

pytest.importorskip("transformers")

RECIPES = Path(__file__).parents[2] / "recipes"
COCO = os.environ.get("MASKADAPTER_COCO")  # the photos of an extract in place of two small images
CHANGES = ["model.architecture=tiny", "model.weights=tiny", "run.precision=fp32", "run.iterations=1"]
CHANGES += ["run.batch_size=2", "data.crop=64", "data.workers=0", "evaluation.every=0"]
WARMUP = "table1/fcclip-large-warmup"  # from which the mixed stages go on


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a run of every recipe that a row of a table names first."""
    folder = tmp_path_factory.mktemp("trained")
    rows = [row for table in TABLES.values() for row in table.rows if row.recipe]
    before = Path.cwd()
    os.chdir(folder)
    try:
        for name in dict.fromkeys([WARMUP, *(row.same_training[0] for row in rows)]):
            recipe = read_recipe(RECIPES / f"{name}.yaml", CHANGES)
            train(recipe, [Scenes(4, seed=part) for part, _ in enumerate(recipe.data.train)], f"runs/{Path(name).name}")
    finally:
        os.chdir(before)
    return folder


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A cache of the Hugging Face hub that holds the two networks by their names, with small random weights."""
    home, commit = tmp_path_factory.mktemp("hub"), "0" * 40
    segmenter, proposals = sam("sam"), universal("mask2former")
    decoder = segmenter[0].mask_decoder
    decoder.iou_prediction_head.proj_out.bias.fill_(1000.0)  # sure of its masks, and their edges are sharp
    for mlp in decoder.output_hypernetworks_mlps:
        mlp.proj_out.weight.mul_(1000)
    for name, parts in (
        ("facebook--sam-vit-huge", segmenter),
        ("facebook--mask2former-swin-large-coco-panoptic", proposals),
    ):
        repository = home / "hub" / f"models--{name}"
        for part in parts:
            part.save_pretrained(repository / "snapshots" / commit)
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text(commit)
    return home


@pytest.fixture(scope="module")
def coco(tmp_path_factory):
    if COCO is not None:
        return Path(COCO)
    root = tmp_path_factory.mktemp("coco") / "coco"
    for name, content in coco_panoptic().items():
        archive = zipfile.ZipFile(io.BytesIO(content))
        archive.extractall(root / ("" if "annotations" in name else "."))
        for inner in (root / "annotations").glob("*.zip"):
            zipfile.ZipFile(inner).extractall(root)
    for path in (root / "val2017").iterdir():  # not noise: regions need something to find
        Image.fromarray(np.full((6, 8, 3), 90, np.uint8)).save(path)
    return root


def reproduce(folder, hub, coco, *arguments, table="all"):
    words = ["reproduce", table, "--root", str(coco), "--data", "coco-panoptic", "--model", "tiny", "--limit", "2"]
    environment = {**os.environ, "HF_HOME": str(hub), "HF_HUB_CACHE": str(hub / "hub"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "maskadapter", *words, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_every_table_runs(trained, hub, coco):
    result = reproduce(trained, hub, coco)
    assert result.returncode == 0, result.stderr
    output = trained / "reproduce"
    page = (output / "all.md").read_text()
    assert "## What is missing" not in page
    overview = [[cell.strip() for cell in line.split("|")[2:5]] for line in page.splitlines() if "| Table " in line]
    counts = [23, 6, 8, 5, 3, 8, 3, 3, 4, 2, 5], [2, 4, 3, 5, 3, 8, 3, 2, 4, 2, 5]
    assert overview == [[str(printed), str(run), str(run)] for printed, run in zip(*counts, strict=True)]
    for name in TABLES:
        content = json.loads((output / f"{name}.json").read_text())
        cells = [cell for row in content["rows"] for key, cell in row["numbers"].items()]
        assert all(cell["percent"] is not None for cell in cells if not cell["metric"].endswith("unseen"))
    adapters = {path.parent.name for path in (output / "evaluations").rglob("report.json")}
    assert "coco-panoptic-sam-facebook-sam-vit-huge-unmasked-regions-no" in adapters
    before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    assert reproduce(trained, hub, coco, table="table10").returncode == 0  # as every other
    assert {path: path.read_bytes() for path in output.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_broken_weights_are_one_line_in_their_cells(trained, hub, coco, tmp_path):
    """The other rows are run."""
    (tmp_path / "mixed-alone").mkdir()
    (tmp_path / "mixed-alone" / "model.safetensors").write_bytes(b"not weights")
    result = reproduce(trained, hub, coco, "--runs", str(tmp_path), "-o", str(tmp_path / "out"), table="table4")
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    content = json.loads((tmp_path / "out" / "table4.json").read_text())
    (reason,) = content["rows"][2]["numbers"]["mIoU"]["missing"]
    assert "mixed-alone" in reason
    assert "\n" not in reason
