from collections.abc import Sequence

import pytest

from issuer.domain.ca_order import ChallengeKind
from issuer.domain.caa import CaaAsker, CaaReason, CaaRecord, CaaVerdict, judge_caa
from issuer.domain.failure import FailureReason, JobFailedError
from issuer.handlers.caa_check import CaaCheck


class Ca:
    preference = (ChallengeKind.HTTP_01, ChallengeKind.DNS_01)

    def __init__(self, *identities: str) -> None:
        self._identities = identities

    async def caa_identities(self) -> tuple[str, ...]:
        return self._identities

    async def account_url(self) -> str:
        return "https://ca.test/acct/1"


class Records:
    """The same records for every name."""

    def __init__(self, *values: str) -> None:
        self.asked: list[str] = []
        self._values = values

    async def allows(self, names: Sequence[str], asker: CaaAsker) -> CaaVerdict:
        self.asked += names
        sets = {"example.org": [CaaRecord(0, "issue", value) for value in self._values]}
        return [judge_caa(name, sets, asker) for name in names][-1]


async def test_a_ca_that_is_named_may_issue() -> None:
    await CaaCheck(Records("ca.test")).check(Ca("ca.test"), ["example.org", "*.example.org"])


async def test_a_ca_that_is_not_named_gets_no_order() -> None:
    with pytest.raises(JobFailedError, match=r"lets other\.test issue for example\.org") as failure:
        await CaaCheck(Records("other.test")).check(Ca("ca.test"), ["example.org"])
    assert failure.value.reason is FailureReason.CAA_FORBIDS


async def test_a_wildcard_is_only_ever_proven_by_dns() -> None:
    check = CaaCheck(Records("ca.test; validationmethods=http-01"))
    await check.check(Ca("ca.test"), ["example.org"])
    with pytest.raises(JobFailedError, match=r"lets \*\.example\.org be proven by http-01, and we can by dns-01"):
        await check.check(Ca("ca.test"), ["example.org", "*.example.org"])


async def test_a_ca_without_identities_costs_no_lookup() -> None:
    records = Records("other.test")
    await CaaCheck(records).check(Ca(), ["example.org"])
    assert records.asked == []


async def test_what_could_not_be_looked_up_forbids_nothing() -> None:
    class Silent:
        async def allows(self, _: Sequence[str], __: CaaAsker) -> CaaVerdict:
            return CaaVerdict(allowed=True, reason=CaaReason.NOT_ANSWERED, detail="nobody answers")

    await CaaCheck(Silent()).check(Ca("ca.test"), ["example.org"])
