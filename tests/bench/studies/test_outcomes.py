"""What a study keeps is read as it was written, carries a digest, and is believed only with it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from bench.studies.outcomes import (
    Choice,
    DecompositionOutcome,
    SquaredParts,
    Trial,
    TunedCondition,
    TuningOutcome,
    TuningRule,
    Unfit,
    UnfitOutcome,
    ZeroOneParts,
    kept_decomposition,
    read_decomposition,
    read_tuning,
    read_unfit,
    write_decomposition,
    write_tuning,
    write_unfit,
)
from bench.training.errors import ConfigError
from bench.training.typed_json import digest_of

RESULTS = Path(__file__).resolve().parents[3] / "results"
PLACE: dict[str, Any] = {"dataset": "digits", "model": "mlp", "train_size": None}
TUNING = TuningOutcome(
    rule=TuningRule(trials=2, folds=None, select="val/loss", space="strength", sampler=None),
    conditions=[
        TunedCondition(
            **PLACE,
            recipe="l2",
            chosen=Choice(recipe="l2(lam=0.1)", lr=0.001),
            trials=[
                Trial(recipe="l2(lam=0.1)", lr=0.001, score=0.25, run_ids=["0" * 16]),
                Trial(recipe="l2(lam=1.0)", lr=0.001, score=None, run_ids=[]),
            ],
        )
    ],
)
RULE = json.dumps(asdict(TUNING.rule))
DECOMPOSITION = [
    DecompositionOutcome(
        **PLACE,
        recipe=f"l2(lam={strength})",
        technique="l2",
        strength=strength,
        resamples=2,
        run_ids=["a", "b"],
        squared=SquaredParts(error=0.5, bias2=0.25, variance=0.25),
        zero_one=ZeroOneParts(error=0.25, bias=0.125, variance=0.125),
    )
    for strength in (0.1, 1.0)
]
UNFIT = UnfitOutcome(conditions=[Unfit(**PLACE, recipe="hflip", reason="digits have no mirror images")])


def write_all(folder: Path) -> None:
    write_tuning(folder, TUNING)
    write_decomposition(folder, DECOMPOSITION)
    write_unfit(folder, UNFIT)


def read_all(folder: Path) -> tuple[Any, ...]:
    return read_tuning(folder), read_decomposition(folder), read_unfit(folder)


def indented(content: Any) -> str:
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert read_all(tmp_path) == (None, None, None)
    write_all(tmp_path)
    assert read_all(tmp_path) == (TUNING, DECOMPOSITION, UNFIT)
    for name in ("tuning", "unfit"):
        content = json.loads((tmp_path / f"{name}.json").read_text())
        assert content["digest"] == digest_of(content)
    rows = json.loads((tmp_path / "decomposition.json").read_text())
    assert [row["digest"] for row in rows] == [digest_of(row) for row in rows]
    assert len({row["digest"] for row in rows}) == 2


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*/tuning.json")), ids=lambda path: path.parent.name)
def test_committed_tuning_is_the_same_byte_for_byte(path: Path) -> None:
    found = read_tuning(path.parent)
    assert found
    assert indented(asdict(found)) == path.read_text()


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*/decomposition.json")), ids=lambda path: path.parent.name)
def test_committed_decompositions_are_the_same_byte_for_byte(path: Path) -> None:
    found = read_decomposition(path.parent)
    assert found
    assert indented([asdict(row) for row in found]) == path.read_text()


def test_a_file_that_says_the_same_is_left_alone(tmp_path: Path) -> None:
    """Also one of an earlier version, which has no digest."""
    (tmp_path / "tuning.json").write_text(indented(asdict(TUNING)))
    (tmp_path / "decomposition.json").write_text(indented([asdict(row) for row in DECOMPOSITION]))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write_all(tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    write_tuning(tmp_path, replace(TUNING, conditions=[]))
    assert "digest" in json.loads((tmp_path / "tuning.json").read_text())


@pytest.mark.parametrize("name", ["tuning.json", "decomposition.json", "unfit.json"])
@pytest.mark.parametrize(("old", "new"), [("l2", "l3"), ("0.25", "0.75"), ("digits", "digitz")])
def test_changed_content_is_named_and_set_aside(tmp_path: Path, capsys: Any, name: str, old: str, new: str) -> None:
    write_all(tmp_path)
    path = tmp_path / name
    whole = path.read_text()
    damaged = whole.replace(old, new, 1)
    if damaged == whole:
        pytest.skip("this file does not hold that text")
    path.write_text(damaged)
    with pytest.raises(ConfigError, match=f"{name}: its content is not what its digest says") as error:
        read_all(tmp_path)
    assert "\n" not in str(error.value)
    write_all(tmp_path)
    assert path.read_text() == whole
    assert path.with_name(f"{name}.damaged").read_text() == damaged
    assert capsys.readouterr().err.count("its content is not what its digest says") == 1


def test_a_damaged_decomposition_keeps_nothing(tmp_path: Path) -> None:
    write_decomposition(tmp_path, DECOMPOSITION)
    assert kept_decomposition(tmp_path) == DECOMPOSITION
    path = tmp_path / "decomposition.json"
    path.write_text(path.read_text().replace("0.125", "0.625", 1))
    assert kept_decomposition(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("tuning", "{", "tuning.json is not JSON"),
        ("tuning", "[" * 100_000, "tuning.json is not JSON"),
        ("tuning", "[]", "tuning.json: the file is not what bench/study.py writes"),
        ("tuning", "{}", "tuning.json: rule is not what"),
        ("tuning", '{"rule": {"trials": 2}, "conditions": []}', "tuning.json: rule.folds is not what"),
        ("tuning", f'{{"rule": {RULE}, "conditions": [3]}}', "tuning.json: conditions[0] is not what"),
        ("decomposition", "{}", "decomposition.json: the file is not what"),
        ("decomposition", "[{}]", "decomposition.json: [0].dataset is not what"),
        ("unfit", '{"conditions": [{"dataset": 3}]}', "unfit.json: conditions[0].dataset is not what"),
    ],
)
def test_wrong_files_are_refused_in_one_line(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / f"{name}.json").write_text(text)
    with pytest.raises(ConfigError) as error:
        read_all(tmp_path)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("junk", ["x", {}, [], float("nan"), 10**400, True, [[]]], ids=repr)
def test_a_value_of_a_wrong_kind_anywhere_is_refused_or_harmless(tmp_path: Path, junk: Any) -> None:
    """Each value of each file in turn. Files without digest: nothing but the kinds is checked."""

    def spoiled(value: Any) -> list[Any]:
        if isinstance(value, dict):
            return [junk, *({**value, k: v} for k in value for v in spoiled(value[k]))]
        return [junk, *([v, *value[1:]] for v in spoiled(value[0]))] if isinstance(value, list) and value else [junk]

    messages: list[str] = []
    for name, content in (("tuning", asdict(TUNING)), ("decomposition", [asdict(DECOMPOSITION[0])])):
        for wrong in spoiled(content):
            (tmp_path / f"{name}.json").write_text(json.dumps(wrong))
            try:
                read_all(tmp_path)
            except ConfigError as error:
                messages.append(str(error))
        (tmp_path / f"{name}.json").unlink()
    assert not [message for message in messages if "\n" in message]
