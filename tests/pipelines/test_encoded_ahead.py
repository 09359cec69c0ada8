"""A run encodes several images at once where that is faster, and each alone where it fails."""

from concurrent.futures import Future

import numpy as np
import pytest
from many import Halves, contents, make_images

from maskadapter import segment_images
from maskadapter.errors import ImageError
from maskadapter.io import InputImage
from maskadapter.pipelines.encoded_ahead import encoded_ahead


class Together(Halves):
    """Takes three images at once, and notes how many came."""

    images_together = 3

    def __init__(self, refuse=None):
        super().__init__()
        self.batches, self.refuse = [], refuse

    def encode_images(self, images):
        self.batches.append(len(images))
        if self.refuse is not None:
            raise self.refuse
        return images


def read(*images):
    """Items with futures, of which those that are errors could not be read."""
    for number, image in enumerate(images):
        future = Future()
        if isinstance(image, Exception):
            future.set_exception(image)
        else:
            future.set_result((f"content of {number}", image))
        yield number, future


IMAGE = InputImage(np.zeros((4, 4, 3), np.uint8), None)


def test_those_that_fit_and_in_order():
    model, broken = Together(), ImageError("broken")
    found = list(encoded_ahead(model, read(IMAGE, broken, IMAGE, IMAGE, IMAGE), lambda number: number != 3))
    assert [number for number, _ in found] == [0, 1, 2, 3, 4]
    assert model.batches == [2]  # 0 and 2; of 3 and 4 one is left, which needs no batch
    assert found[1][1].exception() is broken
    assert [future.result()[0] for number, future in found if number != 1] == [f"content of {n}" for n in (0, 2, 3, 4)]


@pytest.mark.parametrize(
    ("error", "said"),
    [(ImageError("a strip"), ""), (RuntimeError("out of memory\nmore"), "failed (out of memory): each")],
)
def test_as_read_where_a_batch_fails(error, said, caplog):
    found = list(encoded_ahead(Together(error), read(IMAGE, IMAGE)))
    assert [future.result()[1] for _, future in found] == [IMAGE, IMAGE]
    assert said in caplog.text
    assert bool(said) == bool(caplog.records)


def test_a_folder_has_the_results_of_one_after_another(tmp_path):
    folder = make_images(tmp_path / "photos", [f"{number}.png" for number in range(7)])
    (folder / "broken.png").write_bytes(b"no image")
    model = Together()
    reports = [
        segment_images(each, folder, ["light", "dark"], tmp_path / name, "labels")
        for each, name in ((model, "together"), (Halves(), "alone"))
    ]
    assert model.batches
    assert [(report.done, len(report.failed)) for report in reports] == [(7, 1), (7, 1)]
    together, alone = (contents(tmp_path / name) for name in ("together", "alone"))
    assert {name: together[name] for name in alone if name != "run.json"} == {
        name: content for name, content in alone.items() if name != "run.json"
    }
