"""Texts of a package: the programs, what they need, and the papers that say what was measured."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import replace

from core.backends.base import label, parse, reads
from core.charts.card import card
from core.charts.card_file import card_file, written
from core.charts.card_picture import card_svg
from core.charts.rows import rows_table
from core.charts.table import to_csv
from core.errors import BackendUnavailable
from core.package.base import catalogue
from core.package.base.python import script
from core.package.base.readme import readme
from core.package.base.subject import Subject, subject_of
from core.recipes import written as recipe_file
from core.records import CardFile, Run, backend_of, to_json
from core.records.standing import Standing, baseline, first_threads, measured, outcome_of

OPENCV = "opencv-python-headless"
ARRAYS = "numpy"


def offered(run: Run, digest: str) -> tuple[str, ...]:
    """The backends of a run, as they were asked for, on which a candidate was timed.

    Those for which there is no snippet are left out.
    """
    rows, threads = Standing(run), first_threads(run)
    return tuple(
        spec
        for spec in run.spec.backends
        if backend_of(spec) in catalogue()
        and measured(rows.row(digest, "latency_ms", spec, threads)) is not None
    )


def check_offered(spec: str) -> None:
    """See that there is a program for a backend.

    Raises:
        BackendUnavailable: no such backend, precision or format, or no snippet for it.
    """
    reads(spec)
    if parse(spec)[0] not in catalogue():
        raise BackendUnavailable(
            f"There is no program for {label(spec)} to pack; there is one for: "
            f"{', '.join(catalogue())}."
        )


def texts(run: Run, digest: str, spec: str) -> Mapping[str, str]:
    """Every file of a package but those of the model, by name.

    None holds the address of the run, which is the key to it: packages are given away.

    Args:
        run: that made and measured it.
        digest: of the candidate.
        spec: the backend, as the run asked for it.

    Raises:
        StoreError: the run made no such candidate.
        BackendUnavailable: no such backend, or no snippet for it.
    """
    check_offered(spec)
    subject = subject_of(run, digest, spec)
    found = programs(subject)
    found["requirements.txt"] = requirements(run, subject, found["predict.py"])
    if subject.pixels is not None:
        found["preprocess.json"] = _json(to_json(subject.pixels.how))
    if subject.labels:
        found["labels.txt"] = "\n".join(map(_line, subject.labels))
    found["recipe.json"] = recipe_file(subject.recipe)
    found |= _papers(run, digest)
    found["README.md"] = readme(run, subject, found)
    return dict(sorted(found.items()))


def programs(subject: Subject) -> dict[str, str]:
    """predict.py, and what else there is for the backend and this model."""
    snippet = catalogue()[subject.backend]
    if snippet.one_image and subject.pixels is not None:
        subject = subject.of_one_image()
    kind = "IMAGE" if subject.pixels and subject.pixels.is_decoded else "FILE"
    about = f"{subject.file} on {label(subject.backend)}: python predict.py {kind}"
    made = {name: write(subject) for name, write in snippet.programs.items()}
    found = {"predict.py": script(subject, snippet, about)}
    return found | {name: text for name, text in made.items() if text}


def requirements(run: Run, subject: Subject, program: str) -> str:
    """What predict.py imports, at the versions that measured."""
    host = run.host.versions if run.host else {}
    rows = Standing(run).rows(subject.digest, "latency_ms", subject.spec, subject.threads)
    timed = next((row.target.version for row in rows if row.target), "")
    own = catalogue()[subject.backend].distribution
    pinned = {own: timed or host.get(subject.backend, "") or _installed(own)}
    pinned.setdefault(ARRAYS, _installed(ARRAYS))
    if "import cv2" in program:
        pinned.setdefault(OPENCV, host.get("opencv", "") or _installed(OPENCV))
    return "".join(f"{name}=={version}\n" for name, version in sorted(pinned.items()))


def _papers(run: Run, digest: str) -> dict[str, str]:
    """The card as a picture, its numbers as JSON and as a table."""
    numbers = card_file(run, digest)
    return {
        "card.svg": card_svg(card(run, digest)),
        "measured.json": written(numbers),
        "measured.csv": to_csv(rows_table(_alone(run, numbers))),
    }


def _alone(run: Run, numbers: CardFile) -> Run:
    """The run with the rows of a candidate and of the original beside it."""
    base, made = baseline(run), outcome_of(run, numbers.candidate)
    kept = [o for o in run.outcomes if o.candidate == base or o is made]
    return replace(run, outcomes=tuple(kept), measurements=numbers.rows)


def _installed(distribution: str) -> str:
    return importlib.metadata.version(distribution)


def _line(text: str) -> str:
    """A name on one line, without what a terminal could take for an order."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())


def _json(data: object) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"
