"""What limits the keys and teams of a batch of requests, and what was let in of them lately."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson
from django.db import connection

from accounts.models import Team
from billing import services as billing
from gateway.models import RateWindow
from gateway.rates import Windows

# Asked and written under the lock of the teams' billing accounts, like their balances.
READ: Final = """
SELECT (
    SELECT coalesce(json_agg(json_build_array(team_id, subject, second, minute, tokens)), '[]')
    FROM gateway_ratewindow
    JOIN unnest(%(teams)s::uuid[], %(subjects)s::text[]) AS asked (team_id, subject)
        USING (team_id, subject)
), (
    SELECT coalesce(json_agg(json_build_array(
        agreed.team_id, model.name, agreed.requests_per_second, agreed.tokens_per_minute)), '[]')
    FROM gateway_teamlimit AS agreed JOIN gateway_inferencemodel AS model
        ON model.id = agreed.model_id
    WHERE agreed.team_id = ANY(%(teams)s)
)
"""
WRITE: Final = """
INSERT INTO gateway_ratewindow (team_id, subject, second, minute, tokens)
SELECT * FROM jsonb_to_recordset(%s)
    AS lately (team_id uuid, subject text, second jsonb, minute jsonb, tokens jsonb)
ON CONFLICT (team_id, subject) DO UPDATE
SET second = excluded.second, minute = excluded.minute, tokens = excluded.tokens
"""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
OF_MODELS: Final = "model:"

Subject = tuple[UUID, str]  # A team, and what of it is counted.


def of_key(key_id: UUID) -> str:
    return f"key:{key_id}"


def of_model(name: str) -> str:
    return OF_MODELS + name


def microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class AgreedLimits:
    """What support has agreed with a team about a model; see `TeamLimit`."""

    requests_per_second: int | None
    tokens_per_minute: int | None


class Counters:
    """What was let in lately of some subjects, kept up to date through a batch."""

    def __init__(
        self, windows: dict[Subject, Windows], agreed: Mapping[Subject, AgreedLimits], *, now: int
    ) -> None:
        self._windows, self._agreed, self._now = windows, agreed, now

    @classmethod
    def asking(cls, subjects: Collection[Subject], *, now: datetime) -> Callable[[], "Counters"]:
        """Ask for the counters of these subjects, and return a function for the answer."""
        moment = microseconds(now)
        if not subjects:
            return lambda: cls({}, {}, now=moment)
        cursor = connection.cursor()
        teams, names = [team_id for team_id, _ in subjects], [name for _, name in subjects]
        cursor.execute(READ, {"teams": teams, "subjects": names})

        def answer() -> Counters:
            with cursor:
                windows, agreed = cursor.fetchone()
            return cls(
                {(UUID(team), name): Windows(*lists, now=moment) for team, name, *lists in windows},
                {(UUID(team), name): AgreedLimits(*limits) for team, name, *limits in agreed},
                now=moment,
            )

        return answer

    def windows(self, team_id: UUID, subject: str) -> Windows:
        known = self._windows.get((team_id, subject))
        if known is None:
            known = self._windows[team_id, subject] = Windows(now=self._now)
        return known

    def agreed(self, team_id: UUID, model: str) -> AgreedLimits | None:
        return self._agreed.get((team_id, model))

    def write(self) -> None:
        """Write what has changed."""
        rows: list[dict[str, Any]] = [
            {"team_id": team_id, "subject": name, **lately.as_row()}
            for (team_id, name), lately in self._windows.items()
            if lately.has_changed
        ]
        if rows:
            with connection.cursor() as cursor:
                cursor.execute(WRITE, [orjson.dumps(rows).decode()])


@dataclass(frozen=True, slots=True)
class Use:
    """What a team uses of a model: in the last second, in the last minute, and at this moment."""

    requests: int = 0
    tokens: int = 0
    tokens_in_flight: int = 0


def use_of(team: Team, *, now: datetime) -> dict[str, Use]:
    """Say what a team uses of each model that limits it, by the model's name."""
    rows = RateWindow.of(team).filter(subject__startswith=OF_MODELS)
    in_flight = billing.tokens_in_flight(team, now=now)
    used = {}
    for row in rows:
        name = row.subject.removeprefix(OF_MODELS)
        lately = Windows(row.second, row.minute, row.tokens, now=microseconds(now))
        used[name] = Use(lately.used_requests, lately.used_tokens, in_flight.get(name, 0))
    return {name: Use(tokens_in_flight=n) for name, n in in_flight.items()} | used
