import pytest

from issuer.domain.ca_order import OrderMove, OrderStatus, OrderView, judge_order


def view(status: OrderStatus, *, certificate_url: str | None = None) -> OrderView:
    return OrderView("https://ca.test/order/1", status, (), "https://ca.test/f", certificate_url, None, None)


@pytest.mark.parametrize(
    ("status", "move"),
    [
        (OrderStatus.PENDING, OrderMove.PROVE),
        (OrderStatus.READY, OrderMove.FINALIZE),
        (OrderStatus.PROCESSING, OrderMove.WAIT),
        (OrderStatus.INVALID, OrderMove.ABANDON),
    ],
)
def test_the_status_says_what_to_do(status: OrderStatus, move: OrderMove) -> None:
    assert judge_order(view(status)) is move


def test_a_valid_order_is_fetched_once_it_says_where() -> None:
    assert judge_order(view(OrderStatus.VALID, certificate_url="https://ca.test/cert/1")) is OrderMove.FETCH
    assert judge_order(view(OrderStatus.VALID)) is OrderMove.WAIT
