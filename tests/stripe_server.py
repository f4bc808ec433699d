"""Stripe for tests: localstripe as a process of its own, made more like Stripe where it matters.

It is a real server that Stripe's own client talks to over HTTP. What localstripe does not do and
our tests are about is done here, in front of it:

* the first answer to an Idempotency-Key is given again, as Stripe does for a day;
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
from urllib.request import Request, urlopen

DROPPED = {"off_session", "return_url", "reason"}
RENAMED = {"allowed_payment_method_types": "payment_method_types"}
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
        with urlopen(Request(self.url + path, data, headers, method=method), timeout=30) as answer:  # noqa: S310
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


def main(port: int) -> None:
    """Run localstripe on this machine's own address, without its file in /tmp."""
    # Only in the process that is the server: the tests themselves know it by its address.
    import localstripe.resources  # noqa: PLC0415
    from aiohttp import web  # noqa: PLC0415
    from localstripe.server import app  # noqa: PLC0415
    from multidict import MultiDict, MultiDictProxy  # noqa: PLC0415

    localstripe.resources.Store.dump_to_disk = lambda self: None  # noqa: ARG005
    faults: list[dict[str, Any]] = []
    answers: dict[str, web.Response] = {}

    @web.middleware
    async def like_stripe(request: web.Request, handler: Any) -> web.StreamResponse:
        if request.path == "/_faults":
            faults[:] = await request.json()
            return web.Response()
        asked = f"{request.method} {request.path}"
        fault = next((f for f in faults if f["part"] in asked and f["times"]), None)
        if fault:
            fault["times"] -= 1
            if fault["kind"] == "down":
                return web.json_response({"error": {"message": "Down"}}, status=503)
        key = request.headers.get("Idempotency-Key", "")
        known = answers.get(key)
        if known is None:
            if request.content_type == "application/x-www-form-urlencoded":
                request._post = MultiDictProxy(MultiDict(_taken(await request.post())))
            known = await handler(request)
            if key and request.method == "POST":
                answers[key] = known
        answer = (
            web.Response(body=known.body, status=known.status, content_type="application/json")
            if isinstance(known.body, bytes) and key
            else known
        )
        if fault and request.transport:
            request.transport.abort()
        return answer

    app.middlewares.insert(0, like_stripe)
    web.run_app(app, host="127.0.0.1", port=port, print=None)


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
