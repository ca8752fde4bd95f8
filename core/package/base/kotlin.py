"""Predict.kt: a class for Android that runs a .tflite file on a bitmap, through LiteRT.

It is written for models of one image input in float32. Android's own bilinear filter scales the
bitmap, which differs a little from OpenCV's, and the file says so.
"""

from __future__ import annotations

from core.package.base.pixels import Pixels, Resize
from core.package.base.subject import Subject

PROGRAM = """// {file} on one bitmap, as it was measured with {threads}.
// Gradle: implementation("com.google.ai.edge.litert:litert:2.3.0")
// {assets} to src/main/assets.

import android.content.Context
import android.graphics.Bitmap
import android.graphics.Color
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel

class Predict(context: Context) : AutoCloseable {{
    private val options = CompiledModel.Options(Accelerator.CPU).apply {{
        cpuOptions = CompiledModel.CpuOptions(numThreads = {count})
    }}
    private val model = CompiledModel.create(context.assets, {name}, options)
    private val inputs = model.createInputBuffers()
    private val outputs = model.createOutputBuffers()
{labels}
    /** Every output, in the order of the model. */
    fun run(image: Bitmap): List<FloatArray> {{
        inputs[0].writeFloat(preprocess(image))
        model.run(inputs, outputs)
        return outputs.map {{ it.readFloat() }}
    }}
{top}
    /** A bitmap -> {shape} float32; Android scales a little otherwise than OpenCV. */
    private fun preprocess(image: Bitmap): FloatArray {{
        var picture = image.copy(Bitmap.Config.ARGB_8888, false)
{steps}
        val width = picture.width
        val pixels = IntArray(width * picture.height)
        picture.getPixels(pixels, 0, width, 0, 0, width, picture.height)
        val x = FloatArray({channels} * pixels.size)
        pixels.forEachIndexed {{ i, pixel ->
{numbers}
        }}
        return x
    }}

    override fun close() {{
        (inputs + outputs).forEach {{ it.close() }}
        model.close()
    }}
}}
"""
TOP = """
    /** The {most} classes with the highest scores. */
    fun top(image: Bitmap): List<Pair<String, Float>> {{
        val scores = run(image)[0]
        return scores.indices.sortedByDescending {{ scores[it] }}.take({most}).map {{
            {name} to scores[it]
        }}
    }}
"""
LABELS = """    private val labels =
        context.assets.open("labels.txt").bufferedReader().use { it.readText() }.split("\\n")
"""
CHANNELS = ("Color.red(pixel)", "Color.green(pixel)", "Color.blue(pixel)")
GRAY = "Math.rint({}).toInt()".format(
    " + ".join(f"{w} * {c}" for w, c in zip((0.299, 0.587, 0.114), CHANNELS, strict=True))
)
MOST = 5


def program(subject: Subject) -> str:
    """The class; empty where the model takes something else than one image in float32."""
    pixels = subject.pixels
    if pixels is None or not pixels.is_decoded or subject.batch != 1 or pixels.rounded:
        return ""
    kinds = {pixels.dtype, *(spec.dtype for spec in subject.outputs)}
    known = all(isinstance(step, Resize) or step.top is not None for step in pixels.steps)
    if kinds != {"float32"} or not known:
        return ""
    named = bool(subject.classes)
    label = "labels[it]" if named else '"class $it"'
    classified = subject.task == "classification"
    cores = "Runtime.getRuntime().availableProcessors()"
    wide = pixels.how.layout == "NHWC"
    return PROGRAM.format(
        file=subject.file,
        name=f'"{subject.file}"',
        assets=f"Copy {subject.file} and labels.txt" if named else f"Copy {subject.file}",
        threads=f"{subject.threads} threads" if subject.threads != 1 else "1 thread",
        count=subject.threads or cores,
        labels=LABELS if named and classified else "",
        top=TOP.format(most=MOST, name=label) if classified else "",
        shape="[1, height, width, channels]" if wide else "[1, channels, height, width]",
        steps="\n".join(f"        {line}" for line in _steps(pixels)),
        channels=1 if pixels.how.color == "gray" else len(CHANNELS),
        numbers="\n".join(f"            {line}" for line in _numbers(pixels)),
    )


def _steps(pixels: Pixels) -> list[str]:
    lines = []
    for step in pixels.steps:
        if isinstance(step, Resize):
            sides = f"{step.width}, {step.height}, true"
            lines.append(f"picture = Bitmap.createScaledBitmap(picture, {sides})")
        else:
            sides = f"{step.left}, {step.top}, {step.width}, {step.height}"
            lines.append(f"picture = Bitmap.createBitmap(picture, {sides})")
    return lines


def _numbers(pixels: Pixels) -> list[str]:
    """A line for each channel."""
    how = pixels.how
    gray = how.color == "gray"
    order = (GRAY,) if gray else CHANNELS[::-1] if how.color == "bgr" else CHANNELS
    lines = []
    for at, value in enumerate(order):
        where = f"i * {len(order)} + {at}" if how.layout == "NHWC" else f"{at} * pixels.size + i"
        where = "i" if gray else where
        mean, std = (values[at % len(values)] for values in (how.mean, how.std))
        lines.append(f"x[{where}] = ({value} * {how.scale!r}f - {mean!r}f) / {std!r}f")
    return lines
