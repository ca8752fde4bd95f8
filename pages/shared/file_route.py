"""Large and converted model files go from the disk to the browser, never through the page."""

from __future__ import annotations

import hmac

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from streamlit import config

from core.errors import CoreError
from core.records import Run
from pages.shared import downloads, password, session


def routes() -> list[Route]:
    """The routes of the application that are no pages."""
    base = str(config.get_option("server.baseUrlPath") or "").strip("/")
    prefix = f"/{base}" if base else ""
    model = f"{prefix}/{downloads.FILES}/{{run_id}}/{{digest}}"
    return [Route(model, _file), Route(f"{model}/{{form}}", _file)]


async def _file(request: Request) -> Response:
    """The model file of a candidate; whoever knows the run may have it, as on the pages."""
    run_id, digest = request.path_params["run_id"], request.path_params["digest"]
    given = request.query_params.get("key", "")
    if not hmac.compare_digest(given.encode(), password.key(run_id, digest).encode()):
        raise HTTPException(404, "Open the run first: its page gives the address.")
    workspace = session.workspace()
    try:
        run = await run_in_threadpool(workspace.runs.get, run_id)
        form = request.path_params.get("form", "")
        if form:
            path = await run_in_threadpool(workspace.runs.converted, run_id, digest, form)
        else:
            path = await run_in_threadpool(workspace.runs.download, run_id, digest)
    except CoreError as error:
        raise HTTPException(404, error.message) from None
    name = "_".join(part for part in (_name(run, digest), form.replace(".", "_")) if part)
    return FileResponse(path, media_type="application/octet-stream", filename=name + path.suffix)


def _name(run: Run, digest: str) -> str:
    for outcome in run.outcomes:
        if outcome.candidate is not None and outcome.candidate.digest == digest:
            return downloads.stem(run, outcome.recipe)
    return digest[:12]
