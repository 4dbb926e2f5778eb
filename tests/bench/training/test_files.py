"""Files that are whole, whoever writes, reads or is killed; and locks."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from bench.training.files import claimed


def test_a_lock_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    path, order = tmp_path / "records" / ".cell.lock", []

    def other() -> None:
        with claimed(path) as held:
            assert held
            order.append("other")

    with claimed(path):
        thread = threading.Thread(target=other)
        thread.start()
        time.sleep(0.3)
        order.append("first")
    thread.join()
    assert order == ["first", "other"]


def test_a_lock_that_is_removed_at_the_end_lets_nobody_in_twice(tmp_path: Path) -> None:
    """Who waits for a lock that is then removed must not hold the removed one while a third makes it anew."""
    path, inside, most = tmp_path / ".lock", [0], [0]

    def claim() -> None:
        for _ in range(10):
            with claimed(path):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0.002)
                inside[0] -= 1

    threads = [threading.Thread(target=claim) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert not path.exists()


def test_who_does_not_wait_is_told(tmp_path: Path) -> None:
    with claimed(tmp_path / ".lock"), claimed(tmp_path / ".lock", wait=False) as second:
        assert not second
    assert not (tmp_path / ".lock").exists()


def test_a_lock_that_is_a_link_empties_nothing(tmp_path: Path) -> None:
    precious, lock = tmp_path / "precious.txt", tmp_path / ".lock"
    precious.write_text("precious")
    lock.symlink_to(precious)
    with claimed(lock) as held:
        assert held
    assert precious.read_text() == "precious"
    lock.write_text("somebody's")  # no link: locked as it is
    with claimed(lock):
        assert lock.read_text() == "somebody's"
