"""What the product imports is what `make run` installs, without what only the tools need."""

import ast
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from tests.servers import ROOT

OWN = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"bench", "tests"}
FILES = [ROOT / "manage.py", *(file for app in OWN for file in ROOT.glob(f"{app}/**/*.py"))]


def imported(file: Path) -> Iterator[str]:
    """Name the top-level packages that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def canonical(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def test_all_that_the_product_imports_is_pinned_for_running_it() -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pinned = {
        canonical(line.partition("==")[0].partition("[")[0]) for line in lines if "==" in line
    }
    found = metadata.packages_distributions()
    used = {name for file in FILES for name in imported(file)}

    foreign = used - OWN - sys.stdlib_module_names
    assert {"allauth", "django", "psycopg"} <= foreign
    missing = {name for name in foreign if not {canonical(d) for d in found.get(name, [])} & pinned}
    assert missing == set()
