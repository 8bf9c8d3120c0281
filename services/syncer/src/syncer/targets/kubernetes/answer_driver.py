"""Answers to challenges in a Secret: found by its entry point, imported only where it is configured."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from certcore.names import KubernetesName
from syncer.domain.answer_place import AnswerPlace, AnswerPlaceDriver, AnswerPlaceSettings

__all__ = ["DRIVER", "AnswerSecretSettings"]


class AnswerSecretSettings(AnswerPlaceSettings):
    kind: Literal["secret"] = "secret"
    namespace: KubernetesName
    secret: KubernetesName = Field(
        description="Its name. It must be there, with the label certbus.dev/challenges=true."
    )
    kubeconfig: Path | None = Field(default=None, description="By default the cluster that this process runs in.")
    context: str | None = Field(default=None, description="Of the kubeconfig; by default its current one.")


class AnswerSecretDriver:
    kind = "secret"
    settings = AnswerSecretSettings

    def build(self, name: str, settings: AnswerSecretSettings, user_agent: str) -> AnswerPlace:
        # Imported here: it costs a second and 40 MB, which a host without clusters need not pay.
        from syncer.targets.kubernetes.answer_secret import AnswerSecret  # noqa: PLC0415 # see above
        from syncer.targets.kubernetes.api import ClusterApi  # noqa: PLC0415 # see above

        api = ClusterApi(name=name, kubeconfig=settings.kubeconfig, context=settings.context, user_agent=user_agent)
        return AnswerSecret(api=api, namespace=settings.namespace, secret=settings.secret)


DRIVER: AnswerPlaceDriver[AnswerSecretSettings] = AnswerSecretDriver()
