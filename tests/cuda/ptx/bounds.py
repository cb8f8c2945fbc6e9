# SPDX-License-Identifier: MIT
"""How far a kernel's PTX may be from the simulator, in the units of compare.py."""
import re

# Without fused products: the same bits, except where a function comes from another library. First match counts.
UNFUSED = [
    (r"softmax|cross_entropy", 4.0),  # exp and log: CUDA's and the C library's differ by a unit or two
    (r".", 0.0),
]

# As built. First match counts.
FUSED = [
    (r"rni_kernel_conv_|rni_kernel_product", 16.0),  # sums of hundreds of products, each fused; measured up to 8
    (r".", 4.0),  # some products fused, and what follows from that; measured up to 1
]


def units(name, unfused):
    return next(bound for pattern, bound in (UNFUSED if unfused else FUSED) if re.search(pattern, name))
