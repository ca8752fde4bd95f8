"""predict.cpp: the same program in C++17, with OpenCV for images.

It is written for models of one image input in float32 or uint8; for others there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from core.package.base.pixels import Crop, Pixels, Resize
from core.package.base.subject import Subject

TYPES = {"float32": ("float", "CV_32F"), "uint8": ("unsigned char", "CV_8U")}
PROGRAM = """// {about}
// {compile}
{includes}

{load}
// An image file as the model takes it: {shape} {dtype}.
static std::vector<{type}> preprocess(const std::string& path, std::vector<{size}>& shape)
{{
    cv::Mat image = cv::imread(path, cv::IMREAD_COLOR);  // BGR
    if (image.empty())
        throw std::runtime_error(path + ": not an image that OpenCV reads");
{steps}
    const int rows = x.rows, columns = x.cols, channels = x.channels();
    shape = {{{order}}};
    std::vector<{type}> values(x.total() * channels);
{copy}
    return values;
}}

{show}
int main(int count, char** words)
try {{
    if (count != 2)
        throw std::runtime_error("usage: predict IMAGE");
    std::vector<{size}> shape;
    std::vector<{type}> input = preprocess(words[1], shape);
{run}
    return 0;
}} catch (const std::exception& error) {{
    std::cerr << error.what() << "\\n";
    return 1;
}}
"""
TOP = """// The {most} classes with the highest scores.
static void show(const float* scores, size_t count)
{{
{labels}    std::vector<size_t> order(count);
    std::iota(order.begin(), order.end(), size_t(0));
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) {{ return scores[a] > scores[b]; }});
    for (size_t i = 0; i < std::min(count, size_t({most})); ++i)
        std::cout << scores[order[i]] << "  " << {named} << "\\n";
}}
"""
LABELS = """    std::vector<std::string> labels;
    std::ifstream file("labels.txt");
    for (std::string line; std::getline(file, line);)
        labels.push_back(line);
    labels.resize(count);
"""
RANGE = """// Size and range of an output.
static void show(const float* values, size_t count)
{
    const auto ends = std::minmax_element(values, values + count);
    std::cout << count << " numbers, " << *ends.first << " to " << *ends.second << "\\n";
}
"""
PLANES = """    std::vector<cv::Mat> planes;
    for (int c = 0; c < channels; ++c)  // N, C, H, W
        planes.emplace_back(rows, columns, {kind}, values.data() + x.total() * c);
    cv::split(x, planes);"""
PIXELS = """    cv::Mat whole(rows, columns, x.type(), values.data());  // N, H, W, C
    x.copyTo(whole);"""
CUT = (
    "cv::Mat bytes(x.size(), CV_8UC(x.channels()));  // digits behind the point are dropped",
    "std::transform(x.ptr<float>(), x.ptr<float>() + x.total() * x.channels(), bytes.ptr(),",
    "               [](float value) { return static_cast<unsigned char>(int(value)); });",
    "x = bytes;",
)
CMAKE = """cmake_minimum_required(VERSION 3.16)
project(predict CXX)
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
find_package(OpenCV REQUIRED COMPONENTS {parts})
{find}add_executable(predict predict.cpp)
target_link_libraries(predict PRIVATE ${{OpenCV_LIBS}}{libraries})
"""
MOST = 5
Writer = Callable[[Subject], str]


@dataclass(frozen=True, slots=True)
class Runtime:
    """What is its own in the program of a backend.

    Attributes:
        include: its header.
        load: writes the code that loads the model.
        run: template of the lines that run it on `input` of `shape` and show every output; it may
            name the input, the `type` of its numbers and its OpenCV `kind`.
        find: a line of CMake; empty where OpenCV is all there is.
        libraries: what it links besides OpenCV.
        opencv: parts of OpenCV.
        size: the type of a size.
        floats: whether it takes float32 whatever the model's input is.
        compiled: the command that compiles the program.
    """

    include: str
    load: Writer
    run: str
    find: str = ""
    libraries: str = ""
    opencv: str = "imgcodecs imgproc"
    size: str = "int"
    floats: bool = False
    compiled: str = "cmake -B build && cmake --build build && build/predict IMAGE"

    def programs(self) -> Mapping[str, Writer]:
        """The program, and how it is compiled."""
        return {"predict.cpp": self.program, "CMakeLists.txt": self._cmake}

    def _cmake(self, subject: Subject) -> str:
        if not self.program(subject):
            return ""
        find = f"{self.find}\n" if self.find else ""
        return CMAKE.format(parts=self.opencv, find=find, libraries=self.libraries)

    def program(self, subject: Subject) -> str:
        """The program; empty where the model takes something else than one image."""
        pixels = subject.pixels
        if pixels is None or not pixels.is_decoded or subject.batch != 1:
            return ""
        dtype = "float32" if self.floats else pixels.dtype
        if dtype not in TYPES or {spec.dtype for spec in subject.outputs} != {"float32"}:
            return ""
        kind, depth = TYPES[dtype]
        wide = pixels.how.layout == "NHWC"
        classified = subject.task == "classification" and len(subject.outputs) == 1
        return PROGRAM.format(
            about=f"{subject.file} on one image: predict IMAGE, started in this folder.",
            compile=self.compiled,
            includes=_includes(self.include),
            load=self.load(subject),
            shape="[1, height, width, channels]" if wide else "[1, channels, height, width]",
            dtype=dtype,
            type=kind,
            size=self.size,
            steps="\n".join(f"    {line}" for line in _steps(pixels, dtype)),
            order=_order(self.size, wide),
            copy=PIXELS if wide else PLANES.format(kind=depth),
            show=_top(subject) if classified else RANGE,
            run=self.run.format(name=literal(subject.inputs[0].name), type=kind, kind=depth),
        )


def literal(text: str) -> str:
    """Any text as a literal of C++, in ASCII: bytes of UTF-8, three octal digits where need be."""
    codes = text.encode("utf-8", "replace")
    plain = (chr(c) if 32 <= c < 127 and chr(c) not in '"\\?' else f"\\{c:03o}" for c in codes)
    return f'"{"".join(plain)}"'


def threads(subject: Subject) -> str:
    """The number of threads as an expression."""
    return str(subject.threads) if subject.threads else "int(std::thread::hardware_concurrency())"


def _includes(own: str) -> str:
    standard = ("algorithm", "fstream", "iostream", "numeric", "stdexcept", "string", "thread")
    first = (own, "opencv2/imgcodecs.hpp", "opencv2/imgproc.hpp")
    lines = [f"#include <{name}>" for name in first]
    return "\n".join([*lines, "", *(f"#include <{name}>" for name in (*standard, "vector"))])


def _order(size: str, wide: bool) -> str:
    sides = ("rows", "columns", "channels") if wide else ("channels", "rows", "columns")
    cast = size if size != "int" else ""
    return ", ".join(["1", *(f"{cast}({side})" if cast else side for side in sides)])


def _top(subject: Subject) -> str:
    named = bool(subject.classes)
    name = "labels[order[i]]" if named else '"class " << order[i]'
    return TOP.format(most=MOST, labels=LABELS if named else "", named=name)


def _steps(pixels: Pixels, dtype: str) -> list[str]:
    """Lines that make `x`, a matrix of the input's numbers, of `image`."""
    how = pixels.how
    lines = []
    if how.color == "gray":
        lines += [
            "image.convertTo(image, CV_32F);",
            "cv::transform(image, image, cv::Matx13f(0.114f, 0.587f, 0.299f));",
            "image.convertTo(image, CV_8U);",
        ]
    elif how.color != "bgr":
        lines.append("cv::cvtColor(image, image, cv::COLOR_BGR2RGB);")
    for step in pixels.steps:
        lines += _step(step)
    lines.append("cv::Mat x = image;")
    if dtype == "uint8" and pixels.is_raw:
        return lines
    lines.append("x.convertTo(x, CV_32F);")
    if not pixels.is_raw:
        lines += [f"x *= {how.scale!r};"] if how.scale != 1 else []
        lines += [f"x -= {_scalar(how.mean)};"] if set(how.mean) != {0} else []
        lines += [f"cv::divide(x, {_scalar(how.std)}, x);"] if set(how.std) != {1} else []
    if how.dtype == "uint8":
        lines.append("x.convertTo(x, CV_8U);  // rounds")
        lines += ["x.convertTo(x, CV_32F);"] if dtype == "float32" else []
    elif dtype == "uint8":
        lines += CUT
    return lines


def _step(step: Resize | Crop) -> list[str]:
    if isinstance(step, Resize):
        size = f"cv::Size({step.width}, {step.height})"
        return [f"cv::resize(image, image, {size});  // bilinear"]
    if step.top is None or step.left is None:
        return [
            f"const int crop_width = std::min(image.cols, {step.width});",
            f"const int crop_height = std::min(image.rows, {step.height});",
            "image = image(cv::Rect((image.cols - crop_width) / 2,",
            "                       (image.rows - crop_height) / 2, crop_width, crop_height));",
        ]
    sides = f"{step.left}, {step.top}, {step.width}, {step.height}"
    return [f"image = image(cv::Rect({sides}));  // the centre"]


def _scalar(values: Sequence[float]) -> str:
    if len(set(values)) == 1:
        return f"cv::Scalar::all({values[0]!r})"
    return f"cv::Scalar({', '.join(map(repr, values))})"
