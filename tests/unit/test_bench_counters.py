"""What servers and the kernel count, as the benchmark reads it: a wrong column is a figure that nobody would doubt."""

import pytest
from bench.counters import Traffic, parse_mntr, parse_processor_ticks, parse_pss, parse_sleeps, traffic_in

MNTR = """zk_version\t3.8.0-${mvngit.commit.id}, built on 2024-12-29 17:54 UTC
zk_server_state\tstandalone
zk_cnt_bench_read_per_namespace\t4
zk_sum_bench_read_per_namespace\t403
zk_avg_bench_read_per_namespace\t100.75
zk_cnt_bench_write_per_namespace\t3
zk_sum_bench_write_per_namespace\t122
zk_cnt_zookeeper_read_per_namespace\t99
zk_cnt_node_changed_watch_count\t2
zk_sum_node_changed_watch_count\t5.0
zk_sum_node_deleted_watch_count\t1
"""


def test_traffic_is_that_below_one_name() -> None:
    """Other elections on the same server are not the benchmark's."""
    assert traffic_in(parse_mntr(MNTR), "bench") == Traffic(reads=4, writes=3, bytes_read=403, events=6)


def test_a_server_that_has_done_nothing_yet_names_nothing() -> None:
    """That is no traffic, and no error."""
    assert traffic_in(parse_mntr("zk_server_state\tleader\n"), "bench") == Traffic(0, 0, 0, 0)


def test_what_came_since_an_earlier_reading_is_the_difference() -> None:
    assert Traffic(9, 8, 700, 6).since(Traffic(4, 3, 400, 1)) == Traffic(5, 5, 300, 5)


def test_files_of_proc_are_read_at_the_right_place() -> None:
    """A process may be called like the end of its own line."""
    assert parse_pss("Rss:    1000 kB\nPss:     123 kB\nPss_Dirty:  9 kB\n") == 123
    assert parse_sleeps("Name:\tx\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t9\n") == 7
    stat = "42 (a) b) S 1 42 42 0 -1 4194560 100 0 0 0 31 11 5 6 20 0 1 0 12345 1000 200"
    assert parse_processor_ticks(stat) == 42


@pytest.mark.parametrize("parse", [parse_pss, parse_sleeps])
def test_what_is_missing_is_told(parse: object) -> None:
    """Nothing is a figure that would be believed."""
    with pytest.raises(ValueError, match="no "):
        parse("Name:\tx\n")  # type: ignore[operator]
