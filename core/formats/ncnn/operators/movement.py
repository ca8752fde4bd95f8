"""Movement: the same elements in another shape or order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from core.formats.ncnn.attributes import Rule
from core.formats.ncnn.net import Blob, Net
from core.formats.ncnn.refusal import Refused
from core.formats.ncnn.sizes import Shape, moved

# Permutations as ncnn numbers them: the axes of what goes in, innermost of what comes out first.
ORDERS = {
    2: ("wh", "hw"),
    3: ("whc", "hwc", "wch", "cwh", "hcw", "chw"),
    4: (
        "whdc", "hwdc", "wdhc", "dwhc", "hdwc", "dhwc", "whcd", "hwcd", "wchd", "cwhd", "hcwd",
        "chwd", "wdch", "dwch", "wcdh", "cwdh", "dcwh", "cdwh", "hdcw", "dhcw", "hcdw", "chdw",
        "dchw", "cdhw",
    ),
}  # fmt: skip
AXES = {2: "hw", 3: "chw", 4: "cdhw"}  # outermost first


def reshape(net: Net, node: ir.Node) -> None:
    """Reshape and its kin: the blob stays; who needs another form of it asks for one."""
    net.shape(node.outputs[0])
    net.put(node.outputs[0], net.blob(node.inputs[0]))


def transpose(net: Net, node: ir.Node) -> None:
    """Transpose, in as few steps as four axes allow."""
    shape = net.shape(node.inputs[0])
    perm = node.attributes.get_ints("perm", list(range(len(shape)))[::-1])
    net.put(
        node.outputs[0], transposed(net, node.name or "", net.blob(node.inputs[0]), shape, perm)
    )


def transposed(net: Net, name: str, blob: Blob, shape: Shape, perm: Sequence[int]) -> Blob:
    """A blob that holds a tensor of this shape, with its axes in another order."""
    for form, order in moved(shape, perm):
        source = net.as_form(blob, form)
        out = tuple(form[axis] for axis in order)
        blob = net.add("Permute", name, (source,), out, {0: order_type(order)})
    return blob


def order_type(order: Shape) -> int:
    """The number of a permutation of axes, both outermost first."""
    letters = AXES[len(order)]
    return ORDERS[len(order)].index("".join(letters[axis] for axis in reversed(order)))


def to_space(net: Net, node: ir.Node) -> None:
    """DepthToSpace."""
    mode = node.attributes.get_string("mode", "DCR")
    shuffled(net, node, node.inputs[0], node.attributes.get_int("blocksize"), mode == "CRD")


def shuffled(net: Net, node: ir.Node, value: ir.Value | None, block: int, crd: bool) -> None:
    """PixelShuffle: blocks of channels become blocks of pixels.

    Args:
        net: that is written.
        node: whose output it is.
        value: what goes in.
        block: its side.
        crd: whether the channels that stay are the outermost, as PyTorch has it.
    """
    shape = _image(net, value)
    source = net.formed(value, shape[1:])
    form = (shape[1] // block**2, shape[2] * block, shape[3] * block)
    made = net.add("PixelShuffle", node.name or "", (source,), form, {0: block, 1: int(not crd)})
    net.put(node.outputs[0], made)


def to_depth(net: Net, node: ir.Node) -> None:
    """SpaceToDepth."""
    shape, block = _image(net, node.inputs[0]), node.attributes.get_int("blocksize")
    source = net.formed(node.inputs[0], shape[1:])
    form = (shape[1] * block**2, shape[2] // block, shape[3] // block)
    mode = int(node.attributes.get_string("mode", "DCR") == "DCR")
    parameters = {0: block, 1: mode}
    net.put(node.outputs[0], net.add("Reorg", node.name or "", (source,), form, parameters))


def _image(net: Net, value: ir.Value | None) -> Shape:
    shape = net.shape(value)
    if len(shape) != 4 or shape[0] != 1:
        raise Refused("ncnn moves blocks of one image only")
    return shape


OPERATORS: Mapping[str, Rule] = {
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), reshape),
    "Transpose": transpose, "DepthToSpace": to_space, "SpaceToDepth": to_depth,
}  # fmt: skip
