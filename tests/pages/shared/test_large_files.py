"""Large files on the page: what may be uploaded is said, and a large result has an address."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import streamlit as st
from starlette.applications import Starlette
from streamlit.testing.v1 import AppTest

from core.formats.base import exported
from core.records import Measurement, Status
from core.records.stored import Room, data_of
from pages.shared import downloads, file_route, password, session, upload_room
from tests.pages.stocked_workspace import StockedRuns, StockedWorkspace, runs

GIB = 1 << 30


@pytest.mark.parametrize(
    ("room", "most"),
    [
        (Room(1000 * GIB, 1000 * GIB), 4 * GIB),  # what the server is set to take
        (Room(3 * GIB, 1000 * GIB), GIB),
        (Room(1000 * GIB, 7 * GIB), 2 * GIB),
        (Room(0, 7 * GIB), 0),
    ],
)
def test_the_limit_is_the_least_of_server_disk_and_memory(
    room: Room, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(st, "get_option", lambda name: 4096)
    assert upload_room.most_bytes(room) == most
    assert ("disk" in upload_room.words(room, most)) == (most < 4 * GIB)


class PackedRuns(StockedRuns):
    def download(self, run_id: str, digest: str) -> Path:
        self.candidate_file(run_id, digest)
        return self.at.packed

    def converted(self, run_id: str, digest: str, form: str) -> Path:
        return self.download(run_id, digest)

    def package(self, run_id: str, digest: str, spec: str, texts: Mapping[str, str]) -> Path:
        self.at.inside = texts
        return self.download(run_id, digest)


@dataclass
class Packing(StockedWorkspace):
    """Every candidate is a large one, packed to one file."""

    packed: Path = Path()
    inside: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.runs = PackedRuns(self)


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    content: bytes


def get(app: Starlette, path: str, query: str = "", **headers: str) -> Reply:
    """What an application answers, asked as a server asks it."""
    reply = Reply(0, {}, b"")
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": query.encode(),
        "root_path": "",
        "asgi": {"spec_version": "2.4"},
    }
    scope["headers"] = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict) -> None:
        if message["type"] == "http.response.start":
            reply.status = message["status"]
            reply.headers = {k.decode(): v.decode() for k, v in message["headers"]}
        else:
            reply.content += message["body"]

    asyncio.run(app(scope, receive, send))
    return reply


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Starlette:
    packed = tmp_path / "packed.zip"
    packed.write_bytes(b"all of it")
    workspace = Packing(folder=tmp_path, packed=packed)
    monkeypatch.setattr(session, "workspace", lambda: workspace)
    return Starlette(routes=file_route.routes())


def key(*words: str) -> str:
    return f"key={password.key(*words)}"


def made() -> tuple[str, str]:
    run = runs()[0]
    outcome = next(o for o in run.outcomes if o.candidate is not None)
    assert outcome.candidate is not None
    return run.id, outcome.candidate.digest


def test_a_candidate_is_served_from_the_disk_under_its_name(client: Starlette) -> None:
    run_id, digest = made()
    reply = get(client, f"/{downloads.FILES}/{run_id}/{digest}", key(run_id, digest))
    assert reply.content == b"all of it"
    name = reply.headers["content-disposition"]
    assert name.startswith("attachment")
    assert name.endswith('.zip"')
    part = get(
        client, f"/{downloads.FILES}/{run_id}/{digest}", key(run_id, digest), range="bytes=4-5"
    )
    assert (part.status, part.content) == (206, b"of")


def test_another_format_is_served_under_its_name(client: Starlette) -> None:
    run_id, digest = made()
    address = f"/{downloads.FILES}/{run_id}/{digest}/openvino_ir.fp16"
    reply = get(client, address, key(run_id, digest))
    assert reply.content == b"all of it"
    assert reply.headers["content-disposition"].endswith('_openvino_ir_fp16.zip"')
    assert get(client, address, "key=").status == 404


@pytest.mark.parametrize(("run_id", "digest"), [("nope", "a"), (None, "nope"), (None, "../x")])
def test_what_is_not_there_is_not_served(
    client: Starlette, run_id: str | None, digest: str
) -> None:
    known, _ = made()
    run_id = run_id or known
    reply = get(client, f"/{downloads.FILES}/{run_id}/{digest}", key(run_id, digest))
    assert reply.status == 404
    assert "all of it" not in reply.content.decode()


def test_an_address_that_no_page_gave_out_opens_nothing(
    client: Starlette, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, digest = made()
    open_key = key(run_id, digest)
    monkeypatch.setenv(password.VARIABLE, "secret")
    address = f"/{downloads.FILES}/{run_id}/{digest}"
    for query in ("", "key=", open_key, key("another", digest)):
        assert get(client, address, query).status == 404
    assert get(client, address, key(run_id, digest)).status == 200


def page() -> None:
    from pages.shared import downloads, session
    from tests.pages.stocked_workspace import runs

    run = runs()[0]
    outcome = next(o for o in run.outcomes if o.candidate is not None)
    downloads.model(run, outcome, session.workspace())


def test_a_large_result_is_a_link_and_not_held_by_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Packing(folder=tmp_path)
    monkeypatch.setattr(session, "workspace", lambda: workspace)
    small = AppTest.from_function(page).run()
    assert not small.exception
    assert small.get("download_button")
    path = workspace.runs.candidate_file(*made())
    with data_of(path).open("wb") as file:
        file.truncate(downloads.EAGER_BYTES + 1)  # sparse
    large = AppTest.from_function(page).run()
    assert not large.exception
    assert not large.get("download_button")
    assert f"/{downloads.FILES}/{made()[0]}/{made()[1]}" in large.get("link_button")[0].proto.url


def formats_page() -> None:
    from pages.shared import downloads
    from tests.pages.stocked_workspace import runs

    run = runs()[0]
    outcome = next(o for o in run.outcomes if o.candidate is not None)
    downloads.other_formats(run, outcome.candidate)


def test_other_formats_are_links_and_say_whether_they_were_measured() -> None:
    shown = AppTest.from_function(formats_page).run()
    assert not shown.exception
    links = [link.proto.url for link in shown.get("link_button")]
    address = f"/{downloads.FILES}/{made()[0]}/{made()[1]}"
    found = [link.partition("?")[0].rpartition(address)[2] for link in links]
    assert found == [f"/{form}" for form in exported()]
    assert all("Not measured" in caption.value for caption in shown.caption)


def test_what_was_measured_in_a_format_is_said_beside_it() -> None:
    run, (_, digest) = runs()[0], made()
    spec = "openvino@openvino_ir"
    size = Measurement(
        digest, spec, "size_bytes", 2e6, 2e6, 2e6, Status.OK, condition={"format": "openvino_ir"}
    )
    asked = replace(run.spec, backends=(*run.spec.backends, spec))
    measured = replace(run, spec=asked, measurements=(*run.measurements, size))
    told = downloads.told_of(measured, digest, "openvino_ir")
    assert told == "Measured: 2.00 MB, no time on OpenVINO (openvino_ir)."
    assert "Not measured" in downloads.told_of(measured, digest, "openvino_ir.fp16")


def packages_page() -> None:
    from pages.shared import downloads
    from tests.pages.stocked_workspace import runs

    run = runs()[0]
    for outcome in run.outcomes[1:]:
        downloads.packages(run, outcome.candidate)


def test_packages_are_links_for_the_backends_that_were_timed() -> None:
    shown = AppTest.from_function(packages_page).run()
    assert not shown.exception
    run = runs()[0]
    links = [link.proto for link in shown.get("link_button")]
    assert [link.label for link in links] == [
        "Package for ONNX Runtime", "Package for OpenVINO", "Package for OpenCV DNN",
        "Package for ONNX Runtime", "Package for OpenVINO",  # the third could not load it
    ]  # fmt: skip
    digest = run.outcomes[1].candidate.digest
    where = f"/{downloads.FILES}/{run.id}/{digest}/{downloads.PACKAGE}/onnxruntime?key="
    assert where in links[0].url
    captions = [caption.value for caption in shown.caption]
    assert captions[0] == downloads.PACKED
    assert "1" in captions[1]
    assert "ms" in captions[1]


def test_nothing_is_packed_of_what_was_not_timed() -> None:
    def page() -> None:
        from dataclasses import replace

        from pages.shared import downloads
        from tests.pages.stocked_workspace import runs

        run = replace(runs()[0], measurements=())
        downloads.packages(run, run.outcomes[1].candidate)

    shown = AppTest.from_function(page).run()
    assert not shown.exception
    assert not shown.get("link_button")


def test_a_package_is_served_under_a_name_with_its_backend(client: Starlette) -> None:
    run_id, digest = made()
    address = f"/{downloads.FILES}/{run_id}/{digest}/{downloads.PACKAGE}/openvino:bf16@openvino_ir"
    reply = get(client, address, key(run_id, digest))
    assert reply.content == b"all of it"
    assert reply.headers["content-disposition"].endswith('_openvino_bf16_openvino_ir.zip"')
    packed = session.workspace().inside
    assert {"predict.py", "README.md", "requirements.txt"} < {*packed}
    assert get(client, address, "key=").status == 404
    assert get(client, address.replace("openvino:", "none:"), key(run_id, digest)).status == 404
