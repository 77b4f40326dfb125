from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from encord_active_widgets.embeddings.rows import Members, as_matrix, distinct_rows, expand, unit_rows
from encord_active_widgets.errors import ShapeError


def test_huge_and_tiny_vectors_keep_their_direction():
    rows = np.array([[3e30, 4e30], [3e-30, 4e-30]], np.float32)
    unit, state = unit_rows(rows)
    assert state.tolist() == [1, 1]
    np.testing.assert_allclose(unit, [[0.6, 0.8], [0.6, 0.8]], rtol=1e-6)


def test_zero_and_missing_rows_are_told_apart():
    unit, state = unit_rows(np.array([[0, 0], [np.nan, 1], [np.inf, 1], [0, 2]], np.float32))
    assert state.tolist() == [0, -1, -1, 1]
    assert np.isfinite(unit).all()


def test_copies_are_folded_in_order_of_first_appearance():
    a, b, zero, missing = [1.0, 2.0], [2.0, 1.0], [0.0, 0.0], [np.nan, 0.0]
    found = distinct_rows([b, a, b, zero, missing, a, zero])
    assert found.owner.tolist() == [0, 1, 0, 2, -1, 1, 2]
    assert len(found.unit) == 2
    members = found.members
    assert [members.rows[s:e].tolist() for s, e in pairwise(members.starts)] == [[0, 2], [1, 5], [3, 6]]


def test_a_single_vector_is_refused_with_the_remedy():
    with pytest.raises(ShapeError, match="vector\\[None, :\\]"):
        as_matrix([1.0, 2.0])


def test_expanding_leaves_out_the_item_itself_and_keeps_the_order():
    members = Members.of(np.array([0, 1, 0, 2, 0]), 3)
    rows, distances = expand(
        np.array([[0, 2, -1]]), np.array([[0, 0.5, np.inf]], np.float32), members, k=4, exclude=np.array([2])
    )
    assert rows.tolist() == [[0, 4, 3, -1]]
    assert distances.tolist() == [[0, 0, 0.5, np.inf]]
