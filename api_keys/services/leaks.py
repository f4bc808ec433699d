"""Secrets found in public: whose they are, and what becomes of their keys."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from django.conf import settings
from django.core.paginator import Page, Paginator
from django.db import transaction
from django.utils.encoding import iri_to_uri
from django.views.decorators.debug import sensitive_variables

from accounts.actors import Actor
from api_keys.models import ApiKey, KeyLeak, RetiredSecret
from api_keys.secrets import digest_of, hide, is_secret
from api_keys.services.keys import locked, record
from api_keys.services.notices import mail_owner_and_admins

logger = logging.getLogger(__name__)

Reporter = KeyLeak.Reporter

# As much as a row and its index hold.
SOURCE_LENGTH: Final = 60
URL_LENGTH: Final = 1000
SHOWN_AT_MOST: Final = 20
# Of one key. Who copies a page with a secret a thousand times tells nobody anything new.
PLACES_AT_MOST: Final = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """A text that somebody found in public and takes for a secret."""

    text: str = field(repr=False)
    source: str = ""  # What it was found in: "commit", "gist_content", ...
    url: str = ""


class Verdict(StrEnum):
    """What came of a finding."""

    BLOCKED = "blocked"  # The secret of a key, which is refused from now on.
    ENDED = "ended"  # A rotated secret that still worked, and does not any more.
    DEAD = "dead"  # One of ours that opened nothing any more.
    UNKNOWN = "unknown"  # It has the form of a secret, but no key has ever had it.
    NOISE = "noise"

    @property
    def is_ours(self) -> bool:
        return self in {Verdict.BLOCKED, Verdict.ENDED, Verdict.DEAD}


@sensitive_variables("findings", "digests")
def report_leaks(
    findings: Sequence[Finding], *, reporter: Reporter, actor: Actor, now: datetime
) -> list[Verdict]:
    """Stop every secret among the findings; the answers are in the same order.

    Whose they are is asked in one query. Each is stopped once, in a transaction of its own, before
    it is noted where else it was found; and one that cannot be stopped keeps no other from being
    stopped: what stood in its way is raised at the end. Asking again changes nothing more.
    """
    digests = [digest_of(finding.text) for finding in findings]
    owners = _owners(digests)
    found: dict[str, list[Finding]] = {}
    for finding, digest in zip(findings, digests, strict=True):
        found.setdefault(digest, []).append(finding)
    # By its digest and not by its checksum: the prefix may have been another one once.
    ours = [digest for digest in found if digest in owners]
    verdicts = {
        digest: Verdict.UNKNOWN
        if is_secret(same[0].text, settings.API_KEY_PREFIX)
        else Verdict.NOISE
        for digest, same in found.items()
    }
    errors: list[Exception] = []
    for digest in ours:
        with _collected(errors, owners[digest]):
            verdicts[digest] = _stop(
                owners[digest], digest, found[digest][0], reporter=reporter, actor=actor, now=now
            )
    for digest in ours:
        if others := found[digest][1:]:
            with _collected(errors, owners[digest]):
                _note_others(owners[digest], digest, others, reporter=reporter, now=now)
    if errors:
        raise errors[0]
    return [verdicts[digest] for digest in digests]


@contextmanager
def _collected(errors: list[Exception], key_id: UUID) -> Iterator[None]:
    """Let what goes wrong with one key wait until the others are done."""
    try:
        yield
    except Exception as error:
        logger.exception("A report that the API key %s has leaked came to nothing.", key_id)
        errors.append(error)


@transaction.atomic
def report_leak(
    *,
    key: ApiKey,
    reporter: Reporter,
    source: str = "",
    url: str = "",
    actor: Actor,
    now: datetime,
) -> Verdict:
    """Block a key whose secret was found, for who knows the key and not the secret."""
    key = locked(key.pk)
    finding = Finding("", source=source, url=url)
    return _note(key, key.redacted, finding, reporter=reporter, actor=actor, now=now)


def leaks_of(key: ApiKey) -> Page[KeyLeak]:
    """List where the key's secrets were found, the newest first and no more than fit a page."""
    found = KeyLeak.of(key.team).filter(key=key).order_by("-reported_at", "-pk")
    return Paginator(found, SHOWN_AT_MOST).page(1)


# --- One secret -------------------------------------------------------------------------------


def _owners(digests: Iterable[str]) -> dict[str, UUID]:
    """Say which keys have, or had, secrets with these digests."""
    wanted = set(digests)
    current = ApiKey.across_teams.filter(digest__in=wanted).values_list("digest", "pk")
    retired = RetiredSecret.across_teams.filter(digest__in=wanted).values_list("digest", "key_id")
    return dict(current.union(retired, all=True))


@sensitive_variables("digest", "finding")
@transaction.atomic
def _stop(
    key_id: UUID,
    digest: str,
    finding: Finding,
    *,
    reporter: Reporter,
    actor: Actor,
    now: datetime,
) -> Verdict:
    key = locked(key_id)
    retired = _retired(key, digest)
    redacted = (retired or key).redacted
    return _note(key, redacted, finding, retired=retired, reporter=reporter, actor=actor, now=now)


@transaction.atomic
def _note_others(
    key_id: UUID, digest: str, findings: Sequence[Finding], *, reporter: Reporter, now: datetime
) -> None:
    """Write down where else a secret was found that is stopped by now."""
    key = locked(key_id)
    if not key.deleted_at:
        redacted = (_retired(key, digest) or key).redacted
        _keep(key, [_leak(key, redacted, finding, reporter, now) for finding in findings])


def _retired(key: ApiKey, digest: str) -> RetiredSecret | None:
    """Find the secret among the key's earlier ones, unless it is that of today.

    Rotating takes the key's lock as well.
    """
    return None if key.digest == digest else RetiredSecret.of(key.team).get(digest=digest)


def _note(
    key: ApiKey,
    redacted: str,
    finding: Finding,
    *,
    retired: RetiredSecret | None = None,
    reporter: Reporter,
    actor: Actor,
    now: datetime,
) -> Verdict:
    """Stop a secret under its key's lock, write down where it was found, and tell people once."""
    if key.deleted_at:
        return Verdict.DEAD
    found_before = KeyLeak.of(key.team).filter(key=key, redacted=redacted).exists()
    verdict = _verdict(key, retired, now)
    before = _state(key, retired, now)
    match verdict:
        case Verdict.BLOCKED:
            key.blocked_at = key.modified_at = now
            key.save(update_fields=["blocked_at", "modified_at"])
            what = f"Blocked the API key {key.name}"
        case Verdict.ENDED:
            assert retired  # noqa: S101 -- only such a one can end
            retired.expires_at = now
            retired.save(update_fields=["expires_at"])
            what = f"Ended the old secret {redacted} of the API key {key.name}"
        case _:
            what = f"Noted a leak of the API key {key.name}"
    leak = _leak(key, redacted, finding, reporter, now)
    # Why a secret was stopped is to be seen, however often others of its key were found.
    _keep(key, [leak], at_least=0 if verdict == Verdict.DEAD else 1)
    if verdict != Verdict.DEAD or not found_before:
        # Not the address, which may name a person: no event forgets it when they are erased.
        found_in = {"found_in": leak.source} if leak.source else {}
        record(
            key,
            actor,
            operation="ReportLeakedApiKey",
            description=f"{what}: {reporter.label} found the secret {redacted} in public",
            before=before,
            after=_state(key, retired, now) | found_in,
            is_change=verdict != Verdict.DEAD,
            now=now,
        )
    if verdict != Verdict.DEAD:
        mail_owner_and_admins(
            key, "api_keys/email/leaked", leak=leak, is_blocked=verdict == Verdict.BLOCKED
        )
    return verdict


def _leak(
    key: ApiKey, redacted: str, finding: Finding, reporter: Reporter, now: datetime
) -> KeyLeak:
    return KeyLeak(
        team=key.team,
        key=key,
        redacted=redacted,
        reporter=reporter,
        source=_cut(finding.source, SOURCE_LENGTH),
        # A cut sign of another alphabet would be none.
        url=_cut(iri_to_uri(finding.url.strip()), URL_LENGTH),
        reported_at=now,
    )


def _keep(key: ApiKey, leaks: Iterable[KeyLeak], *, at_least: int = 0) -> None:
    """Write down under the key's lock what is new of this, as far as there is room."""
    room = PLACES_AT_MOST - KeyLeak.of(key.team).filter(key=key).count()
    places = {(leak.redacted, leak.source, leak.url): leak for leak in leaks}
    kept = list(places.values())[: max(room, at_least)]
    KeyLeak.across_teams.bulk_create(kept, ignore_conflicts=True)


def _verdict(key: ApiKey, retired: RetiredSecret | None, now: datetime) -> Verdict:
    if retired:
        return Verdict.ENDED if retired.expires_at > now else Verdict.DEAD
    return Verdict.DEAD if key.blocked_at else Verdict.BLOCKED


def _state(key: ApiKey, retired: RetiredSecret | None, now: datetime) -> dict[str, str]:
    """Say what an event compares: until when an old secret works, or the status of the key."""
    if retired:
        return {"key": retired.redacted, "expires_at": retired.expires_at.isoformat()}
    return {"key": key.redacted, "status": key.status_at(now)}


def _cut(text: str, length: int) -> str:
    """Keep of a text that somebody sent what can be shown: no secret, and no control character."""
    kept = "".join(character for character in hide(text) if character.isprintable())
    return kept[:length]
