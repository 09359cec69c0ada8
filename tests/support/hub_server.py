"""The few endpoints of the Hugging Face hub that its library needs to read and to write a repository of a model."""

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field

from file_server import Asked, FileServer


def commit_of(files):
    """Forty hexadecimal digits for the content of a revision."""
    return hashlib.sha1(b"".join(name.encode() + body for name, body in sorted(files.items()))).hexdigest()


@dataclass
class HubServer(FileServer):
    """repositories: name -> revision -> file -> bytes. refused: name -> status and the hub's code, which answer every
    request for that repository. posted: paths and bodies of what was sent. ignored: names of files that a .gitignore
    leaves out, so that their bytes need not be sent."""

    repositories: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)
    refused: dict[str, tuple[int, str]] = field(default_factory=dict)
    posted: list[tuple[str, bytes]] = field(default_factory=list)
    ignored: set[str] = field(default_factory=set)

    def answer(self, request):
        path = request.path.partition("?")[0]
        self.asked.append(Asked(request.command, path, request.headers["Range"], request.headers["If-Range"]))
        if request.command == "POST":
            body = request.rfile.read(int(request.headers["Content-Length"]))
            self.posted.append((path, body))
            self._reply(request, *self._post(path, body))
            return
        found = re.fullmatch(r"(?:/api/models)?/(\w+/\w+)/(?:resolve|tree|revision)/([\w%.-]+)(?:/(.+))?", path)
        name, revision, file = found.groups() if found else (path.removeprefix("/api/models/"), "main", None)
        if name in self.refused or name not in self.repositories:
            status, code = self.refused.get(name, (401, "RepoNotFound"))
            self._reply(request, status, {"error": code}, {"X-Error-Code": code})
            return
        revisions = self.repositories[name]
        files = {commit_of(files): files for files in revisions.values()}.get(revision, revisions.get(revision))
        if files is None:
            self._reply(request, 404, {}, {"X-Error-Code": "RevisionNotFound"})
        elif "/tree/" in path:
            self._reply(
                request, 200, [{"type": "file", "path": f, "size": len(b), "oid": "0"} for f, b in files.items()]
            )
        elif file in files:
            headers = {"ETag": f'"{hashlib.sha256(files[file]).hexdigest()}"', "X-Repo-Commit": commit_of(files)}
            self._send(request, 200, files[file], "application/octet-stream", headers)
        else:
            headers = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit_of(files)}
            self._reply(request, 404, {}, headers)

    def _post(self, path, body):
        """Status, JSON and headers."""
        content = [json.loads(line) for line in body.splitlines()]
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}, {}
        if path == "/api/repos/create":
            name = f"{content[0]['organization']}/{content[0]['name']}"
            if name in self.refused:
                return self.refused[name][0], {"error": "You have no rights here"}, {}
            if name in self.repositories:
                return 409, {"url": f"{self.address}/{name}"}, {}
            self.repositories[name] = {"main": {}}
            return 200, {"url": f"{self.address}/{name}"}, {}
        name, what, revision = re.fullmatch(r"/api/models/(\w+/\w+)/(\w+)/([\w%.-]+)", path).groups()
        if what == "branch":
            self.repositories[name][revision] = {}
            return 200, {}, {}
        if what == "preupload":
            names = [file["path"] for file in content[0]["files"]]
            modes = [{"path": one, "uploadMode": "regular", "shouldIgnore": one in self.ignored} for one in names]
            return 200, {"files": modes}, {}
        assert what == "commit"
        sent = [line["value"] for line in content if line["key"] == "file"]
        self.repositories[name][revision] |= {f["path"]: base64.b64decode(f["content"]) for f in sent}
        commit = commit_of(self.repositories[name][revision])
        return 200, {"commitUrl": f"{self.address}/{name}/commit/{commit}", "commitOid": commit}, {}

    def _reply(self, request, status, content, headers=None):
        self._send(request, status, json.dumps(content).encode(), "application/json", headers or {})
