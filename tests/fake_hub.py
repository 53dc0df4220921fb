"""A hub on this computer: repositories out of dictionaries, served as huggingface_hub 2.4 asks for them, with every request noted."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import numpy as np
from safetensors.numpy import save

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = 20_000  # bytes from which a file is kept as a large one, by its SHA-256


def weights(megabytes: float, seed: int = 0) -> bytes:
    """A safetensors file of about that size."""
    return save({"weight": np.random.default_rng(seed).random(int(megabytes * 2**20 / 8))})


def tiny_sd3(megabytes: float = 3) -> dict[str, bytes]:
    """A repository like those of SD 3: what is needed, and much that is not."""
    index = {
        "_class_name": "StableDiffusion3Pipeline", "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"], "transformer": ["diffusers", "SD3Transformer2DModel"],
        "vae": ["diffusers", "AutoencoderKL"], "text_encoder": ["transformers", "CLIPTextModelWithProjection"], "tokenizer": ["transformers", "CLIPTokenizer"],
        "text_encoder_3": [None, None], "feature_extractor": [None, None], "safety_checker": ["x", "Y"],
    }  # fmt: skip
    shards = {f"model-0000{n}-of-00002.safetensors": weights(0.2, n) for n in (1, 2)}
    wanted = {
        "model_index.json": json.dumps(index).encode(), "README.md": b"---\nlicense: other\nlicense_name: tiny-licence\n---\n",
        "scheduler/scheduler_config.json": b"{}", "tokenizer/merges.txt": b"a b", "tokenizer/vocab.json": b'{"a": 0}', "vae/config.json": b'{"of": "vae"}',
        "vae/diffusion_pytorch_model.safetensors": weights(0.3, 3), "transformer/config.json": b'{"of": "transformer"}',
        "transformer/diffusion_pytorch_model.safetensors": weights(megabytes, 4), "text_encoder/config.json": b'{"of": "text"}',
        "text_encoder/model.safetensors.index.json": json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}).encode(),
        **{f"text_encoder/{name}": data for name, data in shards.items()},
    }  # fmt: skip
    return wanted | {name: b"x" * 30_000 for name in NOT_NEEDED}


NOT_NEEDED = (
    "tiny.safetensors", "demo.jpg", "vae/diffusion_pytorch_model.fp16.safetensors", "vae/diffusion_pytorch_model.bin", "text_encoder/pytorch_model.bin",
    "text_encoder/model.fp16-00001-of-00002.safetensors", "text_encoder/model.safetensors.index.fp16.json", "transformer/flax_model.msgpack",
    "text_encoders/clip_l.safetensors", "safety_checker/model.safetensors", "text_encoder_3/config.json", "text_encoder_3/model.safetensors", "pipeline.py",
)  # fmt: skip


@dataclass
class Hub:
    """`repositories`: name -> path -> bytes. gated: names whose files are refused, but for their list. slow: seconds before each quarter MB."""

    url: str = ""
    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    slow: float = 0.0
    broken: int = 0  # an answer's code for everything, 0 for none
    card: dict = field(default_factory=lambda: {"license": "other", "license_name": "tiny-licence", "license_link": "https://example.org/licence"})
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)  # method, path, headers
    sent: dict[str, int] = field(default_factory=dict)  # file -> bytes of its body that went out

    def environment(self, cache) -> dict[str, str]:
        """For a process that takes this for the hub, whatever the tests forbid themselves."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
        return {**kept, "HF_ENDPOINT": self.url, "HF_HUB_CACHE": str(cache), "HF_HOME": str(cache), "HF_HUB_OFFLINE": "0"}


@contextmanager
def serve(**settings) -> Iterator[Hub]:
    hub = Hub(**settings)

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_HEAD(self):
            self.answer()

        def do_GET(self):
            self.answer()

        def say(self, code: int, body: bytes = b"", **headers):
            self.send_response(code)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def answer(self):
            path = unquote(urlsplit(self.path).path)
            hub.asked.append((self.command, path, dict(self.headers)))
            if hub.broken:
                return self.say(hub.broken, X_Error_Message="Invalid credentials in Authorization header")
            if path.startswith("/api/models/"):
                return self.model(path.removeprefix("/api/models/"))
            name, _, rest = path[1:].partition("/resolve/")
            data = hub.repositories.get(name, {}).get(rest.partition("/")[2])
            if name in hub.gated:
                return self.say(403, X_Error_Code="GatedRepo", X_Error_Message="not yours")
            if data is None:
                return self.say(404, X_Error_Code="EntryNotFound" if name in hub.repositories else "RepoNotFound", X_Repo_Commit=COMMIT)
            return self.file(rest.partition("/")[2], data)

        def model(self, name: str):
            if name not in hub.repositories:
                return self.say(401, X_Error_Code="RepoNotFound")
            siblings = []
            for path, data in hub.repositories[name].items():
                large = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130} if len(data) >= LARGE else None
                siblings.append({"rfilename": path, "size": len(data), "blobId": hashlib.sha1(data).hexdigest(), **({"lfs": large} if large else {})})
            told = {"id": name, "sha": COMMIT, "siblings": siblings, "cardData": hub.card, "gated": "manual" if name in hub.gated else False}
            return self.say(200, json.dumps(told).encode(), Content_Type="application/json")

        def file(self, path: str, data: bytes):
            begin, code, more = 0, 200, {}
            wished = self.headers.get("Range")
            if wished and self.command == "GET":
                begin = int(wished.removeprefix("bytes=").split("-")[0])
                code, more = 206, {"Content-Range": f"bytes {begin}-{len(data) - 1}/{len(data)}"}
            etag = hashlib.sha256(data).hexdigest() if len(data) >= LARGE else hashlib.sha1(data).hexdigest()
            self.send_response(code)
            for key, value in {"Content-Length": len(data) - begin, "ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes", **more}.items():
                self.send_header(key, str(value))
            self.end_headers()
            if self.command == "HEAD":
                return
            for start in range(begin, len(data), 2**18):
                time.sleep(hub.slow if len(data) > 2**18 else 0)
                piece = data[start : start + 2**18]
                try:
                    self.wfile.write(piece)
                except OSError:  # the other side went away
                    return
                hub.sent[path] = hub.sent.get(path, 0) + len(piece)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()
