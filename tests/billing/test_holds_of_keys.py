"""What is held for a key stays under its cap, and what is in flight is known by key and model."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from uuid_utils.compat import uuid7

from accounts.models import Team
from billing import services as billing
from billing.services import Ceiling, HoldRequest, Refusal
from tests.billing.holding import LATER, assert_clean, reserve, used
from tests.factories import NOON, make_funded_team

pytestmark = pytest.mark.django_db


def for_key(team: Team, key_id: UUID, *, at_most: int | None, model: str = "atlas") -> HoldRequest:
    return HoldRequest(uuid7(), team.pk, 0, 1, 10, key_id, model, 10, at_most)


def test_all_holds_of_a_key_together_stay_under_what_it_may_hold() -> None:
    team, key_id = make_funded_team(ticks=1000), uuid4()

    first = for_key(team, key_id, at_most=15)
    answers = billing.reserve(
        [first, *(for_key(team, key_id, at_most=15) for _ in range(2))], now=NOON, until=LATER
    )
    another = reserve(for_key(team, uuid4(), at_most=15))
    billing.release([first.request_id], now=NOON)
    after = reserve(for_key(team, key_id, at_most=15))

    assert answers == [Ceiling(10, 10), Ceiling(5, 5), Refusal.KEY_CAP_REACHED]
    assert another == Ceiling(10, 10), "another key holds for itself"
    assert after == Ceiling(10, 10)
    assert_clean()


def test_a_team_that_cannot_pay_is_not_told_of_what_the_key_may_hold() -> None:
    team, key_id = make_funded_team(ticks=5), uuid4()

    assert reserve(for_key(team, key_id, at_most=1000)) == Ceiling(5, 5)
    assert reserve(for_key(team, key_id, at_most=1000)) == Refusal.CREDITS_EXHAUSTED


def test_lapsed_holds_of_a_key_are_given_back_before_it_is_turned_away() -> None:
    team, key_id = make_funded_team(ticks=1000), uuid4()
    reserve(for_key(team, key_id, at_most=10))

    request = for_key(team, key_id, at_most=10)
    before = billing.reserve([request], now=NOON, until=LATER)
    after = billing.reserve([request], now=LATER, until=LATER + timedelta(minutes=2))

    assert (before, after) == ([Refusal.KEY_CAP_REACHED], [Ceiling(10, 10)])
    assert_clean()


def test_the_books_know_what_is_in_flight_by_key_and_by_model_to_the_end_of_a_batch() -> None:
    team, key_id = make_funded_team(ticks=1000), uuid4()
    first, second = (for_key(team, key_id, at_most=None, model=m) for m in ("atlas", "other"))
    lapsing = for_key(team, key_id, at_most=None)
    billing.reserve([first, second], now=NOON, until=LATER + timedelta(minutes=1))
    billing.reserve([lapsing], now=NOON, until=LATER)

    def in_flight(books: billing.Books) -> list[int]:
        subjects = (key_id, "atlas", "other")
        return [books.tokens_in_flight(team.pk, subject) for subject in subjects]

    with transaction.atomic():
        ids = [first.request_id, second.request_id, lapsing.request_id]
        books = billing.Books.open([team.pk], requests=ids, now=LATER)
        seen = [in_flight(books)]
        books.settle([used(team, first.request_id, (3, 1)), used(team, lapsing.request_id, (1, 1))])
        seen.append(in_flight(books))
        books.release([second.request_id])
        seen.append(in_flight(books))
        books.reserve(for_key(team, key_id, at_most=None), until=LATER + timedelta(minutes=2))
        seen.append(in_flight(books))
        books.write()

    assert seen == [[20, 10, 10], [10, 0, 10], [0, 0, 0], [10, 10, 0]]
    assert billing.tokens_in_flight(team, now=LATER) == {"atlas": 10}
    assert_clean()
