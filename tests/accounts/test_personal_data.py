"""The copy of one's data: everything that is kept about a person, and no secret among it."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from allauth.socialaccount.models import SocialAccount
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import services as accounts
from accounts.actors import SYSTEM, Actor
from accounts.models import EmailChange, Invitation, Membership, SignIn, User
from api_keys import services as api_keys
from audit import services as audit
from audit.models import AuditEvent
from billing import services as billing
from tests.accounts.people import make_person, sign_in
from tests.billing.codes import make_code, redeem
from tests.billing.spending import card
from tests.clients import Browser
from tests.factories import NOON, make_team

pytestmark = pytest.mark.django_db
DATA = "/account/data/"
# What allauth keeps of a factor beside its name.
SECRET = {"secret", "seed", "credential", "migrated_codes"}


def download(client: Browser) -> dict[str, Any]:
    answer = client.post(DATA)
    assert answer.status_code == 200
    copy: dict[str, Any] = json.loads(answer.content)
    return copy


def fill(person: User, number: int = 1) -> None:
    """Give the person one more of everything."""
    team, actor = make_team(f"Larkspur {number}"), Actor.for_user(person)
    accounts.add_member(team=team, user=person, role=Membership.Role.MEMBER, actor=SYSTEM, now=NOON)
    api_keys.create(team=team, actor=actor, owner=person, name=f"key {number}", now=NOON)
    purchase = billing.begin(
        team=team, actor=actor, amount_cents=2500, idempotency_key="once", now=NOON
    )
    billing.pay(purchase=purchase, actor=actor, card=card(), now=NOON)
    make_code(f"CODE-{number}")
    redeem(team, f"CODE-{number}", actor=actor)
    SignIn.objects.create(user=person, at=NOON, ip="203.0.113.7", device="Firefox", place="Rome")
    SocialAccount.objects.create(
        user=person, provider="github", uid=f"gh-{number}", extra_data={"name": f"zoe-{number}"}
    )
    EmailChange.objects.create(
        user=person,
        from_email=f"old-{number}@example.test",
        to_email=person.email,
        changed_at=NOON,
        digest=f"{number:064}",
    )
    Invitation.across_teams.create(
        team=team,
        email=f"guest-{number}@example.test",
        digest=f"f{number:063}",
        invited_by=person,
        created_at=NOON,
        sent_at=NOON,
        expires_at=NOON + timedelta(days=7),
    )


def test_it_is_a_readable_file_with_every_kind_of_data() -> None:
    person = make_person("Zoë Larkspur")
    fill(person)
    TOTP.activate(person, generate_totp_secret())
    client = Browser()
    client.force_login(person)

    assert "Download file" in client.get(DATA).content.decode()
    answer = client.post(DATA)

    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert re.fullmatch(
        r'attachment; filename="account-\d{4}-\d\d-\d\d\.json"',
        answer.headers["Content-Disposition"],
    )
    assert "no-store" in answer.headers["Cache-Control"]
    assert '\n  "account": {\n    "id": ' in answer.content.decode()
    assert '"name": "Zoë Larkspur"' in answer.content.decode()
    copy = json.loads(answer.content)
    assert copy["account"]["email"] == person.email
    assert copy["email_addresses"] == [{"email": person.email, "verified": True, "primary": True}]
    assert [(m["method"], m.get("name")) for m in copy["sign_in_methods"]] == [
        ("password", None),
        ("github", "zoe-1"),
    ]
    assert [factor["kind"] for factor in copy["second_factors"]] == ["TOTP Authenticator"]
    assert copy["sign_ins"] == [
        {"at": "2026-03-01T12:00:00Z", "ip": "203.0.113.7", "device": "Firefox", "place": "Rome"}
    ]
    assert [(team["name"], team["role"]) for team in copy["teams"]] == [
        ("Zoë Larkspur", "Admin"),
        ("Larkspur 1", "Member"),
    ]
    assert copy["invitations_sent"][0]["email"] == "guest-1@example.test"
    assert copy["email_changes"][0]["from_email"] == "old-1@example.test"
    assert [(key["name"], key["status"]) for key in copy["api_keys"]] == [("key 1", "Active")]
    assert [(p["amount_cents"], p["card"]) for p in copy["purchases"]] == [
        (2500, "Visa ending 4242")
    ]
    assert copy["promo_codes"] == [
        {"team": "Larkspur 1", "code": "CODE-1", "redeemed_at": "2026-03-01T12:00:00Z"}
    ]
    assert {"BuyCredits", "CreateApiKey"} <= {e["operation"] for e in copy["audit_events"]}


def test_sessions_are_in_it() -> None:
    person = make_person()
    client = Browser(REMOTE_ADDR="203.0.113.9", headers={"user-agent": "Quillfox/7"})
    sign_in(client, person.email)

    [session] = download(client)["sessions"]

    assert (session["ip"], session["user_agent"]) == ("203.0.113.9", "Quillfox/7")


def test_no_secret_digest_or_token_is_in_it() -> None:
    person = make_person()
    client = Browser()
    sign_in(client, person.email)
    session_key = client.session.session_key
    fill(person)
    team = accounts.personal_team(person)
    made = api_keys.create(
        team=team, actor=Actor.for_user(person), owner=person, name="bot", now=NOON
    )
    totp_secret = generate_totp_secret()
    TOTP.activate(person, totp_secret)
    codes = RecoveryCodes.activate(person).get_unused_codes()
    Authenticator.objects.create(
        user=person,
        type=Authenticator.Type.WEBAUTHN,
        data={"name": "My phone", "credential": {"id": "credential-id-of-a-passkey"}},
    )

    text = client.post(DATA).content.decode()

    person.refresh_from_db()
    stored = Authenticator.objects.filter(user=person)
    secrets = [
        person.password,
        person.password.split("$")[-1],
        made.secret,
        made.key.digest,
        totp_secret,
        *codes,
        *(str(factor.data[field]) for factor in stored for field in factor.data if field in SECRET),
        "credential-id-of-a-passkey",
        f"{1:064}",
        f"f{1:063}",
        str(session_key),
    ]
    assert [secret for secret in secrets if secret in text] == []
    assert not re.search(r"argon2|[0-9a-f]{64}", text)
    for field in ("digest", "token", "secret", "session_key", "hash"):
        assert f'"{field}' not in text
    assert "My phone" in text


def test_it_asks_for_proof_first_and_is_written_down() -> None:
    person = make_person()
    late, client = Browser(), Browser()
    late.force_login(person, age=16 * 60)
    for answer in (late.get(DATA), late.post(DATA)):
        assert answer.status_code == 302

    client.force_login(person)
    download(client)

    events = audit.log(accounts.personal_team(person)).filter(operation="DownloadPersonalData")
    assert events.count() == 1


def test_others_are_not_in_it() -> None:
    person, other = make_person(), make_person("Somebody Else")
    fill(other)
    client = Browser()
    client.force_login(person)

    text = json.dumps(download(client))

    assert "Somebody Else" not in text
    assert other.email not in text
    assert "guest-1" not in text


def test_a_long_log_is_cut_and_says_so() -> None:
    person = make_person()
    AuditEvent.across_teams.bulk_create(
        AuditEvent(
            happened_at=NOON + timedelta(minutes=number),
            operation="Note",
            description=f"Note {number}",
            actor_kind="user",
            actor_label=person.name,
            user=person,
        )
        for number in range(10_000)
    )
    client = Browser()
    client.force_login(person)

    copy = download(client)

    # The newest is that of this download.
    assert len(copy["audit_events"]) == 10_000
    assert copy["audit_events"][1]["description"] == "Note 9999"
    assert copy["audit_events"][-1]["description"] == "Note 1"
    assert copy["audit_events_note"] == (
        "These are the newest 10,000 events. Ask support for older ones."
    )


def test_much_data_costs_no_more_queries_than_little() -> None:
    person = make_person()
    client = Browser()
    client.force_login(person)
    fill(person)
    download(client)
    with CaptureQueriesContext(connection) as few:
        download(client)
    for number in range(2, 12):
        fill(person, number)

    with CaptureQueriesContext(connection) as many:
        download(client)

    assert len(many) == len(few)
