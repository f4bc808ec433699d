"""The request log: single requests, newest first, narrowed, and one found by its id."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings
from uuid_utils.compat import uuid7

from accounts.actors import SYSTEM
from accounts.models import Team, User
from api_keys import services as api_keys
from tests.billing.pages import text
from tests.factories import NOON, make_team
from tests.usage.requests import log_url as page
from tests.usage.requests import make_record
from tests.usage.requests import recorded as make
from usage import services as usage
from usage.rules import filters
from usage.rules.requests import Search, Status, Stretch, cut, stretches

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("alice")]

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
EVERYTHING = Search(begin=NOON - 400 * DAY, end=NOON + DAY)


def asked(address: str = "", **fields: Any) -> Search:
    """Search for what an address asks for."""
    bounds = {"begin": EVERYTHING.begin, "end": EVERYTHING.end}
    return Search(filters=filters.read(QueryDict(address)), **{**bounds, **fields})


def found(team: Team, search: Search = EVERYTHING, size: int = 50) -> list[UUID]:
    return [one.event.pk for one in usage.requests_page(team, search, size=size).requests]


# --- Which


def test_requests_come_newest_first_and_those_of_one_instant_by_id(team: Team) -> None:
    older = make(team, at=NOON - MINUTE)
    same = sorted(make(team) for _ in range(3))
    make(make_team())

    assert found(team) == [*reversed(same), older]


@pytest.mark.parametrize("address", ["", "model=atlas-8b"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 8])
def test_pages_of_any_size_tell_the_same_forwards_and_backwards(
    team: Team, address: str, size: int
) -> None:
    usage.record(
        [make_record(team, at=NOON - days * DAY) for days in (0, 0, 0, 3, 40, 40, 200, 399)]
        + [make_record(team, model="other", at=NOON - days * DAY) for days in (0, 1, 40, 300)]
    )
    search = asked(address)
    whole = found(team, search)
    cut = usage.requests_page(team, search, size=size)
    pages = [cut]
    while cut.has_older:
        last = cut.requests[-1].event.pk
        cut = usage.requests_page(team, search, size=size, older_than=last)
        pages.append(cut)

    assert [one.event.pk for page in pages for one in page.requests] == whole
    assert len(whole) == (8 if address else 12)
    assert [page.has_newer for page in pages] == [False] + [True] * (len(pages) - 1)
    while cut.has_newer:
        first = cut.requests[0].event.pk
        cut = usage.requests_page(team, search, size=size, newer_than=first)
    assert [one.event.pk for one in cut.requests] == whole[:size]


@pytest.mark.parametrize("beside", ["older_than", "newer_than"])
def test_a_request_of_another_team_leads_to_the_newest_page(team: Team, beside: str) -> None:
    mine = make(team)
    theirs = make(make_team())

    page = usage.requests_page(team, EVERYTHING, size=5, **{beside: theirs})

    assert [one.event.pk for one in page.requests] == [mine]


@pytest.mark.parametrize(
    ("address", "names"),
    [
        ("model=a", "plain failed"),
        ("not_model=a", "image nowhere"),
        ("model=a&model=b", "plain failed image"),
        ("cluster=(none)", "nowhere"),
        ("not_cluster=(none)", "plain failed image"),
        ("ip=2001:db8::1", "image"),
        ("ip=::ffff:203.0.113.7", "plain failed nowhere"),
        ("not_ip=2001:db8::1&model=a", "plain failed"),
        ("token_type=prompt_image", "image"),
        ("not_token_type=prompt_text", "image failed"),
    ],
)
def test_filters_leave_what_they_say(team: Team, address: str, names: str) -> None:
    image = (("prompt_image", 3, 30),)
    made = {
        "plain": make(team, model="a", items=(("prompt_text", 1, 5),)),
        "failed": make(team, model="a", items=(("completion", 1, 0),), status=502, at=NOON - DAY),
        "image": make(team, model="b", ip="2001:db8::1", items=image, at=NOON - 90 * DAY),
        "nowhere": make(team, model="c", cluster="", items=(), status=503),
    }

    assert set(found(team, asked(address))) == {made[name] for name in names.split()}


def test_a_status_leaves_what_failed_or_what_did_not(team: Team) -> None:
    fine, gone, failed = (make(team, status=status) for status in (200, 499, 500))

    assert set(found(team, asked(status=Status.FAILED))) == {failed}
    assert set(found(team, asked(status=Status.ANSWERED))) == {fine, gone}


def test_a_range_takes_its_first_moment_and_leaves_its_last(team: Team) -> None:
    first = make(team, at=NOON)
    make(team, at=NOON + DAY)

    assert found(team, Search(begin=NOON, end=NOON + DAY)) == [first]


def test_what_is_looked_for_is_kept_and_read_again() -> None:
    search = asked("model=a&not_cluster=(none)&ip=2001:db8::1", status=Status.FAILED)

    assert Search.from_json(search.as_json()) == search


# --- Where to look


def moments(*hours: int) -> list[datetime]:
    return [NOON + timedelta(hours=hour) for hour in hours]


def test_stretches_are_chosen_from_one_side_until_there_is_enough() -> None:
    starts = moments(0, 1, 2, 3, 4, 5)
    counts = {0: 9, 1: 2, 3: 1, 4: 4}
    whole = Stretch(starts[0], starts[-1])

    newest = stretches(starts, counts, inside=whole, enough=5, newest_first=True)
    oldest = stretches(starts, counts, inside=whole, enough=5, newest_first=False)

    assert newest == [Stretch(*moments(3, 5))]
    assert oldest == [Stretch(*moments(0, 1))]


def test_what_is_partly_outside_is_chosen_and_does_not_count() -> None:
    starts = moments(0, 1, 2)
    inside = Stretch(starts[0], starts[2] - MINUTE)

    chosen = stretches(starts, {0: 1, 1: 9}, inside=inside, enough=1, newest_first=True)

    assert chosen == [Stretch(*moments(0, 2))]


def test_spans_cover_what_they_are_cut_from() -> None:
    stretch = Stretch(NOON + 5 * MINUTE, NOON + DAY)

    assert cut(stretch, DAY) == [datetime(2026, 3, day, tzinfo=UTC) for day in (1, 2, 3)]


# --- The page


def test_a_row_and_its_sheet_say_everything_about_a_request(
    client: Client, team: Team, alice: User
) -> None:
    key = api_keys.create(team=team, actor=SYSTEM, owner=alice, name="bot", now=NOON).key
    request_id = make(
        team, key_id=key.pk, at=NOON, first_token_ms=120, latency_ms=2_345, status=502
    )
    days = {"from": "2026-03-01", "to": "2026-03-01"}

    words = text(client.get(page(team), days))
    assert (
        "1 Mar 2026, 12:00:00 502 bot atlas-8b fra-1 203.0.113.7 "
        "1,000 100 $0.00025 0.12 s 2.35 s" in words
    )
    assert "1 request, newest first" in words

    words = text(client.get(page(team, request_id), days))
    assert f"Request ID {request_id}" in words
    assert "12:00:00.000000 UTC" in words
    assert "API key bot Made by Alice Model atlas-8b Cluster fra-1" in words
    assert "Answer Streamed First token after 0.120 s Took 2.345 s in all" in words
    assert "Prompt 1,000 $0.0002 Completion 100 $0.00005 Total 1,100 $0.00025" in words


def test_keys_that_are_gone_keep_their_names(client: Client, team: Team, alice: User) -> None:
    key = api_keys.create(team=team, actor=SYSTEM, owner=alice, name="bot", now=NOON).key
    api_keys.delete(key=key, actor=SYSTEM, now=NOON)
    request_id = make(team, key_id=key.pk)

    assert "API key bot Deleted Made by Alice" in text(client.get(page(team, request_id)))
    address = f"api_key={key.pk}"
    [chip] = client.get(f"{page(team)}?{address}").context["log"]["chips"]
    assert chip.text == "API key is bot (deleted)"
    [told] = usage.narrowings(team, asked(address).filters)
    assert [one.words for one in told] == [chip.text]


def test_a_cell_narrows_the_log_to_what_it_says(client: Client, team: Team) -> None:
    make(team, at=timezone.now(), model="a", cluster="")
    make(team, at=timezone.now(), model="b")
    log = client.get(page(team), {"range": "7d"}).context["log"]
    [row] = [row for row in log["rows"] if row.shown.event.model == "a"]

    for address in row.only.values():
        assert "range=7d" in address
    words = text(client.get(row.only["cluster"]))
    assert "Cluster is No cluster reached" in words
    assert "1 request, newest first" in words
    narrowed = client.get(row.only["model"])
    assert "Model is a" in text(narrowed)
    [chip] = narrowed.context["log"]["chips"]
    assert len(client.get(chip.address).context["log"]["rows"]) == 2


def test_a_request_is_found_by_the_id_that_its_answer_carried(client: Client, team: Team) -> None:
    request_id = make(team)

    answer = client.get(page(team), {"find": f" {str(request_id).upper()} "})

    assert answer.headers["Location"] == page(team, request_id)


@pytest.mark.parametrize(
    ("sought", "sentence"),
    [
        ("chatcmpl-7", "“chatcmpl-7” is not a request ID."),
        ("\x00<b>", "“&lt;b&gt;” is not a request ID."),
        ("0" * 5000, "is not a request ID."),
        ("0198f3c0-0000-7000-8000-000000000001", "No request of this team has the ID"),
    ],
)
def test_what_cannot_be_found_is_explained(
    client: Client, team: Team, sought: str, sentence: str
) -> None:
    make(team)

    assert sentence in text(client.get(page(team), {"find": sought}))


def test_another_teams_request_is_told_as_one_that_is_not_there(client: Client, team: Team) -> None:
    theirs, nobodys = make(make_team("Foxglove"), model="secret-model"), uuid7()

    by_id = [text(client.get(page(team), {"find": str(one)})) for one in (theirs, nobodys)]

    assert by_id[0].replace(str(theirs), "") == by_id[1].replace(str(nobodys), "")
    assert client.get(page(team, theirs)).status_code == 404


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("status=odd", "“odd” is not a status. Choose answered or failed."),
        ("api_key=x", "“x” is not the ID of an API key."),
        ("ip=1.2.3", "“1.2.3” is not an IP address."),
        ("range=never", "“never” is not a range."),
        ("from=2026-03-02&to=2026-03-01", "is before the first"),
        ("from=x&to=2026-03-01", "“x” is not a day."),
        ("tz=Moon", "“Moon” is not a time zone."),
    ],
)
def test_a_wrong_address_is_explained(
    client: Client, team: Team, query: str, sentence: str
) -> None:
    make(team)

    assert sentence in text(client.get(f"{page(team)}?{query}"))


def test_a_log_that_reaches_back_says_for_how_long_requests_are_kept(
    client: Client, team: Team, settings: Settings
) -> None:
    make(team, at=timezone.now())
    kept = "Single requests are dropped by the month, 30 days after its end."

    for days, query, is_said in ((30, "90d", True), (30, "7d", False), (0, "90d", False)):
        settings.USAGE_EVENT_DAYS = days
        words = text(client.get(page(team), {"range": query}))
        assert (kept in words) == is_said, (days, query)


def test_a_team_without_requests_is_told_what_comes_here(client: Client, team: Team) -> None:
    assert "No requests yet" in text(client.get(page(team)))
    make(team)
    assert "Nothing was asked in" in text(client.get(page(team)))
    assert "is like that" in text(client.get(page(team), {"model": "a"}))


def test_a_long_log_costs_no_more_queries_than_a_short_one(client: Client, team: Team) -> None:
    make(team, at=timezone.now())
    with CaptureQueriesContext(connection) as short:
        client.get(page(team))
    usage.record([make_record(team, key_id=uuid4(), at=timezone.now()) for _ in range(30)])

    with CaptureQueriesContext(connection) as long:
        client.get(page(team))

    assert len(long) <= len(short)
