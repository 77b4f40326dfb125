"""Row sets: what a selection loses if its encoding is wrong."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encord_active_widgets.errors import InputError
from encord_active_widgets.store.rows import decode_mask, decode_rows, encode_rows, pack_mask


@given(st.lists(st.integers(0, 5000)))
def test_every_selection_comes_back_as_it_was(ids: list[int]) -> None:
    encoded = encode_rows(np.array(ids, dtype=np.int64))
    assert decode_rows(encoded.encoding, encoded.data).tolist() == sorted(set(ids))
    assert encoded.n == len(set(ids))


@given(st.lists(st.booleans(), min_size=1, max_size=300))
def test_the_smallest_encoding_is_chosen_and_never_beats_a_bitset_in_size(bits: list[bool]) -> None:
    mask = np.array(bits)
    encoded = encode_rows(np.flatnonzero(mask))
    assert len(encoded.data) <= (mask.size + 7) // 8 or encoded.n * 4 == len(encoded.data)
    assert (decode_mask(encoded.encoding, encoded.data, mask.size) == mask).all()
    assert (decode_mask("bitset", pack_mask(mask), mask.size) == mask).all()


def test_half_of_a_million_rows_travel_in_125_kilobytes() -> None:
    mask = np.random.default_rng(0).random(1_000_000) < 0.5
    assert len(encode_rows(np.flatnonzero(mask)).data) <= 125_000


def test_rows_that_do_not_exist_are_dropped() -> None:
    encoded = encode_rows(np.array([1, 9]))
    assert decode_mask(encoded.encoding, encoded.data, 5).tolist() == [False, True, False, False, False]


@pytest.mark.parametrize(("encoding", "data"), [("ids", b"123"), ("ranges", b"1234"), ("zip", b"")])
def test_bytes_that_are_no_row_set_are_refused(encoding: str, data: bytes) -> None:
    with pytest.raises(InputError):
        decode_rows(encoding, data)


def test_a_range_of_four_billion_rows_does_not_fill_the_memory() -> None:
    data = np.array([0, 2**32 - 1], dtype="<u4").tobytes()
    with pytest.raises(InputError):
        decode_rows("ranges", data)
