"""Small tables, and those of few distinct rows, are learned by default: a fit comes near their own law."""

from __future__ import annotations

import pytest

from tests.test_uci_harness import imported

# In nats per row. With the curvature at a single draw per step, and 40 steps, they were 1.2, 0.8 and 1.2.
NEAR = {"one column of three letters": 0.25, "a digit": 0.5, "a sine": 0.5}


@pytest.mark.parametrize("name", NEAR)
def test_the_default_comes_near_the_law(name: str) -> None:
    tables = imported("small_tables")
    assert tables.gap(tables.TABLES[name], seed=0) < NEAR[name]
