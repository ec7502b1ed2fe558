"""What lands in the folder: all files or none, numbers that load again, nobody else's files touched."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bayeshyper.diagnostics import evaluate, paired_difference
from bayeshyper.errors import BayeshyperError, DataError
from bayeshyper.report import ReportExistsError, write_report
from tests.diagnostics.fakes import ClassPredictive, classification, regression
from tests.report.examples import ABOUT, audit, history, seven_models, three_models


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def evaluation() -> Any:
    return evaluate(*regression(60))


def test_all_files_are_there(tmp_path: Path, evaluation: Any) -> None:
    page = write_report(
        tmp_path / "new" / "report", evaluation, about=ABOUT, audit=audit(), history=history()
    )
    folder = page.parent
    assert page == tmp_path / "new" / "report" / "report.html"
    drawn = ("coverage", "pit", "pit-difference", "risk", "audit", "training", "heldout")
    plots = {f"plots/{name}.{kind}" for name in drawn for kind in ("png", "svg")}
    assert names(folder) == {"report.html", "report.md", "metrics.json", *plots}
    for plot in plots:
        assert (folder / plot).read_bytes().startswith(b"\x89PNG" if plot.endswith("png") else b"<svg")
    assert [path.name for path in folder.parent.iterdir()] == ["report"]  # nothing temporary is left


def test_classes_get_plots_of_their_own(tmp_path: Path) -> None:
    write_report(tmp_path, evaluate(*classification(60)), history=history(held_out=False))
    assert {"plots/reliability.png", "plots/confidence.png", "plots/training.png"} < names(tmp_path)
    assert "plots/heldout.png" not in names(tmp_path)


def same(read: Any, meant: Any) -> None:
    """The numbers of long lists to six digits, everything else as it is."""
    if isinstance(meant, dict):
        assert list(read) == list(meant)
        for key, value in meant.items():
            same(read[key], value)
    elif isinstance(meant, list | tuple) and len(meant) > 20:
        assert read == pytest.approx(meant, rel=5e-6)
    else:
        assert read == json.loads(json.dumps(meant))


def test_the_numbers_come_back(tmp_path: Path) -> None:
    first, others = three_models()
    write_report(
        tmp_path, first, about=ABOUT, audit=audit(), history=history(), comparisons=others, name="ours"
    )
    metrics = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    assert (metrics["format"], metrics["version"], metrics["model"]) == ("bayeshyper-report", 2, "ours")
    assert metrics["about"] == ABOUT
    same(metrics["evaluation"], first.to_dict())
    assert metrics["audit"] == audit().to_dict()
    same(metrics["history"], history().to_dict())
    assert set(metrics["files"]) == names(tmp_path)
    difference = metrics["comparisons"]["mean field"]["differences"]["log_score_difference"]
    assert difference["value"] == paired_difference(first, others["mean field"]).value


def test_the_numbers_of_many_models_stay_a_small_file_that_can_be_read(tmp_path: Path) -> None:
    (name, first), *others = seven_models(60).items()
    write_report(tmp_path, first, comparisons=dict(others), name=name)
    text = (tmp_path / "metrics.json").read_text(encoding="utf-8")
    assert len(text) < 150_000
    assert '\n    "n_rows": 60,\n' in text
    assert max(map(len, text.splitlines())) < 5_000


def test_what_json_cannot_say_is_null(tmp_path: Path) -> None:
    diverged = history()
    diverged.elbo_per_datum[3] = float("nan")
    impossible = ClassPredictive(np.array([[1.0, 0.0], [1.0, 0.0]]), ["a", "b"])
    write_report(tmp_path, evaluate(impossible, ["a", "b"]), history=diverged)

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    text = (tmp_path / "metrics.json").read_text(encoding="utf-8")
    metrics = json.loads(text, parse_constant=refuse)
    assert metrics["history"]["elbo_per_datum"][3] is None
    assert metrics["evaluation"]["scores"]["log_score"]["value"] is None
    assert metrics["evaluation"]["scores"]["log_score"]["reason"]


def test_an_earlier_report_is_kept_unless_forced(tmp_path: Path, evaluation: Any) -> None:
    write_report(tmp_path, evaluation, about={"Seed": "first"}, history=history())
    before = (tmp_path / "report.html").read_bytes()
    with pytest.raises(ReportExistsError, match=r"already holds report\.html.*force=True") as raised:
        write_report(tmp_path, evaluation)
    assert isinstance(raised.value, BayeshyperError)
    assert isinstance(raised.value, FileExistsError)
    assert (tmp_path / "report.html").read_bytes() == before
    write_report(tmp_path, evaluation, force=True)
    assert (tmp_path / "report.html").read_bytes() != before
    # The old report had a training curve, this one has none: its plot would lie.
    assert "plots/training.png" not in names(tmp_path)


def test_other_files_are_never_touched(tmp_path: Path, evaluation: Any) -> None:
    mine = tmp_path / "plots" / "mine.png"
    mine.parent.mkdir()
    mine.write_text("mine")
    (tmp_path / "notes.txt").write_text("notes")
    write_report(tmp_path, evaluation)
    write_report(tmp_path, evaluation, force=True)
    assert mine.read_text() == "mine"
    assert (tmp_path / "notes.txt").read_text() == "notes"


def test_a_stranger_with_our_names_is_kept(tmp_path: Path, evaluation: Any) -> None:
    (tmp_path / "metrics.json").write_text('{"loss": 1}')
    with pytest.raises(ReportExistsError, match=r"metrics\.json"):
        write_report(tmp_path, evaluation)
    assert names(tmp_path) == {"metrics.json"}
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ReportExistsError, match="is a file"):
        write_report(file, evaluation, force=True)


def test_a_forged_list_of_files_removes_nothing_outside_plots(tmp_path: Path, evaluation: Any) -> None:
    (tmp_path / "keep.png").write_text("keep")
    forged = {"format": "bayeshyper-report", "files": ["plots/../keep.png", "keep.png"]}
    (tmp_path / "metrics.json").write_text(json.dumps(forged))
    write_report(tmp_path, evaluation, force=True)
    assert (tmp_path / "keep.png").read_text() == "keep"


def test_a_full_disk_leaves_nothing_half_written(
    tmp_path: Path, evaluation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(tmp_path / "report", evaluation)
    before = {name: (tmp_path / "report" / name).read_bytes() for name in names(tmp_path / "report")}
    write = Path.write_bytes
    written = 0

    def fill_up(self: Path, data: bytes) -> int:
        nonlocal written
        written += 1
        if written == 4:
            raise OSError(28, "No space left on device")
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", fill_up)
    with pytest.raises(OSError, match="No space left"):
        write_report(tmp_path / "report", evaluation, about={"Seed": "other"}, force=True)
    after = {name: (tmp_path / "report" / name).read_bytes() for name in names(tmp_path / "report")}
    assert after == before
    assert os.listdir(tmp_path) == ["report"]


def test_the_same_report_has_the_same_bytes(tmp_path: Path, evaluation: Any) -> None:
    for name in ("a", "b"):
        write_report(tmp_path / name, evaluation, about=ABOUT, history=history())
    for name in names(tmp_path / "a"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_models_need_names_of_their_own_and_the_same_rows(tmp_path: Path, evaluation: Any) -> None:
    with pytest.raises(DataError, match="Two models are called 'ours'"):
        write_report(tmp_path, evaluation, comparisons={"ours": evaluation}, name="ours")
    with pytest.raises(DataError, match="same rows"):
        write_report(tmp_path, evaluation, comparisons={"other": evaluate(*regression(61))})
    assert names(tmp_path) == set()
