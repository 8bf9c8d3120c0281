"""Strings that have broken programs before; none of them is a name."""

from typing import Final

__all__ = ["NAUGHTY"]

NAUGHTY: Final = (
    # white space and what ends a line somewhere
    " ",
    "\t",
    "a b",
    "line\nbreak",
    'x\r\n{"event": "forged", "level": "info"}',
    "x\r\nInjected-Header: yes",
    "x\r\n\r\n<html>",
    "\u2028",
    "\u2029",
    "\x85",
    "\ufeff",
    "\u200b",
    "a\u00a0b",
    # control characters
    "\x00",
    "a\x00b",
    "\x07\x08\x1b[31mred\x1b[0m",
    "\x7f",
    "\x1b]0;title\x07",
    # subjects, paths and commands
    ">",
    "*",
    "certs.request.>",
    "a.b.>",
    "a.*.c",
    "$JS.API.STREAM.DELETE.CERTS",
    "_INBOX.x",
    "../../etc/passwd",
    "..\\..\\windows\\win.ini",
    "/dev/null",
    "file:///etc/passwd",
    "~root",
    "$(touch /tmp/owned)",
    "`id`",
    "; rm -rf /;",
    "| cat",
    "${HOME}",
    "%n%n%n%s%x",
    "%0d%0aSet-Cookie:x=y",
    "--help",
    # markup, queries, templates
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "javascript:alert(1)",
    "' OR '1'='1",
    "'; DROP TABLE certificate; --",
    "{{7*7}}",
    "{%for x in y%}",
    "${jndi:ldap://127.0.0.1/a}",
    "<!ENTITY x SYSTEM 'file:///etc/passwd'>",
    # numbers and words that are something else elsewhere
    "-1-",
    "1e+1000",
    "0x7f.1/8",
    "NaN",
    "None",
    "NULL",
    "True",
    "[object Object]",
    "{}",
    # letters that look like others, join, turn around, or are many
    "раypal",  # noqa: RUF001 # the first letter is Cyrillic, as it should be
    "ümlaut",
    "ＦＵＬＬ",  # noqa: RUF001 # full-width, as it should be
    "①②③",
    "田中さん",
    "🎉💥",
    "👩‍👩‍👧",
    "\u202egnp.exe",
    "e\u0301" * 40,
    "Z" + "\u0300" * 200,
    "-----BEGIN PRIVATE KEY-----",
    "A" * 64,
    "a" * 3000,
)
