#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_dlpack.py [--device cuda:0] [--module FILE] [--library FILE]: tensors shared with PyTorch.

libresnet and PyTorch give each other tensors through DLPack. Both must see the same memory: what one writes the other reads, without a copy. A net fed with PyTorch's tensor must give
what it gives for the host's values, and memory must live until the last who uses it is gone. Ends with 77 where
PyTorch is not installed or has no such device. The library is the one that examples/python/resnet.py finds, and the module
its own, unless files are given.
"""
import argparse
import ctypes
import gc
import os
import sys

sys.dont_write_bytecode = True
parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--device", default="cuda:0")
parser.add_argument("--module")
parser.add_argument("--library")
args = parser.parse_args()
if args.library:
    os.environ["RESNET_LIBRARY"] = args.library
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples", "python"))
try:
    import numpy as np
    import torch
except ImportError as error:
    print(error)
    sys.exit(77)
import resnet

NEW, USED = b"dltensor_versioned", b"used_dltensor_versioned"
python = ctypes.pythonapi
python.PyCapsule_New.restype = ctypes.py_object
python.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
python.PyCapsule_GetPointer.restype = ctypes.c_void_p
python.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
python.PyCapsule_SetName.argtypes = [ctypes.py_object, ctypes.c_char_p]


def ours(context, torch_tensor):
    """libresnet's tensor of PyTorch's memory."""
    capsule = torch_tensor.detach().__dlpack__(max_version=(1, 0))
    managed = ctypes.cast(python.PyCapsule_GetPointer(capsule, NEW), ctypes.POINTER(resnet.DLManagedTensorVersioned))
    if torch_tensor.is_cuda:  # what PyTorch has enqueued to fill it must be done
        torch.cuda.synchronize()
    tensor = resnet.Tensor(resnet._create(resnet.lib.rn_tensor_from_dlpack, resnet._ten, context.pointer, managed))
    python.PyCapsule_SetName(capsule, USED)
    return tensor


def theirs(tensor, flags=0):
    """PyTorch's tensor of libresnet's memory."""
    managed = ctypes.POINTER(resnet.DLManagedTensorVersioned)()
    resnet.lib.rn_tensor_to_dlpack(tensor.pointer, flags, ctypes.byref(managed))
    return torch.from_dlpack(python.PyCapsule_New(ctypes.cast(managed, ctypes.c_void_p), NEW, None))


def check(condition, text):
    if not condition:
        sys.exit(f"FAILED: {text}")
    print(f"  {text}")


def check_theirs_to_ours(context, device, dtype):
    x = torch.randn(2, 3, 5, 7, device=device).to(dtype)
    expected = x.float().cpu().numpy().copy()
    tensor = ours(context, x)
    check(tensor.shape == (2, 3, 5, 7) and np.array_equal(tensor.read().astype(np.float32), expected), f"{dtype}: read")
    tensor.write(expected[::-1])
    check(np.array_equal(x.float().cpu().numpy(), expected[::-1]), f"{dtype}: what libresnet writes PyTorch sees")
    del x
    gc.collect()
    check(np.array_equal(tensor.read().astype(np.float32), expected[::-1]), f"{dtype}: memory outlives PyTorch's tensor")


def check_ours_to_theirs(device):
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    tensor = resnet.Tensor.create(device, values.shape)
    tensor.write(values)
    shared, copied = theirs(tensor), theirs(tensor, resnet.DLPACK_COPY)
    check(np.array_equal(shared.cpu().numpy(), values), "PyTorch reads")
    shared.mul_(2)
    if shared.is_cuda:
        torch.cuda.synchronize()
    check(np.array_equal(tensor.read(), 2 * values), "what PyTorch writes libresnet sees")
    check(np.array_equal(copied.cpu().numpy(), values), "a copy stays as it was")
    tensor.close()
    check(np.array_equal(shared.cpu().numpy(), 2 * values), "memory outlives libresnet's tensor")


def check_network(context, device, name):
    plan = resnet.Plan(resnet.Model(context.zoo("tutorial"), device), (4, 3, 32, 32))
    x = torch.rand(4, 3, 32, 32, device=name)
    expected = plan.forward(x.cpu().numpy())
    y = torch.empty(4, 10, device=name)
    plan.forward(ours(context, x), ours(context, y))
    check(np.array_equal(y.cpu().numpy(), expected), "a net reads PyTorch's images and writes PyTorch's logits")


def check_copied(context, name):
    strided = torch.arange(12.0, device=name).reshape(3, 4).t()
    tensor = ours(context, strided)
    tensor.write(np.zeros(tensor.shape, np.float32))
    check(np.array_equal(strided.cpu().numpy(), np.arange(12.0).reshape(3, 4).T), "what is not contiguous is copied")


def main():
    name = args.device
    if name.startswith("cuda") and not torch.cuda.is_available():
        print("PyTorch has no GPU")
        return 77
    print(f"PyTorch {torch.__version__}, {name}")
    with resnet.Context() as context:
        if args.module and name not in [device.name for device in context.devices()]:
            context.load_backend(args.module)
        device = context.device(name)
        for dtype in (torch.float32, torch.bfloat16, torch.float16, torch.int64):
            check_theirs_to_ours(context, name, dtype)
        check_ours_to_theirs(device)
        check_network(context, device, name)
        check_copied(context, name)
    return 0


sys.exit(main())
