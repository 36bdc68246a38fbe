from __future__ import annotations

import pytest

from convnet.cli.compare import parse_variants
from convnet.errors import RecipeError


def test_values_are_yaml_and_split_at_top_level_commas() -> None:
    varied = parse_variants(["optimizer=adam,sgd", "model.hidden=[3],[6, 8]", "clip_norm=null,1.5"])
    assert varied == {"optimizer": ["adam", "sgd"], "model.hidden": [[3], [6, 8]], "clip_norm": [None, 1.5]}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (["lr=1", "lr=2"], "given twice"),
        (["optimizer=adam,,sgd"], "empty value; write null"),
        (["optimizer=adam,"], "empty value"),
    ],
)
def test_wrong_variants(entries: list[str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse_variants(entries)
