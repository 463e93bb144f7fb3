"""ONNX Runtime: a graph of operators, with inputs and outputs bound to memory; for products also with the weights known."""

import os

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from ways import Way

ENVIRONMENT = "main"
PACKAGES = ["numpy==2.4.6", "scipy==1.17.1", "onnxruntime==1.31.1", "onnx==1.23.2"]

# All rows run on several threads; most of its operators take float32 only.
THREADED = None
DTYPES = ("f32",)

# A row is its operators: each a name, its inputs and its attributes. Inputs are x0, x1 …; `axis` is a constant; an
# operator's result is named r0, r1 … in order, and the last one's is the row's.
ROWS = {
    "add": [("Add", "x0 x1", {})],
    "chain": [("Mul", "x0 x1", {}), ("Add", "r0 x2", {}), ("Relu", "r1", {}), ("Mul", "r2 x3", {}), ("Sub", "r3 x4", {})],
    "exp": [("Exp", "x0", {})],
    "tanh": [("Tanh", "x0", {})],
    "silu": [("Sigmoid", "x0", {}), ("Mul", "x0 r0", {})],
    "gelu": [("Gelu", "x0", {})],
    "sum": [("ReduceSum", "x0 axis0", {"keepdims": 0})],
    "max": [("ReduceMax", "x0 axis0", {"keepdims": 0})],
    "sum_axis1": [("ReduceSum", "x0 axis1", {"keepdims": 0})],
    "sum_axis0": [("ReduceSum", "x0 axis0", {"keepdims": 0})],
    "logsumexp_rows": [("ReduceLogSumExp", "x0 axis1", {"keepdims": 0})],
    "softmax_rows": [("Softmax", "x0", {"axis": -1})],
    "layernorm_rows": [("LayerNormalization", "x0 x1 x2", {"axis": -1, "epsilon": 1e-5})],
    "bcast_row_add": [("Add", "x0 x1", {})],
    "bcast_col_add": [("Add", "x0 x1", {})],
    "transpose_add": [("Transpose", "x1", {"perm": [1, 0]}), ("Add", "x0 r0", {})],
    "matmul": [("MatMul", "x0 x1", {})],
    "mm_bias_relu": [("MatMul", "x0 x1", {}), ("Add", "r0 x2", {}), ("Relu", "r1", {})],
    "mm_bias_gelu": [("MatMul", "x0 x1", {}), ("Add", "r0 x2", {}), ("Gelu", "r1", {})],
    "dispatch_add": [("Add", "x0 x1", {})],
}


def bind(operators: list, inputs: list, output) -> list[Way]:
    ways = [session("", operators, inputs, output, len(inputs))]
    if operators[0][0] == "MatMul":
        # What a model's weights are: known beforehand, so that they are packed once.
        ways.append(session("prepacked", operators, inputs, output, 1))
    return ways


def session(name: str, operators: list, inputs: list, output, free: int) -> Way:
    """A session whose first `free` inputs are given with each call, the others once."""
    constants = [numpy_helper.from_array(np.array([axis]), f"axis{axis}") for axis in (0, 1)]
    constants = [axis for axis in constants if any(axis.name in uses for _, uses, _ in operators)]
    constants += [numpy_helper.from_array(array, f"x{i}") for i, array in enumerate(inputs) if i >= free]
    last = len(operators) - 1
    nodes = [
        helper.make_node(kind, uses.split(), ["out" if i == last else f"r{i}"], **attributes)
        for i, (kind, uses, attributes) in enumerate(operators)
    ]
    info = lambda name, array: helper.make_tensor_value_info(name, TensorProto.FLOAT, list(array.shape))
    given = [info(f"x{i}", array) for i, array in enumerate(inputs[:free])]
    graph = helper.make_graph(nodes, "row", given, [info("out", output)], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    runs = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    bound = runs.io_binding()
    # Both the values and the arrays they lie in must outlive the binding.
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in inputs[:free]]
    for i, value in enumerate(values):
        bound.bind_ortvalue_input(f"x{i}", value)
    into = onnxruntime.OrtValue.ortvalue_from_numpy(output)
    bound.bind_ortvalue_output("out", into)

    def call(keep=(values, inputs)):
        runs.run_with_iobinding(bound)

    return Way(name, call, (), result=lambda _: into.numpy())
