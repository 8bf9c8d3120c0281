"""Whatever is done to an export, or to the rows before it was made, is found where it was done."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certcore.audit import hash_of
from certcore.audit_proof import FindingReason, prove, read_anchors
from tests.audit_chains import DATABASE, an_anchor, chained, exported, head_of, rechained

LENGTH = 12
WHOLE = chained(LENGTH)
ANCHORS = [an_anchor(WHOLE[:count]) for count in (4, 8, LENGTH)]
LINES = exported(WHOLE, anchors=ANCHORS)
FIELDS = sorted(WHOLE[0].keys() - {"kind", "hash"})

indexes = st.integers(0, LENGTH - 1)


def reasons(lines: list[bytes]) -> list[FindingReason]:
    return [finding.reason for finding in prove(lines).findings]


def test_a_whole_export_holds_and_says_how_far_it_is_anchored() -> None:
    other = chained(3, chain=2)
    proof = prove(exported(WHOLE, other, anchors=[*ANCHORS, an_anchor(WHOLE, other[:2])]), [ANCHORS[0]])
    assert proof.findings == ()
    assert proof.holds()
    assert (proof.database_id, proof.entries, proof.anchors) == (DATABASE, LENGTH + 3, 5)
    assert proof.heads == (head_of(WHOLE), head_of(other))
    assert proof.anchored == (head_of(WHOLE), head_of(other[:2]))
    assert prove(exported()).holds()


@pytest.mark.hypothesis
@given(
    indexes,
    st.sampled_from(FIELDS),
    st.sampled_from(["the row", "its hash too"]),
    st.sampled_from(["before", "after"]),
)
def test_an_edited_entry_is_found_at_its_place(index: int, field: str, what: str, export: str) -> None:
    edited = [dict(entry) for entry in WHOLE]
    value = edited[index][field]
    edited[index][field] = value + 100 if isinstance(value, int) else f"{value or ''}0"
    if what == "its hash too":
        edited[index]["hash"] = hash_of(edited[index])
    if export == "after":
        lines = exported(edited, anchors=ANCHORS)
    else:
        lines = [*LINES]
        lines[index + 1] = exported(edited)[index + 1]
    proof = prove(lines)
    assert not proof.holds()
    first = proof.findings[0]
    # Whoever makes the entry's hash fit has it fail at the next one, or at the last anchor.
    assert first.line in {index + 2, index + 3} or first.number in {index + 1, LENGTH}
    if what == "the row":
        assert first.line == index + 2


@pytest.mark.hypothesis
@given(indexes, st.integers(1, LENGTH))
def test_entries_that_were_taken_out_are_named(index: int, count: int) -> None:
    proof = prove(exported([*WHOLE[:index], *WHOLE[index + count :]], anchors=ANCHORS))
    first, last = index + 1, min(index + count, LENGTH)
    found = proof.findings[0]
    if index + count < LENGTH:
        assert (found.reason, found.line) == (FindingReason.MISSING, index + 2)
        assert f"entries {first} to {last} are missing" in found.detail
    else:
        # From the end: the anchors have them, and the first of those that is missing.
        assert found.reason is FindingReason.TRUNCATED
        assert found.number == next(number for number in (4, 8, LENGTH) if number > index)


@pytest.mark.hypothesis
@given(st.lists(indexes, min_size=2, max_size=2, unique=True).map(sorted))
def test_swapped_entries_are_found_at_the_first(two: list[int]) -> None:
    first, second = two
    swapped = [*WHOLE]
    swapped[first], swapped[second] = swapped[second], swapped[first]
    for lines in (exported(swapped, anchors=ANCHORS), [LINES[0], *exported(swapped)[1:-1], *LINES[LENGTH + 1 :]]):
        assert prove(lines).findings[0].line == first + 2


@pytest.mark.hypothesis
@given(indexes, st.sampled_from(["taken out", "edited", "put in"]))
def test_a_chain_that_was_written_anew_is_another_than_was_anchored(index: int, act: str) -> None:
    made = [dict(entry) for entry in WHOLE]
    if act == "taken out":
        del made[index]
    elif act == "edited":
        made[index]["actor"] = "nobody"
    else:
        made.insert(index, {**WHOLE[index], "actor": "nobody"})
    lines = exported(rechained(made, index), anchors=ANCHORS)
    found = prove(lines).findings
    assert {finding.reason for finding in found} <= {FindingReason.FORKED, FindingReason.TRUNCATED}
    assert min(finding.number or 0 for finding in found) == next(item for item in (4, 8, LENGTH) if item > index)
    # Without the anchors in the export, those from elsewhere show it.
    alone = exported(rechained(made, index))
    assert prove(alone).holds()
    assert not prove(alone, read_anchors(LINES)).holds()
    assert not prove(alone, read_anchors([ANCHORS[-1].model_dump_json().encode()])).holds()


@pytest.mark.hypothesis
@given(st.integers(0, len(b"".join(LINES)) - 1), st.integers(1, 255))
def test_a_changed_byte_is_found_in_its_line_or_at_the_end(place: int, change: int) -> None:
    whole = bytearray(b"".join(LINES))
    line = whole[:place].count(b"\n") + 1
    whole[place] ^= change
    proof = prove(bytes(whole).splitlines(keepends=True))
    assert not proof.holds()
    if line <= LENGTH + 1:
        assert line <= (proof.findings[0].line or 0) <= line + 1 or proof.findings[0].line == len(LINES)


@pytest.mark.parametrize("left", range(len(LINES)))
def test_an_export_that_breaks_off_is_told(left: int) -> None:
    assert reasons(LINES[:left])[-1] is FindingReason.CUT


@pytest.mark.parametrize("line", range(LENGTH + 1, LENGTH + 4))
def test_an_anchor_that_was_taken_out_of_the_export_is_told(line: int) -> None:
    assert reasons([*LINES[:line], *LINES[line + 1 :]]) == [FindingReason.ALTERED]


def test_an_older_copy_is_told_before_and_after_its_restoration() -> None:
    copy = WHOLE[:6]
    assert reasons(exported(copy, anchors=ANCHORS)) == [FindingReason.TRUNCATED]
    # Restored, it goes on: the numbers after the copy's are those of other entries.
    goes_on = rechained([*copy, *({**entry, "actor": "registry"} for entry in WHOLE[6:10])], 6)
    later = an_anchor(goes_on, epoch=1)
    proof = prove(exported(goes_on, anchors=[*ANCHORS, later], epoch=1))
    [found] = proof.findings
    assert (found.reason, found.number) == (FindingReason.LOST_BY_RESTORE, 8)
    assert "epoch 0, is another one now; anchors that don't fit: 2" in found.detail
    assert not proof.holds()
    assert proof.holds(accept_restores=True)
    assert proof.anchored == (head_of(goes_on),)
    edited = [dict(entry) for entry in goes_on]
    edited[8]["actor"] = "nobody"
    assert not prove(exported(edited, anchors=[*ANCHORS, later], epoch=1)).holds(accept_restores=True)


def test_a_line_that_says_two_things_at_once_is_no_line_of_an_export() -> None:
    twice = LINES[3].replace(b'{"action"', b'{"actor":"nobody","action"')
    found = prove([*LINES[:3], twice, *LINES[4:]]).findings[0]
    assert (found.reason, found.line) == (FindingReason.UNREADABLE, 4)


def test_what_else_is_no_proof() -> None:
    stranger = an_anchor(WHOLE, database="another")
    assert [found.reason for found in prove(LINES, [stranger]).findings] == [FindingReason.OTHER_DATABASE]
    assert reasons([b"[]\n", b"[" * 100_000 + b"\n"])[:2] == [FindingReason.UNREADABLE] * 2
    with pytest.raises(ValueError, match="no anchor"):
        read_anchors([b"{}\n", b"nothing"])


def test_any_one_of_ten_thousand_entries_is_missed() -> None:
    many = chained(10_000)
    anchor = an_anchor(many)
    index = random.Random(8785).randrange(1, 9_999)
    edited = [*many]
    edited[index] = {**edited[index], "actor": "nobody"}
    for lines, reason, number in (
        (exported(edited, anchors=[anchor]), FindingReason.EDITED, index + 1),
        (exported([*many[:index], *many[index + 1 :]], anchors=[anchor]), FindingReason.MISSING, index + 2),
        (exported(many[:-1], anchors=[anchor]), FindingReason.TRUNCATED, 10_000),
    ):
        [found] = prove(lines).findings
        assert (found.reason, found.number) == (reason, number)
