"""The commands: stations put in a row."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from pg_tools.files import publish
from pg_tools.report import Report

from db_status import incidents, limits, look, metrics, page, prepare, sample, show
from db_status.errors import Exit, StatusError
from db_status.history import History, Sample
from db_status.options import Options
from db_status.seen import Seen
from db_status.text import written

Words = argparse.Namespace


def report(options: Options, words: Words, report: Report) -> None:
    """Everything, crossed limits first."""
    seen, samples = _look(options)
    report.lines = show.report(seen, options)
    report.data = seen.as_dict() | {
        "summary": [show.head(seen), "", *show.crossed(seen)],
        "samples": len(samples),
    }
    if words.with_page:
        report.data["page"] = page.render(seen, samples, options)
    _judged(seen, report)


def page_(options: Options, words: Words, report: Report) -> None:
    """The same as a page, with the history."""
    seen, samples = _look(options)
    text = page.render(seen, samples, options)
    if str(words.output) == "-":
        sys.stdout.write(text)
    else:
        publish(words.output, text)
        report.lines = [show.head(seen), f"page: {words.output}"]
    report.data = {"output": str(words.output), "samples": len(samples)}
    # a page that shows what is wrong is a page that was made
    report.done(show.verdict(seen), changed=True)


def sample_(options: Options, words: Words, report: Report) -> None:
    """What a schedule runs: one light sample into the history."""
    history = History(options.history, options.history_rows)
    with history.alone():
        taken = sample.take(options)
        if options.metrics:
            publish(Path(options.metrics), metrics.text(taken, options), 0o644)
        aside = history.add(taken)
    report.data["sample"] = taken
    if aside:
        report.data["aside"] = aside
        report.lines.append(f"the history could not be read; it is kept as {aside}, a new one begins")  # fmt: skip
    if "down" in taken:
        report.lines.append(f"the server does not answer: {taken['down']}")
    else:
        report.lines.append(f"sampled in {taken['cost_ms']:.0f} ms")
    report.done("down" if "down" in taken else "sampled", changed=True)


def history_(options: Options, words: Words, report: Report) -> None:
    """What was wrong lately; reads nothing but the samples."""
    samples = History(options.history, options.history_rows).samples(words.since)
    names = [name for name in (options.container, *words.also) if name]
    found = incidents.find(samples, names)
    report.lines = incidents.lines(samples, found)
    report.data = {
        "samples": len(samples),
        "first": written(samples[0].at) if samples else "",
        "last": written(samples[-1].at) if samples else "",
        "incidents": [
            asdict(one) | {"begun": written(one.begun), "ended": written(one.ended)}
            for one in found
        ],
    }
    report.done("troubles" if found else "quiet" if samples else "nothing sampled")


def prepare_(options: Options, words: Words, report: Report) -> None:
    """The role that looks, and the extension that counts; or neither."""
    password = sys.stdin.readline().rstrip("\n") if words.password_stdin else ""
    wanted = prepare.Wanted(
        options.url, words.role, words.passfile, password, options.statements_database, words.plain
    )
    done = prepare.remove(wanted) if words.remove else prepare.prepare(wanted)
    report.data.update(changes=done.changes, loaded=done.loaded)
    verb = "removed" if words.remove else "made"
    report.lines = [f"{verb}: {change}" for change in done.changes] or ["nothing to do"]
    if not done.loaded:
        report.lines.append(
            "statements are not counted yet: shared_preload_libraries = 'pg_stat_statements', and a restart"
        )
    report.done("removed" if words.remove else "prepared", changed=bool(done.changes))


COMMANDS: dict[str, Callable[[Options, Words, Report], None]] = {
    "report": report,
    "sample": sample_,
    "page": page_,
    "history": history_,
    "prepare": prepare_,
}


def _look(options: Options) -> tuple[Seen, list[Sample]]:
    seen = look.look(options)
    history = History(options.history, options.history_rows)
    samples: list[Sample] = []
    before = {}
    try:
        samples, before = history.samples(), history.day_ago()
    except StatusError as error:
        seen.notes.append(f"{error.what} ({error.where}); {error.next}")
    seen.crossed = limits.judge(seen, options, before)
    return seen, samples


def _judged(seen: Seen, report: Report) -> None:
    report.verdict = show.verdict(seen)
    if seen.of("critical"):
        report.exit_code = Exit.DIFFERENT
    else:
        report.exit_code = Exit.REFUSED if seen.unseen else Exit.DONE
