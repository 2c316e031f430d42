"""The part of the Hub's interface that ``huggingface_hub`` needs, on this machine: repositories are kept in memory."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

TOKEN = "hf_writer"
"""Who shows it may write, and read what is private."""


@dataclass
class Repository:
    """Files of every commit, and the commit of every branch."""

    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def commit(self, branch: str, changes: dict[str, bytes], message: str = "") -> str:
        """Add a commit to a branch."""
        before = self.branches.get(branch, "")
        files = {**self.commits.get(before, {}), **changes}
        names = sorted((name, hashlib.sha256(content).hexdigest()) for name, content in files.items())
        digest = hashlib.sha1(json.dumps([before, names, message, len(self.commits)]).encode()).hexdigest()
        self.commits[digest] = files
        self.branches[branch] = digest
        self.messages.append(message)
        return digest

    def find(self, revision: str) -> str | None:
        """The commit of a revision."""
        return self.branches.get(revision) or (revision if revision in self.commits else None)


class HubServer:
    """Runs until it is closed.

    Attributes
    ----------
    repositories
        By ``"owner/name"``.
    requests
        ``"METHOD path"`` of all that was asked for.
    stored
        Large files by their hash.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.requests: list[str] = []
        self.stored: dict[str, bytes] = {}
        self.is_closed = False
        hub = self

        class Handler(_Handler):
            server_of = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        # Large files come from elsewhere, as on the Hub.
        self.storage = f"http://localhost:{self._server.server_address[1]}"

    def add(self, repo: str, files: dict[str, bytes], **facts: Any) -> str:
        """A repository with one commit."""
        made = self.repositories.setdefault(repo, Repository(**facts))
        return made.commit("main", files)

    def close(self) -> None:
        """Answer nothing from now on, on open connections either."""
        self.is_closed = True
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Refused(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def is_large(name: str, size: int) -> bool:
    """What the Hub keeps apart from git."""
    return name.endswith(".safetensors") or size > 10_000_000


class _Handler(BaseHTTPRequestHandler):
    server_of: HubServer
    protocol_version = "HTTP/1.1"

    # ---- what is asked -------------------------------------------------------------------

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self._path()
        if path.startswith("/lfs/"):
            self._answer(lambda: self._send(200, self.server_of.stored[path[5:]]))
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            self._answer(lambda: self._tell_info(found[1], unquote(found[2] or "main")))
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)(?:/.*)?", path):
            self._answer(lambda: self._tell_tree(found[1], unquote(found[2])))
        else:
            self._answer(self._resolve)

    def do_PUT(self) -> None:
        oid, payload = self._path().removeprefix("/lfs/"), self._body()
        assert hashlib.sha256(payload).hexdigest() == oid
        self.server_of.stored[oid] = payload
        self._answer(lambda: self._send(200))

    def do_POST(self) -> None:
        path, body = self._path(), self._body()
        for pattern, answer in (
            (r"/api/repos/create", self._create),
            (r"/api/validate-yaml", self._validate),
            (r"/api/models/([^/]+/[^/]+)/preupload/(.+)", self._preupload),
            (r"/api/models/([^/]+/[^/]+)/branch/(.+)", self._branch),
            (r"/api/models/([^/]+/[^/]+)/commit/(.+)", self._commit),
            (r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", self._batch),
        ):
            if found := re.fullmatch(pattern, path):
                self._answer(lambda answer=answer, found=found: answer(body, *map(unquote, found.groups())))
                return
        self._answer(lambda: self._refuse(404, "NotFound", f"no such endpoint: {path}"))

    # ---- reading -------------------------------------------------------------------------

    def _resolve(self) -> None:
        found = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self._path())
        if found is None:
            self._refuse(404, "EntryNotFound", "no such page")
        repo, revision, name = found[1], unquote(found[2]), unquote(found[3])
        commit, files = self._files(repo, revision)
        if name not in files:
            self._refuse(404, "EntryNotFound", f"Entry not found: {name}")
        content = files[name]
        headers = {"X-Repo-Commit": commit}
        if is_large(name, len(content)):
            oid = hashlib.sha256(content).hexdigest()
            self.server_of.stored[oid] = content
            headers |= {"X-Linked-Etag": f'"{oid}"', "X-Linked-Size": str(len(content))}
            self._send(302, b"", headers | {"Location": f"{self.server_of.storage}/lfs/{oid}"})
        else:
            self._send(200, content, headers | {"ETag": f'"{_git_hash(content)}"'})

    def _tell_info(self, repo: str, revision: str) -> None:
        commit, files = self._files(repo, revision)
        self._send_json(
            {
                "_id": "0",
                "id": repo,
                "modelId": repo,
                "sha": commit,
                "private": self.server_of.repositories[repo].private,
                "tags": [],
                "downloads": 0,
                "likes": 0,
                "siblings": [{"rfilename": name} for name in files],
            }
        )

    def _tell_tree(self, repo: str, revision: str) -> None:
        _, files = self._files(repo, revision)
        entries = []
        for name, content in files.items():
            entry: dict[str, Any] = {
                "type": "file",
                "path": name,
                "size": len(content),
                "oid": _git_hash(content),
            }
            if is_large(name, len(content)):
                oid = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"oid": oid, "size": len(content), "pointerSize": 130}
            entries.append(entry)
        self._send_json(entries)

    def _files(self, repo: str, revision: str) -> tuple[str, dict[str, bytes]]:
        known = self.server_of.repositories.get(repo)
        if known is None or (known.private and not self._is_known()):
            self._refuse(401 if known is None else 404, "RepoNotFound", "Repository not found")
        assert known is not None
        if known.gated:
            self._refuse(403, "GatedRepo", "Access to this model is restricted")
        commit = known.find(revision)
        if commit is None:
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        assert commit is not None
        return commit, known.commits[commit]

    # ---- writing -------------------------------------------------------------------------

    def _create(self, body: bytes) -> None:
        self._require_writer()
        asked = json.loads(body)
        repo = f"{asked['organization']}/{asked['name']}"
        private = asked.get("visibility") == "private" or asked.get("private") is True
        url = {"url": f"{self.server_of.endpoint}/{repo}", "id": repo, "name": repo}
        if repo in self.server_of.repositories:
            self._send_json(url | {"error": "You already created this model repo"}, 409)
            return
        self.server_of.repositories[repo] = made = Repository(private)
        made.commit("main", {".gitattributes": b"*.safetensors filter=lfs\n"}, "initial commit")
        self._send_json(url)

    def _validate(self, body: bytes) -> None:
        content = json.loads(body)["content"]
        front = yaml.safe_load(content.split("---\n", 2)[1])
        problems = (
            [] if isinstance(front, dict) and front.get("library_name") else [{"message": "no metadata"}]
        )
        self._send_json({"errors": problems, "warnings": []}, 400 if problems else 200)

    def _branch(self, body: bytes, repo: str, branch: str) -> None:
        self._require_writer()
        known = self.server_of.repositories[repo]
        if branch in known.branches:
            self._refuse(409, "Conflict", "Reference already exists")
        known.branches[branch] = known.branches["main"]
        self._send_json({})

    def _preupload(self, body: bytes, repo: str, revision: str) -> None:
        self._require_writer()
        _, files = self._files(repo, revision)
        self._send_json(
            {
                "files": [
                    {
                        "path": file["path"],
                        "uploadMode": "lfs" if is_large(file["path"], file["size"]) else "regular",
                        "shouldIgnore": False,
                        "oid": _git_hash(files[file["path"]]) if file["path"] in files else None,
                    }
                    for file in json.loads(body)["files"]
                ]
            }
        )

    def _batch(self, body: bytes, repo: str) -> None:
        self._require_writer()
        objects = []
        for each in json.loads(body)["objects"]:
            answer: dict[str, Any] = {"oid": each["oid"], "size": each["size"]}
            if each["oid"] not in self.server_of.stored:
                answer["actions"] = {"upload": {"href": f"{self.server_of.endpoint}/lfs/{each['oid']}"}}
            objects.append(answer)
        self._send_json({"transfer": "basic", "objects": objects})

    def _commit(self, body: bytes, repo: str, revision: str) -> None:
        self._require_writer()
        known, changes, message = self.server_of.repositories[repo], {}, ""
        for line in body.splitlines():
            step = json.loads(line)
            value = step["value"]
            if step["key"] == "header":
                message = value["summary"]
            elif step["key"] == "file":
                changes[value["path"]] = base64.b64decode(value["content"])
            elif step["key"] == "lfsFile":
                changes[value["path"]] = self.server_of.stored[value["oid"]]
        if known.find(revision) is None:
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        commit = known.commit(revision, changes, message)
        url = f"{self.server_of.endpoint}/{repo}/commit/{commit}"
        self._send_json({"success": True, "commitOid": commit, "commitUrl": url, "hookOutput": ""})

    # ---- answers -------------------------------------------------------------------------

    def _answer(self, answer: Any) -> None:
        if self.server_of.is_closed:
            self.close_connection = True
            return
        self.server_of.requests.append(f"{self.command} {self._path()}")
        try:
            answer()
        except _Refused as refused:
            headers = {"X-Error-Code": refused.code, "X-Error-Message": refused.message}
            self._send(refused.status, json.dumps({"error": refused.message}).encode(), headers)

    def _refuse(self, status: int, code: str, message: str) -> None:
        raise _Refused(status, code, message)

    def _is_known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _require_writer(self) -> None:
        if not self._is_known():
            self._refuse(401, "Unauthorized", "Invalid username or password.")

    def _path(self) -> str:
        return urlsplit(self.path).path

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            pieces = []
            while size := int(self.rfile.readline(), 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _send_json(self, data: Any, status: int = 200) -> None:
        self._send(status, json.dumps(data).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, content: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
