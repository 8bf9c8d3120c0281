"""What a command prints: answers on stdout, everything about them on stderr.

Text from elsewhere may hold control characters (a cluster's Secrets are anybody's): none reaches the terminal.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from pydantic import BaseModel

    from certcore.reading import ReadModel

__all__ = [
    "Cell",
    "Format",
    "Table",
    "fitted",
    "forget_the_reader",
    "print_facts",
    "print_json",
    "print_json_line",
    "print_line",
    "print_page",
    "print_table",
    "say",
    "visible",
]

Format = Literal["table", "json"]

_CONTROLS: Final = (*range(0x20), *range(0x7F, 0xA0))
_TURNS_TEXT_AROUND: Final = (*range(0x2028, 0x202F), *range(0x2066, 0x206A))
_UNSEEN: Final = dict.fromkeys((*_CONTROLS, *_TURNS_TEXT_AROUND), "\N{REPLACEMENT CHARACTER}")
_GAP: Final = 2


@dataclass(frozen=True)
class Cell:
    """`style` is one of rich's; it only underlines what the text says."""

    text: str
    style: str = ""


@dataclass(frozen=True)
class Table:
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    empty: str = "nothing found"


def visible(text: str) -> str:
    """The text on one line, with a mark in place of each control character."""
    return text.translate(_UNSEEN)


def say(*lines: str) -> None:
    """Tell something about the answer, or about how it comes along."""
    for line in lines:
        print(visible(line), file=sys.stderr, flush=True)


def print_json(answer: "BaseModel | Sequence[BaseModel]") -> None:
    """The API's own models, field by field."""
    from pydantic_core import to_json  # noqa: PLC0415 # what imports long is imported where it is used

    print(to_json(answer, indent=2).decode())


def print_page(items: "Iterable[ReadModel]") -> None:
    """A list in the API's form, all pages as one."""
    from pydantic_core import to_json  # noqa: PLC0415 # as above

    print(to_json({"items": list(items), "next": None}, indent=2).decode())


def print_json_line(answer: "BaseModel") -> None:
    print(answer.model_dump_json(), flush=True)


def print_line(text: str) -> None:
    print(visible(text), flush=True)


def forget_the_reader() -> None:
    """After a broken pipe: what is still buffered goes nowhere, instead of failing again when the process ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """`name: value` lines, aligned; facts without a value are left out."""
    shown = [(name, value) for name, value in facts if value]
    width = max((len(name) for name, _ in shown), default=0) + 1
    for name, value in shown:
        print(f"{name + ':':<{width}}  {visible(value)}")


def print_table(table: Table) -> None:
    """Columns where the terminal is wide enough for their longest words, else each row as facts: nothing is cut off.

    Into a pipe or a file every row is one line, however long.
    """
    from rich.cells import cell_len  # noqa: PLC0415 # as above
    from rich.console import Console  # noqa: PLC0415 # as above
    from rich.table import Table as Grid  # noqa: PLC0415 # as above
    from rich.text import Text  # noqa: PLC0415 # as above

    if not table.rows:
        say(table.empty)
        return
    columns = [
        [name, *(visible(row[number].text) for row in table.rows)] for number, name in enumerate(table.columns)
    ]
    natural = [max(map(cell_len, texts)) for texts in columns]
    least = [max((cell_len(word) for text in texts for word in text.split()), default=0) for texts in columns]
    console = Console(highlight=False)
    room = console.width - _GAP * (len(columns) - 1)
    if not console.is_terminal:
        room = sum(natural)
        console.width = room + _GAP * len(columns)
    if sum(least) > room:
        for row in table.rows:
            print_facts(zip(table.columns, (cell.text for cell in row), strict=True))
            print()
        return
    grid = Grid(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for name, width in zip(table.columns, fitted(natural, least, room), strict=True):
        grid.add_column(name, width=width)
    for row in table.rows:
        grid.add_row(*(Text(visible(cell.text), style=cell.style) for cell in row))
    console.print(grid)


def fitted(natural: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Widths that fit into the room: columns to the left are given what they like, those to the right wrap first."""
    spare = room - sum(least)
    widths = []
    for wish, need in zip(natural, least, strict=True):
        extra = min(spare, wish - need)
        spare -= extra
        widths.append(need + extra)
    return widths
