"""Print what the parity tests measured."""

from dataclasses import dataclass, field

import pytest


@dataclass
class Report:
    """rows: recording, case, stage, error, whether the error is a share. skipped: what was left out, and why."""

    rows: list[tuple[str, str, str, float, bool]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


REPORT = pytest.StashKey[Report]()


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    return request.config.stash.setdefault(REPORT, Report())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    report = config.stash.get(REPORT, None)
    if report is None:
        return
    terminalreporter.section("parity with the official code")
    terminalreporter.write_line(f"{'recording':<24} {'case':<5} {'stage':<28} {'largest error':>13}")
    for recording, case, stage, error, share in report.rows:
        terminalreporter.write_line(
            f"{recording:<24} {case:<5} {stage:<28} {error:>13.2e}" + (" of entries differ" if share else "")
        )
    for line in report.skipped:
        terminalreporter.write_line(line)
    terminalreporter.write_line(
        f"{len(report.rows)} comparisons; not covered: {len(report.skipped)} folders or kinds of tensors"
    )
