"""Ports for tests: the launcher's own choice, so that tests and a running system don't get in each other's way."""

from certlocal.ports import free_port

__all__ = ["free_port"]
