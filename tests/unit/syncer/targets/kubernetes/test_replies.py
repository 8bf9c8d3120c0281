import base64
import json

from syncer.targets.kubernetes.replies import MetadataPage, PublicSecretPage, Secret, Status

KEY = base64.b64encode(b"the private key").decode()
REPLY = {
    "kind": "Secret",
    "type": "kubernetes.io/tls",
    "metadata": {"name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "7"},
    "data": {"tls.crt": base64.b64encode(b"chain").decode(), "tls.key": KEY},
}


def test_a_secret_that_is_read_for_its_key_does_not_show_it() -> None:
    secret = Secret.model_validate_json(json.dumps(REPLY))
    assert secret.data.key == b"the private key"
    assert "the private key" not in repr(secret)
    assert "the private key" not in repr(secret.data)
    assert KEY not in repr(secret)


def test_the_parser_of_a_review_never_keeps_a_key() -> None:
    page = PublicSecretPage.model_validate_json(json.dumps({"metadata": {}, "items": [REPLY]}))
    assert page.items is not None
    assert page.items[0].data.chain == b"chain"
    assert KEY not in page.model_dump_json()
    assert not hasattr(page.items[0].data, "key")


def test_an_empty_list_of_metadata_may_be_null() -> None:
    assert MetadataPage.model_validate_json('{"metadata": {"resourceVersion": "1"}, "items": null}').items is None


def test_a_conflict_tells_the_managers_in_the_way_and_a_changed_object_none() -> None:
    conflict = {
        "reason": "Conflict",
        "details": {
            "causes": [
                {"reason": "FieldManagerConflict", "message": 'conflict with "kubectl-edit" using v1', "field": field}
                for field in (".data.tls.crt", ".data.tls.key")
            ]
        },
    }
    managers = Status.model_validate_json(json.dumps(conflict)).conflicting_managers()
    assert managers == ('conflict with "kubectl-edit" using v1',)
    assert Status.model_validate_json('{"reason": "Conflict", "details": {}}').conflicting_managers() == ()
