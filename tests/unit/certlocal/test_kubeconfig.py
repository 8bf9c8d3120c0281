import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from certlocal.errors import LocalError
from certlocal.kubeconfig import ClusterAccess, read_kubeconfig


def kubeconfig(folder: Path, **changes: object) -> Path:
    content: dict[str, Any] = {
        "current-context": "blue",
        "clusters": [
            {"name": "b", "cluster": {"server": "https://blue:6443", "certificate-authority": "ca.pem"}},
            {
                "name": "g",
                "cluster": {
                    "server": "https://green:6443",
                    "certificate-authority-data": base64.b64encode(b"green roots").decode(),
                },
            },
        ],
        "users": [{"name": "ana", "user": {"token": "secret"}}, {"name": "ben", "user": {"tokenFile": "ben"}}],
        "contexts": [
            {"name": "blue", "context": {"cluster": "b", "user": "ana", "namespace": "x"}},
            {"name": "green", "context": {"cluster": "g", "user": "ben"}},
            {"name": "torn", "context": {"cluster": "b", "user": "carol"}},
        ],
    }
    (folder / "ca.pem").write_text("blue roots")
    (folder / "ben").write_text("ben's\n")
    file = folder / "config"
    file.write_text(yaml.safe_dump({**content, **changes}))
    return file


def test_the_current_context_is_read_with_files_beside_it(tmp_path: Path) -> None:
    assert read_kubeconfig(kubeconfig(tmp_path)) == ClusterAccess("https://blue:6443", "blue roots", "secret")


def test_another_context_may_be_named(tmp_path: Path) -> None:
    assert read_kubeconfig(kubeconfig(tmp_path), "green") == ClusterAccess(
        "https://green:6443", "green roots", "ben's"
    )


@pytest.mark.parametrize("context", ["red", "torn"])
def test_a_context_that_is_not_whole_is_named(tmp_path: Path, context: str) -> None:
    with pytest.raises(LocalError, match=context):
        read_kubeconfig(kubeconfig(tmp_path), context)


def test_a_user_without_a_token_is_named(tmp_path: Path) -> None:
    file = kubeconfig(tmp_path, users=[{"name": "ana", "user": {"client-certificate-data": "x"}}])
    with pytest.raises(LocalError, match="user ana has no token"):
        read_kubeconfig(file)


@pytest.mark.parametrize("content", ["", "[]", "{", "a: [", "clusters: 3", "users:\n- user: {token: [secret]}"])
def test_a_file_that_is_none_is_refused_without_its_content(tmp_path: Path, content: str) -> None:
    file = tmp_path / "config"
    file.write_text(content)
    with pytest.raises(LocalError) as refused:
        read_kubeconfig(file)
    assert str(file) in str(refused.value)
    assert "secret" not in str(refused.value)


def test_the_token_is_not_shown(tmp_path: Path) -> None:
    assert "secret" not in repr(read_kubeconfig(kubeconfig(tmp_path)))
