"""The metrics file: what Prometheus' own parser reads in it, its linter's rules, and a writer that blocks nobody."""

import math
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from candidacy_script import Script, at
from prometheus_client.parser import text_string_to_metric_families
from waiting import wait_until

from zkleader import metrics_file
from zkleader.config import ConfigurationProblem, UsageProblem
from zkleader.core.measures import Figures
from zkleader.metrics import METRICS, Labels, render
from zkleader.metrics_file import MetricsFile
from zkleader.whole_file import WholeFile

LABELS = Labels(election="/zkleader/job", id="host", version="1.2", lease=20.0)
FIGURES = Figures(
    is_leading=True,
    tenures=2,
    slot=1,
    takeover=0.25,
    confirmed=7,
    failed=1,
    lease_start=at(3),
    is_paused=True,
    pauses=3,
)


def samples(content: bytes) -> dict[str, tuple[dict[str, str], float]]:
    """Return what the parser reads: labels and value by name, of which there is one each."""
    found = [sample for family in text_string_to_metric_families(content.decode()) for sample in family.samples]
    assert len({sample.name for sample in found}) == len(found)
    return {sample.name: (sample.labels, sample.value) for sample in found}


def test_the_file_says_what_was_counted() -> None:
    """Under the names and with the labels that are promised."""
    told = samples(render(FIGURES, LABELS, renewed_at=1_000_000.5))
    labels = {"election": "/zkleader/job", "id": "host"}
    assert told == {
        "zkleader_leader": (labels, 1.0),
        "zkleader_tenures_total": (labels, 2.0),
        "zkleader_slot": (labels, 1.0),
        "zkleader_last_takeover_seconds": (labels, 0.25),
        "zkleader_renewals_confirmed_total": (labels, 7.0),
        "zkleader_renewals_failed_total": (labels, 1.0),
        "zkleader_last_renewal_timestamp_seconds": (labels, 1_000_000.5),
        "zkleader_lease_end_timestamp_seconds": (labels, 1_000_020.5),
        "zkleader_paused": (labels, 1.0),
        "zkleader_pauses_total": (labels, 3.0),
        "zkleader_info": (labels | {"version": "1.2"}, 1.0),
    }


def test_what_did_not_happen_is_told_as_such() -> None:
    """Every metric is there from the beginning: one that appears later is one that alerts miss."""
    told = samples(render(Figures(), LABELS, renewed_at=0.0))
    assert set(told) == {metric.name for metric in METRICS}
    assert told["zkleader_leader"][1] == told["zkleader_lease_end_timestamp_seconds"][1] == 0
    assert math.isnan(told["zkleader_last_takeover_seconds"][1])


def test_who_no_longer_leads_has_no_lease() -> None:
    """Or it would seem to lead until that ends."""
    told = samples(render(FIGURES.but(is_leading=False), LABELS, renewed_at=1_000_000.5))
    assert told["zkleader_lease_end_timestamp_seconds"][1] == 0
    assert told["zkleader_last_renewal_timestamp_seconds"][1] == 1_000_000.5


def test_labels_may_hold_anything() -> None:
    """An id is free text, and so is nearly all of a path."""
    labels = LABELS.but(election='/a"b\\c', id="ü\n{}")
    [(told, _), *_] = samples(render(FIGURES, labels, renewed_at=0.0)).values()
    assert told == {"election": '/a"b\\c', "id": "ü\n{}"}


def test_the_rules_of_promtool_are_kept() -> None:
    """As ``promtool check metrics`` has them."""
    content = render(FIGURES, LABELS, renewed_at=0.0).decode()
    assert content.endswith("\n")
    families = {family.name: family for family in text_string_to_metric_families(content)}
    for metric in METRICS:
        name = metric.name
        family = families[name.removesuffix("_total")]
        assert family.documentation
        assert family.type == metric.kind
        assert (metric.kind == "counter") == name.endswith("_total"), "counters, and only they, end in _total"
        assert re.fullmatch(r"zkleader_[a-z]+(_[a-z]+)*", name), "snake case, with the program's name"
        words = set(name.split("_"))
        assert not words & {"gauge", "counter", "summary", "histogram", "untyped", "metric"}, "no type in a name"
        assert not words & {"ms", "milliseconds", "minutes", "hours", "days", "s", "sec", "percent"}, "base units"
        assert not words & {"bucket", "count", "sum"}, "reserved for histograms and summaries"
        assert not {"le", "quantile"} & {label for sample in family.samples for label in sample.labels}
        if words & {"takeover", "timestamp"}:
            assert name.endswith("_seconds"), "the unit comes last"


def told_at(script: Script, file: MetricsFile, seconds: float) -> str:
    return file.observe(script.state, at(seconds))


def value_in(path: Path, name: str) -> float | None:
    return samples(path.read_bytes())[name][1] if path.exists() else None


def test_the_file_follows_the_candidacy_to_its_end(tmp_path: Path) -> None:
    """There from the beginning, with each change, and for the last time without a leader."""
    path = tmp_path / "job.prom"
    file, script = MetricsFile(str(path), LABELS), Script()
    assert not path.exists()
    told_at(script, file, 0)
    wait_until(lambda: value_in(path, "zkleader_leader") == 0, what="it waits")
    script.lead()
    told_at(script, file, 0)
    wait_until(lambda: value_in(path, "zkleader_leader") == 1, what="it leads")
    assert time.time() - 5 < (value_in(path, "zkleader_last_renewal_timestamp_seconds") or 0) <= time.time()
    file.end(5)
    assert value_in(path, "zkleader_leader") == 0
    assert value_in(path, "zkleader_tenures_total") == 1
    assert [found.name for found in tmp_path.iterdir()] == ["job.prom"]


def test_nothing_is_written_while_nothing_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A standby steps twice a second for months."""
    written: list[bytes] = []
    monkeypatch.setattr(WholeFile, "write", lambda _self, content: written.append(content))
    file, script = MetricsFile(str(tmp_path / "job.prom"), LABELS), Script()
    script.join(0, "other-n_0000000003")
    for seconds in range(100):
        script.do(seconds / 10)
        told_at(script, file, seconds / 10)
    file.end(5)
    assert len(written) <= 2, "the first and the last"


def test_a_directory_that_hangs_blocks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told once; what is new replaces what could not be written; and the end does not wait for ever."""
    may_go, written = threading.Event(), list[bytes]()

    def hang(_self: WholeFile, content: bytes) -> None:
        may_go.wait(20)
        written.append(content)

    monkeypatch.setattr(WholeFile, "write", hang)
    file, script = MetricsFile(str(tmp_path / "job.prom"), LABELS), Script()
    now = time.monotonic()
    assert told_at(script, file, now) == ""
    wait_until(lambda: file._writing_since is not None, what="it is being written")
    began = time.monotonic()
    script.lead()
    told_at(script, file, 0)
    for seconds in range(1, 100):
        script.do(2 * seconds)
        script.claimed(2 * seconds, version=2 + seconds)
        told_at(script, file, 2 * seconds)
    assert time.monotonic() - began < 2
    assert told_at(script, file, now + 5) == ""
    assert told_at(script, file, now + 11) == "it takes longer than 10 s"
    assert told_at(script, file, now + 12) == ""
    file.end(0.2)
    assert time.monotonic() - began < 5
    may_go.set()
    wait_until(lambda: len(written) == 2, what="it is written")
    assert samples(written[1])["zkleader_renewals_confirmed_total"][1] == 99


def test_the_end_is_written_whenever_the_writer_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that ends just while the last content is put together must not have the writer leave before it."""
    is_writing, may_go, written = threading.Event(), threading.Event(), list[bytes]()

    def write(_self: WholeFile, content: bytes) -> None:
        is_writing.set()
        may_go.wait(20)
        written.append(content)

    monkeypatch.setattr(WholeFile, "write", write)
    file, script = MetricsFile(str(tmp_path / "job.prom"), LABELS), Script()
    script.lead()
    told_at(script, file, 0)
    assert is_writing.wait(20)

    def render_slowly(*told: Any) -> bytes:
        may_go.set()
        assert file._writer is not None
        file._writer.join(0.2)  # as long as it needs to leave, if it does
        return render(*told)

    monkeypatch.setattr(metrics_file, "render", render_slowly)
    file.end(5)
    assert [samples(content)["zkleader_leader"][1] for content in written] == [1, 0]


def test_a_file_that_can_no_longer_be_written_is_told_once(tmp_path: Path) -> None:
    """The directory is gone: the run goes on, and when there is one again so are the figures."""
    directory = tmp_path / "metrics"
    directory.mkdir()
    file, script = MetricsFile(str(directory / "job.prom"), LABELS), Script()
    directory.rmdir()
    told = [told_at(script, file, 0)]
    wait_until(lambda: told.append(told_at(script, file, 1)) or any(told), what="it is told")
    script.lead()
    told.append(told_at(script, file, 2))
    directory.mkdir()
    file.end(5)
    assert [text for text in told if text] == ["no such file or directory"]
    assert value_in(directory / "job.prom", "zkleader_leader") == 0


@pytest.mark.parametrize("path", ["", "job", "job.prom.txt"])
def test_a_name_that_nobody_would_read_is_refused(path: str) -> None:
    """Node exporter reads what ends in .prom."""
    with pytest.raises(UsageProblem):
        MetricsFile(path, LABELS)


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """Before anything is done; and nothing but a file is ever replaced."""
    (tmp_path / "link.prom").symlink_to(tmp_path / "file")
    for name in ("none/job.prom", "link.prom"):
        with pytest.raises(ConfigurationProblem, match=f"cannot write the metrics .*{name}: "):
            MetricsFile(str(tmp_path / name), LABELS)
