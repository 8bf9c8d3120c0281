from registry.domain.access import Principal
from registry.domain.keyed import Answer, KeptAnswer, KeyedCall, Repeat, is_key, repeat_of

ANA = Principal("ana", "shop", frozenset())


def call(caller: Principal = ANA, **changes: object) -> KeyedCall:
    parts = {"method": "POST", "path": "/v1/requests", "query": b"", "body": b"{}", "key": "k", **changes}
    return KeyedCall.of(caller, **parts)  # type: ignore[arg-type] # as above


def test_a_key_is_its_caller_s_and_its_path_s() -> None:
    others = [
        call(Principal("ben", "shop", frozenset())),
        call(Principal("ana", "shop", frozenset(), issuer="https://login.example.org")),
        call(method="PUT"),
        call(path="/v1/requests/k"),
        call(key="K"),
    ]
    assert len({item.scope for item in [call(), *others]}) == len(others) + 1


def test_the_same_again_has_the_same_query_and_body() -> None:
    kept = KeptAnswer(call().fingerprint, Answer(202, "{}"))
    assert repeat_of(call(), None) is Repeat.FIRST
    assert repeat_of(call(), kept) is Repeat.SAME
    assert repeat_of(call(body=b"{ }"), kept) is Repeat.OTHER
    assert repeat_of(call(query=b"a=1"), kept) is Repeat.OTHER


def test_a_key_is_short_and_printable() -> None:
    assert is_key("8e03978e-40d5-43dd-bc93-6894a57f9324")
    assert not any(map(is_key, ["", "a\n", "\u00fc", "x" * 256]))
