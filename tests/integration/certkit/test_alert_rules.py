"""The alert rules: each names metrics that a service exports, tells what to do, and is there within two minutes."""

import re
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

import httpx
import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel, ConfigDict, Field

from certdelivery.metrics import Metrics as DeliveryMetrics
from issuer.handlers.metrics import Metrics
from tests.integration.certkit.monitor_process import running_monitor, until_told
from tests.promtool import promtool
from tests.registry_process import running_registry

pytestmark = pytest.mark.integration

RULES: Final = Path(__file__).parents[3] / "deploy" / "alerts" / "certbus.yaml"
RULES_TEST: Final = Path(__file__).parent / "alert_rules_test.yaml"
# Written by Prometheus itself for whatever it scrapes.
OF_PROMETHEUS: Final = {"up"}
WORDS: Final = {"and", "or", "unless", "offset", "by", "on", "without", "ignoring"}


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Labels(Strict):
    severity: str = Field(pattern="^(critical|warning)$")


class Annotations(Strict):
    summary: str = Field(min_length=1)
    action: str = Field(min_length=1)


class Rule(Strict):
    alert: str = Field(pattern="^Certbus[A-Za-z]+$")
    expr: str
    wait: str = Field(default="0s", alias="for", pattern="^[0-9]+[sm]$")
    labels: Labels
    annotations: Annotations

    @property
    def waits(self) -> timedelta:
        unit = {"s": "seconds", "m": "minutes"}[self.wait[-1]]
        return timedelta(**{unit: int(self.wait[:-1])})

    @property
    def metrics(self) -> set[str]:
        """The names in the expression that are neither labels nor functions nor PromQL's own words."""
        bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^]]*\]', " ", self.expr)
        return {name for name in re.findall(r"\b[a-z_]{3,}\b(?!\s*\()", bare) if name not in WORDS}


class Group(Strict):
    name: str
    interval: str
    rules: list[Rule]


class Rules(Strict):
    groups: list[Group]

    def __iter__(self) -> Iterator[Rule]:  # type: ignore[override] # the rules, not the fields
        return (rule for group in self.groups for rule in group.rules)


def rules() -> Rules:
    return Rules.model_validate(yaml.safe_load(RULES.read_text()))


def test_each_rule_has_its_name_says_what_to_do_and_waits_two_minutes_at_most() -> None:
    names = [rule.alert for rule in rules()]
    assert len(names) == len(set(names)) > 10
    assert [rule.alert for rule in rules() if rule.waits > timedelta(minutes=2)] == []


async def exported(url: str) -> set[str]:
    async with httpx.AsyncClient(trust_env=False) as client:
        return families((await client.get(f"{url}/metrics")).text)


def families(text: str) -> set[str]:
    # A counter that has counted nothing yet has no sample, but its family is told.
    return {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in text_string_to_metric_families(text)
    }


async def test_every_metric_of_a_rule_is_exported_by_some_service(tmp_path: Path) -> None:
    async with (
        running_registry() as registry,
        running_monitor(registry.nats_url, tmp_path, monitor_url=registry.broker.monitor_url) as monitor,
    ):
        await until_told(monitor.http, "ok   broker")
        found = await exported(registry.url) | await exported(monitor.url)
    # The issuer's and the deliverers' own; a CA and a target are no part of this.
    others = CollectorRegistry()
    Metrics(registry=others)
    DeliveryMetrics(others)
    found |= families(generate_latest(others).decode())
    missing = {rule.alert: rule.metrics - found - OF_PROMETHEUS for rule in rules()}
    assert {alert: names for alert, names in missing.items() if names} == {}


def test_prometheus_can_read_the_rules() -> None:
    told = subprocess.run([promtool(), "check", "rules", RULES], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr


def test_after_two_minutes_each_fault_has_its_alert_and_what_is_well_has_none(tmp_path: Path) -> None:
    test = yaml.safe_load(RULES_TEST.read_text())
    expected = test["tests"][0]["promql_expr_test"][0]["exp_samples"]
    assert [sample["labels"].split('"')[1] for sample in expected] == [rule.alert for rule in rules()]
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], **test}))
    told = subprocess.run([promtool(), "test", "rules", file], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
