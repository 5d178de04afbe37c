import threading
from pathlib import Path

import pytest

from mrpose_cli.atomic import write_atomically
from mrpose_cli.errors import OutputError
from mrpose_cli.write_behind import BackgroundWriter


def test_all_is_written_when_the_block_ends(tmp_path: Path) -> None:
    with BackgroundWriter(workers=2, pending=3) as writer:
        for number in range(50):
            writer.submit(f"{number}", write_atomically, tmp_path / f"{number}", b"x")
    assert writer.errors == []
    assert len(list(tmp_path.iterdir())) == 50


@pytest.mark.parametrize(("workers", "pending"), [(1, 0), (1, 2), (2, 3)])
def test_submit_blocks_when_enough_jobs_wait(workers: int, pending: int) -> None:
    gate = threading.Event()
    accepted = threading.Semaphore(0)

    def submit_ten(writer: BackgroundWriter) -> None:
        for _ in range(10):
            writer.submit("job", gate.wait, 10)
            accepted.release()

    with BackgroundWriter(workers, pending) as writer:
        thread = threading.Thread(target=submit_ten, args=(writer,))
        thread.start()
        for _ in range(workers + pending):
            assert accepted.acquire(timeout=5)
        assert not accepted.acquire(timeout=0.05)
        gate.set()
        thread.join(5)
        assert not thread.is_alive()


def test_errors_are_collected_and_do_not_stop_the_rest(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with BackgroundWriter() as writer:
        writer.submit("bad", write_atomically, tmp_path / "file" / "a", b"x")
        writer.submit("good", write_atomically, tmp_path / "b", b"x")
        ((label, error),) = writer.close()
        assert label == "bad"
        assert isinstance(error, OutputError)
    assert writer.errors == [(label, error)]
    assert (tmp_path / "b").exists()


def test_errors_can_be_seen_while_it_runs() -> None:
    with BackgroundWriter(workers=1, pending=0) as writer:
        writer.submit("bad", int, "x")
        writer.submit("good", int, "1")  # Is taken when the thread is free again.
        assert [label for label, _ in writer.errors] == ["bad"]


@pytest.mark.parametrize(("kind", "written"), [(KeyboardInterrupt, 1), (SystemExit, 1), (ValueError, 5)])
def test_an_interrupt_drops_what_has_not_begun(
    kind: type[BaseException], written: int, tmp_path: Path
) -> None:
    gate = threading.Event()
    begun = threading.Event()

    def write(path: Path) -> None:
        begun.set()
        gate.wait(10)
        write_atomically(path, b"x")

    with pytest.raises(kind), BackgroundWriter(workers=1, pending=4) as writer:
        for number in range(5):
            writer.submit(f"{number}", write, tmp_path / f"{number}")
        assert begun.wait(5)
        threading.Timer(0.05, gate.set).start()
        raise kind
    assert len(list(tmp_path.iterdir())) == written
    assert writer.errors == []


def test_a_closed_writer_takes_nothing() -> None:
    with BackgroundWriter(workers=1, pending=0) as writer:
        writer.submit("job", int, "1")
    for _ in range(3):
        with pytest.raises(RuntimeError):
            writer.submit("late", int, "1")
