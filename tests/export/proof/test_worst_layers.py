"""Where 8 bits lose accuracy."""

from __future__ import annotations

import numpy as np
import pytest

from kattn.export.proof.worst_layers import worst


def test_errors_are_counted_where_they_arise():
    exact = {name: np.ones(100) for name in "abc"}
    rough = {"a": np.full(100, 1.01), "b": np.full(100, 1.5), "c": np.full(100, 1.55)}
    rows = worst(
        [("CONV", "first", "a", []), ("EXP", "second", "b", ["a"]), ("MUL", "third", "c", ["b"])], exact, rough
    )
    assert (rows[0]["layer"], rows[0]["found"]) == ("second", "starts here")
    assert [row["layer"] for row in rows[1:]] == ["second", "third", "first"]
    assert rows[1]["added"] == pytest.approx(0.49) and rows[2]["added"] == pytest.approx(0.05)
