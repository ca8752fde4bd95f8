"""A card goes out as JSON and comes back; what is no card is refused in one clear line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.charts.card_file import MOST_BYTES, card_file, read_card, written
from core.errors import DataError
from core.records import CardFile
from tests.charts import builders as b


def made() -> CardFile:
    return card_file(b.run(), b.PRUNED, "https://lathe.example.com/?run=run-1")


def changed(path: str, value: Any) -> bytes:
    data = json.loads(written(made()))
    *way, last = path.split(".")
    at = data
    for name in way:
        at = at[int(name)] if isinstance(at, list) else at[name]
    at[int(last) if isinstance(at, list) else last] = value
    return json.dumps(data).encode()


def test_it_comes_back_as_it_was():
    card = made()
    assert read_card(written(card).encode(), "card.json") == card
    assert [recipe.name for recipe in card.spec.recipes] == ["original", "prune 30 %"]
    assert {row.candidate for row in card.rows} == {b.BASE, b.PRUNED}
    assert card.host == b.HOST


def test_the_lists_of_single_images_stay_at_home():
    assert not any(isinstance(v, list) for row in made().rows for v in row.detail.values())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no readable card"),
        (b"not json", "no readable card"),
        (b"[1]", "is no card of Lathe"),
        (b'{"name": "r", "steps": []}', "is no card of Lathe"),
        (b"[" * 100_000, "no readable card"),
        (b"\xff\xfe\x00", "no readable card"),
        (b" " * (MOST_BYTES + 1), "too many for a card"),
        (b'{"lathe_card": 99}', "newer Lathe"),
        (b'{"lathe_card": 1}', "no readable card"),
        (changed("rows.0.value", "NaN"), "expected float"),
        (changed("spec.recipes", []), "the original and one recipe"),
        (changed("spec.recipes.0.steps", [{"pass_name": "simplify"}]), "the original and one"),
        (changed("spec.threads", [10**9]), "threads"),
        (changed("spec.threads", []), "no backend or no thread count"),
        (changed("spec.backends", ["b"] * 1000), "too many backends"),
        (changed("spec.latency_budget_s", 1e300), "seconds for a comparison"),
        (changed("spec.images", -1), "images"),
        (changed("spec.dims", {"N": 10**12}), "size of N"),
        (changed("spec.model", "../../etc/passwd"), "digest of its models"),
        (changed("spec.evaluation", "x"), "digest of its images"),
        (changed("candidate", "c" * 64), "third model"),
        (changed("model", "x" * 100_000), "too long"),
        (changed("model", {"a": 1}), "expected str"),
        (changed("link", "javascript:alert(1)"), "no address"),
        (changed("rows", "no list"), "no readable card"),
        (changed("rows.0.status", "splendid"), "splendid"),
    ],
)
def test_what_is_no_card_is_refused_in_a_line(content, said):
    with pytest.raises(DataError) as refused:
        read_card(content, "card.json")
    assert said in refused.value.message
    assert "\n" not in refused.value.message
    assert len(refused.value.message) < 400


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_what_is_no_number_is_refused(constant):
    content = written(made()).replace("1402000.0", constant, 1).encode()
    with pytest.raises(DataError):
        read_card(content, "card.json")


def test_rows_without_end_are_refused():
    data = json.loads(written(made()))
    data["rows"] = [
        {
            "candidate": b.BASE,
            "backend": "",
            "metric": "m",
            "value": 1,
            "low": 1,
            "high": 1,
            "status": "ok",
        }
    ] * 6_000
    with pytest.raises(DataError, match="rows are too many"):
        read_card(json.dumps(data).encode(), "card.json")
