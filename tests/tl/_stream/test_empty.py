import anndata
import numpy as np
import pytest

from bftembed.errors import InputError
from bftembed.expression import ValueCheck, chosen_matrix, parts_of
from bftembed.expression.values import NONZERO
from bftembed.tl._stream.empty import UNWEIGHED, EmptyCells


@pytest.fixture
def check():
    adata = anndata.AnnData(np.ones((9, 1), dtype=np.float32))
    adata.obs_names = [f"c{i}" for i in range(9)]
    return ValueCheck(chosen_matrix(parts_of(adata), layer=None, use_raw=False))


def test_cells_without_weight_are_counted_and_named_by_their_reason(check):
    cells = EmptyCells()
    cells.add(0, np.array([NONZERO, UNWEIGHED, NONZERO | UNWEIGHED]))
    cells.add(3, np.array([UNWEIGHED, UNWEIGHED, UNWEIGHED, UNWEIGHED, NONZERO, NONZERO]))
    with pytest.raises(InputError) as error:
        cells.finish(check, empty="raise")
    message = str(error.value)
    assert "5 of 9 cells have no counts at all ('c1', 'c3', 'c4', ...); remove them" in message
    assert "1 of 9 cells have counts, but none on a gene with a vector ('c2'); embed more genes" in message
    assert message.endswith('Or pass empty="nan" to have rows of NaN for them.')
    assert cells.finish(check, empty="nan") == 6


def test_no_empty_cells_are_no_error(check):
    cells = EmptyCells()
    cells.add(0, np.array([NONZERO, 0], dtype=np.uint8))
    assert cells.finish(check, empty="raise") == 0
