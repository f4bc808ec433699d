"""GitHub as the receiver sees it: a list of public keys on a real server, and signed reports."""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.http import HttpResponse
from django.test import Client

from tests.servers import DEADLINE_SECONDS

PATH = "/api/secret-scanning/github"


@dataclass
class Scanner:
    """Signs reports as GitHub does, with a key of its own."""

    id: str = "scanner-1"
    private: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    @property
    def pem(self) -> str:
        public = self.private.public_key()
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def sign(self, body: bytes) -> str:
        return b64encode(self.private.sign(body, ec.ECDSA(hashes.SHA256()))).decode()

    def send(self, client: Client, matches: Any) -> HttpResponse:
        body = matches if isinstance(matches, bytes) else json.dumps(matches).encode()
        return post(client, body, self.id, self.sign(body))


def post(client: Client, body: bytes, key_id: str, signature: str) -> HttpResponse:
    headers = {
        "Github-Public-Key-Identifier": key_id,
        "Github-Public-Key-Signature": signature,
    }
    return client.post(PATH, body, content_type="application/json", headers=headers)  # type: ignore[return-value]


def tampered(signature: str) -> str:
    """Change one bit in the middle of a signature."""
    raw = bytearray(b64decode(signature))
    raw[len(raw) // 2] ^= 1
    return b64encode(raw).decode()


@dataclass
class KeyList:
    """A server that lists public keys, counts how often it is asked, and can fail."""

    url: str = ""
    keys: dict[str, str] = field(default_factory=dict)
    is_current: bool = True
    status: int = 200
    text: str | None = None  # Instead of the list.
    asked: int = 0
    answers: Event = field(default_factory=Event)  # Cleared, it keeps who asks waiting.

    def __post_init__(self) -> None:
        self.answers.set()

    def body(self) -> bytes:
        listed = [
            {"key_identifier": key_id, "key": pem, "is_current": self.is_current}
            for key_id, pem in self.keys.items()
        ]
        return (json.dumps({"public_keys": listed}) if self.text is None else self.text).encode()


@contextmanager
def serving() -> Iterator[KeyList]:
    listed = KeyList()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            listed.asked += 1
            listed.answers.wait(DEADLINE_SECONDS)
            body = listed.body()
            self.send_response(listed.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- as above
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        listed.url = f"http://127.0.0.1:{server.server_port}/keys"
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield listed
        server.shutdown()
        thread.join()
