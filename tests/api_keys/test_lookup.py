"""What the gateway finds out about a key, and what it writes down about its use."""

from datetime import datetime, timedelta

import pytest
from pytest_django import DjangoAssertNumQueries

from accounts.actors import SYSTEM
from api_keys import services as api_keys
from api_keys.models import ApiKey, KeyAddress, KeyMonth
from api_keys.services import CreatedKey, KeyIdentity, Terms
from tests.factories import NOON, make_team, make_user

pytestmark = pytest.mark.django_db

LATER = NOON + timedelta(hours=2)
DAY = timedelta(days=1)
TERMS = Terms(
    acls=("api-key:endpoint:chat", "api-key:model:atlas"),
    expires_at=NOON + DAY,
    requests_per_second=2,
    requests_per_minute=60,
    tokens_per_minute=9000,
    networks=("203.0.113.0/24",),
    monthly_cap_ticks=10**10,
)


@pytest.fixture
def made() -> CreatedKey:
    return api_keys.create(
        team=make_team(), actor=SYSTEM, owner=make_user(), name="bot", terms=TERMS, now=NOON
    )


def found(secret: str, *, at: timedelta = timedelta(0)) -> KeyIdentity | None:
    digest = api_keys.digest_of(secret)
    return api_keys.find([digest], now=NOON + at).get(digest)


def rotate(made: CreatedKey, grace: timedelta) -> CreatedKey:
    return api_keys.rotate(key=made.key, actor=SYSTEM, grace=grace, rotation=0, now=NOON)


def test_a_key_brings_its_terms(made: CreatedKey) -> None:
    key = found(made.secret)

    assert key
    assert (key.terms, key.disabled, key.blocked) == (TERMS, False, False)


def test_an_expired_a_disabled_and_a_blocked_key_are_found_and_say_so(made: CreatedKey) -> None:
    ApiKey.of(made.key.team).update(disabled_at=NOON, blocked_at=NOON)

    key = found(made.secret, at=7 * DAY)

    assert key
    assert (key.disabled, key.blocked, key.terms.expires_at) == (True, True, NOON + DAY)


def test_both_secrets_of_a_rotated_key_are_found_in_one_query_each_by_its_own_name(
    made: CreatedKey, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    new = rotate(made, timedelta(hours=1))
    old_digest, new_digest = api_keys.digest_of(made.secret), api_keys.digest_of(new.secret)

    with django_assert_num_queries(1):
        keys = api_keys.find([old_digest, new_digest, "0" * 64], now=NOON)

    assert {key.id for key in keys.values()} == {made.key.pk}
    assert keys[old_digest].redacted.endswith(made.secret[-4:])
    assert keys[new_digest].redacted.endswith(new.secret[-4:])
    assert keys[old_digest].terms == keys[new_digest].terms == TERMS


def test_an_old_secret_is_found_until_its_grace_is_over_and_not_then(made: CreatedKey) -> None:
    rotate(made, timedelta(hours=1))

    assert found(made.secret, at=timedelta(minutes=59, seconds=59))
    assert found(made.secret, at=timedelta(hours=1)) is None


def test_no_secret_of_a_deleted_key_is_found(made: CreatedKey) -> None:
    new = rotate(made, timedelta(hours=1))
    api_keys.delete(key=new.key, actor=SYSTEM, now=NOON)

    assert found(made.secret) is found(new.secret) is None


def test_every_address_of_a_key_is_kept_with_its_first_and_last_use(made: CreatedKey) -> None:
    here, there = (made.key.pk, "203.0.113.7"), (made.key.pk, "2001:db8::1")

    api_keys.touch({here: NOON, there: LATER})
    api_keys.touch({here: NOON + 3 * DAY})

    addresses = KeyAddress.of(made.key.team).order_by("ip")
    rows = list(addresses.values_list("key", "ip", "first_used_at", "last_used_at", "country"))
    assert rows == [
        (*here, NOON, NOON + 3 * DAY, None),
        (*there, LATER, LATER, None),
    ]
    made.key.refresh_from_db()
    assert (made.key.last_used_at, made.key.last_used_ip) == (NOON + 3 * DAY, "203.0.113.7")


def test_an_address_is_written_down_again_once_a_day_at_most(made: CreatedKey) -> None:
    here = (made.key.pk, "203.0.113.7")
    api_keys.touch({here: NOON})

    api_keys.touch({here: LATER})
    once = KeyAddress.of(made.key.team).get().last_used_at
    api_keys.touch({here: NOON + DAY})
    twice = KeyAddress.of(made.key.team).get().last_used_at
    api_keys.touch({here: NOON - DAY})

    assert (once, twice) == (NOON, NOON + DAY)
    assert KeyAddress.of(made.key.team).get().last_used_at == NOON + DAY
    made.key.refresh_from_db()
    assert made.key.last_used_at == NOON + DAY


def test_the_latest_of_several_addresses_is_where_a_key_was_last_used(made: CreatedKey) -> None:
    api_keys.touch({(made.key.pk, "203.0.113.7"): LATER, (made.key.pk, "203.0.113.8"): NOON})

    made.key.refresh_from_db()
    assert (made.key.last_used_at, made.key.last_used_ip) == (LATER, "203.0.113.7")


def test_of_a_key_that_is_used_from_everywhere_a_thousand_addresses_are_kept(
    made: CreatedKey,
) -> None:
    def use(*numbers: int, at: datetime) -> None:
        api_keys.touch({(made.key.pk, f"10.0.{n // 256}.{n % 256}"): at for n in numbers})

    use(*range(998), at=NOON)
    use(*range(998, 1003), at=LATER)
    use(1003, at=LATER)
    # Those that are known go on being noted.
    use(0, 1004, at=NOON + DAY)

    addresses = KeyAddress.of(made.key.team)
    assert addresses.count() == 1000
    assert set(addresses.filter(last_used_at__gt=NOON).values_list("ip", flat=True)) == {
        "10.0.0.0",
        "10.0.3.230",
        "10.0.3.231",
    }
    made.key.refresh_from_db()
    assert made.key.last_used_at == NOON + DAY
    other = api_keys.create(
        team=made.key.team, actor=SYSTEM, owner=make_user(), name="other", now=NOON
    ).key
    api_keys.touch({(other.pk, "10.0.0.1"): NOON})
    assert addresses.filter(key=other).count() == 1


def test_what_a_key_costs_adds_up_by_month(made: CreatedKey) -> None:
    key, team = made.key, made.key.team
    other = api_keys.create(team=team, actor=SYSTEM, owner=make_user(), name="other", now=NOON).key
    march, april = NOON.date().replace(day=1), NOON.date().replace(month=4, day=1)

    api_keys.add_spent({(team.pk, key.pk): 5, (team.pk, other.pk): 7}, month=march)
    api_keys.add_spent({(team.pk, key.pk): 3, (team.pk, other.pk): 0}, month=march)
    api_keys.add_spent({(team.pk, key.pk): 1}, month=april)

    assert api_keys.asking_spent([key.pk, other.pk], month=march)() == {key.pk: 8, other.pk: 7}
    assert api_keys.asking_spent([key.pk, other.pk], month=april)() == {key.pk: 1}
    assert api_keys.asking_spent([], month=april)() == {}
    assert KeyMonth.of(team).count() == 3
