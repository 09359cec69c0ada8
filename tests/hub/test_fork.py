"""Programs that fork after a model was loaded."""

import os
import subprocess
import sys

import pytest

FORKS = """
import multiprocessing, sys
import numpy as np
import maskadapter as ma
from maskadapter.models.preprocess import InputSize
from dataclasses import replace

image = np.random.default_rng(0).integers(0, 256, (75, 113, 3), dtype=np.uint8)
model = ma.load()
model.inference = replace(model.inference, input_size=InputSize(96, 96))
classes = model.encode_text("cat, wall")

def labels(_):
    return model.segment(image, classes, background=None).semantic()

right = labels(0)
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(sum((found == right).all() for found in pool.map_async(labels, range(3)).get(timeout=60)))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_computes_and_does_not_wait_for_threads_that_it_lacks() -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", FORKS], env=environment, capture_output=True, text=True, timeout=100)
    assert done.stdout.split() == ["3"], done.stderr[-2000:]
