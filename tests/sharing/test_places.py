import pytest

from bftembed.sharing.places import shared_encoder


@pytest.mark.parametrize(("spec", "kept"), [("default", "default"), ("file:v.csv", ""), ("openai:m@http://h/v1", "")])
def test_a_short_name_that_is_a_place_is_left_out(spec, kept):
    assert shared_encoder({"encoder": "x", "spec": spec, "path": "/home/me"}) == {"encoder": "x", "spec": kept}
