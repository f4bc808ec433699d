"""Stripe for tests: localstripe as a process of its own, made more like Stripe where it matters.

It is a real server that Stripe's own client talks to over HTTP. What localstripe does not do and
our tests are about is done here, in front of it:

* the first answer to an Idempotency-Key is given again, as Stripe does for a day, and refused to
  a request that says something else;
* an amount above Stripe's highest is refused, and a card for a customer who was deleted;
* parameters that Stripe takes and localstripe refuses are renamed or left out;
* an answer can be lost on its way, or the server be down, as often as a test asks for it.

`python tests/stripe_server.py PORT` runs the server; `StripeServer` starts it and talks to it.
"""

import json
import subprocess
import sys
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self
from urllib.error import HTTPError, URLError
from urllib.request import Request as Ask
from urllib.request import urlopen

from aiohttp.web import (
    Request,
    Response,
    StreamResponse,
    json_response,
    middleware,
    run_app,
)
from multidict import MultiDict, MultiDictProxy

DROPPED = {"off_session", "return_url", "reason"}
RENAMED = {"allowed_payment_method_types": "payment_method_types"}
HIGHEST_CENTS = 99_999_999
KEY = "sk_test_of_the_tests"
PUBLISHABLE_KEY = "pk_test_of_the_tests"


class StripeServer:
    """A running server, and what tests do with it that no client of ours does."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    @property
    def js_url(self) -> str:
        return f"{self.url}/js.stripe.com/v3/"

    def is_up(self) -> bool:
        try:
            self.ask("GET", "/v1/customers")
        except URLError:
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {KEY}"}
        with urlopen(Ask(self.url + path, data, headers, method=method), timeout=30) as answer:  # noqa: S310
            text = answer.read()
        return json.loads(text) if text else None

    def empty(self) -> None:
        self.ask("DELETE", "/_config/data")
        self.ask("POST", "/_faults", [])

    def lose(self, part: str, *, times: int = 2) -> None:
        """Do what is asked by requests with this part, and lose the answer so many times.

        Our client asks twice before it gives up.
        """
        self.ask("POST", "/_faults", [{"kind": "lose", "part": part, "times": times}])

    def go_down(self, part: str = "/v1/", *, times: int = 2) -> None:
        """Answer 503 without doing anything, so many times."""
        self.ask("POST", "/_faults", [{"kind": "down", "part": part, "times": times}])

    def forget(self, kind: str, reference: str) -> None:
        """Lose a thing, as Stripe does with what is deleted in its dashboard."""
        self.ask("POST", "/_forget", f"{kind}:{reference}")

    def tell(self, url: str, secret: str) -> None:
        """Have events sent to an address."""
        self.ask("POST", "/_config/webhooks/tests", {"url": url, "secret": secret})

    def enter_card(self, setup: str, secret: str, number: str, **card: str) -> None:
        """Enter a card as Stripe's script does in a browser: with the key that everybody knows."""
        fields = {"exp_month": "12", "exp_year": "2030", "cvc": "123"} | card
        body = {"key": PUBLISHABLE_KEY, "use_stripe_sdk": True, "client_secret": secret}
        entered = {"type": "card", "card": {"number": number, **fields}}
        confirm = f"/v1/setup_intents/{setup}/confirm"
        told = self._ask_the_bank(confirm, body | {"payment_method_data": entered})
        if told["status"] == "requires_action":
            self._ask_the_bank(confirm, body)  # It asks, and hears a yes.

    def authenticate(self, payment: str, secret: str, *, success: bool) -> None:
        """Answer the bank as its window does in a browser."""
        body = {"key": PUBLISHABLE_KEY, "client_secret": secret, "success": success}
        self._ask_the_bank(f"/v1/payment_intents/{payment}/_authenticate", body)

    def _ask_the_bank(self, path: str, body: object) -> Any:
        try:
            return self.ask("POST", path, body)
        except HTTPError as refused:
            if refused.code != HTTPStatus.PAYMENT_REQUIRED:
                raise
            return {"status": "refused"}

    def succeeded(self) -> list[dict[str, Any]]:
        """List the payments that took money."""
        made = self.ask("GET", "/v1/payment_intents?limit=100")["data"]
        return [payment for payment in made if payment["status"] == "succeeded"]


class _LikeStripe:
    """What stands in front of localstripe: faults on demand, and what it does not do itself."""

    def __init__(self, store: dict[str, Any]) -> None:
        self._store = store
        self._faults: list[dict[str, Any]] = []
        self._answers: dict[str, tuple[bytes, StreamResponse]] = {}

    async def __call__(self, request: Request, handler: Any) -> StreamResponse:
        if request.path == "/_faults":
            self._faults = await request.json()
            return Response()
        if request.path == "/_forget":
            del self._store[await request.json()]
            return Response()
        if request.path == "/_config/data":
            self._answers.clear()
        asked = f"{request.method} {request.path}"
        fault = next((f for f in self._faults if f["part"] in asked and f["times"]), None)
        if fault:
            fault["times"] -= 1
            if fault["kind"] == "down":
                return json_response({"error": {"message": "Down"}}, status=503)
        answer = await self._answer(request, handler)
        if fault and request.transport:
            request.transport.abort()
        return answer

    async def _answer(self, request: Request, handler: Any) -> StreamResponse:
        """Give the first answer to an idempotency key again, to the same request."""
        key = request.headers.get("Idempotency-Key", "")
        said = await request.read()
        first, known = self._answers.get(key, (said, None))
        if first != said:
            return _refused("idempotency_error", "")
        if known is None:
            known = await self._handled(request, handler)
            if key and request.method == "POST":
                self._answers[key] = said, known
        body = getattr(known, "body", None)
        if key and isinstance(body, bytes):
            return Response(body=body, status=known.status, content_type="application/json")
        return known

    async def _handled(self, request: Request, handler: Any) -> StreamResponse:
        if request.content_type == "application/x-www-form-urlencoded":
            posted = await request.post()
            if code := self._refusal(request.path, dict(posted)):
                return _refused("invalid_request_error", code)
            request._post = MultiDictProxy(MultiDict(_taken(posted)))
        handled: StreamResponse = await handler(request)
        return handled

    def _refusal(self, path: str, posted: dict[str, Any]) -> str:
        if path == "/v1/payment_intents" and int(posted["amount"]) > HIGHEST_CENTS:
            return "amount_too_large"
        if path == "/v1/setup_intents" and f"customer:{posted['customer']}" not in self._store:
            return "resource_missing"
        return ""


def main(port: int) -> None:
    """Run localstripe on this machine's own address, without its file in /tmp."""
    # Only in the process that is the server: the tests themselves know it by its address.
    import localstripe.resources  # noqa: PLC0415
    from localstripe.server import app  # noqa: PLC0415

    localstripe.resources.Store.dump_to_disk = lambda self: None  # noqa: ARG005
    app.middlewares.insert(0, middleware(_LikeStripe(localstripe.resources.store)))
    run_app(app, host="127.0.0.1", port=port, print=None)


def _refused(kind: str, code: str) -> Response:
    return json_response({"error": {"type": kind, "code": code}}, status=400)


def _taken(posted: Any) -> list[tuple[str, Any]]:
    """Leave out what localstripe does not know, and name the rest as it does."""
    taken = []
    for name, value in posted.items():
        stem, bracket, rest = name.partition("[")
        if stem not in DROPPED:
            taken.append((RENAMED.get(stem, stem) + bracket + rest, value))
    return taken


if __name__ == "__main__":
    main(int(sys.argv[1]))
