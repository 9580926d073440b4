"""A model of the program that releases for a dead or frozen supervisor: ``zk.release``."""

from collections.abc import Callable

from model_command import Surroundings
from model_ensemble import Way

from zkleader.core import actions, queue, records
from zkleader.core.events import Refused


class Release:
    """The program that releases for a dead or frozen supervisor, as ``zk.release`` does it."""

    def __init__(self, around: Surroundings, guid: str, ended: Callable[[], None]) -> None:
        self._around = around
        self._guid = guid
        self._ended = ended
        self._over = False
        self._tries = 5
        around.timeline.after(around.timeline.between(0.1, 0.4), self._try)

    def abandon(self) -> None:
        """Be killed."""
        if not self._over:
            self._end()

    def _end(self) -> None:
        self._over = True
        self._ended()

    def _try(self) -> None:
        around, ensemble = self._around, self._around.ensemble
        if self._over:
            return
        reachable = [
            server
            for server in ensemble.servers
            if not server.cut and not ensemble.cuts.get((around.host, server.number), Way.NONE)
        ]
        if not ensemble.quorum or not reachable:
            around.timeline.after(0.1, self._try)
            return
        request = self._request(ensemble.log[around.timeline.random.choice(reachable).view])
        if request is None:
            self._end()
        else:
            around.timeline.after(ensemble.latency(around.host, Way.UP), lambda: self._commit(request))

    def _commit(self, request: actions.Multi) -> None:
        _, answer = self._around.ensemble.commit(request)  # sent before it may have been abandoned
        if self._over:
            return
        self._tries -= 1
        if isinstance(answer, Refused) and self._tries:
            self._around.timeline.after(self._around.ensemble.latency(self._around.host, Way.DOWN), self._try)
        else:
            self._end()

    def _request(self, tree: dict[str, object]) -> actions.Multi | None:
        operations: list[actions.SetData | actions.Delete] = []
        path = f"{self._around.election}/lease-0"
        if path in tree:
            data, stat = tree[path].data, tree[path].stat  # type: ignore[attr-defined]
            record = records.parse_lease_record(data)
            if isinstance(record, records.LeaseRecord) and record.holder == self._guid and not record.released:
                freed = records.released(record, stat, beat=record.beat, reason="supervisor_gone", status=None)
                operations.append(actions.SetData(path=path, data=records.encode(freed), version=stat.version))
        prefix = f"{self._around.election}/{queue.candidate_prefix(self._guid)}"
        operations += [actions.Delete(path=path) for path in tree if path.startswith(prefix)]
        return actions.Multi(operations=tuple(operations)) if operations else None
