"""Answers to http-01 challenges at a site: DEPLOY_<place> brings what to show, STATUS_<place> what is shown."""

from typing import ClassVar

from pydantic import AwareDatetime

from certcore.challenges import ChallengeAction
from certcore.events.event import Event
from certcore.reading import Open

__all__ = ["ChallengeShown", "ChallengeWanted"]


class ChallengeWanted(Event):
    """A site shall answer a CA, or answer it no more. From `expires_at` on it isn't shown, whatever else is said.

    For syncers whose contract level is 4 or more: see `certcore.challenges`.
    """

    type: ClassVar = "certbus.challenge.wanted.v1"

    challenge_token: str
    host: str
    key_authorization: str
    expires_at: AwareDatetime
    action: Open[ChallengeAction] = ChallengeAction.SHOW


class ChallengeShown(Event):
    """What came of a `ChallengeWanted` with this action. `shown`: the answer is there, and where the syncer looks, it
    was seen there; `detail` says why it isn't, or why it couldn't be removed.
    """

    type: ClassVar = "certbus.challenge.shown.v1"

    challenge_token: str
    host: str
    action: Open[ChallengeAction] = ChallengeAction.SHOW
    shown: bool
    detail: str = ""
