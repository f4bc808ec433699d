"""A new secret for the same key: shown once, the old one for a while, and by nobody twice."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.models import Team
from api_keys import services as api_keys
from api_keys.models import ApiKey, RetiredSecret
from audit import services as audit
from tests.factories import NOON, make_admin, make_member, make_team
from tests.races import race

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


@pytest.fixture
def team() -> Team:
    return make_team()


@pytest.fixture
def made(team: Team) -> api_keys.CreatedKey:
    return api_keys.create(
        team=team, actor=SYSTEM, owner=make_admin(team), name="returns-bot", now=NOON
    )


def rotate(
    key: ApiKey, *, grace: timedelta = DAY, rotation: int = 0, **more: Any
) -> api_keys.RotatedKey:
    now = more.get("now", NOON)
    return api_keys.rotate(key=key, actor=SYSTEM, grace=grace, rotation=rotation, now=now)


def stored(key: ApiKey) -> ApiKey:
    return ApiKey.across_teams.select_related("team").get(pk=key.pk)


# --- The service


def test_a_rotated_key_keeps_its_id_and_gets_a_new_secret(made: api_keys.CreatedKey) -> None:
    rotated = rotate(made.key)

    key = stored(made.key)
    assert rotated.secret != made.secret
    assert key.digest == api_keys.digest_of(rotated.secret)
    assert key.redacted.endswith(rotated.secret[-4:])
    assert (key.created_at, key.owner, key.acls) == (NOON, made.key.owner, made.key.acls)


@pytest.mark.parametrize("grace", [timedelta(hours=1), DAY, timedelta(days=7)])
def test_the_old_secret_works_on_for_the_grace(made: api_keys.CreatedKey, grace: timedelta) -> None:
    rotated = rotate(made.key, grace=grace)

    old = RetiredSecret.of(made.key.team).get()
    assert (old.digest, old.redacted) == (api_keys.digest_of(made.secret), made.key.redacted)
    assert old.expires_at == rotated.old_until == NOON + grace


def test_without_grace_the_old_secret_is_over_at_once(made: api_keys.CreatedKey) -> None:
    rotated = rotate(made.key, grace=timedelta(0))

    assert rotated.old_until is None
    assert RetiredSecret.of(made.key.team).get().expires_at == NOON


@pytest.mark.parametrize("grace", [timedelta(days=7, seconds=1), timedelta(seconds=-1)])
def test_no_grace_is_longer_than_a_week(made: api_keys.CreatedKey, grace: timedelta) -> None:
    with pytest.raises(api_keys.GraceError, match="at most 7 days"):
        rotate(made.key, grace=grace)

    assert not RetiredSecret.of(made.key.team).exists()


def test_several_old_secrets_may_live_at_once(made: api_keys.CreatedKey) -> None:
    first = rotate(made.key)
    rotate(made.key, rotation=1)

    olds = api_keys.retired_secrets(made.key, now=NOON)
    assert [old.redacted for old in olds] == [first.key.redacted, made.key.redacted]
    assert api_keys.rotations_of(made.key) == 2


def test_rotating_a_blocked_key_unblocks_it_and_ends_the_leaked_secret(
    made: api_keys.CreatedKey,
) -> None:
    ApiKey.of(made.key.team).update(blocked_at=NOON)

    rotated = rotate(made.key)

    assert stored(made.key).status_at(NOON) == ApiKey.Status.ACTIVE
    assert rotated.old_until is None
    assert RetiredSecret.of(made.key.team).get().expires_at == NOON


def test_what_was_replaced_before_a_leak_does_not_come_back_with_the_next_secret(
    made: api_keys.CreatedKey,
) -> None:
    leaked = rotate(made.key, grace=timedelta(days=7))
    api_keys.report_leaks(
        [api_keys.Finding(leaked.secret)],
        reporter=api_keys.Reporter.GITHUB,
        actor=SYSTEM,
        now=NOON,
    )

    rotated = rotate(made.key, rotation=1)

    ways_in = {
        api_keys.digest_of(secret) for secret in (made.secret, leaked.secret, rotated.secret)
    }
    found = api_keys.find(ways_in, now=NOON + timedelta(seconds=1))
    assert found.keys() == {api_keys.digest_of(rotated.secret)}
    ended = audit.log(made.key.team).get(operation="EndRetiredSecret")
    assert (ended.is_change, ended.before and ended.before["key"]) == (True, made.key.redacted)


def test_no_more_than_ten_old_secrets_work_at_once(
    client: Client, made: api_keys.CreatedKey
) -> None:
    client.force_login(make_admin(made.key.team))
    now = timezone.now()
    for rotation in range(10):
        rotate(made.key, rotation=rotation, now=now)

    with pytest.raises(api_keys.GraceError, match="10 old secrets of this key still work"):
        rotate(made.key, rotation=10, now=now)
    page = client.post(url("rotate", made.key), {"grace": "24", "rotation": "10"})
    assert "End one of them on the key" in page.content.decode()
    assert api_keys.rotations_of(made.key) == 10

    rotate(made.key, grace=timedelta(0), rotation=10, now=now)
    rotate(made.key, rotation=11, now=now + DAY)  # They are over by then.


def test_rotating_a_disabled_key_leaves_it_disabled(made: api_keys.CreatedKey) -> None:
    api_keys.disable(key=made.key, actor=SYSTEM, now=NOON)

    rotate(made.key)

    assert stored(made.key).status_at(NOON) == ApiKey.Status.DISABLED


def test_a_deleted_key_gets_no_secret(made: api_keys.CreatedKey) -> None:
    api_keys.delete(key=made.key, actor=SYSTEM, now=NOON)

    with pytest.raises(api_keys.KeyDeletedError):
        rotate(made.key)


def test_a_rotation_that_was_decided_before_another_does_not_happen(
    made: api_keys.CreatedKey,
) -> None:
    rotated = rotate(made.key)

    with pytest.raises(api_keys.AlreadyRotatedError, match="shown then"):
        rotate(made.key)

    assert stored(made.key).digest == api_keys.digest_of(rotated.secret)


def test_a_rotation_is_recorded_without_secrets(made: api_keys.CreatedKey) -> None:
    rotated = rotate(made.key)

    event = audit.log(made.key.team).get(operation="RotateApiKey")
    assert event.before == {"key": made.key.redacted, "status": "active"}
    assert event.after == {
        "key": rotated.key.redacted,
        "status": "active",
        "old_secret_expires_at": (NOON + DAY).isoformat(),
    }
    assert made.secret not in str(vars(event))
    assert rotated.secret not in str(vars(event))


def test_an_old_secret_can_be_ended_early_once(made: api_keys.CreatedKey) -> None:
    rotate(made.key)
    old = RetiredSecret.of(made.key.team).get()
    end = partial(api_keys.end_secret, key=made.key, retired_id=old.pk, actor=SYSTEM)

    ended, again = end(now=NOON + DAY / 2), end(now=NOON + DAY / 2)

    assert (ended, again) == (True, False)
    assert RetiredSecret.of(made.key.team).get().expires_at == NOON + DAY / 2
    event = audit.log(made.key.team).get(operation="EndRetiredSecret")
    assert event.before
    assert event.before["expires_at"] == (NOON + DAY).isoformat()


@pytest.mark.django_db(transaction=True)
def test_who_rotates_one_key_at_the_same_moment_makes_one_secret() -> None:
    team = make_team()
    key = api_keys.create(team=team, actor=SYSTEM, owner=make_admin(team), name="bot", now=NOON).key

    outcomes = race(*[partial(rotate, stored(key)) for _ in range(5)])

    rotated = [outcome for outcome in outcomes if isinstance(outcome, api_keys.RotatedKey)]
    assert len(rotated) == 1
    assert sum(isinstance(o, api_keys.AlreadyRotatedError) for o in outcomes) == 4
    assert stored(key).digest == api_keys.digest_of(rotated[0].secret)
    assert RetiredSecret.of(team).count() == 1


# --- The page


def url(page: str, key: ApiKey, *more: int) -> str:
    return reverse(f"api_keys:{page}", args=[key.team_id, key.pk, *more])


@pytest.fixture
def admin(client: Client, team: Team) -> Client:
    client.force_login(make_admin(team))
    return client


def test_the_dialog_offers_a_day_of_grace(admin: Client, made: api_keys.CreatedKey) -> None:
    page = admin.get(url("key", made.key) + "?dialog=rotate").content.decode()

    assert "Rotate the secret of returns-bot" in page
    assert '<option value="24" selected>for 24 hours</option>' in page
    assert 'name="rotation" value="0"' in page


@pytest.mark.parametrize(("back", "part"), [("", "api-keys"), ("?back=key", "api-key")])
def test_the_new_secret_is_shown_once_where_the_button_was(
    admin: Client, made: api_keys.CreatedKey, back: str, part: str
) -> None:
    form = {"grace": "24", "rotation": "0"}
    headers = {"HX-Request": "true", "HX-Target": part}

    answer = admin.post(url("rotate", made.key) + back, form, headers=headers)
    again = admin.post(url("rotate", made.key) + back, form, follow=True)

    secret = answer.context["created"].secret
    assert answer.content.decode().strip().startswith(f'<div id="{part}"')
    assert f"<code>{secret}</code>" in answer.content.decode()
    assert made.key.redacted in answer.content.decode()
    assert "no-store" in answer.headers["Cache-Control"]
    assert "cannot be shown again" in again.content.decode()
    assert secret not in again.content.decode()
    assert RetiredSecret.of(made.key.team).count() == 1


@pytest.mark.parametrize(
    "form",
    [
        {"grace": "169", "rotation": "0"},
        {"grace": "x", "rotation": "0"},
        {"grace": "24", "rotation": "x"},
        {"grace": "24", "rotation": "-1"},
        {"grace": "24"},
        {},
    ],
)
def test_a_form_that_makes_no_sense_rotates_nothing(
    admin: Client, made: api_keys.CreatedKey, form: dict[str, str]
) -> None:
    answer = admin.post(url("rotate", made.key), form)

    assert answer.status_code == 200
    assert not RetiredSecret.of(made.key.team).exists()


def test_a_blocked_key_is_rotated_without_grace(admin: Client, made: api_keys.CreatedKey) -> None:
    ApiKey.of(made.key.team).update(blocked_at=NOON)

    page = admin.get(url("key", made.key) + "?dialog=rotate").content.decode()
    answer = admin.post(url("rotate", made.key), {"grace": "168", "rotation": "0"})

    assert "was found in public" in page
    assert "<select" not in page[page.index('id="rotate"') :].split("</dialog>")[0]
    assert "does not work any more" in answer.content.decode()


def test_an_old_secret_is_ended_on_the_keys_page(admin: Client, made: api_keys.CreatedKey) -> None:
    admin.post(url("rotate", made.key), {"grace": "24", "rotation": "0"})
    old = RetiredSecret.of(made.key.team).get()
    before = admin.get(url("key", made.key)).content.decode()

    after = admin.post(url("end_secret", made.key, old.pk), follow=True).content.decode()
    again = admin.post(url("end_secret", made.key, old.pk), follow=True).content.decode()

    assert "Still works" in before
    assert "Still works" not in after
    assert "End now" not in after
    assert "over already" in again


def test_a_secret_of_another_key_is_not_ended(
    admin: Client, made: api_keys.CreatedKey, team: Team
) -> None:
    other = api_keys.create(
        team=team, actor=SYSTEM, owner=make_admin(team), name="other", now=NOON
    ).key
    admin.post(url("rotate", other), {"grace": "24", "rotation": "0"})
    old = RetiredSecret.of(team).get()

    admin.post(url("end_secret", made.key, old.pk))

    assert RetiredSecret.of(team).get().expires_at == old.expires_at


def test_a_colleague_cannot_rotate_the_key(
    client: Client, made: api_keys.CreatedKey, team: Team
) -> None:
    client.force_login(make_member(team))

    answer = client.post(url("rotate", made.key), {"grace": "24", "rotation": "0"})

    assert answer.status_code == 404
    assert not RetiredSecret.of(team).exists()


def test_many_old_secrets_cost_no_more_queries_than_one(
    admin: Client, made: api_keys.CreatedKey, django_assert_num_queries: Any
) -> None:
    rotate(made.key)
    admin.get(url("key", made.key))
    with CaptureQueriesContext(connection) as one:
        admin.get(url("key", made.key))

    for rotation in range(1, 9):
        rotate(made.key, rotation=rotation)

    with django_assert_num_queries(len(one)):
        admin.get(url("key", made.key))
