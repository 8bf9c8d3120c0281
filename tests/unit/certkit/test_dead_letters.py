from hypothesis import given
from hypothesis import strategies as st

from certkit.bounds import LETTER_BODY, Bounds
from certkit.dead_letters import LEFT_OUT, fitted

_HEADERS = {"ce-id": "e1", "certbus-fate": "permanent", "Nats-Msg-Id": "STATUS_site1.registry.1"}


def test_a_letter_that_fits_is_kept_as_it_is() -> None:
    body = bytes(LETTER_BODY)
    assert fitted(body, _HEADERS | {"of": "somebody"}) == (body, _HEADERS | {"of": "somebody"})


def test_a_body_that_is_too_large_is_left_out_and_told() -> None:
    body, headers = fitted(bytes(LETTER_BODY + 1), _HEADERS)
    assert body == b""
    assert headers == _HEADERS | {LEFT_OUT: "body of 131073 bytes"}


def test_of_headers_that_are_too_large_only_known_ones_are_kept() -> None:
    body, headers = fitted(b"{}", _HEADERS | {"x": "y" * 5000, "ce-subject": "é" * 5000})
    assert body == b"{}"
    assert headers.pop(LEFT_OUT).startswith("headers of ")
    assert headers == _HEADERS | {"ce-subject": "é" * 100}


@given(
    body=st.integers(0, 1_000_000).map(bytes),
    names=st.lists(st.sampled_from(["ce-id", "ce-type", "ce-subject", "CE-ID", "certbus-error", "x", "y"])),
    size=st.integers(0, 1_000_000),
)
def test_a_letter_always_fits_into_its_stream(body: bytes, names: list[str], size: int) -> None:
    kept, headers = fitted(body, dict.fromkeys(names, "a" * size))
    on_the_wire = len("NATS/1.0\r\n\r\n") + sum(len(name) + len(value) + 4 for name, value in headers.items())
    assert len(kept) + on_the_wire <= Bounds().letter
