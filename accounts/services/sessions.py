"""Where a person is signed in: listing sessions, ending them, and noting when they were used."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from allauth.usersessions.models import UserSession
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import QuerySet
from django.utils.crypto import constant_time_compare

from accounts.actors import Actor
from accounts.models import User
from accounts.places import place_of
from accounts.services.pending_emails import forget_pending_email
from accounts.services.people import announce
from accounts.user_agents import device_of

SEEN_EVERY: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class LiveSession:
    """One place where a person is signed in."""

    id: int
    device: str
    place: str
    ip: str
    started_at: datetime
    seen_at: datetime
    is_current: bool


def sessions_of(user: User, *, current_key: str | None, now: datetime) -> list[LiveSession]:
    """List where the person is signed in: here first, then by when it was used last."""
    return sorted(
        (
            LiveSession(
                id=row.pk,
                device=device_of(row.user_agent),
                place=place_of(row.ip),
                ip=row.ip,
                started_at=row.created_at,
                seen_at=row.last_seen_at,
                is_current=row.session_key == current_key,
            )
            for row in _living(user, now)
        ),
        key=lambda session: (session.is_current, session.seen_at, session.id),
        reverse=True,
    )


def _living(user: User, now: datetime) -> list[UserSession]:
    """Find the sessions that still open something; a changed password or time may have ended one.

    What allauth has for it reads each session by a query of its own.
    """
    rows = list(UserSession.objects.filter(user=user))
    keys = [row.session_key for row in rows]
    stored = Session.objects.filter(pk__in=keys, expire_date__gt=now)
    open_keys = {session.pk for session in stored if _opens(session.get_decoded(), user)}
    return [row for row in rows if row.session_key in open_keys]


def _opens(data: dict[str, Any], user: User) -> bool:
    return (
        data.get(SESSION_KEY) == str(user.pk)
        and BACKEND_SESSION_KEY in data
        and constant_time_compare(data.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash())
    )


# --- Ending -----------------------------------------------------------------------------------


def end_session(*, user: User, session_id: int, actor: Actor, now: datetime) -> LiveSession | None:
    """Sign the person out in one place; None if that had ended already."""
    found = sessions_of(user, current_key=None, now=now)
    session = next((session for session in found if session.id == session_id), None)
    if session is not None:
        _end(user, [session], actor, now)
    return session


@transaction.atomic
def end_other_sessions(*, user: User, current_key: str | None, actor: Actor, now: datetime) -> int:
    """Sign the person out everywhere but here, and say in how many places that was.

    A change of email that waits is called off: somebody there may have asked for it.
    """
    forget_pending_email(user=user, actor=actor, now=now)
    found = sessions_of(user, current_key=current_key, now=now)
    others = [session for session in found if not session.is_current]
    _end(user, others, actor, now)
    # What opens nothing any more leaves nothing behind either.
    delete_sessions(UserSession.objects.filter(user=user).exclude(session_key=current_key or ""))
    return len(others)


@transaction.atomic
def _end(user: User, sessions: list[LiveSession], actor: Actor, now: datetime) -> None:
    delete_sessions(
        UserSession.objects.filter(user=user, pk__in=[session.id for session in sessions])
    )
    if sessions:
        announce(
            operation="EndSession" if len(sessions) == 1 else "EndSessions",
            description=f"Ended {_named(sessions)}",
            user=user,
            before={"sessions": [_described(session) for session in sessions]},
            after={"sessions": []},
            actor=actor,
            now=now,
        )


def delete_sessions(rows: QuerySet[Any]) -> None:
    """Sign people out, unannounced, where these rows of allauth's say that they are signed in."""
    Session.objects.filter(pk__in=list(rows.values_list("session_key", flat=True))).delete()
    rows.delete()


def _named(sessions: list[LiveSession]) -> str:
    if len(sessions) == 1:
        return f"the session of {sessions[0].device}"
    return f"{len(sessions)} sessions"


def _described(session: LiveSession) -> str:
    return ", ".join(part for part in (session.device, session.place, session.ip) if part)


def forget_ended() -> None:
    """Delete what is left of sessions that are gone; it says where people were."""
    UserSession.objects.exclude(session_key__in=Session.objects.values("pk")).delete()


def note_use(session_key: str, *, ip: str, user_agent: str, now: datetime) -> bool:
    """Note, once in five minutes, that a session was used; False if it has no row yet."""
    row = UserSession.objects.filter(session_key=session_key)
    seen_at = row.values_list("last_seen_at", flat=True).first()
    if seen_at is not None and abs(now - seen_at) >= SEEN_EVERY:
        row.update(last_seen_at=now, ip=ip, user_agent=user_agent)
    return seen_at is not None
