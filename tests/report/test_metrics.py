"""metrics.json is what its schema says, and the schema says it of every key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import bayeshyper.report

SCHEMA = json.loads(Path(bayeshyper.report.__file__).with_name("metrics.schema.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def metrics(pages: dict[str, Path]) -> dict[str, dict[str, Any]]:
    return {
        name: json.loads(page.with_name("metrics.json").read_text("utf-8")) for name, page in pages.items()
    }


def test_every_report_is_valid(metrics: dict[str, dict[str, Any]]) -> None:
    Draft202012Validator.check_schema(SCHEMA)
    for name, one in metrics.items():
        errors = [
            f"{error.json_path}: {error.message}" for error in Draft202012Validator(SCHEMA).iter_errors(one)
        ]
        assert not errors, (name, errors)


def test_a_key_that_nobody_described_is_refused(metrics: dict[str, dict[str, Any]]) -> None:
    one = metrics["calibrated"]
    one["evaluation"]["surprise"] = 1.0
    assert not Draft202012Validator(SCHEMA).is_valid(one)
    del one["evaluation"]["surprise"]
    del one["evaluation"]["verdict"]
    assert not Draft202012Validator(SCHEMA).is_valid(one)


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict):
            yield schema
        for part in schema.values():
            yield from objects(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from objects(part)


def test_every_object_is_described_and_closed() -> None:
    found = list(objects(SCHEMA))
    assert len(found) >= 8
    for one in found:
        assert one["description"].endswith(".")
        assert one["additionalProperties"] is False
