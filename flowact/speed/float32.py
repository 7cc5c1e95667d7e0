"""Keeping a part of a graph in float32 while the rest is computed in bfloat16."""

from __future__ import annotations

import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

import openvino as ov

from flowact.speed.graph import core

_FLOW_CHANNELS = (1, 2)
"""Of convolutions that say how far a common flow is to be trusted, and of those that say where to move."""


def addresses_in_float32(model: ov.Model) -> ov.Model:
    """Mark what lies between a flow and its `GridSample`: bfloat16 has too few bits to address a pixel.

    OpenVINO reads the mark from a graph on disk only; Python cannot set it.
    """
    marked = {
        node.get_friendly_name()
        for sample in model.get_ordered_ops()
        if sample.get_type_name() == "GridSample"
        for node in _before(sample.input_value(1).get_node())
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.xml"
        ov.save_model(model, path, compress_to_fp16=False)
        root = ET.parse(path).getroot()
        for layer in root.iter("layer"):
            if layer.get("name") in marked:
                facts = layer.find("rt_info")
                if facts is None:
                    facts = ET.Element("rt_info")
                    layer.insert(0 if layer.find("data") is None else 1, facts)
                # Its name in OpenVINO; the CPU plugin obeys it for bfloat16 as well.
                ET.SubElement(facts, "attribute", name="DisablePrecisionConversion", version="0", value="dynamic:f16")
        return core().read_model(ET.tostring(root), path.with_suffix(".bin").read_bytes())


def _before(node: ov.Node) -> list[ov.Node]:
    """The node and what feeds it, up to the convolutions that say where to move."""
    found: dict[str, ov.Node] = {}
    waiting = [node]
    while waiting:
        node = waiting.pop()
        name, kind = node.get_friendly_name(), node.get_type_name()
        if name in found or kind in ("Constant", "Parameter", "ShapeOf"):
            continue
        if kind == "Convolution" and node.output(0).get_partial_shape()[1] in _FLOW_CHANNELS:
            continue
        found[name] = node
        waiting += [value.get_node() for value in node.input_values()]
    return list(found.values())
