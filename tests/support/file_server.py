"""A web server on this machine that hands out files and misbehaves on request: Google Drive, a hub, a mirror."""

import hashlib
import json
import socket
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Served:
    """One file. etag: what the server says of it, "" for nothing."""

    body: bytes
    etag: str = '"first"'
    content_type: str = "application/octet-stream"


@dataclass
class Answer:
    """Instead of a file: a status with a body, or a redirect. error: what the hub calls it."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain"
    location: str = ""
    error: str = ""


@dataclass
class Cut:
    """The file, but the connection ends after so many bytes."""

    after: int


@dataclass
class Asked:
    method: str
    path: str
    range: str | None
    if_range: str | None


@dataclass
class FileServer:
    """files: path and query -> what is there. faults: what happens to the next requests for files instead. obeys_range,
    obeys_if_range: whether it knows these headers."""

    files: dict[str, Served | Answer] = field(default_factory=dict)
    faults: deque = field(default_factory=deque)
    asked: list[Asked] = field(default_factory=list)
    obeys_range: bool = True
    obeys_if_range: bool = True
    address: str = ""

    def __enter__(self):
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments):
                pass

            def do_GET(self):
                server.answer(self)

            do_HEAD = do_POST = do_GET

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *error):
        self._server.shutdown()
        self._server.server_close()

    def ranges(self):
        return [asked.range for asked in self.asked]

    def add_repository(self, name, files, stated=None):
        """A repository as the Hugging Face hub shows it. files: name -> bytes; stated: sha256 that it claims."""
        stated = {file: hashlib.sha256(body).hexdigest() for file, body in files.items()} | (stated or {})
        siblings = [
            {
                "rfilename": file,
                "size": len(body),
                "blobId": "b",
                "lfs": {"sha256": stated[file], "size": len(body), "pointerSize": 134},
            }
            for file, body in files.items()
        ]
        info = {"id": name, "modelId": name, "sha": COMMIT, "siblings": siblings, "tags": [], "private": False}
        self.files[f"/api/models/{name}"] = Answer(200, json.dumps(info).encode(), "application/json")
        for file, body in files.items():
            for revision in (COMMIT, "main"):
                # The hub sends large files from another place.
                self.files[f"/{name}/resolve/{revision}/{file}"] = Answer(302, location=f"/cdn/{stated[file]}")
            self.files[f"/cdn/{stated[file]}"] = Served(body, f'"{stated[file]}"')

    def answer(self, request):
        path = request.path
        self.asked.append(Asked(request.command, path, request.headers["Range"], request.headers["If-Range"]))
        found = self.files.get(path) or self.files.get(urlsplit(path).path) or Answer(404)
        fault = None
        if isinstance(found, Served) and self.faults and request.command == "GET":
            fault = self.faults.popleft()
            found = fault if isinstance(fault, Answer) else found
        if isinstance(found, Answer):
            headers = {"Location": found.location, "X-Error-Code": found.error}
            self._send(request, found.status, found.body, found.content_type, headers)
            return
        start, headers, status = 0, {"ETag": found.etag}, 200
        fresh = not self.obeys_if_range or request.headers["If-Range"] in (None, found.etag)
        if request.headers["Range"] and self.obeys_range and fresh:
            start = int(request.headers["Range"].removeprefix("bytes=").rstrip("-"))
            status = 206 if start < len(found.body) else 416
            headers["Content-Range"] = f"bytes {start}-{len(found.body) - 1}/{len(found.body)}"
        self._send(request, status, found.body[start:], found.content_type, headers, fault)

    def _send(self, request, status, body, content_type, headers, fault=None):
        request.send_response(status)
        if status == 404:
            headers = {**headers, "X-Error-Code": headers.get("X-Error-Code") or "EntryNotFound"}
        standard = {"Content-Length": str(len(body)), "Content-Type": content_type, "X-Repo-Commit": COMMIT}
        for name, value in {**standard, **headers}.items():
            if value:
                request.send_header(name, value)
        request.end_headers()
        if request.command == "HEAD":
            return
        if isinstance(fault, Cut):
            request.wfile.write(body[: fault.after])
            request.wfile.flush()
            request.connection.shutdown(socket.SHUT_RDWR)
            request.close_connection = True
            return
        request.wfile.write(body)


def closed_port():
    """The address of a port where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"
