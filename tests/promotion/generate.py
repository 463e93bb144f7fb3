"""Prints NumPy's promotion of every pair of loopweave's dtypes, and the result dtype of every op that NumPy has too.

`python3 tests/promotion/generate.py > tests/promotion/table.txt` writes the table that tests/promotion.rs compares with; the
same test runs this script where NumPy and ml_dtypes are installed. A row is an op and all its operands but one, then the
result's dtype for each dtype of that last operand: `refused` where NumPy raises or gives a dtype that is not listed.
"""

import warnings

import ml_dtypes
import numpy as np

DTYPES = {
    "bool": np.bool_,
    "i8": np.int8,
    "i16": np.int16,
    "i32": np.int32,
    "i64": np.int64,
    "u8": np.uint8,
    "u16": np.uint16,
    "u32": np.uint32,
    "u64": np.uint64,
    "f16": np.float16,
    "bf16": ml_dtypes.bfloat16,
    "f32": np.float32,
    "f64": np.float64,
}
NAMES = {np.dtype(dtype): name for name, dtype in DTYPES.items()}
WEAK = {"bool": True, "int": 1, "float": 1.0}

UNARY = {
    "neg": np.negative,
    "abs": np.absolute,
    "sign": np.sign,
    "not": np.invert,
    "floor": np.floor,
    "ceil": np.ceil,
    "trunc": np.trunc,
    "round": np.round,
    "sqrt": np.sqrt,
    "recip": np.reciprocal,
    "is_nan": np.isnan,
    "is_finite": np.isfinite,
    "is_inf": np.isinf,
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "ln": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "log1p": np.log1p,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "cbrt": np.cbrt,
}

BINARY = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.true_divide,
    "floor_div": np.floor_divide,
    "rem": np.fmod,
    "floor_mod": np.remainder,
    "pow": np.power,
    "atan2": np.arctan2,
    "hypot": np.hypot,
    "copysign": np.copysign,
    "minimum": np.minimum,
    "maximum": np.maximum,
    "fmin": np.fmin,
    "fmax": np.fmax,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "shl": np.left_shift,
    "shr": np.right_shift,
    "select": lambda a, b: np.where(np.ones(1, bool), a, b),
}

REDUCE = {
    "sum": np.add.reduce,
    "prod": np.multiply.reduce,
    "min": np.min,
    "max": np.max,
    "mean": np.mean,
    "any": np.any,
    "all": np.all,
    "argmin": np.argmin,
    "argmax": np.argmax,
}


def met(a, b):
    """The name of the dtype in which the two meet."""
    try:
        return NAMES[np.result_type(a, b)]
    except TypeError:
        return "refused"


def result(function, *args):
    """The name of the dtype of the function's result."""
    try:
        dtype = np.asarray(function(*args)).dtype
    except TypeError:
        return "refused"
    return NAMES.get(dtype, "refused")


def main():
    warnings.simplefilter("ignore")
    ones = {name: np.ones(1, dtype) for name, dtype in DTYPES.items()}
    print("operand:", *ones)
    for a, x in ones.items():
        print(f"promote {a}:", *(met(x.dtype, y.dtype) for y in ones.values()))
    for weak, value in WEAK.items():
        print(f"weak {weak}:", *(met(x.dtype, value) for x in ones.values()))
    for op, function in UNARY.items():
        print(f"{op}:", *(result(function, x) for x in ones.values()))
    for op, function in BINARY.items():
        for a, x in ones.items():
            print(f"{op} {a}:", *(result(function, x, y) for y in ones.values()))
    for name, function in REDUCE.items():
        print(f"{name}:", *(result(function, x) for x in ones.values()))


main()
