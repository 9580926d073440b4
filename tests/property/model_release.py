"""A model of the program that releases for a dead or frozen supervisor: ``zk.release``."""

from collections.abc import Callable

import model_tree
from model_command import Surroundings
from model_ensemble import Server, Way

from zkleader.core import actions, queue, records

MOST_LOOKS = 5
"""As in the program."""


class Release:
    """The program, as ``zk.release`` does it.

    Each look is a sync, a list, a read of the record, and one multi with all that is left; it ends well only when one
    finds nothing, because what its supervisor had under way may have been applied after the look before.
    """

    def __init__(self, around: Surroundings, guid: str, ended: Callable[[], None]) -> None:
        self._around = around
        self._guid = guid
        self._ended = ended
        self._over = False
        self._looks = MOST_LOOKS
        around.timeline.after(around.timeline.between(0.1, 0.4), self._look)

    def abandon(self) -> None:
        """Be killed."""
        if not self._over:
            self._end("abandoned")

    def _end(self, how: str) -> None:
        self._around.timeline.note(f"release {self._around.host}", how)
        self._over = True
        self._ended()

    def _look(self) -> None:
        around, ensemble = self._around, self._around.ensemble
        if self._over:
            return
        server = around.timeline.random.choice(ensemble.servers)
        if server.cut and not server.deposed:
            self._look_again()
        elif not self._reaches(server):
            around.timeline.after(0.1, self._look)
        elif server.deposed:  # it confirms a sync by itself
            self._list(server)
        else:
            ensemble.when(server, len(ensemble.log) - 1, lambda: self._list(server))

    def _look_again(self) -> None:
        self._looks -= 1
        if self._looks:
            self._around.timeline.after(0.1, self._look)
        else:
            self._end("gives up")

    def _reaches(self, server: Server) -> bool:
        ensemble = self._around.ensemble
        is_cut = ensemble.cuts.get((self._around.host, server.number), Way.NONE)
        return not is_cut and (ensemble.quorum or server.deposed)

    def _soon(self, server: Server, happen: Callable[[], None]) -> None:
        """Have something happen after a request and its answer, unless the network is cut meanwhile."""
        around = self._around
        seconds = around.ensemble.latency(around.host, Way.UP) + around.ensemble.latency(around.host, Way.DOWN)
        around.timeline.after(seconds, lambda: self._arrive(server, happen))

    def _arrive(self, server: Server, happen: Callable[[], None]) -> None:
        if self._over:
            return
        if self._reaches(server):
            happen()
        else:
            self._look_again()

    def _list(self, server: Server) -> None:
        tree = self._around.ensemble.log[server.view]
        names = queue.of_guid(self._guid, model_tree.children(tree, self._around.election))
        deletes = tuple(actions.Delete(path=f"{self._around.election}/{name}") for name in names)
        self._soon(server, lambda: self._read(server, deletes))

    def _read(self, server: Server, deletes: tuple[actions.Delete, ...]) -> None:
        operations = (*self._released(self._around.ensemble.log[server.view]), *deletes)
        if not operations:
            self._end("nothing is left")
        elif server.deposed:
            self._look_again()  # it cannot write
        else:
            self._write(server, actions.Multi(operations=operations))

    def _write(self, server: Server, request: actions.Multi) -> None:
        around = self._around

        def arrived() -> None:
            # Even if we were abandoned meanwhile; refused or applied, or its answer lost, what follows is another look.
            if around.ensemble.quorum:
                around.ensemble.commit(request)
            self._soon(server, self._look_again)

        around.timeline.after(around.ensemble.latency(around.host, Way.UP), arrived)

    def _released(self, tree: model_tree.Tree) -> tuple[actions.SetData, ...]:
        writes = []
        for name in model_tree.children(tree, self._around.election):
            if queue.slot_of(name) is None:
                continue
            path = f"{self._around.election}/{name}"
            stat = tree[path].stat
            record = records.parse_lease_record(tree[path].data, stat)
            if isinstance(record, records.LeaseRecord) and record.holder == self._guid and not record.released:
                freed = records.released(record, stat, beat=record.beat, reason="supervisor_gone", status=None)
                writes.append(actions.SetData(path=path, data=records.encode(freed), version=stat.version))
        return tuple(writes)
