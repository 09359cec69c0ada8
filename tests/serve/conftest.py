"""A service of the embedded model, and a photo that it has encoded."""

import io
from dataclasses import replace

import pytest
from PIL import Image

import maskadapter as ma
from maskadapter.models.preprocess import InputSize


@pytest.fixture(scope="session")
def model():
    model = ma.load()
    model.inference = replace(model.inference, input_size=InputSize(384, 384))  # quicker
    return model


@pytest.fixture(scope="session")
def photo():
    """The bytes of a small photo, 150 x 100 pixels."""
    from skimage import data

    file = io.BytesIO()
    Image.fromarray(data.chelsea()).resize((150, 100)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="session")
def service(model):
    """A client of the service, in this process."""
    pytest.importorskip("fastapi")
    from fastapi.testclient import TestClient

    from maskadapter.hub import with_other_pooler
    from maskadapter.serve import ServedModel, Settings, create_app

    settings = Settings(max_body_bytes=2_000_000, max_image_pixels=1_000_000, max_names=50, max_masks=10)
    other = with_other_pooler(model, ma.ModelSource())
    served = ServedModel.of(model, "tiny", True, other)
    with TestClient(create_app(model, served, settings, other=other)) as client:
        yield client


@pytest.fixture(scope="session")
def image_id(service, photo):
    return service.post("/v1/images", files={"image": ("cat.png", photo)}).json()["id"]
