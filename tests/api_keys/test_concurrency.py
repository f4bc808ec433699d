"""Keys under many hands at once: one key, one event, and nobody locked out."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

import pytest

from accounts.actors import SYSTEM
from accounts.models import Team, User
from api_keys import services as api_keys
from api_keys.models import ApiKey, KeyAddress
from audit import services as audit
from tests.factories import NOON, make_admin, make_team
from tests.races import race, race_behind

pytestmark = pytest.mark.django_db(transaction=True)

LATER = NOON + timedelta(minutes=5)


def make_key(team: Team, owner: User) -> ApiKey:
    return api_keys.create(team=team, actor=SYSTEM, owner=owner, name="bot", now=NOON).key


def behind_a_lock(key: ApiKey, *works: Callable[[], object]) -> None:
    """Run all works while the key's row is locked; let go once every one of them waits."""
    results = race_behind(
        lambda: ApiKey.across_teams.select_for_update().get(pk=key.pk),
        *works,
    )
    assert results == [None] * len(works)


def test_deleting_a_key_from_many_places_at_once_is_recorded_once() -> None:
    team = make_team()
    key = make_key(team, make_admin(team))

    def delete() -> None:
        stored = ApiKey.across_teams.select_related("team").get(pk=key.pk)
        api_keys.delete(key=stored, actor=SYSTEM, now=LATER)

    behind_a_lock(key, *[delete] * 6)

    assert ApiKey.of(team).get().status == ApiKey.Status.DELETED
    assert audit.log(team).filter(operation="DeleteApiKey").count() == 1


def test_a_key_deleted_while_another_disables_it_is_deleted_whoever_comes_first() -> None:
    team = make_team()
    key = make_key(team, make_admin(team))

    def change(how: Callable[..., None]) -> None:
        stored = ApiKey.across_teams.select_related("team").get(pk=key.pk)
        try:
            how(key=stored, actor=SYSTEM, now=LATER)
        except api_keys.KeyDeletedError:
            return

    behind_a_lock(key, lambda: change(api_keys.delete), lambda: change(api_keys.disable))

    assert ApiKey.of(team).get().status == ApiKey.Status.DELETED
    newest = audit.log(team)[0]
    assert (newest.operation, newest.after) == ("DeleteApiKey", {"status": "deleted"})


def test_one_form_sent_many_times_at_once_makes_one_key() -> None:
    team = make_team()
    owner = make_admin(team)
    key_id = uuid4()

    create = partial(
        api_keys.create,
        team=team,
        actor=SYSTEM,
        owner=owner,
        name="bot",
        key_id=key_id,
        now=NOON,
    )
    results = race(*[create] * 6)

    assert [isinstance(result, api_keys.KeyExistsError) for result in results].count(True) == 5
    assert ApiKey.of(team).count() == 1
    assert audit.log(team).filter(operation="CreateApiKey").count() == 1


def test_noting_use_waits_for_no_key_and_tells_which_are_yet_to_be_noted() -> None:
    team = make_team()
    owner = make_admin(team)
    first, middle, last = (make_key(team, owner) for _ in range(3))

    def touch(*keys: ApiKey) -> dict[tuple[UUID, str], datetime]:
        return api_keys.touch({(key.pk, "203.0.113.24"): LATER for key in keys})

    # With the lock that also holds up whoever refers to the key from another table.
    results = race_behind(
        lambda: ApiKey.across_teams.select_for_update().get(pk=middle.pk),
        lambda: touch(first, middle, last),
        lambda: touch(last, middle, first),
    )

    locked = (middle.pk, "203.0.113.24")
    for result in results:
        assert isinstance(result, dict), result
        assert result[locked] == LATER
    addresses = KeyAddress.of(team)
    assert not addresses.filter(key=middle).exists()
    assert touch(first, middle, last) == {}
    assert set(ApiKey.of(team).values_list("last_used_at", flat=True)) == {LATER}
    assert addresses.count() == 3
