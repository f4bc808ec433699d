"""What the documents promise is there: their links, their commands, their variables, the pins."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.servers import ROOT

PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_and_command_exists(page: Path) -> None:
    text = page.read_text()
    targets = set(re.findall(r"(?:^ {4}|`)make ([a-z-]+)", text, re.MULTILINE))
    commands = set(re.findall(r"manage\.py ([a-z_]+)", text)) - {"migrate"}

    makefile = (ROOT / "Makefile").read_text()
    assert [name for name in targets if f"\n{name}:" not in makefile] == []
    assert [name for name in commands if not [*ROOT.glob(f"*/management/commands/{name}.py")]] == []


def test_every_variable_the_readme_names_is_in_the_example() -> None:
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)*)`", (ROOT / "README.md").read_text()))
    documented = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))

    assert named <= documented


def test_decisions_are_numbered_without_gaps_and_say_what_was_turned_down() -> None:
    pages = sorted((ROOT / "docs/decisions").glob("*.md"))

    for number, page in enumerate(pages, start=1):
        text = page.read_text()
        assert page.name.startswith(f"{number:04}-")
        assert text.startswith(f"# {number:04} ")
        for part in ("**Context.**", "**Decision.**", "**Turned down.**"):
            assert part in text, f"{page.name} lacks {part}"


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_pins_carry_hashes_and_no_address(name: str) -> None:
    text = (ROOT / name).read_text().replace("\\\n", " ")

    for line in text.splitlines():
        assert re.match(r"[a-z0-9][a-z0-9._-]*(\[[a-z,]+\])?==\S+ ", line), line
        assert "--hash=sha256:" in line, line
        assert "://" not in line, line


def test_pins_are_of_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    runtime = _names(project["dependencies"])
    development = _names(project["optional-dependencies"]["dev"])

    assert runtime <= _pinned("requirements.txt")
    assert runtime | development <= _pinned("requirements-dev.txt")
    assert not development & _pinned("requirements.txt")


def _names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[~=<>; ]", requirement)[0].lower() for requirement in requirements}


def _pinned(name: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9._-]+)", (ROOT / name).read_text(), re.MULTILINE))
