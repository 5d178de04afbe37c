import pytest
import typer

from mrpose_cli.cli.console import FAILED, INTERRUPTED, finish
from mrpose_cli.jobs.report import RunReport
from mrpose_cli.progress import Tally


def test_units_and_people_are_counted_from_nothing() -> None:
    told: list[tuple[object, ...]] = []

    def hear(what: str, done: int, total: int | None, /, *, persons: int = 0, facts: str = "") -> None:
        told.append((what, done, total, persons, facts))

    tally = Tally(hear, "photos", 2)
    tally.add(3)
    tally.add(facts="slowest: detector")
    assert told == [
        ("photos", 0, 2, 0, ""),
        ("photos", 1, 2, 3, ""),
        ("photos", 2, 2, 3, "slowest: detector"),
    ]


@pytest.mark.parametrize(
    ("report", "failed", "code", "said"),
    [
        (RunReport(failures=[("a.jpg", "gone")]), False, FAILED, "error: a.jpg: gone"),
        (RunReport(), True, FAILED, ""),
        (RunReport(partial=True), False, FAILED, ""),
        (RunReport(interrupted=True, partial=True), False, INTERRUPTED, "error: interrupted; kept"),
        (RunReport(interrupted=True, full=True, partial=True), False, FAILED, "error: full"),
    ],
)
def test_how_a_run_went_is_its_exit_code(
    report: RunReport, failed: bool, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as left:
        finish(report, failed=failed, interrupted="kept", full="full")
    assert left.value.exit_code == code
    assert said in capsys.readouterr().err


def test_a_run_that_went_well_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    finish(RunReport(), failed=False, interrupted="kept")
    assert capsys.readouterr().err == ""
