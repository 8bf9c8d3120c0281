"""Looking for private keys where none may be, in every form in which one could have leaked."""

import base64
from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

__all__ = ["forms_of", "scan"]


def forms_of(key_pem: bytes) -> dict[str, bytes]:
    """The key as PEM lines, as DER, its secret number alone, and each of them in base64 and hex."""
    key = load_pem_private_key(key_pem, password=None)
    pkcs8 = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    traditional = key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    number = key.private_numbers().private_value.to_bytes(32, "big")  # type: ignore[union-attr] # the story's are EC
    found = {"der-pkcs8": pkcs8, "der-sec1": traditional, "scalar": number}
    # A line from the middle of the PEM: it is found whatever the line ends are, and however it is quoted.
    for name, der in (("pem-pkcs8", pkcs8), ("pem-sec1", traditional)):
        found[name] = base64.b64encode(der)[64:124]
    found |= {
        f"hex-{name}": value.hex().encode() for name, value in tuple(found.items()) if not name.startswith("pem")
    }
    for shift in range(3):
        # base64 of the PEM looks different by where in a group of three bytes it starts.
        whole = base64.b64encode(b" " * shift + key_pem)
        found[f"base64-of-pem-{shift}"] = whole[80:160]
    for shift in range(3):
        found[f"base64-of-scalar-{shift}"] = base64.b64encode(b"\0" * shift + number)[4:40]
    return found


def scan(folders: Iterable[Path], needles: dict[str, bytes]) -> list[str]:
    """`<file>: <form>` for every find in every file below the folders."""
    found = []
    for folder in folders:
        for path in sorted(folder.rglob("*")) if folder.is_dir() else [folder]:
            if path.is_file():
                content = path.read_bytes()
                found += [f"{path}: {form}" for form, needle in needles.items() if needle in content]
    return found
