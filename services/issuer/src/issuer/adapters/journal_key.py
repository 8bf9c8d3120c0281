"""The key by which the journal's account keys are sealed: in a file of mode 0600, the same at each host."""

import base64
import os
from pathlib import Path
from typing import Final

from certcore.errors import PermanentError
from certcore.private_files import make_private

__all__ = ["journal_key"]

_BYTES: Final = 32


def journal_key(file: Path | None, *, state_folder: Path, shared: bool) -> bytes:
    """The key in `file`, or else in `state_folder`, where it is made unless the journal may be `shared` by hosts.

    Raises:
        PermanentError: there is no such file, or it holds no such key.
    """
    path = file or state_folder / "journal.key"
    if not path.exists():
        if file is not None or shared:
            raise PermanentError(
                f"journal_key_file: {path} doesn't exist; issuers on one PostgreSQL journal are given the same file"
                " with 32 random bytes in base64url"
            )
        # Half a key would be taken for a damaged one.
        make_private(path, base64.urlsafe_b64encode(os.urandom(_BYTES)))
    try:
        text = path.read_text().strip()
        key = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, OSError) as error:
        raise PermanentError(f"journal_key_file {path} can't be read: {type(error).__name__}") from None
    if len(key) != _BYTES:
        raise PermanentError(f"journal_key_file {path} holds {len(key)} bytes in base64url instead of {_BYTES}")
    return key
