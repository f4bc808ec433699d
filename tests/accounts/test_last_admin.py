"""A team is never left without an admin, nor joined twice, also by two requests at once."""

from collections.abc import Callable
from functools import partial

import pytest
from django.db import OperationalError

from accounts import services as accounts
from accounts.actors import SYSTEM, Actor
from accounts.consequences import BlockedError
from accounts.models import Membership, Team, User
from audit import services as audit
from tests.accounts.people import make_person
from tests.accounts.teamwork import offer, token_in
from tests.factories import NOON, make_admin, make_team
from tests.races import race

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 5


def demoting(team: Team, user: User, by: User) -> Callable[[], None]:
    return lambda: accounts.update_member(
        team=team,
        user=user,
        role=Membership.Role.MEMBER,
        extra_permissions=[],
        actor=Actor.for_user(by),
        now=NOON,
    )


def removing(team: Team, user: User, by: User) -> Callable[[], None]:
    return lambda: accounts.remove_member(team=team, user=user, actor=Actor.for_user(by), now=NOON)


def leaving(team: Team, user: User) -> Callable[[], None]:
    return lambda: accounts.leave_team(team=team, user=user, actor=Actor.for_user(user), now=NOON)


def admins(team: Team) -> int:
    return Membership.objects.filter(team=team, role=Membership.Role.ADMIN).count()


@pytest.mark.parametrize(
    "acts",
    [
        lambda team, one, other: (demoting(team, other, one), demoting(team, one, other)),
        lambda team, one, other: (removing(team, other, one), removing(team, one, other)),
        lambda team, one, other: (leaving(team, one), leaving(team, other)),
        lambda team, one, other: (leaving(team, one), removing(team, other, one)),
        lambda team, one, other: (leaving(team, one), demoting(team, other, one)),
        lambda team, one, other: (demoting(team, one, one), leaving(team, other)),
    ],
    ids=[
        "demote each other",
        "remove each other",
        "both leave",
        "leave and remove",
        "leave and demote",
        "step down and leave",
    ],
)
def test_one_of_two_admins_stays_whatever_both_do_at_once(
    acts: Callable[[Team, User, User], tuple[Callable[[], None], ...]],
) -> None:
    for _ in range(ROUNDS):
        team = make_team()
        one, other = make_admin(team), make_admin(team)

        results = race(*acts(team, one, other))

        assert admins(team) == 1
        assert results.count(None) == 1
        [refused] = [result for result in results if result is not None]
        assert isinstance(refused, accounts.LastAdminError | accounts.NotPermittedError), refused


def test_an_invitation_accepted_twice_at_once_is_one_membership() -> None:
    team, guest = make_team(), make_person()
    token = token_in(offer(team, guest.email))

    def accept() -> Team:
        return accounts.accept_invitation(
            token=token, user=guest, actor=Actor.for_user(guest), now=NOON
        )

    results = race(accept, accept, accept)

    assert results == [team] * 3
    assert Membership.objects.filter(team=team, user=guest).count() == 1
    assert audit.log(team).filter(operation="AcceptInvitation").count() == 1


def test_an_invitation_used_by_two_accounts_at_once_lets_one_of_them_in() -> None:
    team, first = make_team(), make_person()
    second = make_person()
    # Both have confirmed the address, as two accounts of one mailbox may.
    second.emailaddress_set.create(email=first.email, verified=True)  # type: ignore[attr-defined]
    token = token_in(offer(team, first.email, Membership.Role.ADMIN))

    def accepting(user: User) -> Callable[[], Team]:
        return lambda: accounts.accept_invitation(
            token=token, user=user, actor=Actor.for_user(user), now=NOON
        )

    results = race(accepting(first), accepting(second))

    assert Membership.objects.filter(team=team).count() == 1
    assert [type(result) for result in results if result != team] == [accounts.InvitationOverError]


def test_a_team_that_is_deleted_while_somebody_joins_ends_without_members() -> None:
    for _ in range(ROUNDS):
        team, guest = make_team(), make_person()
        admin = make_admin(team)
        token = token_in(offer(team, guest.email))

        race(
            partial(accounts.delete_team, team=team, actor=Actor.for_user(admin), now=NOON),
            partial(
                accounts.accept_invitation,
                token=token,
                user=guest,
                actor=Actor.for_user(guest),
                now=NOON,
            ),
        )

        team.refresh_from_db()
        assert team.closed_at == NOON
        assert not Membership.objects.filter(team=team).exists()


# --- How many teams, and whether at all


def creating(user: User, name: str = "One more") -> Callable[[], Team]:
    return lambda: accounts.create_team(name=name, owner=user, actor=Actor.for_user(user), now=NOON)


def asking_to_be_deleted(user: User) -> Callable[[], None]:
    return lambda: accounts.request_deletion(user=user, actor=Actor.for_user(user), now=NOON)


def joining(team: Team, user: User) -> Callable[[], Membership]:
    return lambda: accounts.add_member(
        team=team, user=user, role=Membership.Role.ADMIN, actor=SYSTEM, now=NOON
    )


def test_nobody_comes_into_more_teams_than_allowed_by_many_requests_at_once() -> None:
    person = make_person()
    for _ in range(accounts.MAX_TEAMS - 2):
        Membership.objects.create(team=make_team(), user=person)

    results = race(*[creating(person)] * 3, joining(make_team(), person))

    refused = [result for result in results if isinstance(result, Exception)]
    assert [type(error) for error in refused] == [accounts.TooManyTeamsError] * 3
    assert Membership.objects.filter(user=person).count() == accounts.MAX_TEAMS


def test_a_team_made_while_its_person_asks_to_be_deleted_is_refused_or_stops_that() -> None:
    for _ in range(ROUNDS):
        person = make_person()

        made, asked = race(creating(person), asking_to_be_deleted(person))

        if isinstance(made, accounts.LeavingError):
            assert asked is None
        else:
            assert isinstance(made, Team), made
            assert isinstance(asked, BlockedError), asked


def test_who_joins_and_asks_to_be_deleted_at_once_is_not_counted_on_as_the_other_admin() -> None:
    for _ in range(ROUNDS):
        team, person = make_team(), make_person()
        admin = make_admin(team)

        results = race(joining(team, person), asking_to_be_deleted(person), leaving(team, admin))

        present = Membership.objects.filter(team=team, user__in=User.objects.present())
        assert present.exists(), results
        assert not any(isinstance(result, OperationalError) for result in results), results


@pytest.mark.parametrize("comes_in", [creating, lambda user: joining(make_team(), user)])
def test_who_is_about_to_be_deleted_comes_into_no_team(
    comes_in: Callable[[User], Callable[[], object]],
) -> None:
    person = make_person()
    asking_to_be_deleted(person)()

    with pytest.raises(accounts.LeavingError, match="Restore it first"):
        comes_in(person)()

    assert Membership.objects.get(user=person).team.is_personal


def test_two_people_who_share_teams_ask_to_be_deleted_at_once_and_neither_waits_for_ever() -> None:
    teams = [make_team() for _ in range(4)]
    for team in teams:
        make_admin(team)
    one, other = make_person(), make_person()
    for person, shared in ((one, teams), (other, teams[::-1])):
        for team in shared:
            Membership.objects.create(team=team, user=person)

    assert race(asking_to_be_deleted(one), asking_to_be_deleted(other)) == [None, None]
