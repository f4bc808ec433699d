"""How events are put into words and tables."""

import pytest

from audit import rules


@pytest.mark.parametrize(
    ("operation", "done", "denied"),
    [
        ("ListApiKeys", "Listed API keys", "Tried to list API keys"),
        ("GetBilling", "Viewed billing", "Tried to view billing"),
        ("GetTeam", "Viewed team", "Tried to view team"),
        ("DeleteApiKey", "Opened the page to delete API key", "Tried to delete API key"),
        ("", "Opened the page to", "Tried to"),
    ],
)
def test_an_operation_is_put_into_words(operation: str, done: str, denied: str) -> None:
    assert rules.sentence(operation, was_done=True) == done
    assert rules.sentence(operation, was_done=False) == denied


def test_what_differs_comes_first_and_fields_keep_their_order() -> None:
    found = rules.changes({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 3, "c": 4})

    assert [(change.field, change.is_different) for change in found] == [
        ("b", True),
        ("c", True),
        ("a", False),
    ]


def test_nothing_before_and_nothing_after_is_no_change() -> None:
    assert rules.changes(None, None) == []


def test_values_are_shown_as_people_write_them() -> None:
    after = {
        "names": ["a", "b"],
        "flag": True,
        "off": False,
        "missing": None,
        "count": 0,
        "nested": {"é": 1},
        "mixed": ["a", 1],
    }

    shown = {change.field: change.after for change in rules.changes(None, after)}

    assert shown == {
        "names": "a, b",
        "flag": "yes",
        "off": "no",
        "missing": "",
        "count": 0,
        "nested": '{"é": 1}',
        "mixed": '["a", 1]',
    }


def test_a_field_in_ticks_is_money_and_loses_its_unit() -> None:
    (change,) = rules.changes({"limit_ticks": None}, {"limit_ticks": 5})

    assert (change.field, change.is_money, change.before, change.after) == ("limit", True, "", 5)


def test_a_field_named_like_money_that_is_none_is_shown_as_it_is() -> None:
    (change,) = rules.changes(None, {"limit_ticks": "unlimited"})

    assert (change.field, change.is_money, change.after) == ("limit_ticks", False, "unlimited")
