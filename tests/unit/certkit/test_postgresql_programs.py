"""How PostgreSQL's programs are found and spoken to."""

import pytest

from certkit.postgresql_programs import conninfo, fitting

FOUND = {"/13/pg_dump": 13, "/17/pg_dump": 17, "/15/pg_dump": 15}


@pytest.mark.parametrize(("server", "program"), [(13, "/13/pg_dump"), (15, "/15/pg_dump"), (16, "/17/pg_dump")])
def test_the_program_is_of_the_servers_version_or_the_next_one(server: int, program: str) -> None:
    assert fitting(FOUND, server) == program


def test_none_is_older_than_the_server() -> None:
    assert fitting(FOUND, 18) is None
    assert fitting({}, 15) is None


def test_values_of_a_connection_can_hold_anything() -> None:
    assert conninfo({"host": "db", "port": 5432, "user": r"o'n\e l"}) == r"host='db' port='5432' user='o\'n\\e l'"
