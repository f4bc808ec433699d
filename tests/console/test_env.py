"""Settings from the environment: typed, loud, and all of them in `.env.example`."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from console import env
from tests.servers import ROOT

READERS = {"text", "flag", "number", "percent", "choice", "names", "clickhouse"}


def test_every_variable_is_in_the_example_with_its_default() -> None:
    documented = dict(re.findall(r"^([A-Z_]+)=(.*)$", _example(), re.MULTILINE))
    read = dict(_read_variables())

    assert documented.keys() == read.keys()
    read["DATABASE_URL"] = None  # manage.py sets it; what settings fall back on serves only tools.
    for name, default in read.items():
        # One that is worked out, or without which there is no start, cannot stand there.
        assert documented[name] == ("" if default is None else str(default)), name


def test_every_variable_in_the_example_is_explained() -> None:
    blocks = re.split(r"\n\n", _example())

    for block in blocks:
        for before, line in zip(lines := block.splitlines(), lines[1:], strict=False):
            if re.match(r"[A-Z_]+=", line):
                assert before.startswith("#") or re.match(r"[A-Z_]+=", before), line


def test_no_line_of_the_example_is_too_long_to_read() -> None:
    assert [line for line in _example().splitlines() if len(line) > 100] == []


@pytest.mark.parametrize(("value", "expected"), [("True", True), ("False", False), ("", True)])
def test_a_flag_is_true_false_or_its_default(
    monkeypatch: pytest.MonkeyPatch, value: str, *, expected: bool
) -> None:
    monkeypatch.setenv("SWITCH", value)

    assert env.flag("SWITCH", default=True) is expected


@pytest.mark.parametrize("value", ["yes", "1", "true", " True"])
def test_any_other_flag_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SWITCH", value)

    with pytest.raises(ImproperlyConfigured, match=r"^SWITCH=.* is neither 'True' nor 'False'\.$"):
        env.flag("SWITCH", default=True)


@pytest.mark.parametrize("value", ["-1", "11", "1.5", "ten", "٣"])
def test_a_number_out_of_bounds_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("COUNT", value)

    with pytest.raises(ImproperlyConfigured, match=r"^COUNT=.* is not a whole number from 0 to 10"):
        env.number("COUNT", default=5, most=10)


def test_a_variable_without_a_default_must_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECRET", raising=False)

    with pytest.raises(ImproperlyConfigured, match=r"^SECRET is not set\."):
        env.text("SECRET")


def test_names_are_split_at_commas_without_blanks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTS", " a.test, ,b.test ")

    assert env.names("HOSTS") == ["a.test", "b.test"]


def test_usage_is_kept_in_postgresql_unless_a_clickhouse_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert env.clickhouse("STORE", default="postgres") is None

    monkeypatch.setenv("STORE", "clickhouse://me:p%40ss%2Fw@ch.test/usage?secure=True&cluster=main")
    assert env.clickhouse("STORE", default="postgres") == {
        "host": "ch.test",
        "port": 8443,
        "username": "me",
        "password": "p@ss/w",
        "database": "usage",
        "secure": True,
        "cluster": "main",
    }

    monkeypatch.setenv("STORE", "clickhouse://ch.test:9000/usage")
    plain = env.clickhouse("STORE", default="postgres")
    assert plain is not None
    assert (plain["port"], plain["username"], plain["secure"]) == (9000, "default", False)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("clickhouse", "it does not begin with clickhouse"),
        ("postgresql://me:hidden@host/usage", "it does not begin with clickhouse"),
        ("clickhouse://me:hidden@/usage", "it names no host"),
        ("clickhouse://me:hidden@host:http/usage", "it is no address"),
        ("clickhouse://me:hidden/slash@host/usage", "it is no address"),
        ("clickhouse://me:hidden@host", "its path is not a database's name"),
        ("clickhouse://me:hidden@host/a/b", "its path is not a database's name"),
        ("clickhouse://me:hidden@host/a;DROP", "its path is not a database's name"),
        ("clickhouse://me:hidden@host/usage?secure=yes", "secure is neither"),
        ("clickhouse://me:hidden@host/usage?cluster='x'", "the cluster's name"),
        ("clickhouse://me:hidden@host/usage?verify=False", "options other than"),
        ("clickhouse://[me:hidden@host/usage", "it is no address"),
    ],
)
def test_a_wrong_address_of_clickhouse_is_told_without_its_password(
    monkeypatch: pytest.MonkeyPatch, value: str, reason: str
) -> None:
    monkeypatch.setenv("STORE", value)

    with pytest.raises(ImproperlyConfigured, match=rf"^STORE is neither .*: .*{reason}") as error:
        env.clickhouse("STORE", default="postgres")

    assert "hidden" not in str(error.value)


def _example() -> str:
    return (ROOT / ".env.example").read_text()


def _read_variables() -> Iterator[tuple[str, object]]:
    """Find each `env.text("NAME", "default")` in the code; a computed default counts as none."""
    for path in [*ROOT.glob("[a-z]*/**/*.py"), ROOT / "manage.py"]:
        if path.relative_to(ROOT).parts[0] in {"tests", "bench"}:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if name := _variable(node, path):
                assert isinstance(node, ast.Call)
                given = [*node.args[1:2], *(k.value for k in node.keywords if k.arg == "default")]
                literal = given and isinstance(given[0], ast.Constant)
                yield name, given[0].value if literal else None  # type: ignore[attr-defined]


def _variable(node: ast.AST, path: Path) -> str | None:
    match node:
        case ast.Call(
            func=ast.Attribute(value=ast.Name("env"), attr=reader),
            args=[ast.Constant(str(name)), *_],
        ) if reader in READERS:
            return name
        case ast.Call(func=ast.Name(reader), args=[ast.Constant(str(name)), *_]) if (
            reader in READERS and path.name == "env.py"
        ):
            return name
    return None
