"""What an operator sees in an ensemble and changes there, from a host of his own."""

import contextlib
import json
import logging
import time
from collections.abc import Callable
from typing import Any, Self

from kazoo.client import KazooClient
from kazoo.exceptions import ConnectionClosedError, ConnectionLoss, NoNodeError, SessionExpiredError
from waiting import wait_until

from campaign.hosts import Host

ELECTIONS = "/zkleader"
RECORD = "lease-0"
UNANSWERED = (ConnectionLoss, ConnectionClosedError, SessionExpiredError)
PATIENCE, PAUSE = 3.0, 0.05  # seconds
SEQUENCE = 10  # digits at the end of a candidate's name, whatever recipe made it


def _silent() -> logging.Logger:
    logger = logging.Logger("operator")  # noqa: LOG001 - not registered: no way to standard error
    logger.addHandler(logging.NullHandler())
    return logger


class ZooKeeperOperator:
    """An operator who is connected for as long as the stage stands."""

    def __init__(self, host: Host, servers: str) -> None:
        self._host = host
        self._client = KazooClient(
            hosts=servers,
            timeout=10,
            connection_retry={"max_tries": -1, "delay": 0.1, "max_delay": 0.5},
            logger=_silent(),  # that his connections break is what the campaign does
        )

    def __enter__(self) -> Self:
        # kazoo's threads are made here, and stay there.
        with self._host.entered():
            self._client.start(timeout=15)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.stop()
        self._client.close()

    def path(self, election: str) -> str:
        return f"{ELECTIONS}/{election}"

    def candidates(self, election: str) -> list[str]:
        """Return the candidates in the queue, first in line first."""

        def names() -> list[str]:
            try:
                return self._client.get_children(self.path(election))
            except NoNodeError:
                return []

        queue = [name for name in self._ask(names) if name[-SEQUENCE:].isdigit() and not name.startswith(RECORD)]
        return sorted(queue, key=lambda name: int(name[-SEQUENCE:]))

    def rank(self, election: str, candidate: str) -> int | None:
        """Return the rank of the candidate that calls itself so; None when there is none."""
        for rank, name in enumerate(self.candidates(election)):
            with contextlib.suppress(NoNodeError):
                data, _ = self._ask(lambda name=name: self._client.get(f"{self.path(election)}/{name}"))
                if json.loads(data)["id"] == candidate:
                    return rank
        return None

    def delete_candidate(self, election: str, rank: int) -> None:
        """Delete the candidate of this rank."""
        name = self.candidates(election)[rank]
        self._ask(lambda: self._client.delete(f"{self.path(election)}/{name}"))

    def delete_record(self, election: str) -> None:
        self._ask(lambda: self._client.delete(f"{self.path(election)}/{RECORD}"))

    def spoil_record(self, election: str) -> None:
        """Overwrite the lease record with what is none."""
        self._ask(lambda: self._client.set(f"{self.path(election)}/{RECORD}", b"\xff garbage"))

    def delete_election(self, election: str) -> None:
        """Delete the election with all that is in it, at once: one by one its candidates would be back meanwhile."""

        def is_deleted() -> bool:
            transaction = self._client.transaction()
            for name in self._client.get_children(self.path(election)):
                transaction.delete(f"{self.path(election)}/{name}")
            transaction.delete(self.path(election))
            return all(result is True for result in transaction.commit())

        wait_until(lambda: self._ask(is_deleted), what="an election deleted between two changes of it")

    def _ask(self, question: Callable[[], Any]) -> Any:
        """Ask until there is an answer; what was asked twice may be refused because it was done the first time."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return question()
            except UNANSWERED as error:
                if time.monotonic() > until:
                    raise AssertionError(f"the operator gets no answer: {type(error).__name__}") from None
            time.sleep(PAUSE)
