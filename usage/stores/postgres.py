"""Sums in PostgreSQL."""

from collections.abc import Sequence
from uuid import UUID

from usage.models import UsageEvent
from usage.rules import FAILURE_STATUS, Answer, Dimension, Question, Sums

COLUMNS = {
    Dimension.API_KEY: "api_key_id",
    Dimension.MODEL: "model",
    Dimension.CLUSTER: "cluster",
    Dimension.IP: "ip",
}


class PostgresStore:
    """For now: every answer from the events."""

    def record(self, events: Sequence[UsageEvent]) -> None:
        pass

    def query(self, question: Question) -> Answer:
        events = UsageEvent.across_teams.filter(
            team_id=question.team_id, at__gte=question.starts[0], at__lt=question.starts[-1]
        )
        for wanted in question.filters:
            inside = {f"{COLUMNS[wanted.dimension]}__in": list(wanted.values)}
            events = events.exclude(**inside) if wanted.is_not else events.filter(**inside)
        answer: dict[tuple[int, str], Sums] = {}
        for event in events:
            span = sum(start <= event.at for start in question.starts) - 1
            group = str(getattr(event, COLUMNS[question.group])) if question.group else ""
            fields = {"requests": 1, "failed": int(event.status >= FAILURE_STATUS)}
            fields["cost_ticks"] = event.cost_ticks
            for item, quantity, ticks in event.items:
                fields[item] = fields.get(item, 0) + quantity
                fields[f"{item}_ticks"] = fields.get(f"{item}_ticks", 0) + ticks
            answer[span, group] = answer.get((span, group), Sums()).plus(Sums(**fields))
        return answer

    def values(
        self, team_id: UUID, dimension: Dimension, *, search: str = "", limit: int = 50
    ) -> list[str]:
        column = COLUMNS[dimension]
        found = UsageEvent.across_teams.filter(team_id=team_id).values_list(column, flat=True)
        texts = {str(value) for value in found.distinct()}
        return sorted(text for text in texts if search.lower() in text.lower())[:limit]
