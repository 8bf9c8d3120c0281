"""The policy of the local system, written once: it is a file like an operator's, to be read and changed."""

from pathlib import Path
from typing import Final

from certlocal.home import Home

__all__ = ["policy_file"]

_POLICY: Final = """\
# Who may have which name where, and who is asked. What isn't allowed here is refused.
# The form and worked examples: docs/policy.md. `certbus policy check FILE` reads it without a server.
version: 1

# Where a name lies decides its exposure.
zones:
  internal: [internal.example.test]
  public: [example.test]

# The preferred CA first. `private` are those that may sign what no public CA may, such as names below .test.
cas:
  internal: [pebble-internal]
  public: [pebble-public]
  private: [pebble-internal, pebble-public]

groups:
  security: [bob]

teams:
  team-shop:
    subtrees: [internal.example.test, example.test]
    places:
      - {kind: files, site: "*", store: "*"}
      - {kind: haproxy, site: "*", instance: "*"}
      - {kind: kubernetes, site: "*", cluster: "*", namespace: "*", secret: "*"}
  platform:
    subtrees: [internal.example.test, example.test]
    places:
      - {kind: files, site: "*", store: "*"}
      - {kind: haproxy, site: "*", instance: "*"}
      - {kind: kubernetes, site: "*", cluster: "*", namespace: "*", secret: "*"}

rules:
  - name: internal-names
    match: {exposure: internal}
    approvals: []
  - name: public-names
    match: {exposure: public}
    approvals: [{group: security, count: 1}]
    pending: 14d
"""


def policy_file(home: Home) -> Path:
    """The file in the home; one that is there already stays as it is."""
    path = home.path("policy.yaml")
    if not path.exists():
        path.write_text(_POLICY)
    return path
