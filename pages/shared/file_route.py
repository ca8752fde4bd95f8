"""Large and converted model files go from the disk to the browser, never through the page."""

from __future__ import annotations

import hmac
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from streamlit import config

from core.errors import CoreError
from core.package.base.texts import texts
from core.records import Run
from pages.shared import downloads, password, session


def routes() -> list[Route]:
    """The routes of the application that are no pages."""
    base = str(config.get_option("server.baseUrlPath") or "").strip("/")
    prefix = f"/{base}" if base else ""
    model = f"{prefix}/{downloads.FILES}/{{run_id}}/{{digest}}"
    return [
        Route(model, _file),
        Route(f"{model}/{{form}}", _file),
        Route(f"{model}/{downloads.PACKAGE}/{{spec}}", _package),
    ]


async def _file(request: Request) -> Response:
    """The model file of a candidate; whoever knows the run may have it, as on the pages."""
    run_id, digest = _asked(request)
    form = request.path_params.get("form", "")
    runs = session.workspace().runs
    try:
        run = await run_in_threadpool(runs.get, run_id)
        if form:
            path = await run_in_threadpool(runs.converted, run_id, digest, form)
        else:
            path = await run_in_threadpool(runs.download, run_id, digest)
    except CoreError as error:
        raise HTTPException(404, error.message) from None
    return _sent(path, _name(run, digest), form.replace(".", "_"))


async def _package(request: Request) -> Response:
    """The model of a candidate with the program that runs it on a backend."""
    run_id, digest = _asked(request)
    spec = request.path_params["spec"]
    runs = session.workspace().runs
    try:
        run = await run_in_threadpool(runs.get, run_id)
        inside = await run_in_threadpool(texts, run, digest, spec)
        path = await run_in_threadpool(runs.package, run_id, digest, spec, inside)
    except CoreError as error:
        raise HTTPException(404, error.message) from None
    return _sent(path, _name(run, digest), downloads.slug(spec))


def _asked(request: Request) -> tuple[str, str]:
    """The run and the candidate that an address names, if a page gave it out."""
    run_id, digest = request.path_params["run_id"], request.path_params["digest"]
    given = request.query_params.get("key", "")
    if not hmac.compare_digest(given.encode(), password.key(run_id, digest).encode()):
        raise HTTPException(404, "Open the run first: its page gives the address.")
    return run_id, digest


def _sent(path: Path, *words: str) -> Response:
    """A file under a name that says what is inside."""
    name = "_".join(filter(None, words)) + path.suffix
    return FileResponse(path, media_type="application/octet-stream", filename=name)


def _name(run: Run, digest: str) -> str:
    for outcome in run.outcomes:
        if outcome.candidate is not None and outcome.candidate.digest == digest:
            return downloads.stem(run, outcome.recipe)
    return digest[:12]
