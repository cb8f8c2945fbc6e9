# SPDX-License-Identifier: MIT
"""Runs PTX as nvcc writes it, on NumPy: see tests/cuda/ptx/README.md."""
from .faults import Fault, Unsupported
from .launch import Program
from .memory import GlobalMemory

__all__ = ["Fault", "GlobalMemory", "Program", "Unsupported"]
