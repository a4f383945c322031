"""The inference engines of ``cpu.py``: ONNX (for ONNX Runtime, OpenVINO and MNN) and ncnn, and their steps."""

from __future__ import annotations

import math
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from contestants import Step
from cpu_builders import EPSILON, Builder, Node

__all__ = ["ENGINES", "NcnnBuilder", "OnnxBuilder"]


class OnnxBuilder(Builder):
    """Nodes of an ONNX graph; values and handles are names."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        super().__init__({name: name for name in arrays})
        self.arrays, self.nodes = arrays, []  # type: ignore[var-annotated]

    def _node(self, op: str, *inputs: str, **attributes: Any) -> str:
        import onnx

        name = f"v{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def _conv(self, x, w, b, stride, pad, groups, name):  # type: ignore[no-untyped-def]
        inputs = [x.value, w, *([b] if b else [])]
        return self._node("Conv", *inputs, strides=[stride] * 2, pads=[pad] * 4, group=groups)

    def _deconv(self, x, w, stride, pad, shape, name):  # type: ignore[no-untyped-def]
        return self._node("ConvTranspose", x.value, w, strides=[stride] * 2, pads=[pad] * 4)

    def _norm(self, x, scale, offset, averages, name):  # type: ignore[no-untyped-def]
        return self._node("BatchNormalization", x.value, scale, offset, *averages, epsilon=EPSILON)

    def _dense(self, x, w, b, name):  # type: ignore[no-untyped-def]
        return self._node("Gemm", x.value, w, b)

    def _relu(self, x, limit):  # type: ignore[no-untyped-def]
        if math.isinf(limit):
            return self._node("Relu", x.value)
        self.arrays["zero"], self.arrays["limit"] = np.zeros((), "float32"), np.array(limit, "float32")
        return self._node("Clip", x.value, "zero", "limit")

    def _tanh(self, x):  # type: ignore[no-untyped-def]
        return self._node("Tanh", x.value)

    def _pool(self, x, kind, size, stride, pad):  # type: ignore[no-untyped-def]
        op = {"max": "MaxPool", "mean": "AveragePool"}[kind]
        return self._node(op, x.value, kernel_shape=[size] * 2, strides=[stride] * 2, pads=[pad] * 4)

    def _mean(self, x):  # type: ignore[no-untyped-def]
        return self._node("Flatten", self._node("GlobalAveragePool", x.value))

    def _reshape(self, x, shape):  # type: ignore[no-untyped-def]
        if len(shape) == 2:
            return self._node("Flatten", x.value)
        name = f"shape{len(self.arrays)}"
        self.arrays[name] = np.array(shape, "int64")
        return self._node("Reshape", x.value, name)

    def _add(self, x, y):  # type: ignore[no-untyped-def]
        return self._node("Add", x.value, y.value)

    def _join(self, xs):  # type: ignore[no-untyped-def]
        return self._node("Concat", *(x.value for x in xs), axis=1)


def _onnx(row: Any, x: np.ndarray, arrays: dict[str, np.ndarray]) -> tuple[bytes, tuple[int, ...]]:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    b = OnnxBuilder(dict(arrays))
    out = row.network(b, Node("x", x.shape))
    graph = helper.make_graph(
        b.nodes, row.name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info(out.value, TensorProto.FLOAT, out.shape)],
        [numpy_helper.from_array(a, name) for name, a in b.arrays.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model.SerializeToString(), out.shape


def onnxruntime_step(row: Any, x: np.ndarray, arrays: dict[str, np.ndarray], threads: int) -> Step:
    import onnxruntime

    model, _ = _onnx(row, x, arrays)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": x})


def openvino_step(row: Any, x: np.ndarray, arrays: dict[str, np.ndarray], threads: int, precision: str = "f32") -> Step:
    import openvino

    model, _ = _onnx(row, x, arrays)
    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    if precision:
        settings["INFERENCE_PRECISION_HINT"] = precision
    compiled = core.compile_model(core.read_model(model, b""), "CPU", settings)
    request = compiled.create_infer_request()
    return lambda: [request.infer([x])[0]]


def openvino_default_step(row: Any, x: np.ndarray, arrays: dict[str, np.ndarray], threads: int) -> Step:
    return openvino_step(row, x, arrays, threads, "")


def mnn_step(row: Any, x: np.ndarray, arrays: dict[str, np.ndarray], threads: int) -> Step:
    import MNN

    model, shape = _onnx(row, x, arrays)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "model.onnx"), Path(folder, "model.mnn")
        source.write_bytes(model)
        command = [Path(sys.executable).parent / "mnnconvert", "-f", "ONNX", "--modelFile", source]
        subprocess.run(
            [*map(str, command), "--MNNModel", str(target), "--bizCode", "symc"], check=True, capture_output=True
        )
        interpreter = MNN.Interpreter(str(target))
    session = interpreter.createSession({"backend": "CPU", "numThread": threads, "precision": "normal"})
    given = interpreter.getSessionInput(session)
    kind, order = MNN.Halide_Type_Float, MNN.Tensor_DimensionType_Caffe
    images = MNN.Tensor(x.shape, kind, x, order)

    def step() -> Any:
        given.copyFrom(images)
        interpreter.runSession(session)
        result = MNN.Tensor(shape, kind, np.empty(shape, "float32"), order)
        interpreter.getSessionOutput(session).copyToHostTensor(result)
        return [np.array(result.getNumpyData()).reshape(shape)]  # a copy: the tensor owns the memory

    return step


class NcnnBuilder(Builder):
    """Layers of an ncnn model; values are names of blobs. Normalisations and activations are merged into convolutions,
    as ncnn's own tools do."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        super().__init__({name: name for name in arrays})
        self.arrays, self.renamed = arrays, {}  # type: ignore[var-annotated]
        self.layers: list[dict[str, Any]] = [{"kind": "Input", "inputs": [], "output": "x", "options": {}, "data": []}]

    def _layer(self, kind: str, inputs: list[str], options: dict[int, Any], data: list[Any] | None = None) -> str:
        name = f"v{len(self.layers)}"
        layer = {"kind": kind, "inputs": inputs, "output": name, "options": options, "data": data or []}
        self.layers.append(layer)
        return name

    def _conv(self, x, w, b, stride, pad, groups, name):  # type: ignore[no-untyped-def]
        w = self.arrays[w]
        options = {
            0: w.shape[0],
            1: w.shape[2],
            3: stride,
            4: pad,
            5: 1,
            6: w.size,
            **({7: groups} if groups > 1 else {}),
        }
        bias = self.arrays[b] if b else np.zeros(w.shape[0], "float32")
        return self._layer("ConvolutionDepthWise" if groups > 1 else "Convolution", [x.value], options, [w, bias])

    def _deconv(self, x, w, stride, pad, shape, name):  # type: ignore[no-untyped-def]
        w = self.arrays[w].swapaxes(0, 1)
        options = {0: w.shape[0], 1: w.shape[2], 3: stride, 4: pad, 5: 1, 6: w.size}
        return self._layer("Deconvolution", [x.value], options, [w, np.zeros(w.shape[0], "float32")])

    def _norm(self, x, scale, offset, averages, name):  # type: ignore[no-untyped-def]
        scale, offset, mean, var = (self.arrays[k] for k in (scale, offset, *averages))
        factor = scale / np.sqrt(var + np.float32(EPSILON))
        return self._layer("BatchNorm", [x.value], {0: len(scale), 1: 0.0}, [factor, offset - mean * factor])

    def _dense(self, x, w, b, name):  # type: ignore[no-untyped-def]
        w = self.arrays[w].T
        return self._layer("InnerProduct", [x.value], {0: w.shape[0], 1: 1, 2: w.size}, [w, self.arrays[b]])

    def _relu(self, x, limit):  # type: ignore[no-untyped-def]
        if math.isinf(limit):
            return self._layer("ReLU", [x.value], {})
        return self._layer("Clip", [x.value], {0: 0.0, 1: limit})

    def _tanh(self, x):  # type: ignore[no-untyped-def]
        return self._layer("TanH", [x.value], {})

    def _pool(self, x, kind, size, stride, pad):  # type: ignore[no-untyped-def]
        return self._layer("Pooling", [x.value], {0: int(kind == "mean"), 1: size, 2: stride, 3: pad, 5: 1, 6: 1})

    def _mean(self, x):  # type: ignore[no-untyped-def]
        return self._layer("Pooling", [x.value], {0: 1, 4: 1})

    def _reshape(self, x, shape):  # type: ignore[no-untyped-def]
        if len(shape) == 2:
            return self._layer("Flatten", [x.value], {}) if len(x.shape) == 4 else x.value
        return self._layer("Reshape", [x.value], {0: shape[3], 1: shape[2], 2: shape[1]})

    def _add(self, x, y):  # type: ignore[no-untyped-def]
        return self._layer("BinaryOp", [x.value, y.value], {0: 0})

    def _join(self, xs):  # type: ignore[no-untyped-def]
        return self._layer("Concat", [x.value for x in xs], {0: 0})

    def merge(self) -> None:
        """Merge normalisations and activations into the convolution or product that nothing else reads."""
        uses = Counter(name for layer in self.layers for name in layer["inputs"])
        made: dict[str, dict[str, Any]] = {}
        kept = []
        for layer in self.layers:
            layer["inputs"] = [self.renamed.get(n, n) for n in layer["inputs"]]
            before = made.get(layer["inputs"][0]) if len(layer["inputs"]) == 1 else None
            if before is not None and uses[before["output"]] == 1 and self._absorb(before, layer):
                self.renamed[layer["output"]] = before["output"]
                uses[before["output"]] = uses[layer["output"]]
                continue
            made[layer["output"]] = layer
            kept.append(layer)
        self.layers = kept

    @staticmethod
    def _absorb(before: dict[str, Any], layer: dict[str, Any]) -> bool:
        if before["kind"] not in ("Convolution", "ConvolutionDepthWise", "Deconvolution", "InnerProduct"):
            return False
        options = before["options"]
        if 9 in options or -23310 in options:
            return False
        if layer["kind"] == "BatchNorm":
            w, b = before["data"]
            factor, offset = layer["data"]
            before["data"] = [w * factor.reshape(-1, *[1] * (w.ndim - 1)), b * factor + offset]
            return True
        if layer["kind"] == "ReLU":
            options[9] = 1
        elif layer["kind"] == "Clip":
            options[9], options[-23310] = 3, f"2,{layer['options'][0]:e},{layer['options'][1]:e}"
        else:
            return False
        return True

    def text(self) -> str:
        """The layers, with a ``Split`` behind each blob that several layers read."""
        uses = Counter(name for layer in self.layers for name in layer["inputs"])
        taken: Counter[str] = Counter()
        lines, blobs = [], 0
        for k, layer in enumerate(self.layers):
            inputs = []
            for name in layer["inputs"]:
                inputs.append(f"{name}_{taken[name]}" if uses[name] > 1 else name)
                taken[name] += 1
            options = " ".join(f"{key}={value}" for key, value in layer["options"].items())
            lines.append(f"{layer['kind']} l{k} {len(inputs)} 1 {' '.join([*inputs, layer['output']])} {options}")
            blobs += 1
            if uses[layer["output"]] > 1:
                copies = [f"{layer['output']}_{c}" for c in range(uses[layer["output"]])]
                lines.append(f"Split s{k} 1 {len(copies)} {layer['output']} {' '.join(copies)}")
                blobs += len(copies)
        return f"7767517\n{len(lines)} {blobs}\n" + "\n".join(lines) + "\n"

    def binary(self) -> bytes:
        """The weights in the order of the layers."""
        out = []
        for layer in self.layers:
            data = layer["data"]
            if layer["kind"] == "BatchNorm":
                factor, offset = data
                data = [factor, np.zeros_like(factor), np.ones_like(factor), offset]
            elif data:
                out.append(struct.pack("I", 0))
            out += [np.ascontiguousarray(a, "float32").tobytes() for a in data]
        return b"".join(out)


def ncnn_step(row: Any, x: np.ndarray, arrays: dict[str, np.ndarray], threads: int) -> Step:
    import ncnn

    b = NcnnBuilder(arrays)
    image = x[:1]
    out = row.network(b, Node("x", image.shape))
    b.merge()
    target = b.renamed.get(out.value, out.value)
    net = ncnn.Net()
    net.opt.num_threads = threads
    for name in ("use_bf16_storage", "use_fp16_arithmetic", "use_fp16_storage", "use_fp16_packed"):
        setattr(net.opt, name, False)
    with tempfile.TemporaryDirectory() as folder:
        text, binary = Path(folder, "model.param"), Path(folder, "model.bin")
        text.write_text(b.text())
        binary.write_bytes(b.binary())
        if net.load_param(str(text)) or net.load_model(str(binary)):
            raise ValueError("ncnn does not load the model")

    def one(k: int) -> Any:
        extractor = net.create_extractor()
        extractor.input("x", ncnn.Mat(x[k]))
        code, result = extractor.extract(target)
        if code:
            raise ValueError(f"ncnn: {code}")
        return np.array(result)

    # ncnn has no batches: images follow one another.
    return lambda: [np.stack([one(k) for k in range(len(x))])]


ENGINES = {
    "onnxruntime": onnxruntime_step,
    "openvino": openvino_step,
    "openvino, default precision": openvino_default_step,
    "ncnn": ncnn_step,
    "MNN": mnn_step,
}
