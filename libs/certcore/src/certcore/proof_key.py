"""The key by which whoever began a sign-in proves that it ends there, by S256 of RFC 7636."""

import base64
import hashlib

__all__ = ["challenge_of", "words_of"]


def challenge_of(verifier: str) -> str:
    """What may be seen; nothing leads from it to the verifier."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def words_of(challenge: str) -> str:
    """What the command and the page both show, so that a person sees that they belong together."""
    shown = hashlib.sha256(f"certbus login {challenge}".encode()).hexdigest()[:8].upper()
    return f"{shown[:4]}-{shown[4:]}"
