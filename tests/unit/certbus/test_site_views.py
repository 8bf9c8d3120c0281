from datetime import datetime, timedelta

from certbus.site_views import review_table, review_warnings, service_table, site_table
from certcore.api import ServiceView, SiteView
from certcore.review import ReviewedSecret, SiteReview
from tests.unit.certbus.samples import NOON


def secret(name: str, *, managed: str | None = None, manager: str = "", days: int | None = None) -> ReviewedSecret:
    return ReviewedSecret(
        cluster="blue",
        namespace="web",
        secret=name,
        manager=manager,
        managed=managed,
        not_after=NOON + timedelta(days=days) if days is not None else None,
        problem="can't be read" if days is None else None,
    )


def review(*secrets: ReviewedSecret, at: datetime | None = NOON, unreachable: tuple[str, ...] = ()) -> SiteReview:
    return SiteReview(site="site1", reported_at=at, unreachable=unreachable, secrets=secrets)


def test_each_secret_says_who_manages_it_and_what_is_wrong() -> None:
    table = review_table(
        review(secret("broken"), secret("ours", managed="shop", days=50), secret("theirs", manager="helm", days=3)),
        NOON,
    )
    shown = [[row[2].text, row[3].text, row[4].text, row[6].text] for row in table.rows]
    assert shown == [
        ["theirs", "helm", "in 3 d", ""],
        ["ours", "certbus: shop", "in 50 d", ""],
        ["broken", "nobody", "-", "can't be read"],
    ]


def test_what_the_table_lacks_is_told() -> None:
    found = review(at=NOON - timedelta(minutes=5), unreachable=("green",))
    assert review_warnings(found, NOON) == [
        "site1 reported this 5 min ago",
        "warning: cluster green could not be listed: its Secrets here are old or missing",
    ]
    assert "has not reported yet" in review_warnings(review(at=None), NOON)[0]


def test_a_site_shows_the_service_that_is_silent_and_not_the_one_that_speaks() -> None:
    table = site_table(
        [
            SiteView(
                name="site1",
                services=("pusher", "syncer"),
                last_heartbeat=NOON - timedelta(hours=3),
                targets=3,
                targets_done=2,
                silent=("syncer",),
            ),
            SiteView(name="site2", services=(), last_heartbeat=None, targets=0, targets_done=0),
        ],
        NOON,
    )
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["site1", "pusher, syncer", "2/3", "syncer", "3 h ago"],
        ["site2", "-", "0/0", "-", "never"],
    ]


def test_each_service_of_each_place_has_a_row() -> None:
    table = service_table(
        [
            ServiceView(
                place="site1",
                service="syncer",
                version="0.1.0",
                last_heartbeat=NOON - timedelta(seconds=9),
                silent=False,
                kinds=("files", "kubernetes"),
            ),
            ServiceView(place="hub", service="issuer", version=None, last_heartbeat=None, silent=True),
        ],
        NOON,
    )
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["site1", "syncer", "0.1.0", "9 s ago", "ok", "files, kubernetes"],
        ["hub", "issuer", "-", "never", "silent", "-"],
    ]
