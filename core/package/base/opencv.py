"""What the snippets of OpenCV's two engines share."""

from __future__ import annotations

from core.package.base import Snippet, cpp
from core.package.base.python import here, threads
from core.package.base.subject import Subject

RUN = """
def run(net, feeds):
    for name, value in feeds.items():
        net.setInput(value, name)
    return list(net.forward(net.getUnconnectedOutLayersNames()))
"""


CPP_LOAD = """static cv::dnn::Net load()
{{
    cv::setNumThreads({threads});
#if CV_VERSION_MAJOR >= 5
    return cv::dnn::readNetFromONNX({file}, cv::dnn::{engine});
#else
    return cv::dnn::readNetFromONNX({file});{older}
#endif
}}
"""
CPP_RUN = """    cv::dnn::Net net = load();
    net.setInput(cv::Mat(shape, {kind}, input.data()), {name});
    std::vector<cv::Mat> outputs;
    net.forward(outputs, net.getUnconnectedOutLayersNames());
    for (const cv::Mat& output : outputs)
        show(output.ptr<float>(), output.total());"""


def of_engine(engine: str) -> Snippet:
    """The snippet of an engine, by its name in cv2.dnn."""

    def load(subject: Subject) -> str:
        return (
            'def load():\n    """The model with the options that were measured."""\n'
            f"    cv2.setNumThreads({threads(subject)})\n"
            f"    return cv2.dnn.readNetFromONNX({here(subject.file)}, cv2.dnn.{engine})\n"
        )

    def load_in_cpp(subject: Subject) -> str:
        older = "" if engine == "ENGINE_CLASSIC" else "  // its one engine: not what was measured"
        return CPP_LOAD.format(
            file=cpp.literal(subject.file),
            threads=cpp.threads(subject),
            engine=engine,
            older=older,
        )

    return Snippet(
        distribution="opencv-python-headless",
        imports=("import cv2",),
        load=load,
        run=lambda subject: RUN,
        in_order=False,
        programs=cpp.Runtime(
            include="opencv2/dnn.hpp",
            load=load_in_cpp,
            run=CPP_RUN,
            opencv="dnn imgcodecs imgproc",
            compiled="g++ -O2 -std=c++17 predict.cpp -o predict "
            "$(pkg-config --cflags --libs opencv4)",
        ).programs(),
    )
