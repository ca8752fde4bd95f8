"""predict.cpp: compiled where the headers are, and run where the libraries are."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.package.base import catalogue, cpp
from core.records import Preprocess
from tests.builders import graph
from tests.package import shipped
from tests.package.test_python import CASES, MORE, STATED, bytes_in, classifier
from tests.tasks import nets

NAMES = [name for name, snippet in catalogue().items() if "predict.cpp" in snippet.programs]


def flags(name: str) -> list[str]:
    """What g++ needs for OpenCV and for a runtime; skips where it is not here."""
    if not shutil.which("g++") or not shutil.which("pkg-config"):
        pytest.skip("there is no g++, or no pkg-config")
    return [*_runtime(name), *_packaged("opencv4", "of OpenCV are not installed (libopencv-dev)")]


def _packaged(name: str, lacking: str) -> list[str]:
    asked = ["pkg-config", "--cflags", "--libs", name]
    found = subprocess.run(asked, capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.skip(f"the development files {lacking}")
    return found.stdout.split()


def _runtime(name: str) -> list[str]:
    if name == "ncnn":
        return _packaged("ncnn", "of ncnn are not installed")
    if name != "openvino":
        return []
    import openvino

    wheel = Path(openvino.__file__).parent
    library = next(wheel.glob("libs/libopenvino.so*"), None)
    if library is None or not (wheel / "include").is_dir():
        pytest.skip("this OpenVINO has no headers")
    return ["-isystem", str(wheel / "include"), str(library), f"-Wl,-rpath,{wheel / 'libs'}"]


def compiled(folder: Path, name: str) -> Path:
    """The program of an unpacked package."""
    strict = ("-std=c++17", "-Wall", "-Wextra", "-Werror")
    made = subprocess.run(
        ["g++", *strict, "predict.cpp", "-o", "predict", *flags(name)],
        capture_output=True, text=True, cwd=folder, check=False,
    )  # fmt: skip
    assert not made.returncode, made.stderr
    return folder / "predict"


def answer(program: Path, image: Path) -> list[list[str]]:
    done = subprocess.run(
        [str(program), str(image)], capture_output=True, text=True, cwd=program.parent, check=False
    )
    assert not done.returncode, done.stderr
    return [line.split("  ") for line in done.stdout.splitlines()]


@pytest.mark.backend
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "case"),
    [
        *itertools.product(
            ("opencv_classic", "openvino"),
            ("channels last", "bytes", "gray", "cut bytes", "cut larger"),
        ),
        ("opencv", "stated"),
        ("ncnn", "stated"),
    ],
)
def test_each_program_answers_as_the_reference(case: str, name: str, tmp_path: Path):
    net, how = (CASES | MORE)[case]
    run = shipped.run_of(net, tmp_path, name, how, shipped.LABELS)
    image = shipped.picture(tmp_path)
    said = answer(compiled(shipped.unpacked(run, tmp_path), name), image)
    scores = shipped.expected(run, image)[0][0]
    order = np.argsort(-scores, kind="stable")[:5]
    plain = [" ".join(label.split()) for label in shipped.LABELS]
    assert [label for _, label in said] == [plain[number] for number in order]
    given = [float(score) for score, _ in said]
    np.testing.assert_allclose(given, scores[order], rtol=2e-3, atol=2e-4)


@pytest.mark.backend
@pytest.mark.slow
def test_what_is_no_classification_is_told_by_its_range(tmp_path: Path):
    run = shipped.run_of(nets.segmentation(), tmp_path, "openvino", Preprocess())
    (said,) = answer(
        compiled(shipped.unpacked(run, tmp_path), "openvino"), shipped.picture(tmp_path)
    )
    assert said[0].startswith(f"{4 * nets.SIDE**2} numbers, ")


@pytest.mark.parametrize("name", NAMES)
def test_what_it_cannot_be_written_for_has_none(name: str, tmp_path: Path):
    net = graph("(float[1,8] x) => (float[1,8] y) { y = Relu (x) }")
    numbers = shipped.unpacked(shipped.run_of(net, tmp_path, name), tmp_path)
    assert not {"predict.cpp", "CMakeLists.txt"} & {path.name for path in numbers.iterdir()}
    assert "C++" not in (numbers / "README.md").read_text()


def test_bytes_are_cut_as_in_python(tmp_path: Path):
    run = shipped.run_of(bytes_in(), tmp_path, "openvino", MORE["cut bytes"][1])
    program = (shipped.unpacked(run, tmp_path) / "predict.cpp").read_text()
    assert "static_cast<unsigned char>(int(value))" in program
    assert "x.convertTo(x, CV_8U)" not in program


@pytest.mark.parametrize("name", NAMES)
def test_cmake_finds_the_same(name: str, tmp_path: Path):
    run = shipped.run_of(classifier(), tmp_path, name, replace(STATED))
    listed = (shipped.unpacked(run, tmp_path) / "CMakeLists.txt").read_text()
    assert "add_executable(predict predict.cpp)" in listed
    assert ("openvino::runtime" in listed) == (name == "openvino")
    assert ("OpenCV_LIBS} ncnn)" in listed) == (name == "ncnn")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain", '"plain"'),
        ('a"b\\', '"a\\042b\\134"'),
        ("é0", '"\\303\\2510"'),
        ("??/", '"\\077\\077/"'),
    ],
)
def test_a_text_is_one_literal(text: str, written: str):
    assert cpp.literal(text) == written
