"""Colours: what is written can be read, and series can be told apart without colour."""

from __future__ import annotations

import itertools

import pytest

from bayeshyper.report.drawing.palette import DARK, DASHES, LIGHT, N_SERIES


def luminance(colour: str) -> float:
    channels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Of two colours, as WCAG 2 defines it: from 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_text_stands_out(palette: dict[str, str]) -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    for text, ground in itertools.product(
        ("ink", "muted", "accent", "good", "bad", "care", "open"), ("paper", "card")
    ):
        assert contrast(palette[text], palette[ground]) >= 4.5, (text, ground)
    for tone in ("good", "bad", "care", "open"):
        assert contrast(palette[tone], palette[f"{tone}-wash"]) >= 4.5, tone
    assert contrast(palette["paper"], palette["ink"]) >= 4.5  # of the values beside the pointer


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_lines_stand_out(palette: dict[str, str]) -> None:
    for k in range(N_SERIES):
        assert contrast(palette[f"s{k}"], palette["card"]) >= 3.0
        assert contrast(palette[f"s{k}"], palette["band"]) >= 3.0


def test_series_differ_in_colour_and_in_dashes() -> None:
    assert list(LIGHT) == list(DARK)
    assert N_SERIES == 7
    assert len(set(DASHES)) == N_SERIES
    for palette in (LIGHT, DARK):
        assert len({palette[f"s{k}"] for k in range(N_SERIES)}) == N_SERIES
