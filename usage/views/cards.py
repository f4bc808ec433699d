"""The explorer's cards, which say the most in the fewest words; and names as pages show them."""

from dataclasses import dataclass

from django.urls import reverse

from accounts.rules import Permission
from accounts.web import TeamRequest
from billing.services import usd
from usage import rules
from usage.rules import Measure
from usage.services.explore import Report
from usage.services.naming import Name


@dataclass(frozen=True, slots=True)
class Card:
    """A figure with its name, a remark, and maybe a page that tells more."""

    name: str
    value: str
    remark: str
    url: str = ""


def cards(request: TeamRequest, report: Report) -> list[Card]:
    wanted, total = report.wanted, report.total
    shown = [_total_card(report), _change_card(report)]
    if report.projected is not None:
        days = (wanted.range.last - wanted.range.first).days + 1
        shown.append(
            Card(
                f"{wanted.range.first:%B}, projected",
                amount(wanted.measure, report.projected),
                f"at the pace of these {days} days",
            )
        )
    if wanted.measure is not Measure.COST:
        shown.append(Card("Cost", usd(total.cost_ticks), "of all that is shown"))
    if wanted.measure is not Measure.REQUESTS:
        answered = f"{total.failed:,} failed" if total.failed else "all answered"
        # They are never parted by token types, so what is filtered there is not.
        whole = ", of all token types" if len(wanted.items) < len(rules.ITEMS) else ""
        remark = f"{answered}{whole}" if total.requests else "none"
        shown.append(Card("Requests", f"{total.requests:,}", remark))
    for word, dearest in (("key", report.dearest_key), ("model", report.dearest_model)):
        if dearest:
            shown.append(
                Card(
                    f"Most expensive {word}",
                    dearest.name.full,
                    f"{usd(dearest.cost_ticks)}, {dearest.share:.1f}%",
                    key_page(request, dearest.name),
                )
            )
    return shown


def amount(measure: Measure, number: int) -> str:
    return usd(number) if measure is Measure.COST else rules.in_words(number)


def _total_card(report: Report) -> Card:
    measure, number = report.wanted.measure, report.measured
    if measure is Measure.REQUESTS:
        failed = report.total.failed
        remark = f"{failed:,} failed, {100 * failed / number:.2f}%" if failed else "all answered"
        return Card("Requests", f"{number:,}", remark if number else "none in this range")
    if measure is Measure.COST:
        tokens = rules.in_words(rules.units(report.total))
        return Card("Cost", usd(number), f"{tokens} tokens")
    remark = f"{number:,}" if number >= rules.MILLION else "of all types"
    return Card(measure.noun, rules.in_words(number), remark)


def _change_card(report: Report) -> Card:
    before, measure = report.before, report.wanted.measure
    if report.change is None:
        either = "" if report.measured else " either"
        return Card("Change", "\N{EN DASH}", f"nothing in {before.label}{either}")
    remark = f"from {amount(measure, before.total)} in {before.label}"
    sign = "+" if report.change > 0 else "\N{MINUS SIGN}" if report.change < 0 else "±"
    return Card("Change", f"{sign}{abs(report.change):,.1f}%", remark)


def key_page(request: TeamRequest, name: Name) -> str:
    """Find the page of a key that the person may see, by the rule of that page."""
    membership, key = request.membership, name.key
    if key is None or Permission.API_KEYS_READ not in membership.permissions:
        return ""
    if not membership.is_admin and key.owner != request.user:
        return ""
    return reverse("api_keys:key", args=[request.team.pk, key.id])
