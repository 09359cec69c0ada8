"""What the HTTP service does under load: many clients, a second class list, malformed requests, memory.

    python tools/serving_load.py [--requests 1000] [--clients 50]

Starts ``maskadapter serve`` with the embedded model on this machine, asks it over the loopback, and writes
``results/serving/load.json``: seconds of the requests (p50, p95), the statuses, what a second class list on a known
image takes beside the first, the statuses of malformed requests, and the service's memory before and after.
"""

import argparse
import base64
import io
import json
import random
import re
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from skimage import data

from maskadapter.benchmark.machine import machine_facts
from maskadapter.system.json_files import write_json
from maskadapter.vocabulary.vocabulary import Vocabulary

RESULT = Path(__file__).parents[1] / "results" / "serving" / "load.json"
PHOTOS = (data.astronaut, data.chelsea, data.coffee, data.rocket)
NAMES = Vocabulary.builtin("lvis-v1").names
JSON = {"Content-Type": "application/json"}
KNOWN = 8  # images of which the clients ask further classes
NEW_SHARE = 0.1  # of the requests that bring an image of their own
MALFORMED = 500


class Served:
    """A service in a process of its own."""

    def __init__(self) -> None:
        words = [sys.executable, "-m", "maskadapter", "serve", "--port", "0"]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        found = re.search(r":(\d+);", self.process.stdout.readline())
        assert found is not None, "the service did not start"
        self.port = int(found[1])

    def ask(self, method: str, path: str, body: bytes = b"", headers: Any = JSON) -> tuple[int, bytes, float]:
        """Status, content and seconds of one request."""
        start = time.perf_counter()
        connection = HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # of a body that is refused before its end
                connection.request(method, path, body, headers)
            reply = connection.getresponse()
            return reply.status, reply.read(), time.perf_counter() - start
        finally:
            connection.close()

    def post(self, path: str, **fields: Any) -> tuple[int, Any, float]:
        """As ``ask``, with fields as JSON and the reply's content."""
        status, content, seconds = self.ask("POST", path, json.dumps(fields).encode())
        return status, json.loads(content), seconds

    def resident_bytes(self) -> int:
        """The memory of the service's process."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text("ascii").split()[1]
        return int(pages) * 4096


def photo(seed: int) -> str:
    """A crop of a photo, JPEG in base64."""
    rng = random.Random(seed)
    image = Image.fromarray(rng.choice(PHOTOS)())
    left, top = rng.randrange(image.width // 4), rng.randrange(image.height // 4)
    file = io.BytesIO()
    image.crop((left, top, left + 3 * image.width // 4, top + 3 * image.height // 4)).save(file, "JPEG")
    return base64.b64encode(file.getvalue()).decode()


def classes(seed: int) -> str:
    return ", ".join(random.Random(seed).sample(NAMES, 5))


def second_lists(served: Served, count: int = 20) -> dict[str, Any]:
    """Seconds of a first request, with an image and classes, and of a second with other classes of the same image."""
    first, second, known = [], [], []
    for number in range(count):
        _, reply, seconds = served.post("/v1/segment", image=photo(1000 + number), classes=classes(number))
        first.append(seconds)
        image_id = reply["image_id"]
        second.append(served.post("/v1/segment", image_id=image_id, classes=classes(500 + number))[2])
        known.append(served.post("/v1/segment", image_id=image_id, classes=classes(500 + number))[2])
    medians = {"first": np.median(first), "second": np.median(second), "known_names": np.median(known)}
    return {name: round(float(value), 4) for name, value in medians.items()} | {
        "second_over_first": round(float(np.median(second) / np.median(first)), 4),
        "known_names_over_first": round(float(np.median(known) / np.median(first)), 4),
    }


def load(served: Served, requests: int, clients: int, seed: int) -> dict[str, Any]:
    """Many clients at once: most ask further classes of images that are known, some bring a new one."""
    known = {served.post("/v1/images", image=photo(number))[1]["id"]: number for number in range(KNOWN)}
    sent_again = []
    rng = random.Random(seed)
    asked: list[dict[str, Any]] = []
    for number in range(requests):
        new = rng.random() < NEW_SHARE
        image = {"image": photo(seed + 10_000 + number)} if new else {"image_id": rng.choice(list(known))}
        asked.append({**image, "classes": classes(rng.randrange(200)), "output": rng.choice(["coco_rle", "png"])})

    def ask(fields: dict[str, Any]) -> tuple[int, Any, float]:
        """As ``ma.Client`` does: an image that lost its place in the cache is sent again. Seconds of both requests."""
        status, reply, seconds = served.post("/v1/segment", **fields)
        if status != 404:
            return status, reply, seconds
        sent_again.append(fields["image_id"])
        image = photo(known[fields["image_id"]])
        others = {name: value for name, value in fields.items() if name != "image_id"}
        status, reply, more = served.post("/v1/segment", image=image, **others)
        return status, reply, seconds + more

    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as threads:
        replies = list(threads.map(ask, asked))
    whole = time.perf_counter() - start
    seconds = [one for _, _, one in replies]
    return {
        "requests": requests,
        "clients": clients,
        "share_with_a_new_image": NEW_SHARE,
        "sent_again_after_404": len(sent_again),
        "statuses": dict(Counter(str(status) for status, _, _ in replies)),
        "p50_seconds": round(float(np.percentile(seconds, 50)), 3),
        "p95_seconds": round(float(np.percentile(seconds, 95)), 3),
        "requests_a_second": round(requests / whole, 2),
    }


def malformed(served: Served, count: int) -> dict[str, int]:
    """The statuses of requests that are wrong in many ways."""
    rng = random.Random(0)
    content = base64.b64decode(photo(0))

    def image(file: bytes) -> bytes:
        return json.dumps({"image": base64.b64encode(file).decode(), "classes": "cat"}).encode()

    def form(file: bytes) -> bytes:
        head = b'--a\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
        return head + file + b"\r\n--a--\r\n"

    statuses: Counter[str] = Counter()
    for _ in range(count):
        path = rng.choice(["/v1/images", "/v1/segment", "/v1/classify"])
        headers, body = JSON, rng.randbytes(rng.randrange(200))
        match rng.randrange(7):
            case 0:
                body = image(content[: rng.randrange(1, 600)])
            case 1:
                body = image(rng.randbytes(1000))
            case 2:
                headers, body = {"Content-Type": "multipart/form-data; boundary=a"}, form(rng.randbytes(3000))
            case 3:
                headers, body = {"Content-Type": "multipart/form-data; boundary=b"}, form(content)
            case 4:
                body = json.dumps({"image_id": "../" * rng.randrange(9), "classes": 7}).encode()
            case 5:
                body = json.dumps({"image_id": "a", "classes": [str(n) for n in range(10_000)]}).encode()
            case _:
                headers = {"Content-Type": rng.choice(["text/plain", "application/json", "image/png"])}
        statuses[str(served.ask("POST", path, body, headers)[0])] += 1
    statuses[str(served.ask("POST", "/v1/images", bytes(40_000_000))[0])] += 1
    return dict(sorted(statuses.items()))


def main() -> None:
    """Measure, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=50)
    options = parser.parse_args()
    served = Served()
    try:
        result: dict[str, Any] = {"second_class_list_seconds": second_lists(served)}
        load(served, options.requests // 4, options.clients, seed=1)  # until the cache is full
        time.sleep(2)  # what nothing uses goes back to the system
        before = served.resident_bytes()
        result["load"] = load(served, options.requests, options.clients, seed=2)
        result["malformed"] = malformed(served, MALFORMED)
        time.sleep(2)
        after = served.resident_bytes()
        result["memory"] = {"before": before, "after": after, "after_over_before": round(after / before, 4)}
        result["machine"] = machine_facts("cpu")
    finally:
        served.process.terminate()
        result_code = served.process.wait(60)
    print(f"the service ended with {result_code}")
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    write_json(RESULT, result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
