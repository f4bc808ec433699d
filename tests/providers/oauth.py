"""A server with the pages of X's sign-in, or of any other: authorize, token, who it is.

It checks what a provider checks (the client, the redirect address, PKCE, that a code works once),
and can be told to fail in the ways that providers do.
"""

import base64
import hashlib
import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

CLIENT_ID = "larkspur:console"
CLIENT_SECRET = "not so secret"


@dataclass
class OAuthServer:
    """What the server knows and how it behaves; tests write to it while it runs."""

    url: str
    # What is answered to who asks who it is, by path: X's is {"/2/users/me": {"data": {...}}}.
    people: dict[str, Any] = field(default_factory=dict)
    # Instead of an answer to a path: a status, a text, or an Event to wait for before answering.
    broken: dict[str, int | str | threading.Event] = field(default_factory=dict)
    denies: bool = False
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    asked: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def oauth_server() -> Iterator[OAuthServer]:
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    httpd.daemon_threads = True
    provider = OAuthServer(f"http://127.0.0.1:{httpd.server_port}")
    httpd.provider = provider  # type: ignore[attr-defined]
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield provider
    finally:
        for obstacle in provider.broken.values():
            if isinstance(obstacle, threading.Event):
                obstacle.set()
        httpd.shutdown()
        httpd.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    @property
    def provider(self) -> OAuthServer:
        return self.server.provider  # type: ignore[attr-defined,no-any-return]

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        if self._fails(address.path):
            return
        if address.path.endswith("/authorize"):
            self._authorize(query)
        elif self.headers.get("Authorization", "").split(" ")[-1] not in self.provider.tokens:
            self._json(401, {"title": "Unauthorized"})
        else:
            self._json(200, self.provider.people[address.path])

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        sent = {n: v[0] for n, v in parse_qs(self.rfile.read(length).decode()).items()}
        if self._fails(urlsplit(self.path).path):
            return
        basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        as_form = (sent.get("client_id"), sent.get("client_secret")) == (CLIENT_ID, CLIENT_SECRET)
        if self.headers.get("Authorization") != f"Basic {basic}" and not as_form:
            self._json(401, {"error": "invalid_client"})
            return
        asked = self.provider.codes.pop(sent.get("code", ""), None)  # A code works once.
        proof = hashlib.sha256(sent.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(proof).decode().rstrip("=")
        if (
            asked is None
            or asked["redirect_uri"] != sent.get("redirect_uri")
            or asked.get("code_challenge", challenge) != challenge
        ):
            self._json(400, {"error": "invalid_grant"})
            return
        token = secrets.token_urlsafe()
        self.provider.tokens.add(token)
        self._json(200, {"token_type": "bearer", "expires_in": 7200, "access_token": token})

    def _authorize(self, query: dict[str, str]) -> None:
        self.provider.asked.append(query)
        assert query["client_id"] == CLIENT_ID
        if self.provider.denies:
            answer = {"error": "access_denied"}
        else:
            answer = {"code": secrets.token_urlsafe()}
            self.provider.codes[answer["code"]] = query
        self.send_response(302)
        back = urlencode(answer | {"state": query["state"]})
        self.send_header("Location", f"{query['redirect_uri']}?{back}")
        self.end_headers()

    def _fails(self, path: str) -> bool:
        match self.provider.broken.get(path):
            case int(status):
                self._json(status, {"title": "Something is wrong"})
            case str(text):
                self._send(200, "application/json", text.encode())
            case threading.Event() as event:
                event.wait()
                self._json(503, {})
            case _:
                return False
        return True

    def _json(self, status: int, content: Any) -> None:
        self._send(status, "application/json", json.dumps(content).encode())

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing: a test that fails says enough."""
