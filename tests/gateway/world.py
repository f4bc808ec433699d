"""A gateway as it runs, for tests: a console, a fake inference server, teams with money and keys.

The test's own process works on the console's database, through the services and to look at the
books, while real clients in other processes or threads talk to the gateway over HTTP.
"""

import http.client
import socket
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import dj_database_url
import orjson
from django.db import connections
from django.db.backends.postgresql.base import DatabaseWrapper
from django.utils import timezone
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam
from uuid_utils.compat import uuid7

from accounts.actors import SYSTEM
from accounts.models import Team, User
from api_keys import services as api_keys
from api_keys.models import ApiKey
from api_keys.services import EVERYTHING, Terms
from billing import services as billing
from billing.models import Charge, CreditGrant, Hold
from billing.rules import BillingItem
from billing.services import Prices
from gateway.models import Cluster, Deployment, InferenceModel
from tests.factories import make_team, make_user
from tests.servers import until
from tests.upstreams import Upstream
from tests.upstreams.behaviours import BEHAVIOURS
from usage import services as usage
from usage.models import UsageEvent, UsageRollup

# Ticks per token, all different, so that no mistake goes unseen.
PRICES = {
    BillingItem.PROMPT_TEXT: 203,
    BillingItem.CACHED_PROMPT_TEXT: 51,
    BillingItem.PROMPT_IMAGE: 307,
    BillingItem.COMPLETION: 607,
    BillingItem.REASONING: 701,
}
# Where a prompt is free and all tokens are used, what is held is what it costs: 5 x 10 ticks.
ONLY_TOKENS = dict.fromkeys(BillingItem, 0) | {
    BillingItem.COMPLETION: 10,
    BillingItem.REASONING: 10,
}
FIFTY = {"max_tokens": 5}
QUESTION = "Which fox jumps over what?"
MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": QUESTION}]
PROMPT_TOKENS = 5  # What the fake server counts in it.
UPSTREAM_KEY = "an upstream's own key"


@dataclass(frozen=True)
class Answer:
    """What a client got."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @cached_property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @cached_property
    def events(self) -> list[Any]:
        """Read the events of a stream; the last is the text [DONE] unless it broke off."""
        assert self.headers["content-type"].startswith("text/event-stream"), self
        assert self.body.endswith(b"\n\n"), self
        events = [each.removeprefix(b"data: ") for each in self.body.split(b"\n\n")[:-1]]
        return ["[DONE]" if data == b"[DONE]" else orjson.loads(data) for data in events]

    @property
    def text(self) -> str:
        """What the model said, in one piece or many."""
        if not self.headers["content-type"].startswith("text/event-stream"):
            return str(self.json["choices"][0]["message"]["content"])
        chunks = [event for event in self.events if event != "[DONE]" and event.get("choices")]
        return "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)

    def refusal(self) -> tuple[int, str]:
        """Check that it is one of the flat errors, and return its status and reason."""
        assert self.headers["content-type"] == "application/json", self
        assert set(self.json) == {"code", "error", "reason"}, self
        assert all(isinstance(value, str) and value for value in self.json.values()), self
        return self.status, self.json["reason"]


@dataclass(frozen=True)
class Caller:
    """A program with a key of a team, and what it may know: an address."""

    base_url: str
    secret: str
    key: ApiKey

    @property
    def team(self) -> Team:
        return self.key.team

    @property
    def openai(self) -> OpenAI:
        return OpenAI(base_url=f"{self.base_url}/v1", api_key=self.secret, max_retries=0)

    def ask(self, model: str, **fields: Any) -> Answer:
        """Make a chat request and wait for the whole answer."""
        body = {"model": model, "messages": MESSAGES} | fields
        return self.request("POST", "/v1/chat/completions", orjson.dumps(body))

    def request(
        self, method: str, path: str, body: bytes | None = None, **headers: str | None
    ) -> Answer:
        """Make a request; header names in Python's spelling, None to leave one out."""
        usual = {"authorization": f"Bearer {self.secret}", "content_type": "application/json"}
        sent = {k.replace("_", "-"): v for k, v in (usual | headers).items() if v is not None}
        connection = http.client.HTTPConnection(self.place, timeout=60)
        try:
            # The line may be cut while the body is on its way; like others, this client then reads
            # what was answered.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, path, body, sent)
            response = connection.getresponse()
            return Answer(response.status, dict(_lower(response)), response.read())
        finally:
            connection.close()

    def send(self, data: bytes) -> Answer:
        """Send bytes as they are, and return the answer, of which there must be one."""
        with self.connect() as sock:
            sock.sendall(data)
            response = http.client.HTTPResponse(sock)
            response.begin()
            return Answer(response.status, dict(_lower(response)), response.read())

    @contextmanager
    def asking(self, model: str, **fields: Any) -> Iterator[socket.socket]:
        """Make a chat request, and hang up without a word at the end of the block."""
        body = orjson.dumps({"model": model, "messages": MESSAGES} | fields)
        with self.connect() as sock:
            sock.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n"
                b"content-type: application/json\r\nauthorization: Bearer %b\r\n\r\n%b"
                % (len(body), self.secret.encode(), body)
            )
            yield sock

    @contextmanager
    def connect(self) -> Iterator[socket.socket]:
        host, _, port = self.place.partition(":")
        with closing(socket.create_connection((host, int(port)), timeout=60)) as sock:
            yield sock

    @property
    def place(self) -> str:
        return urlsplit(self.base_url).netloc

    def available_ticks(self) -> int:
        return billing.balance(self.team, now=timezone.now()).available_ticks

    def spent_ticks(self) -> int:
        return sum(c.cost_ticks for c in Charge.of(self.team))


def read_until(sock: socket.socket, wanted: bytes) -> bytes:
    """Read until these bytes have come."""
    found = b""
    while wanted not in found:
        part = sock.recv(65536)
        assert part, f"The line ended before {wanted!r}: {found!r}"
        found += part
    return found


def _lower(response: http.client.HTTPResponse) -> list[tuple[str, str]]:
    return [(name.lower(), value) for name, value in response.getheaders()]


@dataclass
class World:
    """A database that a console serves, and the fake inference server behind it."""

    base_url: str
    upstream: Upstream
    options: dict[str, str] = field(default_factory=dict)

    def furnish(self) -> None:
        """List a model for each behaviour of the fake server, and some that try the gateway."""
        near = self.cluster("near", self.upstream.url)
        far = self.cluster("far", "http://127.0.0.1:9/v1")
        self.options = {"slow": "?tokens=20&delay=0.05", "gated": "?tokens=8"}
        for name in BEHAVIOURS:
            self.model(name, near, says=name + self.options.get(name, "?tokens=8"))
        self.model("reachable-nowhere", far, says="ok")
        fallback = self.model("reachable-at-last", far, says="ok?tokens=8")
        Deployment.objects.create(
            model=fallback, cluster=near, upstream_name="ok?tokens=8", priority=1
        )
        self.model("fifty", near, says="ok?tokens=5&wait=0.2", prices=ONLY_TOKENS)
        self.model("fifty-gated", near, says="gated?tokens=5", prices=ONLY_TOKENS)
        self.model("fifty-no-usage", near, says="no-usage?tokens=5", prices=ONLY_TOKENS)
        tiered = self.model("tiered", near, says="ok?tokens=5", prices=ONLY_TOKENS)
        tiered.requests_per_second = [1, 1, 500]
        tiered.save()

    def cluster(self, name: str, base_url: str) -> Cluster:
        return Cluster.objects.create(
            name=name, base_url=base_url, api_key_variable="UPSTREAM_KEY_FOR_TESTS"
        )

    def model(
        self, name: str, cluster: Cluster, *, says: str, prices: Prices = PRICES
    ) -> InferenceModel:
        model = InferenceModel.objects.create(
            name=name,
            owned_by="tests",
            context_length=100_000,
            max_output_tokens=64,
            **{f"{item}_price": ticks for item, ticks in prices.items()},
        )
        Deployment.objects.create(model=model, cluster=cluster, upstream_name=says)
        return model

    def caller(
        self, *, ticks: int = 10**9, base_url: str = "", terms: Terms = EVERYTHING
    ) -> Caller:
        """Make a team with a key and, unless `ticks` is 0, with credits."""
        team = make_team()
        if ticks:
            self.fund(team, ticks)
        # One for all: to make a person is to hash a password.
        owner = User.objects.first() or make_user()
        made = api_keys.create(
            team=team, actor=SYSTEM, owner=owner, name="Tests", terms=terms, now=timezone.now()
        )
        return Caller(base_url or self.base_url, made.secret, made.key)

    def fund(self, team: Team, ticks: int) -> None:
        billing.grant(
            team=team,
            actor=SYSTEM,
            kind=CreditGrant.Kind.PREPAID,
            amount_ticks=ticks,
            label="Funding",
            idempotency_key=str(uuid7()),
            now=timezone.now(),
        )

    def assert_accounted(self) -> None:
        """Wait for the end of all requests, and compare everything that tells of them."""
        until(lambda: not Hold.across_teams.filter(state="live").exists(), "the end of all holds")
        assert list(map(str, billing.differences())) == []
        ends = dict(Hold.across_teams.values_list("pk", "state"))
        costs = dict(Charge.across_teams.values_list("pk", "cost_ticks"))
        events = dict(UsageEvent.across_teams.values_list("pk", "cost_ticks"))
        served = {pk for pk, end in ends.items() if end == Hold.State.SETTLED}
        ended = {pk for pk, end in ends.items() if end != Hold.State.EXPIRED}
        assert set(costs) == served, "one charge for each request that was served"
        assert ended <= set(events) <= set(ends), "one event for each request that was let in"
        assert {pk: cost for pk, cost in events.items() if cost} == {
            pk: cost for pk, cost in costs.items() if cost
        }, "an event tells what was charged"
        assert _rolled_up() == _summed_up(), "the sums are those of the events"


def _rolled_up() -> Counter[tuple[UUID, str]]:
    usage.feed(now=timezone.now())
    # The hours of each team's total.
    hours = UsageRollup.across_teams.filter(grain=1, series__slice=0)
    found: Counter[tuple[UUID, str]] = Counter()
    for team_id, cost, requests in hours.values_list("series__team", "cost_ticks", "requests"):
        found[team_id, "cost"] += cost
        found[team_id, "requests"] += requests
    return found


def _summed_up() -> Counter[tuple[UUID, str]]:
    found: Counter[tuple[UUID, str]] = Counter()
    for team_id, cost_ticks in UsageEvent.across_teams.values_list("team_id", "cost_ticks"):
        found[team_id, "cost"] += cost_ticks
        found[team_id, "requests"] += 1
    return found


@contextmanager
def working_on(database_url: str) -> Iterator[None]:
    """Let Django in this process, in this thread, work on another database."""
    before = connections["default"]
    place = dj_database_url.parse(database_url)
    # Without the pool, which is the whole process's.
    merged = before.settings_dict | place | {"OPTIONS": place.get("OPTIONS", {})}
    wrapper = DatabaseWrapper(merged, "default")
    connections["default"] = wrapper
    try:
        yield
    finally:
        wrapper.close()
        connections["default"] = before
