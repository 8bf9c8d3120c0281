import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from certbus.errors import CommandError
from certbus.exit_codes import ExitCode
from certbus.request_views import target_text
from certbus.target_option import read_endpoint, read_targets
from certcore.targets import FilesTarget, HaproxyTarget, KubernetesTarget, TargetSpec

_TARGETS: TypeAdapter[list[TargetSpec]] = TypeAdapter(list[TargetSpec])
_LABEL = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
_LABELS = st.lists(_LABEL, min_size=1, max_size=3).map(tuple)
_ANY_TARGET = st.one_of(
    st.builds(FilesTarget, name=_LABEL, site=_LABEL, store=_LABEL),
    st.builds(HaproxyTarget, name=_LABEL, site=_LABEL, instance=_LABEL),
    st.builds(KubernetesTarget, name=_LABEL, site=_LABEL, namespaces=_LABELS, secret=_LABEL, clusters=_LABELS),
)


def read(*specs: str) -> list[TargetSpec]:
    return _TARGETS.validate_json(json.dumps(read_targets(specs)))


@given(st.lists(_ANY_TARGET, max_size=4))
def test_a_target_that_is_shown_can_be_typed_again(targets: list[TargetSpec]) -> None:
    assert read(*(target_text(target) for target in targets)) == targets


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
    names = [target["name"] for target in read_targets(specs)]
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
        read_targets(["files:site=a", spec])
    assert refused.value.exit_code is ExitCode.INVALID
    assert refused.value.fields[0][0] == "targets.1"
    assert fault in refused.value.fields[0][1]


@given(st.text())
def test_no_text_breaks_the_notation_otherwise(text: str) -> None:
    with suppress(CommandError):
        read_targets([text])


def test_an_endpoint_may_name_the_target_that_it_proves() -> None:
    assert read_endpoint("https://a.example.org:8443=web") == {
        "url": "https://a.example.org:8443",
        "target": "web",
    }
    assert read_endpoint("https://a.example.org") == {"url": "https://a.example.org"}
