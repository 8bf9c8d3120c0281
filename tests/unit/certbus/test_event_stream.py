import pytest
from hypothesis import given
from hypothesis import strategies as st

from certbus.event_stream import MAX_EVENT_BYTES, EventStreamError, Message, StreamDecoder

_LINE = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]))
_FIELDS = st.fixed_dictionaries(
    {"id": _LINE, "type": _LINE.filter(bool), "data": st.lists(_LINE, min_size=1, max_size=3)}
)


def decode(*chunks: bytes) -> list[Message]:
    decoder = StreamDecoder()
    return [message for chunk in chunks for message in decoder.feed(chunk)]


@given(st.lists(_FIELDS), st.sampled_from(["\n", "\r", "\r\n"]), st.data())
def test_messages_come_out_as_they_went_in_however_the_network_cuts_them(
    messages: list[dict[str, str]], end: str, data: st.DataObject
) -> None:
    lines = []
    for message in messages:
        lines += [f"id: {message['id']}", f"event: {message['type']}", ": a comment"]
        lines += [f"data: {line}" for line in message["data"]]
        lines.append("")
    stream = "".join(line + end for line in lines).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    chunks = [stream[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert decode(*chunks) == [
        Message(message["id"], message["type"], "\n".join(message["data"])) for message in messages
    ]


@given(st.lists(st.binary()))
def test_no_bytes_break_the_decoder(chunks: list[bytes]) -> None:
    decode(*chunks)


def test_the_last_id_stays_until_another_comes() -> None:
    assert decode(b"id: 7\ndata: a\n\ndata: b\n\nid\ndata: c\n\n") == [
        Message("7", "message", "a"),
        Message("7", "message", "b"),
        Message("", "message", "c"),
    ]


def test_an_id_alone_tells_where_the_stream_is() -> None:
    assert decode(b"id: 7\n\n: ping\n\n") == [Message("7", "message", "")]


def test_a_byte_order_mark_and_unknown_fields_are_ignored() -> None:
    assert decode(b"\xef\xbb\xbfdata:x\nretry: 5\nnonsense\n\n") == [Message("", "message", "x")]


def test_an_unfinished_message_is_not_shown() -> None:
    assert decode(b"data: half\n") == []


def test_an_endless_event_ends_the_stream() -> None:
    chunk = b"x" * (MAX_EVENT_BYTES // 4)
    with pytest.raises(EventStreamError):
        decode(b"data: ", *[chunk] * 5)
    with pytest.raises(EventStreamError):
        decode(*[b"data: " + chunk + b"\n"] * 5)
