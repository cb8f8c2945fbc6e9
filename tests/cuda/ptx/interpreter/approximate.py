# SPDX-License-Identifier: MIT
"""
The .approx instructions. The hardware's results are not specified to the bit; here they are computed in double and
rounded to nearest. TOLERANCE holds the largest error the PTX ISA promises for each, relative to the result (a power
of two; for sin, cos and lg2 the absolute error in the range where it is promised): a comparison with a GPU, or with a
C library, must allow it.
"""
import numpy as np

TOLERANCE = {
    ("rcp", "f32"): 2.0**-23, ("sqrt", "f32"): 2.0**-23, ("rsqrt", "f32"): 2.0**-22.9, ("div", "f32"): 2.0**-22,
    ("ex2", "f32"): 2.0**-22.5, ("lg2", "f32"): 2.0**-22, ("sin", "f32"): 2.0**-20.5, ("cos", "f32"): 2.0**-20.5,
    ("tanh", "f32"): 2.0**-11, ("rcp", "f64"): 2.0**-20, ("rsqrt", "f64"): 2.0**-20,
}


def _single(function):
    return lambda *values: function(*(v.astype(np.float64) for v in values)).astype(np.float32)


def _upper_half(function):
    """f64: only the upper 32 bits of the result are computed; the lower are zero."""
    def apply(value):
        bits = np.array(function(value), np.float64, ndmin=1).view(np.uint64) & np.uint64(0xffffffff00000000)
        return bits.view(np.float64)
    return apply


def function(operation, kind, ftz):
    """The function, or None. In f64 the .ftz forms are the short ones; rsqrt also has one of full length."""
    if (operation, kind) not in TOLERANCE:
        return None
    if kind == "f64":
        whole = {"rcp": lambda x: 1.0 / x, "rsqrt": lambda x: 1.0 / np.sqrt(x)}[operation]
        return _upper_half(whole) if ftz else whole if operation == "rsqrt" else None
    return _single({
        "rcp": lambda x: 1.0 / x, "sqrt": np.sqrt, "rsqrt": lambda x: 1.0 / np.sqrt(x), "div": lambda a, b: a / b,
        "ex2": np.exp2, "lg2": np.log2, "sin": np.sin, "cos": np.cos, "tanh": np.tanh,
    }[operation])
