import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certbus.output import (
    Cell,
    Table,
    fitted,
    print_facts,
    print_json,
    print_json_line,
    print_page,
    print_table,
    say,
    visible,
)
from tests.unit.certbus.samples import summary, view

_TABLE = Table(
    ("NAME", "STATE", "REASON"),
    (
        (Cell("shop"), Cell("live", "green"), Cell("every endpoint was seen serving it")),
        (Cell("a-name-that-is-rather-long"), Cell("failing", "red"), Cell("")),
    ),
)


def test_a_pipe_gets_one_line_a_row_however_long(capsys: pytest.CaptureFixture[str]) -> None:
    long = Table(("A", "B"), ((Cell("x" * 400), Cell("two words " * 40)), (Cell("é漢字"), Cell("z"))))
    print_table(long)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[1].split() == ["x" * 400, *(["two", "words"] * 40)]
    assert lines[2].split() == ["é漢字", "z"]


def test_a_table_is_aligned_under_its_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(_TABLE)
    heads, first, second = capsys.readouterr().out.splitlines()
    assert heads.index("STATE") == first.index("live") == second.index("failing")


def test_an_empty_table_says_so_beside_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(Table(("A",), (), empty="no such things"))
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "no such things\n")


@given(st.text())
def test_nothing_that_steers_a_terminal_is_printed(text: str) -> None:
    shown = visible(text)
    assert len(shown) == len(text)
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in shown)
    assert len(shown.splitlines()) <= 1


def test_text_from_elsewhere_reaches_no_terminal_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b]0;owned\x07\r\n\x9b31m"
    print_table(Table(("A",), ((Cell(evil),),)))
    print_facts([("fact", evil)])
    say(evil)
    shown = capsys.readouterr()
    assert not set("\x1b\x07\r\x9b") & set(shown.out + shown.err)


def test_facts_without_a_value_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    print_facts([("name", "shop"), ("next try", ""), ("dns names", "a.example.org")])
    assert capsys.readouterr().out == "name:       shop\ndns names:  a.example.org\n"


def test_json_is_the_model_itself(capsys: pytest.CaptureFixture[str]) -> None:
    print_json(view())
    assert json.loads(capsys.readouterr().out) == view().model_dump(mode="json")


def test_a_list_has_the_form_of_the_api(capsys: pytest.CaptureFixture[str]) -> None:
    print_page([summary(), summary("other")])
    assert json.loads(capsys.readouterr().out) == {
        "items": [summary().model_dump(mode="json"), summary("other").model_dump(mode="json")],
        "next": None,
    }
    print_page([])
    assert json.loads(capsys.readouterr().out) == {"items": [], "next": None}


def test_a_json_line_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_json_line(view(reason="two\nlines"))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert json.loads(lines[0])["reason"] == "two\nlines"


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), min_size=1), st.integers(0, 300))
def test_widths_fill_the_room_and_never_cut_a_word(columns: list[tuple[int, int]], spare: int) -> None:
    least = [need for need, _ in columns]
    natural = [need + more for need, more in columns]
    room = sum(least) + spare
    widths = fitted(natural, least, room)
    assert sum(widths) == min(room, sum(natural))
    assert all(need <= width <= wish for need, width, wish in zip(least, widths, natural, strict=True))


@pytest.mark.parametrize("columns", [200, 82, 81, 60, 52, 51, 50, 40, 20, 5])
def test_no_terminal_is_too_narrow_for_a_column(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    print_table(_TABLE)
    shown = capsys.readouterr().out
    for row in _TABLE.rows:
        for cell in row:
            for word in cell.text.split():
                assert word in shown
    for column in _TABLE.columns:
        assert column in shown


def test_colours_are_left_out_where_nobody_wants_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    green = "\x1b[32m"
    print_table(_TABLE)
    assert green in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    print_table(_TABLE)
    assert green not in capsys.readouterr().out
