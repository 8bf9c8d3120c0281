from typing import Any

import pytest
from pydantic import ValidationError

from issuer.cas.acme.settings import CaSettings


def settings(**fields: Any) -> CaSettings:
    return CaSettings(
        **{"name": "a-ca", "directory_url": "https://ca.test/dir", "challenges": ("http-01",), **fields}
    )


def test_a_ca_that_works_for_a_minute_on_an_order_is_waited_for() -> None:
    assert settings().work_limit_s >= 60


@pytest.mark.parametrize("proxy", ["http://proxy.test:3128", "https://proxy.test"])
def test_a_proxy_is_told_by_its_url(proxy: str) -> None:
    assert settings(proxy=proxy).proxy == proxy


@pytest.mark.parametrize("proxy", ["proxy.test:3128", "socks5://proxy.test", "http://", ""])
def test_what_is_no_http_proxy_is_refused(proxy: str) -> None:
    with pytest.raises(ValidationError, match="http://host:port"):
        settings(proxy=proxy)


def test_a_proxys_password_does_not_stand_in_the_settings() -> None:
    with pytest.raises(ValidationError, match="proxy_login_file"):
        settings(proxy="http://me:secret@proxy.test:3128")
