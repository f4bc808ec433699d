"""Filters as an address has them: read, refused with a sentence, and written back."""

import pytest
from django.http import QueryDict

from usage.rules import ITEMS, Dimension, Field, Filter, FilterError, Filters
from usage.rules.filters import read

KEY = "6f0d2c1e-0000-4000-8000-000000000001"


def test_an_address_says_what_is_and_what_is_not_wanted() -> None:
    filters = read(
        QueryDict(f"model=a&model=b&model=a&not_cluster=(none)&api_key={KEY.upper()}&ip=")
    )

    assert filters.of_store() == (
        Filter(Dimension.API_KEY, frozenset({KEY})),
        Filter(Dimension.MODEL, frozenset({"a", "b"})),
        Filter(Dimension.CLUSTER, frozenset({""}), is_not=True),
    )
    assert filters.pairs() == [
        ("api_key", KEY),
        ("model", "a"),
        ("model", "b"),
        ("not_cluster", "(none)"),
    ]
    assert not read(QueryDict(""))


def test_a_form_without_script_turns_the_values_of_a_name_around() -> None:
    filters = read(QueryDict("model=a&model_is=not&not_model=b&cluster=c&cluster_is=is"))

    assert filters.pairs() == [("not_model", "b"), ("not_model", "a"), ("cluster", "c")]


def test_token_types_are_left_out_of_every_request_and_not_asked_of_a_store() -> None:
    filters = read(QueryDict("token_type=reasoning&token_type=completion&not_token_type=reasoning"))

    assert filters.items() == ("completion",)
    assert filters.of_store() == ()
    assert read(QueryDict("model=a")).items() == ITEMS


def test_an_address_is_read_in_whatever_spelling_it_is_written() -> None:
    assert read(QueryDict("ip=2001:DB8::0:1")).pairs() == [("ip", "2001:db8::1")]


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("api_key=nonsense", "“nonsense” is not the ID of an API key."),
        ("not_ip=198.51.100.300", "“198.51.100.300” is not an IP address."),
        ("ip=203.0.113.0/24", "is not an IP address."),
        ("token_type=tokens", "“tokens” is not a token type. There are: prompt, cached prompt"),
        (f"model={'m' * 121}", f"“{'m' * 40}…” is not a name"),
        ("model=a%00b", "“ab” is not a name"),
        ("&".join(f"model={n}" for n in range(51)), "51 values of Model. At most 50"),
        (
            "&".join(f"model=a{n}&not_model=b{n}" for n in range(26)) + "&model_is=not",
            "52 values of Model. At most 50",
        ),
        ("token_type=reasoning&not_token_type=reasoning", "No token type is left"),
    ],
)
def test_what_is_no_filter_is_refused_with_a_sentence(query: str, sentence: str) -> None:
    with pytest.raises(FilterError) as refusal:
        read(QueryDict(query))

    assert sentence in str(refusal.value)


def test_values_are_taken_away_one_by_one() -> None:
    filters = read(QueryDict("model=a&model=b&not_model=a"))

    fewer = filters.without(Field.MODEL, "a", is_not=False)
    only = filters.only(Field.MODEL, "z")

    assert fewer.pairs() == [("model", "b"), ("not_model", "a")]
    assert fewer.without(Field.MODEL, "b", is_not=False).pairs() == [("not_model", "a")]
    assert only.pairs() == [("model", "z")]
    assert not Filters().without(Field.MODEL, "a", is_not=True)
