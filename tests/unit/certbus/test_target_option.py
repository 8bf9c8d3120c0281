import json
from contextlib import suppress
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from certbus.errors import CommandError
from certbus.exit_codes import ExitCode
from certbus.request_views import target_text
from certbus.target_option import read_endpoint, read_labels, read_targets
from certcore.intent import Target
from certcore.targets import FilesTarget, HaproxyTarget, KubernetesTarget, TargetKind, TargetKinds, TargetRequest
from tests.unit.certbus.samples import KINDS

_AnyTarget = FilesTarget | HaproxyTarget | KubernetesTarget
_TARGETS: TypeAdapter[list[_AnyTarget]] = TypeAdapter(list[_AnyTarget])
_LABEL = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
_LABELS = st.lists(_LABEL, min_size=1, max_size=3).map(tuple)
_ANY_TARGET = st.one_of(
    st.builds(FilesTarget, name=_LABEL, site=_LABEL, store=_LABEL),
    st.builds(HaproxyTarget, name=_LABEL, site=_LABEL, instance=_LABEL),
    st.builds(KubernetesTarget, name=_LABEL, site=_LABEL, namespaces=_LABELS, secret=_LABEL, clusters=_LABELS),
)


def read(*specs: str) -> list[_AnyTarget]:
    return _TARGETS.validate_json(json.dumps(read_targets(specs, KINDS)))


def stored(target: _AnyTarget) -> Target:
    return Target.model_validate({"kind": target.kind, **target.model_dump(mode="json", exclude_defaults=True)})


@given(st.lists(_ANY_TARGET, max_size=4))
def test_a_target_that_is_shown_can_be_typed_again(targets: list[_AnyTarget]) -> None:
    assert read(*(target_text(stored(target)) for target in targets)) == targets


@given(
    st.dictionaries(
        st.text(),
        st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists),
        max_size=4,
    )
)
def test_a_target_of_any_kind_can_be_shown(fields: dict[str, object]) -> None:
    target = Target.model_validate({**fields, "unreadable": (), "name": "edge", "kind": "cps", "site": None})
    assert target_text(target).startswith("cps:name=edge")


class _Cps(TargetRequest):
    kind: Literal["cps"] = "cps"
    enrolment: int
    networks: tuple[str, ...] | None = None
    note: str = ""


def test_the_model_of_a_kind_says_which_fields_are_lists() -> None:
    kinds = TargetKinds([TargetKind("cps", "pusher", _Cps)])
    (typed,) = read_targets(["cps:enrolment=17,networks=staging,note=a+b"], kinds)
    assert typed == {"kind": "cps", "name": "cps", "enrolment": "17", "networks": ["staging"], "note": "a+b"}
    assert _Cps.model_validate(typed).enrolment == 17


def test_of_a_kind_that_is_not_installed_a_plus_makes_a_list() -> None:
    assert read_targets(["cps:site=site1,networks=a+b,tags=one+,note=x"], KINDS) == [
        {
            "kind": "cps",
            "site": "site1",
            "networks": ["a", "b"],
            "tags": ["one"],
            "note": "x",
            "name": "site1-cps",
        }
    ]


def test_each_kind_is_read_from_its_notation() -> None:
    assert read(
        "kubernetes:site=site1,namespaces=web+shop,secret=orders-tls,clusters=a+b",
        "files:site=site1,store=edge,name=disk",
        "haproxy: site=site2, instance=front",
    ) == [
        KubernetesTarget(
            name="site1-kubernetes",
            site="site1",
            namespaces=("web", "shop"),
            secret="orders-tls",
            clusters=("a", "b"),
        ),
        FilesTarget(name="disk", site="site1", store="edge"),
        HaproxyTarget(name="site2-haproxy", site="site2", instance="front"),
    ]


def test_names_that_were_not_given_are_told_apart_by_a_number() -> None:
    targets = read(
        "files:site=site1",
        "files:site=site1,store=b",
        "files:site=site1,name=site1-files-2",
        "files:site=site2",
    )
    assert [target.name for target in targets] == ["site1-files", "site1-files-3", "site1-files-2", "site2-files"]


@given(st.lists(st.sampled_from(["files:site=a", "haproxy:site=a", "files:site=b", "files:site=a,name=a-files"])))
def test_no_given_name_is_taken_by_a_made_one(specs: list[str]) -> None:
    names = [target["name"] for target in read_targets(specs, KINDS)]
    made = len(specs) - specs.count("files:site=a,name=a-files")
    assert len(set(names)) == made + ("files:site=a,name=a-files" in specs)


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ("", "has no kind"),
        ("files", "has no kind"),
        (":site=a", "has no kind"),
        ("files:", "is not key=value"),
        ("files:site", "is not key=value"),
        ("files:site=", "is not key=value"),
        ("files:=a", "is not key=value"),
        ("files:site=a,", "is not key=value"),
        ("files:site=a,site=b", "site is given twice"),
        ("files:site=a,kind=b", "kind is given twice"),
    ],
)
def test_a_broken_notation_is_named_by_the_place_of_the_target(spec: str, fault: str) -> None:
    with pytest.raises(CommandError) as refused:
        read_targets(["files:site=a", spec], KINDS)
    assert refused.value.exit_code is ExitCode.INVALID
    assert refused.value.fields[0][0] == "targets.1"
    assert fault in refused.value.fields[0][1]


@given(st.text())
def test_no_text_breaks_the_notation_otherwise(text: str) -> None:
    with suppress(CommandError):
        read_targets([text], KINDS)


def test_an_endpoint_may_name_the_target_that_it_proves() -> None:
    assert read_endpoint("https://a.example.org:8443=web") == {
        "url": "https://a.example.org:8443",
        "target": "web",
    }
    assert read_endpoint("https://a.example.org") == {"url": "https://a.example.org"}


def test_labels_are_read_as_pairs() -> None:
    assert read_labels(["app=shop", "empty=", "url=a=b"]) == {"app": "shop", "empty": "", "url": "a=b"}


@pytest.mark.parametrize("texts", [["app"], ["=shop"], [""], ["app=a", "app=b"]])
def test_a_label_of_another_form_is_refused(texts: list[str]) -> None:
    with pytest.raises(CommandError) as refused:
        read_labels(texts)
    assert refused.value.exit_code is ExitCode.INVALID
    assert refused.value.fields[0][0] == "labels"
