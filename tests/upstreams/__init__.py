"""A fake inference server that speaks real HTTP and misbehaves on request.

The model of a request names the behaviour, with options after a question mark: `ok`,
`drop-mid-stream?tokens=40`, `usage-details?cached=3&reasoning=5`. Where the model names none, the
header `x-behaviour` does, and then the server's default (`--behaviour`, `PUT /_behaviour`).
`python -m tests.upstreams --help` lists the behaviours. Options that all of them know: `tokens`
(of the completion, before `max_tokens` cuts it), `prompt` (tokens reported for the prompt; without
it every word is one), `wait` (seconds before the first byte) and `delay` (seconds between chunks).

`GET /_requests` tells what arrived and how each request ended, `DELETE /_requests` forgets it.
"""

import http.client
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson


@dataclass(frozen=True)
class Upstream:
    """A running fake server, as a test sees it."""

    url: str  # As a cluster wants it: http://127.0.0.1:<port>/v1.

    def requests(self) -> list[dict[str, Any]]:
        """Everything that arrived: method, path, headers, body and outcome, oldest first."""
        return list(self._call("GET", "/_requests")["requests"])

    def count(self) -> int:
        return int(self._call("GET", "/_requests")["count"])

    def forget(self) -> None:
        self._call("DELETE", "/_requests")

    def behave(self, name: str) -> None:
        """Make this the behaviour of requests whose model names none."""
        self._call("PUT", "/_behaviour", name)

    def open_gate(self) -> None:
        """Let `gated` answers go on, these and all that come."""
        self._call("PUT", "/_gate", "open")

    def shut_gate(self) -> None:
        self._call("PUT", "/_gate", "shut")

    def _call(self, method: str, path: str, body: str | None = None) -> Any:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=10)
        try:
            connection.request(method, path, body)
            return orjson.loads(connection.getresponse().read())
        finally:
            connection.close()


@contextmanager
def running_upstream(behaviour: str = "ok", port: int = 0) -> Iterator[Upstream]:
    """Start a server in a process of its own, and stop it at the end."""
    command = [sys.executable, "-m", "tests.upstreams", "--behaviour", behaviour]
    with subprocess.Popen(
        [*command, "--port", str(port)],
        cwd=Path(__file__).resolve().parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout
            url = process.stdout.readline().strip()
            assert url, "The fake upstream did not start; its error is above."
            yield Upstream(url)
        finally:
            process.terminate()
