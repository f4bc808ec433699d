"""Where GitHub's secret scanning reports the secrets that it finds in public."""

import json
import re
from typing import Any, Final

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_POST

from accounts.actors import SYSTEM
from api_keys import services as api_keys
from api_keys.services import Finding

LONGEST_BODY: Final = 2 * 2**20
# What JSON can name and no text can hold: half of a character that takes two of UTF-16's units.
_HALF: Final = re.compile(r"[\ud800-\udfff]")
RETRY_AFTER: Final = 60  # Seconds; by then GitHub's keys are asked for anew.


@csrf_exempt
@login_not_required
@require_POST
@sensitive_variables("body", "records", "findings")
def github(request: HttpRequest) -> HttpResponse:
    """Stop the secrets that GitHub found, and say which were ours.

    Who may ask is shown by the signature. Sent again, a report changes nothing and is answered
    alike, so that it needs no guard against being repeated.
    """
    body = request.read(LONGEST_BODY + 1)
    if len(body) > LONGEST_BODY:
        return _refused(413, f"A report has at most {LONGEST_BODY:,} bytes.")
    now = timezone.now()
    try:
        api_keys.verify_github(
            body=body,
            key_id=request.headers.get("Github-Public-Key-Identifier", ""),
            signature=request.headers.get("Github-Public-Key-Signature", ""),
            now=now,
        )
        records = _records(body)
    except (api_keys.BadSignatureError, ValueError) as error:
        return _refused(400, str(error))
    except api_keys.KeysUnavailableError as error:
        refused = _refused(503, str(error))
        refused.headers["Retry-After"] = str(RETRY_AFTER)
        # Why is in the log already, once; strangers must not fill it with a line for each request.
        refused._has_been_logged = True  # type: ignore[attr-defined]  # noqa: SLF001
        return refused
    findings = [
        Finding(record["token"], source=_text(record, "source"), url=_text(record, "url"))
        for record in records
    ]
    verdicts = api_keys.report_leaks(
        findings, reporter=api_keys.Reporter.GITHUB, actor=SYSTEM, now=now
    )
    return JsonResponse(
        [
            {
                "token_hash": api_keys.digest_of(record["token"]),
                "token_type": _text(record, "type"),
                "label": "true_positive" if verdict.is_ours else "false_positive",
            }
            for record, verdict in zip(records, verdicts, strict=True)
        ],
        safe=False,
    )


@sensitive_variables("body", "told")
def _records(body: bytes) -> list[dict[str, Any]]:
    """Read the matches that have a token, which is all that is needed of one.

    Without a token there is nothing to look for, nor to name in an answer. What is odd about one
    match must not lose the others: so no byte is refused here, and no number for its length.
    """
    try:
        told = json.loads(body.decode(errors="replace"), parse_int=float)
    except (ValueError, RecursionError):
        raise ValueError("The body is not JSON.") from None
    if not isinstance(told, list):
        raise ValueError("The body is not a list of matches.")  # noqa: TRY004 -- of who sent it
    return [record for record in told if isinstance(record, dict) and _is_text(record.get("token"))]


def _text(record: dict[str, Any], name: str) -> str:
    """Read what a match may leave out; what is no text counts as left out."""
    value = record.get(name)
    return str(value) if _is_text(value) else ""


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not _HALF.search(value)


def _refused(status: int, sentence: str) -> HttpResponse:
    return JsonResponse({"error": sentence}, status=status)
