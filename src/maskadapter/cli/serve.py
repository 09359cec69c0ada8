"""``maskadapter serve``."""

import logging
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

import maskadapter
from maskadapter.cli.options import Device, ModelSource, with_model_source
from maskadapter.errors import MaskAdapterError
from maskadapter.system.extras import load_extra
from maskadapter.system.progress import busy

if TYPE_CHECKING:
    import numpy as np
    from fastapi import APIRouter, FastAPI

    from maskadapter.integrations.labeling_servers import Segment
    from maskadapter.results import Segmentation
    from maskadapter.serve import Settings
    from maskadapter.vocabulary import Vocabulary

_LIBRARIES = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")
_GRACE = 30  # seconds that requests which have begun get when the service stops


@with_model_source()
def serve(
    host: Annotated[str, Option(help="Address to listen on; 0.0.0.0: reachable from other machines.")] = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65535, help="Port to listen on; 0: any that is free.")] = 8000,
    token: Annotated[
        str | None, Option(envvar="MASKADAPTER_TOKEN", help="What clients have to send; without it none is asked for.")
    ] = None,
    max_image_pixels: Annotated[int, Option(min=1, help="Refuse images with more pixels.")] = 50_000_000,
    max_body: Annotated[int, Option(min=1, help="Refuse larger requests, in MB.")] = 32,
    queue: Annotated[int, Option(min=1, help="Requests that may wait; further ones get status 429.")] = 64,
    cache: Annotated[int, Option(min=1, help="MB of encoded images that are kept.")] = 2000,
    timeout: Annotated[float, Option(min=0.1, help="Seconds that one request may take.")] = 60.0,
    label_studio: Annotated[
        str | None, Option(metavar="URL", help="Address of a Label Studio, whose tasks are then labeled in advance.")
    ] = None,
    device: Device = "cpu",
    *,
    source: ModelSource,
) -> None:
    """Answer over HTTP: a web page, segments and classes of images that clients send, labeling tools, and metrics.

    Example: [bold]maskadapter serve --port 8000[/]
    """
    from maskadapter.hub import DEFAULT
    from maskadapter.serve import ServedModel, Settings

    settings = Settings(
        queue=queue,
        cache_bytes=cache * 1_000_000,
        max_image_pixels=max_image_pixels,
        max_body_bytes=max_body * 1_000_000,
        max_bodies_bytes=max(512_000_000, 2 * max_body * 1_000_000),
        timeout=timeout,
        token=token,
    )
    for library in _LIBRARIES:
        load_extra(library, "serve")

    def segment(pixels: "np.ndarray", vocabulary: "Vocabulary") -> "Segmentation":
        return app.state.service.segment_pixels(pixels, vocabulary)

    name = Path(source.name).name
    routers = _tools(segment, name, settings, label_studio)
    listening = _bound(host, port)
    from maskadapter.hub import with_other_pooler
    from maskadapter.serve import create_app

    with busy("loading the model"):
        model = maskadapter.load(source, device=device)
        other = with_other_pooler(model, source)
    served = ServedModel.of(model, name, embedded=source.name == DEFAULT, other=other)
    app = create_app(model, served, settings, routers, other)
    _run(app, f"{name} answers", token, listening)


def _bound(host: str, port: int) -> socket.socket:
    """A socket at an address. Raises MaskAdapterError where that cannot be."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        reason = error.strerror or str(error)
        raise MaskAdapterError(f"cannot listen on {host}, port {port} ({reason}): choose another --port") from None
    return listening


def _tools(segment: "Segment", model: str, settings: "Settings", label_studio: str | None) -> "list[APIRouter]":
    """The endpoints of labeling tools. Raises MaskAdapterError for an address of Label Studio that is none."""
    from maskadapter.integrations.labeling_servers import label_studio_routes, roboflow_routes, x_anylabeling_routes

    limits: dict[str, Any] = {"token": settings.token, "max_pixels": settings.max_image_pixels}
    routers = [x_anylabeling_routes(segment, model=model, **limits), roboflow_routes(segment, **limits)]
    if label_studio is not None:
        limits["max_bytes"] = settings.max_body_bytes
        routers.append(label_studio_routes(segment, label_studio, model_version=model, **limits))
    return routers


def _run(app: "FastAPI", what: str, token: str | None, listening: socket.socket) -> None:
    import uvicorn

    listening.listen(2048)  # from here on clients wait instead of being refused, and the line below is true
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    print(f"{what} on http://{shown}:{port}; Ctrl-C stops it", flush=True)
    if token is None and host not in ("127.0.0.1", "::1"):
        print("without a token: everybody who reaches this address can use it (--token, MASKADAPTER_TOKEN)", flush=True)
    for name in ("maskadapter", "python_multipart"):
        logging.getLogger(name).setLevel(logging.ERROR)  # the others are about what clients send
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=_GRACE, ws="none"
    )
    uvicorn.Server(config).run(sockets=[listening])
