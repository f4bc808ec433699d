"""Secrets found in public: whose they are, and what becomes of their keys."""

import logging
from collections.abc import Iterable, Sequence
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

    Whose they are is asked in one query. Each key is a transaction of its own, and one that cannot
    be stopped keeps no other from being stopped: what stood in its way is raised at the end.
    Asking again changes nothing more.
    """
    digests = [digest_of(finding.text) for finding in findings]
    owners = _owners(digests)
    verdicts, errors = [], []
    for finding, digest in zip(findings, digests, strict=True):
        # By its digest and not by its checksum: the prefix may have been another one once.
        if key_id := owners.get(digest):
            try:
                verdicts.append(
                    _stop(key_id, digest, finding, reporter=reporter, actor=actor, now=now)
                )
            except Exception as error:
                logger.exception("A leak of the API key %s was reported and not stopped.", key_id)
                errors.append(error)
        elif is_secret(finding.text, settings.API_KEY_PREFIX):
            verdicts.append(Verdict.UNKNOWN)
        else:
            verdicts.append(Verdict.NOISE)
    if errors:
        raise errors[0]
    return verdicts


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
    if key.digest == digest:
        return _note(key, key.redacted, finding, reporter=reporter, actor=actor, now=now)
    # Rotating takes the key's lock as well, so this one is of the key's earlier secrets.
    retired = RetiredSecret.of(key.team).get(digest=digest)
    return _note(
        key, retired.redacted, finding, retired=retired, reporter=reporter, actor=actor, now=now
    )


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
    leak, _ = KeyLeak.of(key.team).get_or_create(
        key=key,
        redacted=redacted,
        reporter=reporter,
        source=_cut(finding.source, SOURCE_LENGTH),
        # A cut sign of another alphabet would be none.
        url=_cut(iri_to_uri(finding.url.strip()), URL_LENGTH),
        defaults={"team": key.team, "reported_at": now},
    )
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
