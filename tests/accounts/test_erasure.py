"""Erasing a person: nothing that says who it was is left anywhere, and nothing else is lost."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
import time_machine
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.core import mail
from django.db import IntegrityError, connection, connections, transaction
from django.test import Client
from django.utils import timezone
from procrastinate.contrib.django import app

from accounts import services as accounts
from accounts import tasks
from accounts.actors import SYSTEM, Actor
from accounts.models import EmailChange, Invitation, Membership, SignIn, Team, User
from api_keys import services as api_keys
from api_keys.models import ApiKey
from audit import services as audit
from audit.models import AuditEvent
from billing import services as billing
from billing.models import BillingCycle, CreditGrant, Invoice, LedgerEntry
from tests.accounts.people import make_person, sign_in, sign_up
from tests.api_keys.test_concurrency import waiting
from tests.clients import Browser
from tests.factories import NOON, PASSWORD, make_admin, make_team
from tests.servers import until
from usage import services as usage
from usage.models import UsageEvent, UsageRollup

pytestmark = pytest.mark.django_db

NAME, EMAIL = "Wilhelmina Quillfeather", "wilhelmina@quill.example"
OLD_NAME, OLD_EMAIL = "Mina Q.", "mina@old.example"
HOME_IP, PROGRAM_IP, BROWSER = "203.0.113.77", "2001:db8::77", "Quillfox/7.0"
ASKED = NOON
DUE = NOON + accounts.GRACE
CARD = billing.Card(number="4242424242424242", expiry_month=12, expiry_year=2099, cvc="123")


def acting(user: User) -> Actor:
    return Actor.for_user(user, ip=HOME_IP, user_agent=BROWSER)


@pytest.fixture
def person() -> User:
    return accounts.add_person(email=EMAIL, password=PASSWORD, name=NAME, now=NOON)


def ask(user: User, at: datetime = ASKED) -> None:
    accounts.request_deletion(user=user, actor=acting(user), now=at)


def found(*words: str) -> set[tuple[str, str]]:
    """Look for texts in every column of every table that can hold some; say where they are."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT table_name, column_name FROM information_schema.columns
            WHERE table_schema = 'public' AND udt_name IN
                ('text', 'varchar', 'bpchar', 'json', 'jsonb', 'inet', '_text', '_varchar')
            """
        )
        columns = cursor.fetchall()
        patterns = [f"%{word}%" for word in words]
        places = set()
        for table, column in columns:
            cursor.execute(
                f'SELECT 1 FROM "{table}" WHERE "{column}"::text ILIKE ANY (%s) LIMIT 1',  # noqa: S608
                [patterns],
            )
            if cursor.fetchone():
                places.add((table, column))
    return places


def live(person: User, client: Client) -> tuple[Team, Team]:
    """Have the person leave a trace in everything the console keeps; return their teams."""
    own, boss = accounts.personal_team(person), make_admin(shared := make_team("Larkspur"), "Bo")
    sign_in(client, EMAIL)
    accounts.update_profile(
        user=person, name=OLD_NAME, timezone="Europe/Berlin", actor=acting(person), now=NOON
    )
    accounts.update_profile(
        user=person, name=NAME, timezone="Europe/Berlin", actor=acting(person), now=NOON
    )
    accounts.add_member(
        team=shared, user=person, role=Membership.Role.MEMBER, actor=SYSTEM, now=NOON
    )
    client.get(f"/team/{shared.pk}/")
    for team in (own, shared):
        purchase = billing.begin(
            team=team, actor=acting(person), amount_cents=2500, idempotency_key="once", now=NOON
        )
        billing.pay(purchase=purchase, actor=acting(person), card=CARD, now=NOON)
    billing.grant(
        team=own,
        actor=SYSTEM,
        kind=billing.GrantKind.FREE,
        amount_ticks=5,
        label=f"Sorry, {NAME}",
        idempotency_key="sorry",
        now=NOON,
    )
    key = api_keys.create(
        team=own, actor=acting(person), owner=person, name=f"{NAME}'s laptop", now=NOON
    ).key
    api_keys.touch({key.pk: (NOON, PROGRAM_IP)})
    use(own, key.pk, PROGRAM_IP)
    trace_account(person, shared, boss)
    return own, shared


def trace_account(person: User, shared: Team, boss: User) -> None:
    """Fill the tables that pages of the account fill."""
    EmailAddress.objects.create(user=person, email=OLD_EMAIL)
    EmailChange.objects.create(
        user=person, from_email=OLD_EMAIL, to_email=EMAIL, changed_at=NOON, digest="0" * 64
    )
    SocialAccount.objects.create(
        user=person, provider="google", uid="1", extra_data={"email": EMAIL, "name": NAME}
    )
    Authenticator.objects.create(user=person, type=Authenticator.Type.TOTP, data={"secret": "s"})
    SignIn.objects.create(user=person, at=NOON, ip=HOME_IP, device="Quillfox", place="Quillham")
    LogEntry.objects.create(
        user=boss,
        content_type=ContentType.objects.get_for_model(User),
        object_id=str(person.pk),
        object_repr=NAME,
        action_flag=CHANGE,
        change_message=json.dumps([{"changed": {"object": f"{NAME} in Larkspur"}}]),
    )
    for digest, email, by in (("1", EMAIL, boss), ("2", "guest@else.example", person)):
        Invitation.across_teams.create(
            team=shared,
            email=email,
            digest=digest * 64,
            invited_by=by,
            created_at=NOON,
            sent_at=NOON,
            expires_at=NOON + timedelta(days=7),
        )
    audit.record(
        team=shared,
        actor=Actor.for_user(boss),
        operation="InviteMember",
        description=f"Invited {EMAIL.upper()}",
        target_label=EMAIL,
        after={"email": EMAIL, "deep": [{"list": [f"to {EMAIL}."]}]},
        now=NOON,
    )


def use(team: Team, key_id: UUID, *ips: str) -> None:
    """Have the team make one free request from each of the addresses."""
    for ip in ips:
        request = usage.RequestRecord(
            request_id=uuid4(),
            team_id=team.pk,
            key_id=key_id,
            model="grok-4.3",
            cluster="one",
            ip=ip,
            at=NOON,
            status=200,
            streamed=False,
            first_token_ms=None,
            latency_ms=9,
            cost_ticks=0,
            items=[("prompt_text", 10, 0)],
        )
        usage.record([request])


# --- What goes


def test_nothing_that_says_who_it_was_is_left_in_any_table_but_on_issued_receipts(
    person: User,
) -> None:
    client = Browser(REMOTE_ADDR=HOME_IP, headers={"user-agent": BROWSER})
    live(person, client)
    everything = (NAME, EMAIL, OLD_NAME, OLD_EMAIL, HOME_IP, PROGRAM_IP, BROWSER, "Quillham")
    assert len(found(*everything)) > 20  # Or the search would prove nothing.

    ask(person)
    assert accounts.erase_due(now=DUE) == 1
    with time_machine.travel(timezone.now() + timedelta(days=1)):
        tasks.clear_cache(timestamp=0)

    # The law has receipts kept as they were issued; docs/personal-data.md says so.
    assert found(*everything) == {("billing_invoice", "buyer")}


def test_an_erased_account_has_no_rows_that_could_open_it(person: User, client: Client) -> None:
    own, shared = live(person, client)
    key = ApiKey.of(own).get()
    ask(person)

    accounts.erase_due(now=DUE)

    for model in (EmailAddress, Authenticator, SocialAccount, SignIn, EmailChange, Membership):
        assert not model.objects.filter(user=person).exists(), model
    assert not Invitation.across_teams.filter(email=EMAIL).exists()
    assert Invitation.of(shared).get().invited_by is None
    person.refresh_from_db()
    assert (person.is_active, person.has_usable_password()) == (False, False)
    assert (person.timezone, person.last_login, person.last_team) == ("UTC", None, None)
    own.refresh_from_db()
    assert own.closed_at == DUE
    key.refresh_from_db()
    assert (key.status, key.name) == (ApiKey.Status.DELETED, "Deleted key")


def test_who_signed_in_to_think_about_it_is_signed_out_by_the_erasure(person: User) -> None:
    ask(person)
    sign_in(Client(), EMAIL)
    assert Session.objects.exists()

    accounts.erase_due(now=DUE)

    assert not Session.objects.exists()
    assert not UserSession.objects.exists()


def test_staff_who_are_erased_are_staff_no_more() -> None:
    staff = make_person("Sam", is_staff=True, is_superuser=True)
    staff.user_permissions.add(Permission.objects.get(codename="view_team"))
    ask(staff)

    accounts.erase_due(now=DUE)

    staff.refresh_from_db()
    assert not any(accounts.standing(staff).values())


def test_who_is_erased_can_never_sign_in_and_their_address_is_free(person: User) -> None:
    ask(person)
    accounts.erase_due(now=DUE)

    again, reset = Client(), Client()
    assert "is not right" in sign_in(again, EMAIL).content.decode()
    for email in (EMAIL, f"deleted-{person.pk}@invalid"):
        reset.post("/accounts/password/reset/", {"email": email})
        assert not any("/password/reset/key/" in str(m.body) for m in mail.outbox)
    person.refresh_from_db()
    again.force_login(person)
    assert again.get("/account/").status_code == 302

    sign_up(Client(), EMAIL)

    newcomer = User.objects.get(email=EMAIL)
    assert newcomer.pk != person.pk
    assert accounts.personal_team(newcomer).closed_at is None


# --- What stays


def test_the_books_are_right_afterwards_and_say_what_was_forfeited(
    person: User, client: Client
) -> None:
    own, shared = live(person, client)
    receipts = list(Invoice.across_teams.order_by("pk").values())
    ask(person)

    accounts.erase_due(now=DUE)

    assert list(billing.differences()) == []
    assert list(Invoice.across_teams.order_by("pk").values()) == receipts
    assert billing.balance(own, now=DUE).total_ticks == 0
    lost = LedgerEntry.of(own).filter(kind=LedgerEntry.Kind.FORFEIT)
    assert sum(entry.amount_ticks for entry in lost) == -25 * billing.TICKS_PER_USD - 5
    assert billing.balance(shared, now=DUE).prepaid_ticks == 25 * billing.TICKS_PER_USD
    assert CreditGrant.of(shared).get().label == f"Bought by {person.pseudonym}"
    # What staff typed is not cut up, but replaced by what the credits are.
    assert {grant.label for grant in CreditGrant.of(own)} == {
        f"Bought by {person.pseudonym}",
        "Free",
    }


def test_the_log_keeps_every_event_and_all_of_them_say_the_same_person(
    person: User, client: Client
) -> None:
    _, shared = live(person, client)
    ask(person)
    kept = list(AuditEvent.across_teams.order_by("pk").values("pk", "operation", "happened_at"))

    accounts.erase_due(now=DUE)

    for event in kept:
        assert AuditEvent.across_teams.filter(**event).exists(), event
    own = AuditEvent.across_teams.filter(user=person)
    assert {event.actor_label for event in own} == {person.pseudonym}
    assert person.pseudonym == f"Deleted account {str(person.pk)[:8]}"
    assert audit.log(shared).get(operation="AddMember").description == (
        f"Added {person.pseudonym} to the team"
    )
    invited = audit.log(shared).get(operation="InviteMember")
    assert invited.actor_label == "Bo"
    assert invited.description == f"Invited {person.pseudonym}"
    assert invited.after == {
        "email": person.pseudonym,
        "deep": [{"list": [f"to {person.pseudonym}."]}],
    }
    assert audit.log(shared).filter(operation="EraseAccount").count() == 1


def test_usage_keeps_its_sums_without_the_addresses(person: User) -> None:
    own, key_id = accounts.personal_team(person), uuid4()
    use(own, key_id, HOME_IP, PROGRAM_IP, "0.0.0.0")  # noqa: S104 -- as unknown ones are kept
    others = make_team()
    use(others, key_id, HOME_IP)
    ask(person)

    accounts.erase_due(now=DUE)

    sums = UsageRollup.of(own).values_list("ip", "item", "quantity", "requests")
    assert list(sums) == [("0.0.0.0", "prompt_text", 30, 3)]  # noqa: S104
    assert {event.ip for event in UsageEvent.of(own)} == {"0.0.0.0"}  # noqa: S104
    assert UsageRollup.of(others).get().ip == HOME_IP


def test_others_keep_their_names_and_addresses(person: User) -> None:
    namesake = make_admin(team := make_team("Larkspur"), NAME)
    also = User.objects.create_user(EMAIL, None, name="Her other account")
    audit.record(
        team=team,
        actor=Actor.for_user(namesake),
        operation="Greet",
        description=f"Greeted {NAME}, x{EMAIL}, {EMAIL}x and mail.{EMAIL}",
        now=NOON,
    )
    accounts.announce(
        operation="SignUp", description=f"Signed up with {EMAIL}", user=also, actor=SYSTEM, now=NOON
    )
    ask(person)

    accounts.erase_due(now=DUE)

    event = audit.log(team).get(operation="Greet")
    assert event.actor_label == NAME
    assert event.description == f"Greeted {NAME}, x{EMAIL}, {EMAIL}x and mail.{EMAIL}"
    mine = audit.log(accounts.personal_team(also)).get(operation="SignUp")
    assert mine.description == f"Signed up with {EMAIL}"
    also.refresh_from_db()
    assert also.email == EMAIL


@pytest.mark.parametrize("name", ["Al", "A.*b+ (c) [d] \\1 {e}^$|?", "Zoë Ünal", 'O\'Neill "q"'])
def test_names_of_any_letters_are_replaced_as_whole_words(name: str) -> None:
    user = make_person(name)
    audit.record(
        team=accounts.personal_team(user),
        actor=SYSTEM,
        operation="Note",
        description=f"{name}: Alice met ({name}).",
        now=NOON,
    )
    ask(user)

    accounts.erase_due(now=DUE)

    event = AuditEvent.across_teams.get(operation="Note")
    assert event.description == f"{user.pseudonym}: Alice met ({user.pseudonym})."


def test_of_what_they_did_with_their_account_only_what_and_when_is_kept(person: User) -> None:
    accounts.announce(
        operation="RenameSecondFactor",
        description="Renamed a passkey to Mina's phone",
        user=person,
        before={"second_factors": ["Passkey Minas old phone", "Authenticator app"], "left": 3},
        after={"sessions": [{"from": f"Quillham, {HOME_IP}"}], "is_new": True},
        actor=acting(person),
        now=NOON,
    )
    ask(person)

    accounts.erase_due(now=DUE)

    event = AuditEvent.across_teams.get(operation="RenameSecondFactor")
    assert event.description == "RenameSecondFactor"
    who = person.pseudonym
    assert (event.before, event.after) == (
        {"second_factors": [who, who], "left": 3},
        {"sessions": [{"from": who}], "is_new": True},
    )
    assert found("Mina", HOME_IP) == set()


# --- When


def test_nobody_is_erased_before_their_30_days_are_over_nor_twice(person: User) -> None:
    ask(person)

    assert accounts.erase_due(now=DUE - timedelta(seconds=1)) == 0
    assert accounts.erase_due(now=DUE) == 1
    assert accounts.erase_due(now=DUE + timedelta(days=1)) == 0


def test_who_was_restored_is_not_erased(person: User) -> None:
    ask(person)
    accounts.restore(user=person, actor=acting(person), now=NOON + timedelta(days=29))

    assert accounts.erase_due(now=DUE + timedelta(days=365)) == 0

    person.refresh_from_db()
    assert person.email == EMAIL


def test_an_account_with_a_debt_waits_and_does_not_keep_others_waiting(
    person: User, caplog: pytest.LogCaptureFixture
) -> None:
    other = make_person()
    ask(person)
    ask(other, ASKED + timedelta(seconds=1))
    BillingCycle.across_teams.create(
        team=accounts.personal_team(person), month=NOON.date().replace(day=1), accrued_ticks=9
    )

    assert accounts.erase_due(now=DUE + timedelta(days=1)) == 1

    person.refresh_from_db()
    other.refresh_from_db()
    assert (person.erased_at, bool(other.erased_at)) == (None, True)
    assert "still to be invoiced" in caplog.text
    assert EMAIL not in caplog.text


def test_a_failure_is_undone_whole_and_the_job_fails_after_the_rest_is_done(person: User) -> None:
    other = make_person()
    ask(person)
    ask(other, ASKED + timedelta(seconds=1))
    # A row that no code of ours makes, and that keeps the personal team from being found.
    Team.objects.filter(pk=accounts.personal_team(person).pk).update(is_personal=False)

    with pytest.raises(accounts.ErasureError, match=r"1 account could not be erased\."):
        accounts.erase_due(now=DUE + timedelta(days=1))

    person.refresh_from_db()
    other.refresh_from_db()
    assert (person.email, person.erased_at) == (EMAIL, None)
    assert other.erased_at is not None


def test_the_job_runs_every_day(person: User) -> None:
    ask(person)
    with time_machine.travel(DUE + timedelta(hours=1)):
        tasks.erase_accounts(timestamp=0)

    person.refresh_from_db()
    assert person.erased_at is not None
    periodic = app.periodic_registry.periodic_tasks.values()
    assert "40 3 * * *" in {p.cron for p in periodic if p.task.name.endswith("erase_accounts")}


@pytest.mark.django_db(transaction=True)
def test_who_restores_first_keeps_the_account_though_the_job_is_at_it_already() -> None:
    user = make_person()
    ask(user)

    def erase() -> int:
        try:
            return accounts.erase_due(now=DUE)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            accounts.restore(user=user, actor=SYSTEM, now=DUE)
            erasing = pool.submit(erase)
            until(lambda: waiting() == 1, "the job to meet the lock")
        assert erasing.result() == 0

    user.refresh_from_db()
    assert user.is_active
    assert audit.log(accounts.personal_team(user))[0].operation == "RestoreAccount"


@pytest.mark.django_db(transaction=True)
def test_who_restores_while_the_job_is_at_it_comes_too_late() -> None:
    user = make_person()
    ask(user)

    def restore() -> str:
        try:
            accounts.restore(user=user, actor=SYSTEM, now=DUE)
        except accounts.AlreadyErasedError as error:
            return str(error)
        finally:
            connections.close_all()
        return "restored"

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            assert accounts.erase_due(now=DUE) == 1
            restoring = pool.submit(restore)
            until(lambda: waiting() == 1, "the person to meet the lock")
        assert "cannot be restored" in restoring.result()

    assert not AuditEvent.across_teams.filter(operation="RestoreAccount").exists()


def test_who_restores_too_late_is_told(client: Client) -> None:
    user = make_person()
    ask(user)
    client.force_login(user)
    accounts.erase_due(now=DUE)

    with pytest.raises(accounts.AlreadyErasedError, match="cannot be restored"):
        accounts.restore(user=user, actor=SYSTEM, now=DUE)

    assert client.get("/account/restore/").headers["Location"].startswith("/accounts/login/")


# --- The database's own guard


def test_the_log_cannot_be_changed_in_the_name_of_an_erasure(person: User) -> None:
    stranger = make_person("Eve")
    ask(person)
    accounts.erase_due(now=DUE)
    event = AuditEvent.across_teams.filter(user=person).first()
    other = AuditEvent.across_teams.filter(user=stranger).first()
    assert event is not None
    assert other is not None

    def refused(sql: str, row: AuditEvent, whom: User | None, **words: list[str]) -> None:
        erasing = whom and {
            "person": str(whom.pk),
            "team": str(uuid4()),
            "names": [],
            "addresses": [],
            "own_addresses": [],
            **words,
        }
        setting = json.dumps(erasing) if erasing else ""
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('console.erasing', %s, true)", [setting])
            with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
                cursor.execute(f"{sql} WHERE id = %s", [row.pk])

    update, delete = "UPDATE audit_auditevent SET", "DELETE FROM audit_auditevent"
    refused(f"{update} ip = NULL, user_agent = ''", other, None)
    refused(f"{update} ip = NULL, user_agent = ''", other, stranger)  # Who was not erased.
    refused(f"{update} actor_label = 'Nobody'", other, person)
    refused(f"{update} actor_label = 'Nobody'", event, person)
    refused(f"{update} outcome = 'failed', is_change = false", event, person)
    refused(f"{update} operation = 'Nothing'", event, person)
    refused(f"{update} happened_at = now()", event, person)
    refused(f"{update} user_id = NULL", event, person)
    refused(f"{update} description = 'x'", event, person, names=["Asked"])
    refused(delete, event, person)
    refused(delete, other, person)


def test_people_who_were_not_erased_cannot_be_redacted(person: User) -> None:
    known = accounts.KnownAs(names=[NAME], addresses=[EMAIL], own_addresses=[EMAIL])

    with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
        audit.redact(user=person, team=accounts.personal_team(person), known=known)
