"""The index of concepts names files that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_code_and_tests_of_the_index_exist() -> None:
    lines = (ROOT / "docs" / "lectures.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("| M")]
    assert len({row.split("|")[1].strip() for row in rows}) > 50
    for row in rows:
        code, test = row.split("|")[-3:-1]
        for path in re.findall(r"`([\w/.]+)`", code):
            assert (ROOT / "src" / "convnet" / path).exists() or (ROOT / path).exists(), row
        (path,) = re.findall(r"`([\w/.]+)`", test)
        assert (ROOT / "tests" / path).exists(), row
