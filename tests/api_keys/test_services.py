"""What becomes of a key: made once, paused, woken, deleted for good, and found by its secret."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import override_settings
from pytest_django import DjangoAssertNumQueries

from accounts.actors import SYSTEM, Actor
from accounts.models import Membership, Team
from api_keys import services as api_keys
from api_keys.models import ApiKey
from api_keys.rules import KeyNameError
from audit import services as audit
from tests.factories import NOON, make_admin, make_member, make_team

pytestmark = pytest.mark.django_db

LATER = NOON + timedelta(minutes=5)


def make_key(
    team: Team, name: str = "returns-bot", *, key_id: UUID | None = None, now: datetime = NOON
) -> api_keys.CreatedKey:
    owner = make_admin(team)
    return api_keys.create(
        team=team, actor=Actor.for_user(owner), owner=owner, name=name, key_id=key_id, now=now
    )


def stored(created: api_keys.CreatedKey) -> ApiKey:
    return ApiKey.across_teams.get(pk=created.key.pk)


def test_a_secret_is_the_prefix_and_eighty_random_letters_and_digits() -> None:
    team = make_team()
    secrets = {make_key(team).secret for _ in range(5)}

    assert len(secrets) == 5
    for secret in secrets:
        assert re.fullmatch(r"ck-[0-9A-Za-z]{80}", secret)


@override_settings(API_KEY_PREFIX="acme")
def test_the_prefix_is_the_operators() -> None:
    created = make_key(make_team())

    assert created.secret.startswith("acme-")
    assert created.key.redacted == f"acme-…{created.secret[-4:]}"


def test_only_the_digest_and_the_last_four_characters_are_kept() -> None:
    created = make_key(make_team())

    row = ApiKey.across_teams.filter(pk=created.key.pk).values().get()
    assert row["digest"] == api_keys.digest_of(created.secret)
    kept = " ".join(str(value) for value in row.values())
    assert created.secret[:-4] not in kept
    assert created.secret[-8:] not in kept


def test_a_new_key_does_not_show_its_secret_by_accident() -> None:
    created = make_key(make_team())

    assert created.secret not in f"{created} {created!r} {created.key!r}"


def test_a_key_made_twice_from_one_form_is_made_once() -> None:
    team = make_team()
    key_id = uuid4()
    first = make_key(team, key_id=key_id)

    with pytest.raises(api_keys.KeyExistsError, match="cannot be shown again"):
        make_key(team, "another-name", key_id=key_id)

    assert list(ApiKey.of(team)) == [first.key]
    assert stored(first).name == "returns-bot"
    assert audit.log(team).filter(operation="CreateApiKey").count() == 1


def test_only_a_repeated_id_is_called_sent_before() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE api_keys_apikey ADD CHECK (name <> 'returns-bot')")

    with pytest.raises(IntegrityError, match="check constraint"):
        make_key(make_team(), "returns-bot")


def test_a_chosen_id_cannot_reach_a_key_of_another_team() -> None:
    theirs = make_key(make_team())

    with pytest.raises(api_keys.KeyExistsError):
        make_key(make_team(), "mine-now", key_id=theirs.key.pk)

    assert (stored(theirs).name, stored(theirs).team_id) == ("returns-bot", theirs.key.team_id)


def test_two_keys_may_have_the_same_name() -> None:
    team = make_team()

    assert make_key(team).key != make_key(team).key


def test_a_key_without_a_proper_name_is_not_made() -> None:
    team = make_team()

    with pytest.raises(KeyNameError):
        make_key(team, " \t ")

    assert not ApiKey.of(team).exists()
    assert not audit.log(team).exists()


def test_the_database_refuses_a_digest_that_is_none() -> None:
    created = make_key(make_team())

    with pytest.raises(IntegrityError, match="api_key_digest_is_sha256"), transaction.atomic():
        ApiKey.across_teams.filter(pk=created.key.pk).update(digest=created.secret[:64])


def test_a_disabled_key_works_again_when_it_is_enabled() -> None:
    created = make_key(make_team())

    api_keys.disable(key=created.key, actor=SYSTEM, now=NOON)
    disabled = stored(created)
    api_keys.enable(key=created.key, actor=SYSTEM, now=LATER)
    enabled = stored(created)

    assert (disabled.status, disabled.disabled_at, disabled.modified_at) == (
        ApiKey.Status.DISABLED,
        NOON,
        NOON,
    )
    assert (enabled.status, enabled.disabled_at, enabled.modified_at) == (
        ApiKey.Status.ACTIVE,
        None,
        LATER,
    )


def test_every_change_is_recorded_with_what_was_and_what_is() -> None:
    team = make_team()
    key = make_key(team).key
    owner = key.owner
    assert owner

    api_keys.disable(key=key, actor=SYSTEM, now=NOON)
    api_keys.enable(key=key, actor=SYSTEM, now=NOON)
    api_keys.delete(key=key, actor=SYSTEM, now=NOON)

    events = list(audit.log(team).reverse())
    assert [(event.operation, event.before, event.after) for event in events] == [
        (
            "CreateApiKey",
            None,
            {
                "name": "returns-bot",
                "key": key.redacted,
                "owner": owner.display_name,
                "status": "active",
                "acls": ["api-key:endpoint:*", "api-key:model:*"],
            },
        ),
        ("DisableApiKey", {"status": "active"}, {"status": "disabled"}),
        ("EnableApiKey", {"status": "disabled"}, {"status": "active"}),
        ("DeleteApiKey", {"status": "active"}, {"status": "deleted"}),
    ]
    for event in events:
        assert (event.target_type, event.target_id) == ("API key", str(key.pk))
        assert event.target_label == "returns-bot"


@pytest.mark.parametrize(
    "change", [api_keys.disable, api_keys.enable, api_keys.delete], ids=lambda f: f.__name__
)
def test_asking_for_the_same_again_changes_and_records_nothing(change: Callable[..., None]) -> None:
    team = make_team()
    created = make_key(team)
    change(key=created.key, actor=SYSTEM, now=NOON)
    before, events = stored(created), audit.log(team).count()

    change(key=created.key, actor=SYSTEM, now=LATER)

    assert stored(created).modified_at == before.modified_at
    assert audit.log(team).count() == events


def test_a_deleted_key_is_final() -> None:
    created = make_key(make_team())
    api_keys.delete(key=created.key, actor=SYSTEM, now=NOON)

    for change in (api_keys.enable, api_keys.disable):
        with pytest.raises(api_keys.KeyDeletedError, match="returns-bot was deleted and stays"):
            change(key=created.key, actor=SYSTEM, now=LATER)

    assert stored(created).status == ApiKey.Status.DELETED


def test_a_change_made_on_a_stale_page_heeds_what_happened_since() -> None:
    created = make_key(make_team())
    stale = stored(created)
    api_keys.delete(key=created.key, actor=SYSTEM, now=NOON)

    with pytest.raises(api_keys.KeyDeletedError):
        api_keys.disable(key=stale, actor=SYSTEM, now=LATER)


def test_admins_see_all_keys_and_members_their_own() -> None:
    team = make_team()
    theirs = make_key(team).key
    bob = make_member(team)
    own = api_keys.create(team=team, actor=SYSTEM, owner=bob, name="bob", now=NOON).key
    make_key(make_team())
    as_member = Membership.objects.select_related("team").get(team=team, user=bob)
    as_admin = Membership.objects.select_related("team").get(team=team, user=theirs.owner)

    assert set(api_keys.visible_to(as_member)) == {own}
    assert set(api_keys.visible_to(as_admin)) == {own, theirs}


def test_deleted_keys_are_not_visible_but_still_have_a_name() -> None:
    team = make_team()
    key = make_key(team).key
    api_keys.delete(key=key, actor=SYSTEM, now=NOON)
    admin = Membership.objects.select_related("team").get(team=team, user=key.owner)

    assert not api_keys.visible_to(admin).exists()
    assert api_keys.names(team) == {key.pk: "returns-bot"}


def test_keys_are_found_by_the_digests_of_their_secrets_in_one_query(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    first, second = make_key(make_team()), make_key(make_team())
    api_keys.disable(key=second.key, actor=SYSTEM, now=LATER)
    digests = [api_keys.digest_of(s) for s in (first.secret, second.secret, "ck-unknown")]

    with django_assert_num_queries(1):
        found = api_keys.find(digests, now=NOON)

    assert found == {
        digests[0]: api_keys.KeyIdentity(
            id=first.key.pk,
            team_id=first.key.team_id,
            name="returns-bot",
            redacted=first.key.redacted,
            owner_id=first.key.owner_id,
            created_at=NOON,
            modified_at=NOON,
            disabled=False,
            blocked=False,
        ),
        digests[1]: api_keys.KeyIdentity(
            id=second.key.pk,
            team_id=second.key.team_id,
            name="returns-bot",
            redacted=second.key.redacted,
            owner_id=second.key.owner_id,
            created_at=NOON,
            modified_at=LATER,
            disabled=True,
            blocked=False,
        ),
    }


def test_a_deleted_key_is_not_found() -> None:
    created = make_key(make_team())
    api_keys.delete(key=created.key, actor=SYSTEM, now=NOON)

    assert api_keys.find([api_keys.digest_of(created.secret)], now=NOON) == {}


def test_no_digests_need_no_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(0):
        assert api_keys.find([], now=NOON) == {}
        api_keys.touch({})


def test_the_last_use_of_many_keys_is_noted_in_one_query(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    used, unused, nowhere = (make_key(make_team()) for _ in range(3))

    with django_assert_num_queries(1):
        api_keys.touch(
            {
                (used.key.pk, "203.0.113.24"): NOON,
                (nowhere.key.pk, ""): NOON,
                (uuid4(), "2001:db8::1"): NOON,
            }
        )

    assert (stored(used).last_used_at, stored(used).last_used_ip) == (NOON, "203.0.113.24")
    assert (stored(nowhere).last_used_at, stored(nowhere).last_used_ip) == (NOON, None)
    assert stored(unused).last_used_at is None
    assert stored(used).modified_at == NOON


def test_the_last_use_never_goes_back_in_time() -> None:
    created = make_key(make_team())
    api_keys.touch({(created.key.pk, "203.0.113.24"): LATER})

    api_keys.touch({(created.key.pk, "198.51.100.8"): NOON})

    assert (stored(created).last_used_at, stored(created).last_used_ip) == (LATER, "203.0.113.24")


def test_deleting_rolls_back_with_the_callers_transaction() -> None:
    team = make_team()
    created = make_key(team)

    with transaction.atomic():
        api_keys.delete(key=created.key, actor=SYSTEM, now=NOON)
        transaction.set_rollback(True)

    assert stored(created).status == ApiKey.Status.ACTIVE
    assert not audit.log(team).filter(operation="DeleteApiKey").exists()


def test_the_page_of_a_team_with_many_keys_reads_an_index() -> None:
    team = make_team()
    admin = Membership.objects.select_related("team").get(team=team, user=make_admin(team))
    member = Membership.objects.select_related("team").get(team=team, user=make_member(team))
    ApiKey.across_teams.bulk_create(
        ApiKey(
            team=team,
            owner=member.user if serial % 5 == 0 else admin.user,
            name=f"key-{serial}",
            digest=f"{serial:064x}",
            created_at=NOON + timedelta(seconds=serial),
            modified_at=NOON,
        )
        for serial in range(5000)
    )
    with connection.cursor() as cursor:
        # The planner goes by what it knows of the table; of an empty one it would guess.
        cursor.execute("ANALYZE api_keys_apikey")

    for_admin = api_keys.visible_to(admin).newest_first()[:50].explain()
    for_member = api_keys.visible_to(member).newest_first()[:50].explain()

    assert "api_key_list_newest_first" in for_admin
    assert "api_key_own_newest_first" in for_member
    assert "Sort" not in for_admin + for_member


def test_keys_are_named_with_their_owners_also_when_they_are_gone() -> None:
    team, other = make_team(), make_team()
    kept, gone, foreign = make_key(team), make_key(team), make_key(other)
    api_keys.delete(key=gone.key, actor=SYSTEM, now=NOON)

    named = api_keys.named_keys(team, [kept.key.pk, gone.key.pk, foreign.key.pk])

    assert {key_id: key.is_deleted for key_id, key in named.items()} == {
        kept.key.pk: False,
        gone.key.pk: True,
    }
    assert named[gone.key.pk].name == gone.key.name
    assert named[gone.key.pk].owner == gone.key.owner
    assert api_keys.named_keys(team) == named
