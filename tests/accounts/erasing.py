"""What tests of erasing share: a person who leaves a trace everywhere, and a search for it."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test import Client

from accounts import services as accounts
from accounts.actors import SYSTEM, Actor, ActorKind
from accounts.models import EmailChange, Invitation, Membership, SignIn, Team, User
from api_keys import services as api_keys
from audit import services as audit
from billing import services as billing
from tests.accounts.people import last_mail, path_in, sign_in
from tests.accounts.social import with_x
from tests.factories import NOON, PASSWORD, make_admin, make_team, make_user
from usage import services as usage

NAME, EMAIL = "Wilhelmina Quillfeather", "wilhelmina@quill.example"
OLD_NAME, OLD_EMAIL = "Mina Q.", "mina@old.example"
# What their accounts elsewhere are called.
GOOGLE_EMAIL, HANDLE = "mina.q@mail.example", "@quillish"
HOME_IP, PROGRAM_IP, BROWSER = "203.0.113.77", "2001:db8::77", "Quillfox/7.0"
ASKED = NOON
DUE = NOON + accounts.GRACE
CARD = billing.Card(number="4242424242424242", expiry_month=12, expiry_year=2099, cvc="123")


def acting(user: User) -> Actor:
    return Actor.for_user(user, ip=HOME_IP, user_agent=BROWSER)


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
    # After the purchase: a receipt would keep it, as the law requires.
    billing.save_details(
        team=own,
        actor=acting(person),
        details=billing.Details(
            name=f"Office of {HANDLE}", email=OLD_EMAIL, line1="Quillham", city="A", country="GB"
        ),
        seen_at=None,
        now=NOON,
    )
    key = api_keys.create(
        team=own, actor=acting(person), owner=person, name=f"{NAME}'s laptop", now=NOON
    ).key
    api_keys.touch({(key.pk, PROGRAM_IP): NOON})
    api_keys.report_leak(
        key=key,
        reporter=api_keys.Reporter.STAFF,
        source=f"gist of {HANDLE}",
        url="https://gist.example/Quillham",
        actor=SYSTEM,
        now=NOON,
    )
    use(own, key.pk, PROGRAM_IP)
    usage.feed(now=NOON)
    trace_account(person, shared, boss)
    live_with_others(person)
    return own, shared


def trace_account(person: User, shared: Team, boss: User) -> None:
    """Fill the tables that pages of the account fill."""
    EmailAddress.objects.create(user=person, email=OLD_EMAIL)
    EmailChange.objects.create(
        user=person, from_email=OLD_EMAIL, to_email=EMAIL, changed_at=NOON, digest="0" * 64
    )
    SocialAccount.objects.create(
        user=person, provider="google", uid="1", extra_data={"name": GOOGLE_EMAIL}
    )
    with_x(person, name=HANDLE)
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
        team=accounts.personal_team(person),
        actor=SYSTEM,
        operation="Answer",
        description=f"Answered {HANDLE}",
        now=NOON,
    )
    audit.record(
        team=shared,
        actor=Actor.for_user(boss),
        operation="InviteMember",
        description=f"Invited {EMAIL.upper()}",
        target_label=EMAIL,
        after={"email": EMAIL, "deep": [{"list": [f"to {EMAIL}.", GOOGLE_EMAIL]}]},
        now=NOON,
    )


def live_with_others(person: User) -> None:
    """Have others do everything with the person that people do with each other in teams."""
    boss = make_admin(shared := make_team("Harbour"), "Cy")
    by_boss, by_person = Actor.for_user(boss), acting(person)
    guest = accounts.add_person(email="guest@quay.example", password=PASSWORD, name="Gil", now=NOON)

    def change(role: Membership.Role) -> None:
        accounts.update_member(
            team=shared, user=person, role=role, extra_permissions=[], actor=by_boss, now=NOON
        )

    def offer(team: Team, email: str, actor: Actor) -> str:
        accounts.invite(
            team=team,
            emails=[email],
            role=Membership.Role.ADMIN,
            extra_permissions=[],
            actor=actor,
            now=NOON,
        )
        return path_in(last_mail()).rstrip("/").rpartition("/")[2]

    def accept(token: str, user: User) -> None:
        accounts.accept_invitation(token=token, user=user, actor=Actor.for_user(user), now=NOON)

    accept(offer(shared, EMAIL, by_boss), person)
    change(Membership.Role.MEMBER)
    change(Membership.Role.ADMIN)
    accept(offer(shared, guest.email, by_person), guest)
    accounts.set_mfa_policy(team=shared, required=False, actor=by_person, now=NOON)
    accounts.rename_team(team=shared, name="Harbour Two", actor=by_person, now=NOON)
    made = api_keys.create(team=shared, actor=by_person, owner=person, name="bot", now=NOON)
    api_keys.disable(key=made.key, actor=by_boss, now=NOON)
    accounts.leave_team(team=shared, user=person, actor=by_person, now=NOON)
    token = offer(shared, EMAIL, Actor.for_user(guest))
    accept(token, person)
    accounts.remove_member(team=shared, user=person, actor=by_boss, now=NOON)
    offer(shared, EMAIL, by_boss)
    [invitation] = accounts.waiting_invitations(shared).filter(email=EMAIL)
    accounts.resend_invitation(invitation=invitation, actor=by_boss, now=NOON)
    [invitation] = accounts.waiting_invitations(shared).filter(email=EMAIL)
    accounts.revoke_invitation(invitation=invitation, actor=by_boss, now=NOON)
    accounts.add_member(
        team=shared, user=person, role=Membership.Role.MEMBER, actor=by_boss, now=NOON
    )
    for name, owner, member in (("Mine", person, guest), ("Yours", guest, person)):
        team = accounts.create_team(name=name, owner=owner, actor=Actor.for_user(owner), now=NOON)
        accept(offer(team, member.email, Actor.for_user(owner)), member)
        accounts.delete_team(team=team, actor=Actor.for_user(guest), now=NOON)
    live_with_support(person)


def live_with_support(person: User) -> None:
    """Have support close the account and open it again, and take part in deleting it."""
    staff = replace(Actor.for_user(make_user("Sam")), kind=ActorKind.STAFF)
    for active in (False, True):
        before = accounts.standing(person)
        person.is_active = active
        person.save()
        accounts.announce_standing(person=person, before=before, actor=staff, now=NOON)
    reason = f"{NAME} wrote to us from {EMAIL}"
    accounts.request_deletion(user=person, actor=staff, reason=reason, now=NOON)
    accounts.restore(user=person, actor=acting(person), now=NOON)


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
