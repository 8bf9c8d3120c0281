from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from certcore.ca_limits.asked import AskedCa, BucketKey
from certcore.ca_limits.bucket import Bucket
from certcore.ca_limits.forecast import Intent, answer
from certcore.ca_limits.limit import BudgetSettings, Limit, LimitKind
from certcore.ca_limits.play import BudgetState
from certcore.ca_limits.report import MOST_BUCKETS, LimitsReport, report_of, state_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DIRECTORY = "https://ca.test/dir"
_MOMENTS = st.integers(1, 10**6).map(lambda seconds: NOON + timedelta(seconds=seconds))
_KEYS = st.builds(
    BucketKey,
    st.sampled_from(["le", DIRECTORY]),
    st.sampled_from(LimitKind),
    st.sampled_from(["", "example.org", "a.example.org"]),
)
_STATES = st.builds(
    BudgetState,
    cas=st.just(
        {
            "le": AskedCa("le", DIRECTORY, BudgetSettings(preset="letsencrypt")),
            "own": AskedCa(
                "own",
                "https://own.test",
                BudgetSettings(share=0.5, new_orders=Limit(count=2, period=HOUR, burst=4), renewal_memory=HOUR),
            ),
            "free": AskedCa("free", "https://free.test", BudgetSettings()),
        }
    ),
    buckets=st.dictionaries(_KEYS, st.builds(Bucket, _MOMENTS, st.integers(0, 9), st.none() | _MOMENTS), max_size=8),
    waiting=st.dictionaries(_KEYS, st.integers(1, 50), max_size=4),
)
_INTENTS = [
    Intent(id=f"{ca}-{number}", ca=ca, dns_names=(name,))
    for ca in ("le", "own", "free", "nobody")
    for number, name in enumerate(["a.example.org", "b.example.org", "a.other.org", "a.example.org"])
]


@given(_STATES)
def test_by_a_report_the_same_is_foreseen_as_by_the_ledger(state: BudgetState) -> None:
    report = report_of(state, made_at=NOON)
    read = LimitsReport.model_validate_json(report.model_dump_json())
    assert read == report
    assert report.complete
    again = state_of(read)
    assert (again.buckets, again.waiting) == (state.buckets, state.waiting)
    assert answer(again, _INTENTS, now=NOON) == answer(state, _INTENTS, now=NOON)


def test_of_too_many_buckets_those_are_told_that_bind_the_most() -> None:
    keys = [BucketKey("le", LimitKind.CERTIFICATES_PER_SET, f"{number}") for number in range(MOST_BUCKETS + 2)]
    buckets = {key: Bucket(NOON + number * HOUR / 60) for number, key in enumerate(keys)}
    report = report_of(BudgetState(cas={}, buckets=buckets, waiting={keys[0]: 3}), made_at=NOON)
    assert (report.complete, len(report.buckets)) == (False, MOST_BUCKETS)
    assert {key.name for key in keys} - {one.name for one in report.buckets} == {"1", "2"}


def test_what_a_later_issuer_tells_is_read_as_far_as_it_is_known() -> None:
    told = {
        "made_at": NOON.isoformat(),
        "of_tomorrow": 1,
        "cas": [
            {
                "name": "le",
                "directory_url": DIRECTORY,
                "share": 1.0,
                "renewal_memory": "P1D",
                "limits": [
                    {"kind": "per_planet", "count": 1, "period": "PT1H"},
                    {"kind": "new_orders", "count": 2, "period": "PT2H", "moon": "full"},
                ],
            }
        ],
        "buckets": [
            {"scope": "le", "kind": "per_planet", "full_at": NOON.isoformat()},
            {"scope": "le", "kind": "new_orders", "full_at": (NOON + 2 * HOUR).isoformat()},
            {"scope": "le", "kind": "new_orders", "lessons": "many"},
        ],
    }
    report = LimitsReport.model_validate(told)
    assert len(report.unreadable) == 1
    state = state_of(report)
    assert list(state.buckets) == [BucketKey("le", LimitKind.NEW_ORDERS)]
    [one] = answer(state, [Intent(id="a", ca="le", dns_names=("a.example.org",))], now=NOON).orders
    assert (one.at, one.limit) == (NOON + HOUR, LimitKind.NEW_ORDERS)
