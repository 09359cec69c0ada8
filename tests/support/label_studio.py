"""A stand-in for Label Studio: it hands out images to whom it knows, and points elsewhere on request."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from labeling_client import image_bytes


class LabelStudio:
    """files: what it has, by path. asked: method, path and Authorization of every request."""

    def __init__(self):
        self.files = {"/data/upload/1/photo.png": image_bytes()}
        self.asked = []
        self.access = 0
        self.stopped = threading.Event()

    def __enter__(self):
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def reply(self, status, body=b"", **headers):
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                outer.asked.append(("GET", self.path, self.headers.get("Authorization")))
                if self.path == "/redirect":
                    self.reply(302, Location="/data/upload/1/photo.png")
                elif self.path == "/private":
                    self.reply(401)
                elif self.path == "/silent":
                    outer.stopped.wait(5)
                elif self.path == "/garbage":
                    self.wfile.write(b"hello\r\n\r\n")
                    self.close_connection = True
                elif self.path == "/cut":
                    self.send_response(200)
                    self.send_header("Content-Length", "1000")
                    self.end_headers()
                    self.wfile.write(b"few")
                    self.close_connection = True
                else:
                    body = outer.files.get(self.path)
                    self.reply(404 if body is None else 200, body or b"")

            def do_POST(self):
                outer.asked.append(("POST", self.path, self.headers.get("Authorization")))
                sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                who = sent.get("refresh").partition(".")[0]
                if who == "silent":
                    outer.stopped.wait(5)
                if who in ("none", "text"):
                    return self.reply(200, {"none": b"{}", "text": b"welcome"}[who])
                if who != "aaa":
                    return self.reply(401)
                outer.access += 1
                self.reply(200, json.dumps({"access": f"access-{outer.access}"}).encode())

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()
