"""What the tests of members, invitations and team settings share."""

from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import services as accounts
from accounts.actors import SYSTEM
from accounts.models import Invitation, Membership, Team, User
from tests.accounts.people import last_mail, path_in
from tests.clients import Browser

GUEST = "erin@example.test"


def browser_of(user: User, *, age: int = 0) -> Browser:
    client = Browser()
    client.force_login(user, age=age)
    return client


def url(name: str, team: Team, *args: object) -> str:
    return reverse(f"accounts_team:{name}", args=[team.pk, *args])


def send(client: Client, page: str, team: Team, /, *args: object, **form: str) -> HttpResponse:
    return client.post(url(page, team, *args), form)  # type: ignore[return-value]


def html_of(message: EmailMessage) -> str:
    assert isinstance(message, EmailMultiAlternatives)
    return str(message.alternatives[0][0])


def page_of(client: Client, team: Team, name: str = "members", **query: str) -> str:
    answer = client.get(url(name, team), query)
    assert answer.status_code == 200
    return answer.content.decode()


def standing(team: Team, user: User) -> tuple[str, list[str]]:
    membership = Membership.objects.get(team=team, user=user)
    return membership.role, membership.extra_permissions


def is_in(team: Team, user: User) -> bool:
    return Membership.objects.filter(team=team, user=user).exists()


def offer(team: Team, email: str = GUEST, role: Membership.Role = Membership.Role.MEMBER) -> str:
    """Invite somebody; return the path of the link that was mailed."""
    accounts.invite(
        team=team,
        emails=[email],
        role=role,
        extra_permissions=[],
        actor=SYSTEM,
        now=timezone.now(),
    )
    return path_in(last_mail())


def token_in(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def only(team: Team) -> Invitation:
    return accounts.waiting_invitations(team).get()
