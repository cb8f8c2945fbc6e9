# SPDX-License-Identifier: MIT
"""
What sass.py asks of which kernels: those that move memory do it 16 bytes at once, and divide no 64-bit numbers.

Kernels with an element type and a count of elements per access as template arguments have instances for whole vectors (more
than one element) and for single ones. Every instance for vectors must be in ACCESSES; an error otherwise, so that a
new kernel is looked at.
"""
import re

_VECTOR = re.compile(r"rni_kernel_\w+<(?:(?:float|rni_bf16|rni_f16|unsigned int|unsigned short), )+(\d+)\b")
LOADS, STORES = ("LDG",), ("STG",)
BOTH = LOADS + STORES

# First match counts.
ACCESSES = [
    (r"rni_kernel_(flat|bn_apply|bn_backward_dx|finish_rows)<.*", BOTH),
    (r"rni_kernel_(avgpool|maxpool|global_avgpool|pad_shortcut)(_backward|_tiles)?<.*", BOTH),
    (r"rni_kernel_(bn_stats|bias_sums|bn_backward_sums)<.*", LOADS),  # what they store is small
    (r"rni_kernel_convert<(\w+), \1, .*", BOTH),
    (r"rni_kernel_convert<float, .*", LOADS),  # four elements: 16 bytes on one side, 8 on the other
    (r"rni_kernel_convert<.*, float, .*", STORES),
    (r"rni_kernel_dropout_flat<float, .*", BOTH),
    (r"rni_kernel_dropout_flat<.*", ()),  # four elements of two bytes, as Philox makes four numbers
    (r"rni_kernel_conv_(forward|backward_data|backward_filter)<.*", LOADS),
    (r"rni_kernel_(adam|sgd|lerp|grad_clip|grad_unscale)$", BOTH),
    (r"rni_kernel_pad_channels$", STORES),
    (r"rni_kernel_filters_pack<.*", LOADS),
    (r"rni_kernel_filters_add<.*", BOTH),
    (r"rni_kernel_augment<.*", STORES),  # what it loads are bytes
]

# Kernels that divide 64-bit numbers, and why it does not matter.
MAY_DIVIDE = [
    (r"rni_kernel_mse<", "how often a loop runs, once in a thread"),
    (r"rni_kernel_(bn_apply|bn_backward_dx)<\w+, 1\b", "the same, on sm_100 and later; not in instances for vectors"),
]


def is_vector(readable):
    found = _VECTOR.match(readable)
    return found is not None and int(found[1]) > 1


def accesses(readable):
    """("LDG", "STG") or a part of it, of which the kernel must have some of 128 bits; None when nothing is said of it."""
    with_vectors = is_vector(readable)
    if "<" in readable and not with_vectors and not readable.startswith("rni_kernel_filters_"):
        return ()
    return next((wanted for pattern, wanted in ACCESSES if re.match(pattern, readable)), None if with_vectors else ())


def may_divide(readable):
    """The reason, or None."""
    return next((reason for pattern, reason in MAY_DIVIDE if re.match(pattern, readable)), None)


def unmatched(names):
    """Patterns that no kernel has: one was renamed, and is no longer looked at."""
    return [pattern for pattern, _ in ACCESSES + MAY_DIVIDE if not any(re.match(pattern, name) for name in names)]
