"""The health of a certificate as each of the registry's faces shows it: list, show and page."""

import re

import httpx

from certcore.conditions import Health
from certlocal.readiness import trusting
from certlocal.system import LocalSystem

__all__ = ["shown_health"]


def shown_health(system: LocalSystem, name: str) -> dict[str, str]:
    """What list, show and page say of a certificate's health, asked one after the other."""
    with system.connect() as registry:
        listed = next(item for item in registry.certificates() if item.name == name)
        shown = registry.certificate(name)
    return {"list": str(listed.health), "show": str(shown.health), "page": _on_page(system, name)}


def _on_page(system: LocalSystem, name: str) -> str:
    with httpx.Client(verify=trusting(system.ca_file), trust_env=False, follow_redirects=True) as browser:
        browser.get(system.sign_in_link())
        page = browser.get(f"{system.registry_url}/", params={"q": name}).text
    article = next((part for part in page.split("<article")[1:] if f"<h3>{name} " in part), "")
    badge = re.search(r'class="health (\w+)"', article)
    return badge[1] if badge else Health.UNKNOWN.value
