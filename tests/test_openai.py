"""Addresses of servers as they are written."""

import pytest

from bftembed._openai import server_address, server_addresses
from bftembed.errors import InputError

A, B = "http://a:8000/v1", "https://b/v1"


@pytest.mark.parametrize(
    ("spec", "urls"),
    [
        (f"m@{A}", [A]),
        (f"m@{A}, {B}", [A, B]),
        (f"m@{A},", [A]),
        (f"m@{A},{A}", [A]),
        (f"m@{A},{B},{A}/", [A, B]),
        (f"m@{A}/,{A}", [f"{A}/"]),
        ("m@http://user:pass@a/v1", ["http://user:pass@a/v1"]),
    ],
)
def test_addresses(spec, urls):
    assert server_addresses(spec, None) == ("m", urls)


@pytest.mark.parametrize(
    "spec",
    [
        "m",
        f"@{A}",
        "m@http://",
        "m@http:///v1",
        "m@http://a:port/v1",
        "m@http://a:99999/v1",
        f"m@{A} {B}",
        f"m@{A};{B}",
        f"m@{A},m@{B}",
        f"m@{A},b:8000/v1",
    ],
)
def test_what_is_no_address(spec, monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(InputError, match="does not name a model and a server"):
        server_addresses(spec, None)


def test_addresses_of_the_environment_and_of_the_argument(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", f"{A}, {B},")
    assert server_addresses("m", None) == ("m", [A, B])
    assert server_addresses("m", B) == ("m", [B])
    assert server_address(f"m@{A}", None) == ("m", A)
    with pytest.raises(InputError, match=f"One server makes vectors, got 2: {A}, {B}"):
        server_address("m", None)
    with pytest.raises(InputError, match="does not name a model and a server"):
        server_addresses("m", [A, B])
