"""The request log and the explorer lead to each other, and each address says what it shows."""

import re
from datetime import timedelta
from html import escape, unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Team
from audit.models import AuditEvent
from tests.billing.pages import text
from tests.factories import NOON
from tests.usage.requests import log_url as page
from tests.usage.requests import recorded as make

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("alice")]

MINUTE = timedelta(minutes=1)


def tabs(page: Any) -> dict[str, str]:
    found = re.findall(r'<a href="([^"]*)"[^>]*>(Explorer|Requests)</a>', page.content.decode())
    return {word: unescape(address) for address, word in found}


def test_range_zone_and_filters_are_kept_from_the_explorer_to_the_log_and_back(
    client: Client, team: Team
) -> None:
    make(team, at=timezone.now())
    shared = "range=7d&tz=Asia%2FKathmandu&model=atlas-8b&not_cluster=%28none%29"
    explorer = reverse("usage:explorer", args=[team.pk])

    there = tabs(client.get(f"{explorer}?{shared}&dimension=tokens&group=model"))["Requests"]
    assert there == f"{page(team)}?{shared}"
    log = client.get(there)
    assert tabs(log)["Explorer"] == log.context["log"]["explorer"] == f"{explorer}?{shared}"
    explored = client.get(f"{explorer}?{shared}&token_type=completion")
    assert "all answered, of all token types" in text(explored)
    # A part of the page that changes what is shown changes what the tabs lead to.
    part = client.get(there, headers={"HX-Request": "true", "HX-Target": "requests"})
    assert tabs(part) == tabs(log)
    assert "hx-swap-oob" in part.content.decode()


def test_a_quarter_hour_of_the_explorer_leads_to_its_requests(client: Client, team: Team) -> None:
    inside, _ = make(team, at=NOON), make(team, at=NOON + 15 * MINUTE)
    view = "from=2026-03-01T12:00&to=2026-03-01T13:00&granularity=15m&table=periods"
    explorer = client.get(f"{reverse('usage:explorer', args=[team.pk])}?{view}&model=atlas-8b")

    links = re.findall(r'<th scope="row"><a href="(.*?)"', explorer.content.decode())
    [url] = [unescape(link) for link in links if "=2026-03-01T12%3A00&" in link]
    assert url.startswith(page(team))
    assert f'data-usage="{page(team)}"' in explorer.content.decode()
    drill = explorer.context["figure"]["layout"]["meta"]["drill"]
    assert drill["query"] == "tz=UTC&model=atlas-8b"
    assert list(drill["spans"][0]) == ["2026-03-01T12:00", "2026-03-01T12:15"]
    [row] = client.get(url).context["log"]["rows"]
    assert row.shown.event.pk == inside


def test_the_log_tells_times_by_the_clock_that_its_address_asks_for(
    client: Client, team: Team
) -> None:
    request_id = make(team, at=NOON)
    days = {"from": "2026-03-01", "to": "2026-03-01", "tz": "Asia/Kathmandu"}

    log = client.get(page(team), days)
    assert "1 Mar 2026, 17:45:00" in text(log)
    assert "Times are in Asia/Kathmandu" in text(log)
    sheet = client.get(page(team, request_id), days)
    assert "1 Mar 2026, 17:45:00" in text(sheet)
    for link in (log.context["log"]["rows"][0].only["model"], sheet.context["around"]):
        assert "tz=Asia%2FKathmandu" in link


def test_the_log_is_filtered_by_the_panel_of_the_explorer(client: Client, team: Team) -> None:
    for model in ("a", "b"):
        make(team, at=timezone.now(), model=model)
    sent = "range=7d&status=answered&model_is=not&search_model=&model=a&token_type=completion"

    log = client.get(
        f"{page(team)}?{sent}", headers={"HX-Request": "true", "HX-Target": "requests"}
    )

    words = text(log)
    assert "Model is not a Token type is Completion" in words
    assert "Finds requests that used one of these" in words
    assert "A request with several token types is listed with all of them." in words
    [row] = log.context["log"]["rows"]
    assert row.shown.event.model == "b"
    short = "range=7d&tz=UTC&status=answered&not_model=a&token_type=completion"
    assert log.headers["HX-Push-Url"] == f"{page(team)}?{short}"
    # What the form of the filters does not ask for goes along.
    assert log.context["log"]["hidden"] == [("range", "7d"), ("tz", "UTC"), ("status", "answered")]


def test_lists_of_values_are_recorded_like_pages(client: Client, team: Team) -> None:
    client.get(reverse("usage:values", args=[team.pk]), {"field": "ip"})

    assert AuditEvent.of(team).filter(operation="ListUsageValues").count() == 1


def test_a_sheet_has_an_address_and_knows_that_of_the_log_under_it(
    client: Client, team: Team
) -> None:
    request_id, query = make(team), "from=2026-03-01&to=2026-03-01&tz=UTC&model=atlas-8b"

    row = client.get(f"{page(team)}?{query}").content.decode()
    assert f'hx-get="{page(team, request_id)}?{escape(query)}"' in row
    sheet = client.get(
        f"{page(team, request_id)}?{query}&search_ip=&older=no",
        headers={"HX-Request": "true", "HX-Target": "request-sheet"},
    )
    assert f'data-under="{page(team)}?{escape(query)}"' in sheet.content.decode()
