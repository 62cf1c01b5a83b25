import pytest
import zarr

from bftembed.errors import InputError
from bftembed.expression import checked_target


def test_targets_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"must end in .h5ad or .zarr"):
        checked_target(tmp_path / "x.csv")
    with pytest.raises(InputError, match="no directory"):
        checked_target(tmp_path / "none" / "x.h5ad")
    (tmp_path / "photos.zarr").mkdir()
    (tmp_path / "photos.zarr" / "holiday.jpg").touch()
    with pytest.raises(InputError, match="choose another name"):
        checked_target(tmp_path / "photos.zarr")
    (tmp_path / "x.h5ad").mkdir()
    with pytest.raises(InputError, match="choose another name"):
        checked_target(tmp_path / "x.h5ad")
    zarr.open_group(tmp_path / "fine.zarr", mode="w", zarr_format=2)
    assert checked_target(tmp_path / "fine.zarr")
    assert not checked_target(tmp_path / "fine.h5ad")
