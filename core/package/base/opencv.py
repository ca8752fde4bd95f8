"""What the snippets of OpenCV's two engines share."""

from __future__ import annotations

from core.package.base import Snippet
from core.package.base.cpp import opencv_program
from core.package.base.python import here, threads
from core.package.base.subject import Subject

RUN = """
def run(net, feeds):
    for name, value in feeds.items():
        net.setInput(value, name)
    return list(net.forward(net.getUnconnectedOutLayersNames()))
"""


def of_engine(engine: str) -> Snippet:
    """The snippet of an engine, by its name in cv2.dnn."""

    def load(subject: Subject) -> str:
        return (
            'def load():\n    """The model with the options that were measured."""\n'
            f"    cv2.setNumThreads({threads(subject)})\n"
            f"    return cv2.dnn.readNetFromONNX({here(subject.file)}, cv2.dnn.{engine})\n"
        )

    return Snippet(
        distribution="opencv-python-headless",
        imports=("import cv2",),
        load=load,
        run=lambda subject: RUN,
        in_order=False,
        programs=opencv_program(engine),
    )
