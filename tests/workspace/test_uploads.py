"""Uploads take room: within a quota that is said, and given back when they are deleted."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from core import graph as graphs
from core.errors import StoreError
from core.records import ExperimentSpec, Json
from core.runs.home import Home
from core.runs.installation import Installation
from core.runs.quota import Quota
from core.runs.reserve import SIZE, Reserve
from core.runs.store import Store
from core.workspace import Workspace
from tests.measure.subjects import net

OWNER, OTHER = "ann", "bob"
SMALL = graphs.serialize(net(8))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / "home"


@pytest.fixture
def workspace(home: Path) -> Iterator[Workspace]:
    opened = Workspace.open(home)
    yield opened
    opened.close()


def zeros(count: int) -> bytes:
    """Images that are small on their way and large on the disk of whoever unpacks them."""
    file = io.BytesIO()
    np.savez_compressed(file, images=np.zeros((count, 8, 8, 3), np.uint8))
    return file.getvalue()


def test_a_quota_is_read_from_the_environment():
    said = {"LATHE_UPLOAD": "1M", "LATHE_UPLOADS": "3G"}
    assert Quota.of(said) == Quota(1 << 20, 3 << 30, Quota().everybody)
    assert Quota.of({}) == Quota()
    with pytest.raises(StoreError, match="LATHE_UPLOADS=much is no size") as raised:
        Quota.of({"LATHE_UPLOADS": "much"})
    assert "LATHE_UPLOADS=6G" in raised.value.remedy


def test_uploads_are_listed_with_their_size_and_room_is_told(workspace: Workspace):
    model = workspace.models.add("net.onnx", SMALL, OWNER)
    data = workspace.data.add("set.npz", zeros(4), OWNER)
    found = {one.digest: one for one in workspace.data.uploads(OWNER)}
    assert found[model.digest].kind == "model"
    assert found[model.digest].size_bytes == model.path.stat().st_size
    assert found[data.digest].kind == "images"
    assert workspace.data.uploads(OTHER) == ()
    room = workspace.data.room(OWNER)
    assert room.used == sum(one.size_bytes for one in found.values())
    assert room.quota == Quota().visitor
    assert workspace.data.room(OTHER).used == 0
    assert room.shared == Quota().everybody - room.used


def test_images_that_are_being_read_keep_no_other_upload_waiting(workspace: Workspace):
    waited: list[str] = []
    with workspace._installation.data_gates.enter(OWNER):
        workspace.models.add("net.onnx", SMALL, OWNER)
        workspace.data.add("set.npz", zeros(4), OTHER)

        def tell(message: Json) -> None:
            waited.append(message["current"])
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            workspace.data.add("set.npz", zeros(5), OWNER, tell)
    assert waited == ["waiting until your other upload is read"]
    assert not list(workspace._installation.home.uploads.iterdir())
    assert workspace.data.add("set.npz", zeros(5), OWNER).count == 5


def test_the_samples_count_for_nobody(workspace: Workspace):
    workspace.models.sample("mobile")
    assert workspace.data.uploads() == ()
    assert workspace.data.room(OWNER).shared == Quota().everybody


def test_an_upload_beyond_the_quota_is_refused_before_it_is_read(home: Path):
    quota = Quota(len(SMALL), 2 * len(SMALL), 2 * len(SMALL))
    workspace = Workspace(Installation.lasting(Home.at(home), quota))
    try:
        with pytest.raises(StoreError, match="one may have") as raised:
            workspace.models.add("net.onnx", SMALL + b" ", OWNER)
        assert "LATHE_UPLOAD" in raised.value.remedy
        for width in (4, 6):
            workspace.models.add(f"{width}.onnx", graphs.serialize(net(width)), OWNER)
        with pytest.raises(StoreError, match="Your uploads would take") as raised:
            workspace.models.add("net.onnx", SMALL, OWNER)
        assert "Delete some under Runs" in raised.value.remedy
        workspace.runs.delete_upload(workspace.data.uploads(OWNER)[0].digest, OWNER)
        workspace.models.add("net.onnx", SMALL, OWNER)
        with pytest.raises(StoreError, match="of all visitors would take"):
            workspace.models.add("net.onnx", SMALL, OTHER)
        assert not list(Home.at(home).uploads.iterdir())
    finally:
        workspace.close()


def test_what_grows_beyond_the_quota_as_it_is_taken_in_goes_again(home: Path):
    packed = io.BytesIO()
    padded = onnx.ModelProto.FromString(graphs.serialize(net(128)))
    for tensor in padded.graph.initializer:
        if tensor.raw_data:
            tensor.raw_data = bytes(len(tensor.raw_data))  # packs to next to nothing
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net.onnx", padded.SerializeToString())
    size = len(packed.getvalue())
    workspace = Workspace(Installation.lasting(Home.at(home), Quota(visitor=size + 500)))
    try:
        with pytest.raises(StoreError, match="Your uploads would take"):
            workspace.models.add("net.zip", packed.getvalue(), OWNER)
        assert workspace.models.of(OWNER) == ()
        assert not list(Home.at(home).models.iterdir())
    finally:
        workspace.close()


def test_a_deleted_upload_is_off_the_list_and_off_the_disk(workspace: Workspace):
    model = workspace.models.add("net.onnx", SMALL, OWNER)
    data = workspace.data.add("set.npz", zeros(4), OWNER)
    size = model.path.stat().st_size
    assert workspace.runs.delete_upload(model.digest, OWNER) == size
    assert workspace.runs.delete_upload(data.digest, OWNER) > 0
    assert not model.path.exists()
    assert not data.path.parent.exists()
    assert workspace.models.of(OWNER) == workspace.data.of(OWNER) == workspace.data.uploads() == ()
    with pytest.raises(StoreError, match="deleted already"):
        workspace.runs.delete_upload(model.digest, OWNER)


def test_what_another_visitor_uploaded_too_stays_for_that_one(workspace: Workspace):
    model = workspace.models.add("net.onnx", SMALL, OWNER)
    workspace.models.add("net.onnx", SMALL, OTHER)
    with pytest.raises(StoreError, match="no such upload"):
        workspace.runs.delete_upload(model.digest, "eve")
    assert workspace.runs.delete_upload(model.digest, OWNER) == 0
    assert workspace.models.of(OWNER) == ()
    assert [one.name for one in workspace.models.of(OTHER)] == ["net.onnx"]


def test_runs_go_with_an_upload_only_where_that_is_said(workspace: Workspace):
    model = workspace.models.add("net.onnx", SMALL, OWNER)
    question = ExperimentSpec("t", model.digest, (), ("null",), dims={"N": 1})
    run = workspace.runs._new_run(question, OWNER)
    with pytest.raises(StoreError, match=r"1 run needs net\.onnx") as raised:
        workspace.runs.delete_upload(model.digest, OWNER)
    assert "Delete the runs first" in raised.value.remedy
    assert model.path.exists()
    assert workspace.runs.delete_upload(model.digest, OWNER, with_runs=True) > 0
    assert not model.path.exists()
    with pytest.raises(StoreError, match="no such run"):
        workspace.runs.get(run.id)


def test_who_has_the_link_looks_and_touches_nothing(workspace: Workspace):
    model = workspace.models.add("net.onnx", SMALL, OWNER)
    question = ExperimentSpec("t", model.digest, (), ("null",), dims={"N": 1})
    run = workspace.runs._new_run(question, OWNER)
    assert workspace.runs.get(run.id).id == run.id
    for touch in (workspace.runs.cancel, workspace.runs.resume, workspace.runs.delete):
        with pytest.raises(StoreError, match="Only who started a run"):
            touch(run.id, OTHER)
    assert not Store(Home.at(workspace._installation.home.root).database).cancelled(run.id)


def test_a_reserve_is_given_up_where_there_is_no_room_and_set_aside_again(home: Path):
    reserve, tries = Reserve(Home.at(home)), list[bool]()
    reserve.fill()
    held = home / "reserve"
    assert held.stat().st_blocks * 512 >= SIZE

    def act() -> str:
        tries.append(held.exists())
        if held.exists():
            raise StoreError("full")
        return "done"

    assert reserve.with_room(act) == "done"
    assert tries == [True, False]
    assert held.exists()

    def fail() -> None:
        raise StoreError("still full")

    with pytest.raises(StoreError, match="still full"):
        reserve.with_room(fail)


def test_an_upload_gets_another_name_and_its_runs_follow(workspace: Workspace):
    model = workspace.models.add("net.onnx", SMALL, OWNER)
    workspace.models.add("theirs.onnx", SMALL, OTHER)
    data = workspace.data.add("set.npz", zeros(8), OWNER)
    spec = ExperimentSpec("net.onnx: as it is", model.digest, (), ("null",), latency_budget_s=0.1)
    run = workspace.runs.measure(spec, OWNER)
    titled = workspace.runs.measure(replace(spec, title="my own title"), OWNER)
    assert workspace.data.rename_upload(model.digest, " edge  net ", OWNER) == "edge net"
    assert workspace.data.rename_upload(data.digest, "ours", OWNER) == "ours"
    (renamed,) = workspace.models.of(OWNER)
    assert (renamed.name, renamed.digest, renamed.path) == ("edge net", model.digest, model.path)
    assert workspace.data.get(data.digest, OWNER).name == "ours"
    assert {one.name for one in workspace.data.uploads(OWNER)} == {"edge net", "ours"}
    assert workspace.models.get(model.digest, OTHER).name == "theirs.onnx"
    after = workspace.runs.get(run.id)
    assert (after.model.name, after.spec.title) == ("edge net", "edge net: as it is")
    assert workspace.runs.get(titled.id).spec.title == "my own title"
    assert {line.model for line in workspace.runs.lines(OWNER)} == {"edge net"}


def test_a_file_of_somebody_else_keeps_its_name(workspace: Workspace):
    model = workspace.models.add("net.onnx", SMALL, OWNER)
    with pytest.raises(StoreError, match="There is no such upload"):
        workspace.data.rename_upload(model.digest, "mine", OTHER)
    with pytest.raises(StoreError, match="This name is empty"):
        workspace.data.rename_upload(model.digest, " ", OWNER)
    assert workspace.models.get(model.digest, OWNER).name == "net.onnx"
