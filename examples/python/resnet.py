# SPDX-License-Identifier: MIT
"""libresnet from Python through ctypes: no compiler needed, NumPy arrays used where they lie.

    import numpy as np, resnet
    with resnet.Context() as ctx:
        model = resnet.Model(ctx.zoo("tutorial"))
        plan = resnet.Plan(model, (1, 3, 32, 32))
        logits = plan.forward(np.zeros((1, 3, 32, 32), np.float32))

The library is the file named by the environment variable RESNET_LIBRARY, else what pkg-config knows as `resnet`, else
what the loader finds. Failures raise resnet.Error with the library's message. Objects are released when they are
closed, leave a `with` block or are collected; the library keeps alive what still needs them. One object is used by
one thread at a time; calls release Python's global lock.
"""
import collections
import contextlib
import ctypes
import ctypes.util
import os
import subprocess
import weakref
from ctypes import (CFUNCTYPE, POINTER, Structure, byref, c_char, c_char_p, c_double, c_float, c_int32, c_int64,
                    c_size_t, c_uint32, c_uint64, c_void_p, sizeof)

import numpy as np

OK, END, E_USER = 0, 1, -15
F32, F64, I64, U8, I32, BF16, F16 = range(1, 8)
MAX_RANK = 8
LOG_NONE, LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG = range(5)
BUILD_VERSION, BUILD_COMPILER, BUILD_FEATURES, BUILD_CPU_LEVELS = range(4)
INIT_DEFAULT, INIT_KAIMING_FAN_IN, INIT_KAIMING_FAN_OUT, INIT_NORMAL_001 = range(4)
CONV2D_ZERO_BIAS = LINEAR_ZERO_BIAS = 1
BATCHNORM_CUMULATIVE, BATCHNORM_NOT_AFFINE, BATCHNORM_ZERO_INIT, BATCHNORM_FROZEN = 1, 2, 4, 8
EMA_AVERAGE_BUFFERS, EMA_WARMUP = 1, 2
POOL_EXCLUDE_PADDING = RESIDUAL_NO_RELU = SGD_NESTEROV = ADAM_DECOUPLED = LOAD_PARTIAL = 1
STATE_PARAMETER, STATE_BUFFER = 0, 1
DOT_ALL_LAYERS, DOT_NAMES, DOT_SHAPES, DOT_LEFT_TO_RIGHT, DOT_SUBGRAPH = 1, 2, 4, 8, 16
ONNX_FOLD_BATCHNORM, ONNX_FIXED_BATCH = 1, 2
PLAN_INFER, PLAN_TRAIN, PLAN_STATISTICS = range(3)
PLAN_NO_FUSION, PLAN_INPUT_GRAD, PLAN_NO_WINOGRAD, PLAN_DROP_WEIGHTS, PLAN_STATIC_LOSS_SCALE = 1, 2, 4, 8, 16
ONE_CYCLE_LINEAR = PLATEAU_MAXIMIZE = HOLD_UNTIL_ABOVE = DLPACK_COPY = 1
SPLIT_TRAIN, SPLIT_TEST = 0, 1
LOADER_SHUFFLE, LOADER_DROP_LAST = 1, 2
RESIDENCY_HOST, RESIDENCY_AUTO, RESIDENCY_DEVICE = range(3)
IMAGE_AS_STORED, IMAGE_FOLDER_SKIP_BROKEN, IMAGE_FOLDER_FULL_SIZE = 1, 2, 4
SHORTCUT_A, SHORTCUT_B, SHORTCUT_3X3, SHORTCUT_C = range(4)
CIFAR_PLAIN, CIFAR_ZEROS_AFTER = 1, 2
RESNET_PLAIN, RESNET_ZEROS_AFTER, RESNET_V1 = 1, 2, 4
ZOO_ZERO_INIT, ZOO_FROZEN_BN = 0x100, 0x200
BLOCK_BASIC, BLOCK_BOTTLENECK = 1, 2
CPU_BASE, CPU_AVX2, CPU_AVX512, CPU_AVX512BF16 = range(4)

DTYPES = {F32: np.dtype("f4"), F64: np.dtype("f8"), I64: np.dtype("i8"), U8: np.dtype("u1"), I32: np.dtype("i4"),
          F16: np.dtype("f2")}
CODES = {dtype: code for code, dtype in DTYPES.items()}

# --- Types of the C interface ---------------------------------------------------------------------------------------

rn_status = c_int32
rn_dtype = c_int32
rn_write_fn = CFUNCTYPE(rn_status, c_void_p, POINTER(c_char), c_size_t)
rn_log_fn = CFUNCTYPE(None, c_void_p, c_int32, c_char_p)
rn_release_fn = CFUNCTYPE(None, c_void_p, c_void_p)
rn_task_fn = CFUNCTYPE(None, c_void_p, c_size_t)
rn_parallel_fn = CFUNCTYPE(rn_status, c_void_p, rn_task_fn, c_void_p, c_size_t)


def _opaque(name):
    return type(name, (Structure,), {})


rn_context, rn_device, rn_tensor, rn_layer, rn_model, rn_plan, rn_loss, rn_optimizer, rn_schedule, rn_dataset, \
    rn_transform, rn_loader, rn_ema, rn_backend, DLManagedTensorVersioned = map(_opaque, (
        "rn_context", "rn_device", "rn_tensor", "rn_layer", "rn_model", "rn_plan", "rn_loss", "rn_optimizer",
        "rn_schedule", "rn_dataset", "rn_transform", "rn_loader", "rn_ema", "rn_backend", "DLManagedTensorVersioned"))


def _struct(name, *fields):
    """A struct of the interface: its size comes first."""
    return type(name, (Structure,), {"_fields_": [("struct_size", c_size_t), *fields]})


_flags = ("flags", c_uint64)
_pair = c_int64 * 2
_dims = c_int64 * MAX_RANK

rn_allocator = _struct(
    "rn_allocator", ("alloc", CFUNCTYPE(c_void_p, c_void_p, c_size_t, c_size_t)),
    ("free", CFUNCTYPE(None, c_void_p, c_void_p, c_size_t, c_size_t)), ("user", c_void_p))
rn_context_options = _struct(
    "rn_context_options", _flags, ("seed", c_uint64), ("num_threads", c_int32), ("log_level", c_int32),
    ("allocator", POINTER(rn_allocator)), ("log", rn_log_fn), ("log_user", c_void_p), ("parallel", rn_parallel_fn),
    ("parallel_user", c_void_p), ("backend_dir", c_char_p))
rn_conv2d_options = _struct(
    "rn_conv2d_options", _flags, ("in_channels", c_int64), ("out_channels", c_int64), ("kernel", _pair),
    ("stride", _pair), ("padding", _pair), ("dilation", _pair), ("groups", c_int64), ("bias", c_int32),
    ("init", c_int32))
rn_batchnorm2d_options = _struct(
    "rn_batchnorm2d_options", _flags, ("channels", c_int64), ("eps", c_double), ("momentum", c_double))
rn_pool2d_options = _struct("rn_pool2d_options", _flags, ("kernel", _pair), ("stride", _pair), ("padding", _pair))
rn_linear_options = _struct(
    "rn_linear_options", _flags, ("in_features", c_int64), ("out_features", c_int64), ("bias", c_int32),
    ("init", c_int32))
rn_pad_shortcut_options = _struct(
    "rn_pad_shortcut_options", _flags, ("stride", _pair), ("channels_before", c_int64), ("channels_after", c_int64))
rn_residual_options = _struct(
    "rn_residual_options", _flags, ("main_name", c_char_p), ("shortcut_name", c_char_p))
rn_zoo_options = _struct("rn_zoo_options", _flags, ("classes", c_int64), ("in_channels", c_int64))
rn_cifar_resnet_options = _struct(
    "rn_cifar_resnet_options", _flags, ("depth", c_int64), ("classes", c_int64), ("in_channels", c_int64),
    ("shortcut", c_int32), ("init", c_int32), ("width", c_int64))
rn_resnet_options = _struct(
    "rn_resnet_options", _flags, ("depth", c_int64), ("blocks", c_int64 * 4), ("classes", c_int64),
    ("in_channels", c_int64), ("width", c_int64), ("groups", c_int64), ("width_per_group", c_int64), ("block", c_int32),
    ("shortcut", c_int32), ("init", c_int32), ("reserved", c_int32))
rn_state_entry = _struct(
    "rn_state_entry", ("name", c_char_p), ("value", POINTER(rn_tensor)), ("grad", POINTER(rn_tensor)),
    ("kind", c_int32), ("trainable", c_int32))
rn_onnx_options = _struct("rn_onnx_options", _flags)
rn_dot_options = _struct("rn_dot_options", _flags, ("name", c_char_p))


class rn_rename(Structure):
    _fields_ = [("from", c_char_p), ("to", c_char_p)]


# The lists are freed by the library, so their addresses must be kept: c_void_p, where c_char_p would make a copy.
rn_load_options = _struct(
    "rn_load_options", _flags, ("strip_prefix", c_char_p), ("renames", POINTER(rn_rename)), ("num_renames", c_size_t),
    ("missing", c_void_p), ("unexpected", c_void_p), ("misshapen", c_void_p))
rn_plan_options = _struct(
    "rn_plan_options", _flags, ("mode", c_int32), ("rank", c_int32), ("input_dims", _dims), ("batches", c_int64 * 8),
    ("compute_dtype", rn_dtype), ("accumulate", c_uint32), ("loss", POINTER(rn_loss)),
    ("optimizer", POINTER(rn_optimizer)), ("clip_norm", c_double), ("memory_limit", c_uint64), ("seed", c_uint64),
    ("loss_scale", c_double), ("loss_scale_growth", c_double), ("loss_scale_backoff", c_double),
    ("loss_scale_interval", c_int64))
rn_memory = _struct(
    "rn_memory", *((name, c_uint64) for name in ("arena", "lower_bound", "derived", "io", "parameters", "gradients",
                                                 "optimizer", "total")))
rn_metrics = _struct(
    "rn_metrics", ("loss_sum", c_double), ("last_loss", c_double), ("grad_norm", c_double), ("count", c_int64),
    ("correct", c_int64), ("steps", c_int64), ("nonfinite", c_int64), ("loss_scale", c_double), ("skipped", c_int64))
rn_cross_entropy_options = _struct("rn_cross_entropy_options", _flags, ("label_smoothing", c_double))
rn_mse_options = _struct("rn_mse_options", _flags)
rn_sgd_options = _struct(
    "rn_sgd_options", _flags, ("lr", c_double), ("momentum", c_double), ("dampening", c_double),
    ("weight_decay", c_double))
rn_adam_options = _struct(
    "rn_adam_options", _flags, ("lr", c_double), ("beta1", c_double), ("beta2", c_double), ("eps", c_double),
    ("weight_decay", c_double))
rn_group_options = _struct("rn_group_options", _flags, ("lr_factor", c_double), ("weight_decay", c_double))
rn_ema_options = _struct("rn_ema_options", _flags, ("decay", c_double))
rn_step_schedule_options = _struct(
    "rn_step_schedule_options", _flags, ("lr", c_double), ("gamma", c_double), ("period", c_int64))
rn_multistep_schedule_options = _struct(
    "rn_multistep_schedule_options", _flags, ("lr", c_double), ("gamma", c_double), ("milestones", POINTER(c_int64)),
    ("num_milestones", c_size_t))
rn_cosine_schedule_options = _struct(
    "rn_cosine_schedule_options", _flags, ("lr", c_double), ("min_lr", c_double), ("steps", c_int64))
rn_warmup_schedule_options = _struct(
    "rn_warmup_schedule_options", _flags, ("start_factor", c_double), ("steps", c_int64))
rn_hold_schedule_options = _struct("rn_hold_schedule_options", _flags, ("factor", c_double), ("threshold", c_double))
rn_one_cycle_schedule_options = _struct(
    "rn_one_cycle_schedule_options", _flags, ("max_lr", c_double), ("pct_start", c_double), ("div", c_double),
    ("final_div", c_double), ("steps", c_int64))
rn_plateau_schedule_options = _struct(
    "rn_plateau_schedule_options", _flags, ("lr", c_double), ("factor", c_double), ("threshold", c_double),
    ("min_lr", c_double), ("eps", c_double), ("patience", c_int64), ("cooldown", c_int64))
rn_dataset_info = _struct(
    "rn_dataset_info", ("count", c_int64), ("classes", c_int64), ("channels", c_int64), ("height", c_int64),
    ("width", c_int64), ("dtype", rn_dtype), ("reserved", c_int32))
rn_dataset_vtable = _struct(
    "rn_dataset_vtable", ("read", CFUNCTYPE(rn_status, c_void_p, c_int64, c_void_p, POINTER(c_int64))),
    ("release", CFUNCTYPE(None, c_void_p)))
rn_loader_options = _struct(
    "rn_loader_options", _flags, ("batch", c_int64), ("seed", c_uint64), ("workers", c_int32), ("prefetch", c_int32),
    ("device", POINTER(rn_device)), ("transform", POINTER(rn_transform)), ("plan", POINTER(rn_plan)),
    ("shard", c_int64), ("num_shards", c_int64), ("mixup_alpha", c_double), ("cutmix_alpha", c_double),
    ("mix_probability", c_double), ("cutmix_share", c_double), ("residency", c_int32), ("reserved", c_int32))
rn_image_options = _struct("rn_image_options", _flags, ("max_pixels", c_int64))
rn_image_folder_options = _struct(
    "rn_image_folder_options", _flags, ("max_pixels", c_int64), ("classes_of", POINTER(rn_dataset)))
rn_checkpoint = _struct(
    "rn_checkpoint", _flags, ("model", POINTER(rn_model)), ("optimizer", POINTER(rn_optimizer)),
    ("schedule", POINTER(rn_schedule)), ("loader", POINTER(rn_loader)), ("plan", POINTER(rn_plan)),
    ("epoch", c_int64), ("step", c_int64), ("value", c_double * 4), ("ema", POINTER(rn_ema)))

# --- Functions: {name: (result, [arguments])} -----------------------------------------------------------------------

_ctx, _dev, _ten, _lay, _mod, _pla, _los, _opt, _sch, _set, _tra, _loa, _ema = (POINTER(t) for t in (
    rn_context, rn_device, rn_tensor, rn_layer, rn_model, rn_plan, rn_loss, rn_optimizer, rn_schedule, rn_dataset,
    rn_transform, rn_loader, rn_ema))
_P = POINTER
_i64s = POINTER(c_int64)

FUNCTIONS = {
    "rn_version": (c_uint32, []),
    "rn_build_info": (c_char_p, [c_int32]),
    "rn_status_name": (c_char_p, [rn_status]),
    "rn_status_text": (c_char_p, [rn_status]),
    "rn_error_message": (c_char_p, []),
    "rn_dtype_size": (c_size_t, [rn_dtype]),
    "rn_dtype_name": (c_char_p, [rn_dtype]),
    "rn_context_create": (rn_status, [_P(rn_context_options), _P(_ctx)]),
    "rn_context_num_threads": (c_int32, [_ctx]),
    "rn_context_seed": (c_uint64, [_ctx]),
    "rn_context_load_backend": (rn_status, [_ctx, c_char_p]),
    "rn_context_register_backend": (rn_status, [_ctx, _P(rn_backend)]),
    "rn_context_find_device": (rn_status, [_ctx, c_char_p, _P(_dev)]),
    "rn_context_device_count": (c_size_t, [_ctx]),
    "rn_context_device": (_dev, [_ctx, c_size_t]),
    "rn_device_name": (c_char_p, [_dev]),
    "rn_device_description": (c_char_p, [_dev]),
    "rn_device_context": (_ctx, [_dev]),
    "rn_device_memory": (rn_status, [_dev, _P(c_uint64), _P(c_uint64)]),
    "rn_device_synchronize": (rn_status, [_dev]),
    "rn_device_reset": (rn_status, [_dev]),
    "rn_cpu_detected_level": (c_int32, []),
    "rn_cpu_set_level_mask": (rn_status, [_dev, c_uint32]),
    "rn_cpu_level": (c_int32, [_dev]),
    "rn_tensor_create": (rn_status, [_dev, rn_dtype, c_int32, _i64s, _P(_ten)]),
    "rn_tensor_wrap": (rn_status, [_dev, rn_dtype, c_int32, _i64s, c_void_p, c_size_t, rn_release_fn, c_void_p,
                                   _P(_ten)]),
    "rn_tensor_dtype": (rn_dtype, [_ten]),
    "rn_tensor_rank": (c_int32, [_ten]),
    "rn_tensor_dim": (c_int64, [_ten, c_int32]),
    "rn_tensor_count": (c_int64, [_ten]),
    "rn_tensor_nbytes": (c_size_t, [_ten]),
    "rn_tensor_device": (_dev, [_ten]),
    "rn_tensor_data": (c_void_p, [_ten]),
    "rn_tensor_read": (rn_status, [_ten, c_void_p, c_size_t]),
    "rn_tensor_write": (rn_status, [_ten, c_void_p, c_size_t]),
    "rn_tensor_copy": (rn_status, [_ten, _ten]),
    "rn_tensor_slice": (rn_status, [_ten, c_int64, c_int64, _P(_ten)]),
    "rn_tensor_to_dlpack": (rn_status, [_ten, c_uint64, _P(_P(DLManagedTensorVersioned))]),
    "rn_tensor_from_dlpack": (rn_status, [_ctx, _P(DLManagedTensorVersioned), _P(_ten)]),
    "rn_conv2d_create": (rn_status, [_ctx, _P(rn_conv2d_options), _P(_lay)]),
    "rn_batchnorm2d_create": (rn_status, [_ctx, _P(rn_batchnorm2d_options), _P(_lay)]),
    "rn_relu_create": (rn_status, [_ctx, _P(_lay)]),
    "rn_maxpool2d_create": (rn_status, [_ctx, _P(rn_pool2d_options), _P(_lay)]),
    "rn_avgpool2d_create": (rn_status, [_ctx, _P(rn_pool2d_options), _P(_lay)]),
    "rn_global_avgpool2d_create": (rn_status, [_ctx, _P(_lay)]),
    "rn_adaptive_avgpool2d_create": (rn_status, [_ctx, c_int64, c_int64, _P(_lay)]),
    "rn_linear_create": (rn_status, [_ctx, _P(rn_linear_options), _P(_lay)]),
    "rn_flatten_create": (rn_status, [_ctx, _P(_lay)]),
    "rn_dropout_create": (rn_status, [_ctx, c_double, _P(_lay)]),
    "rn_softmax_create": (rn_status, [_ctx, _P(_lay)]),
    "rn_identity_create": (rn_status, [_ctx, _P(_lay)]),
    "rn_pad_shortcut_create": (rn_status, [_ctx, _P(rn_pad_shortcut_options), _P(_lay)]),
    "rn_sequential_create": (rn_status, [_ctx, _P(_lay)]),
    "rn_sequential_append": (rn_status, [_lay, c_char_p, _lay]),
    "rn_residual_create": (rn_status, [_ctx, _lay, _lay, _P(rn_residual_options), _P(_lay)]),
    "rn_layer_output_shape": (rn_status, [_lay, c_int32, _i64s, _P(c_int32), _i64s]),
    "rn_layer_replace_child": (rn_status, [_lay, c_char_p, _lay]),
    "rn_zoo_create": (rn_status, [_ctx, c_char_p, _P(rn_zoo_options), _P(_lay)]),
    "rn_zoo_name": (c_char_p, [c_size_t]),
    "rn_zoo_renames": (rn_status, [c_char_p, _P(_P(rn_rename)), _P(c_size_t)]),
    "rn_cifar_resnet_create": (rn_status, [_ctx, _P(rn_cifar_resnet_options), _P(_lay)]),
    "rn_resnet_create": (rn_status, [_ctx, _P(rn_resnet_options), _P(_lay)]),
    "rn_model_create": (rn_status, [_ctx, _lay, _dev, _P(_mod)]),
    "rn_model_device": (_dev, [_mod]),
    "rn_model_root": (_lay, [_mod]),
    "rn_model_init": (rn_status, [_mod, c_uint64]),
    "rn_model_reset_statistics": (rn_status, [_mod]),
    "rn_model_copy": (rn_status, [_mod, _dev, _P(_mod)]),
    "rn_model_state_count": (c_size_t, [_mod]),
    "rn_model_state": (rn_status, [_mod, c_size_t, _P(rn_state_entry)]),
    "rn_model_find_state": (rn_status, [_mod, c_char_p, _P(rn_state_entry)]),
    "rn_model_parameter_count": (c_int64, [_mod, c_int32]),
    "rn_model_set_trainable": (rn_status, [_mod, c_char_p, c_int32, _P(c_size_t)]),
    "rn_model_mark_written": (rn_status, [_mod]),
    "rn_model_zero_grad": (rn_status, [_mod]),
    "rn_model_clip_grad_norm": (rn_status, [_mod, c_double, _P(c_double)]),
    "rn_model_summary": (rn_status, [_mod, c_int32, _i64s, rn_write_fn, c_void_p]),
    "rn_model_write_dot": (rn_status, [_mod, c_int32, _i64s, _P(rn_dot_options), rn_write_fn, c_void_p]),
    "rn_model_macs": (rn_status, [_mod, c_int32, _i64s, _i64s]),
    "rn_load_report_release": (None, [_P(rn_load_options)]),
    "rn_model_save": (rn_status, [_mod, c_char_p]),
    "rn_model_save_torch": (rn_status, [_mod, c_char_p]),
    "rn_model_load": (rn_status, [_mod, c_char_p, _P(rn_load_options)]),
    "rn_model_export_onnx": (rn_status, [_mod, c_int32, _i64s, _P(rn_onnx_options), c_char_p]),
    "rn_plan_create": (rn_status, [_mod, _P(rn_plan_options), _P(_pla)]),
    "rn_plan_input": (rn_status, [_pla, _P(_ten)]),
    "rn_plan_output_shape": (rn_status, [_pla, c_int64, _P(c_int32), _i64s]),
    "rn_plan_forward": (rn_status, [_pla, _ten, _ten]),
    "rn_plan_backward": (rn_status, [_pla, _ten, _ten]),
    "rn_plan_train_step": (rn_status, [_pla, _ten, _ten]),
    "rn_plan_eval_step": (rn_status, [_pla, _ten, _ten]),
    "rn_plan_metrics": (rn_status, [_pla, _P(rn_metrics), c_int32]),
    "rn_plan_memory": (rn_status, [_pla, _P(rn_memory)]),
    "rn_plan_describe": (rn_status, [_pla, rn_write_fn, c_void_p]),
    "rn_plan_set_profiling": (rn_status, [_pla, c_int32]),
    "rn_plan_profile": (rn_status, [_pla, rn_write_fn, c_void_p]),
    "rn_cross_entropy_create": (rn_status, [_ctx, _P(rn_cross_entropy_options), _P(_los)]),
    "rn_mse_create": (rn_status, [_ctx, _P(rn_mse_options), _P(_los)]),
    "rn_loss_compute": (rn_status, [_los, _ten, _ten, _ten, _P(c_float)]),
    "rn_softmax": (rn_status, [_ten, _ten]),
    "rn_topk": (rn_status, [_ten, _ten, c_int32, _i64s]),
    "rn_sgd_create": (rn_status, [_mod, _P(rn_sgd_options), _P(_opt)]),
    "rn_adam_create": (rn_status, [_mod, _P(rn_adam_options), _P(_opt)]),
    "rn_optimizer_add_group": (rn_status, [_opt, c_char_p, _P(rn_group_options)]),
    "rn_optimizer_exclude_from_decay": (rn_status, [_opt, c_int32, _P(c_size_t)]),
    "rn_optimizer_step": (rn_status, [_opt]),
    "rn_optimizer_set_lr": (rn_status, [_opt, c_double]),
    "rn_optimizer_lr": (c_double, [_opt]),
    "rn_optimizer_steps": (c_int64, [_opt]),
    "rn_ema_create": (rn_status, [_mod, _P(rn_ema_options), _P(_ema)]),
    "rn_ema_update": (rn_status, [_ema]),
    "rn_ema_model": (_mod, [_ema]),
    "rn_ema_updates": (c_int64, [_ema]),
    "rn_optimizer_save_torch": (rn_status, [_opt, c_char_p]),
    "rn_optimizer_load_torch": (rn_status, [_opt, c_char_p]),
    "rn_step_schedule_create": (rn_status, [_ctx, _P(rn_step_schedule_options), _P(_sch)]),
    "rn_multistep_schedule_create": (rn_status, [_ctx, _P(rn_multistep_schedule_options), _P(_sch)]),
    "rn_cosine_schedule_create": (rn_status, [_ctx, _P(rn_cosine_schedule_options), _P(_sch)]),
    "rn_warmup_schedule_create": (rn_status, [_ctx, _sch, _P(rn_warmup_schedule_options), _P(_sch)]),
    "rn_hold_schedule_create": (rn_status, [_ctx, _sch, _P(rn_hold_schedule_options), _P(_sch)]),
    "rn_one_cycle_schedule_create": (rn_status, [_ctx, _P(rn_one_cycle_schedule_options), _P(_sch)]),
    "rn_plateau_schedule_create": (rn_status, [_ctx, _P(rn_plateau_schedule_options), _P(_sch)]),
    "rn_schedule_lr": (rn_status, [_sch, c_int64, _P(c_double)]),
    "rn_schedule_apply": (rn_status, [_sch, c_int64, _opt]),
    "rn_schedule_observe": (rn_status, [_sch, c_double]),
    "rn_cifar10_open": (rn_status, [_ctx, c_char_p, c_int32, _P(_set)]),
    "rn_cifar100_open": (rn_status, [_ctx, c_char_p, c_int32, _P(_set)]),
    "rn_cifar_files_open": (rn_status, [_ctx, _P(c_char_p), c_size_t, c_int64, _P(_set)]),
    "rn_idx_open": (rn_status, [_ctx, c_char_p, c_char_p, _P(_set)]),
    "rn_tensor_dataset_create": (rn_status, [_ten, _ten, _P(_set)]),
    "rn_custom_dataset_create": (rn_status, [_ctx, _P(rn_dataset_vtable), c_void_p, _P(rn_dataset_info), _P(_set)]),
    "rn_dataset_describe": (rn_status, [_set, _P(rn_dataset_info)]),
    "rn_dataset_size": (c_int64, [_set]),
    "rn_dataset_classes": (c_int64, [_set]),
    "rn_dataset_read": (rn_status, [_set, c_int64, c_void_p, c_size_t, _i64s]),
    "rn_dataset_take": (rn_status, [_set, c_int64, _P(_set)]),
    "rn_dataset_class_name": (c_char_p, [_set, c_int64]),
    "rn_dataset_item_name": (c_char_p, [_set, c_int64]),
    "rn_dataset_read_image": (rn_status, [_set, c_int64, _P(_ten), _i64s]),
    "rn_dataset_mean": (rn_status, [_set, _P(_ten)]),
    "rn_image_read": (rn_status, [_ctx, c_char_p, _P(rn_image_options), _P(_ten)]),
    "rn_image_decode": (rn_status, [_ctx, c_void_p, c_size_t, _P(rn_image_options), _P(_ten)]),
    "rn_image_resize": (rn_status, [_ten, c_int64, c_int64, _P(_ten)]),
    "rn_image_folder_open": (rn_status, [_ctx, c_char_p, _P(rn_image_folder_options), _P(_set)]),
    "rn_image_files_open": (rn_status, [_ctx, _P(c_char_p), _i64s, c_size_t, c_int64, _P(rn_image_folder_options), _P(_set)]),
    "rn_image_folder_broken": (c_int64, [_set]),
    "rn_transform_create": (rn_status, [_ctx, _P(_tra)]),
    "rn_transform_random_crop": (rn_status, [_tra, c_int64, c_int64, c_int64]),
    "rn_transform_random_hflip": (rn_status, [_tra, c_double]),
    "rn_transform_normalize": (rn_status, [_tra, c_int32, _P(c_double), _P(c_double)]),
    "rn_transform_cutout": (rn_status, [_tra, c_int64]),
    "rn_transform_center_crop": (rn_status, [_tra, c_int64, c_int64]),
    "rn_transform_ten_crop": (rn_status, [_tra, c_int64, c_int64]),
    "rn_transform_short_side": (rn_status, [_tra, c_int64, c_int64]),
    "rn_transform_resize": (rn_status, [_tra, c_int64, c_int64]),
    "rn_transform_random_resized_crop": (rn_status, [_tra, c_int64, c_int64, _P(c_double), _P(c_double)]),
    "rn_transform_pca_color": (rn_status, [_tra, c_double, _P(c_double), _P(c_double)]),
    "rn_transform_subtract": (rn_status, [_tra, _ten]),
    "rn_transform_apply": (rn_status, [_tra, _ten, c_uint64, _P(_ten)]),
    "rn_loader_create": (rn_status, [_set, _P(rn_loader_options), _P(_loa)]),
    "rn_loader_next": (rn_status, [_loa, _P(_ten), _P(_ten)]),
    "rn_loader_batches": (c_int64, [_loa]),
    "rn_loader_resident_bytes": (c_uint64, [_loa]),
    "rn_loader_position": (rn_status, [_loa, _i64s, _i64s]),
    "rn_loader_seek": (rn_status, [_loa, c_int64, c_int64]),
    "rn_checkpoint_save": (rn_status, [_ctx, c_char_p, _P(rn_checkpoint)]),
    "rn_checkpoint_save_torch": (rn_status, [_ctx, c_char_p, _P(rn_checkpoint)]),
    "rn_checkpoint_load": (rn_status, [_ctx, c_char_p, _P(rn_checkpoint)]),
}
for _type, _name in ((_ctx, "context"), (_ten, "tensor"), (_lay, "layer"), (_mod, "model"), (_pla, "plan"),
                     (_los, "loss"), (_opt, "optimizer"), (_sch, "schedule"), (_set, "dataset"), (_tra, "transform"),
                     (_loa, "loader"), (_ema, "ema")):
    FUNCTIONS["rn_%s_retain" % _name] = (_type, [_type])
    FUNCTIONS["rn_%s_release" % _name] = (None, [_type])
for _options in (rn_context_options, rn_conv2d_options, rn_batchnorm2d_options, rn_pool2d_options, rn_linear_options,
                 rn_pad_shortcut_options, rn_residual_options, rn_zoo_options, rn_cifar_resnet_options,
                 rn_resnet_options, rn_dot_options, rn_onnx_options, rn_load_options, rn_plan_options, rn_cross_entropy_options, rn_mse_options,
                 rn_sgd_options,
                 rn_adam_options, rn_group_options, rn_ema_options, rn_step_schedule_options,
                 rn_multistep_schedule_options, rn_cosine_schedule_options, rn_warmup_schedule_options, rn_hold_schedule_options,
                 rn_one_cycle_schedule_options, rn_plateau_schedule_options, rn_image_options, rn_image_folder_options,
                 rn_loader_options):
    FUNCTIONS[_options.__name__ + "_init"] = (rn_status, [_P(_options), c_size_t])


class Error(Exception):
    """A call failed. status: its number, name: "RN_E_SHAPE"; the text is the library's message."""

    def __init__(self, status):
        super().__init__("%s: %s" % (lib.rn_status_name(status).decode(), lib.rn_error_message().decode()))
        self.status, self.name = status, lib.rn_status_name(status).decode()


def _raise(status, _function, _arguments):
    if status < 0:
        raise Error(status)
    return status


def _candidates():
    if os.environ.get("RESNET_LIBRARY"):
        return [os.environ["RESNET_LIBRARY"]]
    found = []
    try:
        folder = subprocess.run(["pkg-config", "--variable=libdir", "resnet"], capture_output=True, text=True)
        if folder.returncode == 0:
            found.append(os.path.join(folder.stdout.strip(), "libresnet.so.0"))
    except OSError:
        pass
    return found + [ctypes.util.find_library("resnet") or "libresnet.so.0"]


def _load():
    reasons = []
    for path in _candidates():
        try:
            library = ctypes.CDLL(path)
            break
        except OSError as error:
            reasons.append(str(error))
    else:
        raise ImportError("libresnet was not found; name it in RESNET_LIBRARY (%s)" % "; ".join(reasons))
    for name, (result, arguments) in FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
        if result is rn_status and name not in PLAIN_RESULTS:
            function.errcheck = _raise
    return library


# These return numbers that are no status.
PLAIN_RESULTS = {"rn_context_num_threads", "rn_cpu_detected_level", "rn_cpu_level", "rn_tensor_dtype", "rn_tensor_rank"}
lib = _load()

# --- Objects --------------------------------------------------------------------------------------------------------


def _defaults(kind, **values):
    """An options struct with the library's defaults and some values of ours."""
    options = kind()
    getattr(lib, kind.__name__ + "_init")(byref(options), sizeof(options))
    for name, value in values.items():
        setattr(options, name, value)
    return options


def _text(value):
    return None if value is None else os.fsencode(value)


def _sizes(dims):
    return (c_int64 * max(len(dims), 1))(*dims)


def _two(value):
    return _pair(*value) if isinstance(value, (tuple, list)) else _pair(value, value)


def _collected(call, *arguments):
    """What a function writes through a rn_write_fn."""
    parts = []

    def write(_, text, length):
        parts.append(text[:length])
        return OK

    call(*arguments, rn_write_fn(write), None)
    return b"".join(parts).decode()


class _Handle:
    """Owns one reference."""
    kind = ""

    def __init__(self, pointer):
        self.pointer = pointer
        self._finalizer = weakref.finalize(self, getattr(lib, "rn_%s_release" % self.kind), pointer)

    def close(self):
        self._finalizer()
        self.pointer = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @classmethod
    def borrowed(cls, pointer):
        """A reference of its own to something another object owns."""
        self = cls.__new__(cls)
        _Handle.__init__(self, getattr(lib, "rn_%s_retain" % cls.kind)(pointer))
        return self


def _create(function, out_type, *arguments):
    out = out_type()
    function(*arguments, byref(out))
    return out


def _pointer(handle):
    return None if handle is None else handle.pointer


class Context(_Handle):
    """Threads, devices, memory. threads 0: as many as the process may use. log(level, text) may be any callable."""
    kind = "context"

    def __init__(self, threads=0, seed=0, log=None, log_level=LOG_WARNING):
        options = _defaults(rn_context_options, num_threads=threads, seed=seed)
        if log:
            options.log = _keep(rn_log_fn(lambda _, level, text: log(level, text.decode(errors="replace"))))
            options.log_level = log_level
        super().__init__(_create(lib.rn_context_create, _ctx, byref(options)))

    threads = property(lambda self: lib.rn_context_num_threads(self.pointer))
    seed = property(lambda self: lib.rn_context_seed(self.pointer))

    def device(self, name="auto"):
        return Device(self, _create(lib.rn_context_find_device, _dev, self.pointer, name.encode()))

    def devices(self):
        count = lib.rn_context_device_count(self.pointer)
        return [Device(self, lib.rn_context_device(self.pointer, i)) for i in range(count)]

    def load_backend(self, name_or_path):
        lib.rn_context_load_backend(self.pointer, _text(name_or_path))

    def _layer(self, create, *arguments):
        return Layer(self, _create(create, _lay, self.pointer, *arguments))

    def conv2d(self, in_channels, out_channels, kernel=3, stride=1, padding=None, dilation=1, groups=1, bias=False,
               init=INIT_DEFAULT):
        """padding None: the output is as large as the input at stride 1 and odd kernels."""
        kernel, dilation = _two(kernel), _two(dilation)
        padding = [(k - 1) * d // 2 for k, d in zip(kernel, dilation)] if padding is None else padding
        return self._layer(lib.rn_conv2d_create, byref(_defaults(
            rn_conv2d_options, in_channels=in_channels, out_channels=out_channels, kernel=kernel, stride=_two(stride),
            padding=_two(padding), dilation=dilation, groups=groups, bias=bias, init=init)))

    def batchnorm2d(self, channels, eps=1e-5, momentum=0.1, affine=True):
        """momentum None: the cumulative average."""
        flags = (BATCHNORM_CUMULATIVE if momentum is None else 0) | (0 if affine else BATCHNORM_NOT_AFFINE)
        return self._layer(lib.rn_batchnorm2d_create, byref(_defaults(
            rn_batchnorm2d_options, flags=flags, channels=channels, eps=eps, momentum=0.1 if momentum is None else momentum)))

    def relu(self):
        return self._layer(lib.rn_relu_create)

    def maxpool2d(self, kernel, stride=0, padding=0):
        return self._layer(lib.rn_maxpool2d_create, byref(_defaults(
            rn_pool2d_options, kernel=_two(kernel), stride=_two(stride), padding=_two(padding))))

    def avgpool2d(self, kernel, stride=0, padding=0, count_include_pad=True):
        return self._layer(lib.rn_avgpool2d_create, byref(_defaults(
            rn_pool2d_options, flags=0 if count_include_pad else POOL_EXCLUDE_PADDING, kernel=_two(kernel),
            stride=_two(stride), padding=_two(padding))))

    def global_avgpool2d(self):
        return self._layer(lib.rn_global_avgpool2d_create)

    def adaptive_avgpool2d(self, height, width):
        return self._layer(lib.rn_adaptive_avgpool2d_create, height, width)

    def linear(self, in_features, out_features, bias=True, init=INIT_DEFAULT):
        return self._layer(lib.rn_linear_create, byref(_defaults(
            rn_linear_options, in_features=in_features, out_features=out_features, bias=bias, init=init)))

    def flatten(self):
        return self._layer(lib.rn_flatten_create)

    def dropout(self, p):
        return self._layer(lib.rn_dropout_create, p)

    def softmax(self):
        return self._layer(lib.rn_softmax_create)

    def identity(self):
        return self._layer(lib.rn_identity_create)

    def pad_shortcut(self, stride=2, before=0, after=0):
        return self._layer(lib.rn_pad_shortcut_create, byref(_defaults(
            rn_pad_shortcut_options, stride=_two(stride), channels_before=before, channels_after=after)))

    def sequential(self, *children, **named):
        """Children get their index as a name, or the one given."""
        layer = self._layer(lib.rn_sequential_create)
        for child in children:
            layer.append(child)
        for name, child in named.items():
            layer.append(child, name)
        return layer

    def residual(self, main, shortcut=None, relu=True, main_name="", shortcut_name="downsample"):
        """main(x) + shortcut(x), then ReLU; shortcut None is the identity."""
        return self._layer(lib.rn_residual_create, main.pointer, _pointer(shortcut), byref(_defaults(
            rn_residual_options, flags=0 if relu else RESIDUAL_NO_RELU, main_name=main_name.encode(),
            shortcut_name=shortcut_name.encode())))

    def zoo(self, name, classes=0, in_channels=0, flags=0):
        return self._layer(lib.rn_zoo_create, name.encode(), byref(_defaults(
            rn_zoo_options, classes=classes, in_channels=in_channels, flags=flags)))

    def cifar_resnet(self, depth=20, **options):
        return self._layer(lib.rn_cifar_resnet_create, byref(_defaults(rn_cifar_resnet_options, depth=depth, **options)))

    def resnet(self, depth=50, **options):
        return self._layer(lib.rn_resnet_create, byref(_defaults(rn_resnet_options, depth=depth, **options)))

    def cross_entropy(self, label_smoothing=0.0):
        return Loss(_create(lib.rn_cross_entropy_create, _los, self.pointer, byref(_defaults(
            rn_cross_entropy_options, label_smoothing=label_smoothing))))

    def mse(self):
        return Loss(_create(lib.rn_mse_create, _los, self.pointer, byref(_defaults(rn_mse_options))))

    def schedule(self, kind, **options):
        """kind: step, multistep, cosine, one_cycle, plateau; options as in the C struct."""
        struct = {"step": rn_step_schedule_options, "multistep": rn_multistep_schedule_options,
                  "cosine": rn_cosine_schedule_options, "one_cycle": rn_one_cycle_schedule_options,
                  "plateau": rn_plateau_schedule_options}[kind]
        if "milestones" in options:
            milestones = _sizes(options["milestones"])
            options.update(milestones=milestones, num_milestones=len(options["milestones"]))
        create = getattr(lib, "rn_%s_schedule_create" % kind)
        return Schedule(_create(create, _sch, self.pointer, byref(_defaults(struct, **options))))

    def warmup(self, inner, **options):
        return Schedule(_create(lib.rn_warmup_schedule_create, _sch, self.pointer, inner.pointer, byref(_defaults(
            rn_warmup_schedule_options, **options))))

    def hold(self, inner, **options):
        return Schedule(_create(lib.rn_hold_schedule_create, _sch, self.pointer, inner.pointer, byref(_defaults(
            rn_hold_schedule_options, **options))))

    def transform(self):
        return Transform(_create(lib.rn_transform_create, _tra, self.pointer))

    def image(self, path, flags=0):
        """A picture as u8 [3, H, W]."""
        return Tensor(_create(lib.rn_image_read, _ten, self.pointer, _text(path), byref(_defaults(
            rn_image_options, flags=flags))))

    def image_folder(self, folder, flags=0, classes_of=None):
        """A folder for each class. flags: IMAGE_*."""
        return Dataset(_create(lib.rn_image_folder_open, _set, self.pointer, _text(folder), byref(_defaults(
            rn_image_folder_options, flags=flags, classes_of=_pointer(classes_of)))))

    def cifar10(self, folder, split=SPLIT_TRAIN):
        return Dataset(_create(lib.rn_cifar10_open, _set, self.pointer, _text(folder), split))

    def cifar100(self, folder, split=SPLIT_TRAIN):
        return Dataset(_create(lib.rn_cifar100_open, _set, self.pointer, _text(folder), split))

    def cifar_files(self, paths, classes=10):
        names = (c_char_p * len(paths))(*map(_text, paths))
        return Dataset(_create(lib.rn_cifar_files_open, _set, self.pointer, names, len(paths), classes))

    def idx(self, images, labels):
        return Dataset(_create(lib.rn_idx_open, _set, self.pointer, _text(images), _text(labels)))

    def array_dataset(self, images, labels):
        """Images u8 or f32 [N, C, H, W] and labels, used where they lie."""
        with _tensor(self.device("cpu"), images) as first, _tensor(self.device("cpu"), labels, np.int64) as second:
            return Dataset(_create(lib.rn_tensor_dataset_create, _set, first.pointer, second.pointer))

    def custom_dataset(self, read, count, classes, shape, dtype=np.uint8):
        """read(index) gives an image of that shape [C, H, W] and its label; called on loader threads."""
        return _custom_dataset(self, read, count, classes, shape, np.dtype(dtype))


# Callbacks and arrays that the library still refers to.
_kept = {}


def _keep(value):
    _kept[id(value)] = value
    return value


@rn_release_fn
def _drop_array(key, _data):
    _kept.pop(key, None)


class Device:
    """Borrowed from its context, which it keeps alive."""

    def __init__(self, context, pointer):
        self.context, self.pointer = Context.borrowed(context.pointer), pointer

    name = property(lambda self: lib.rn_device_name(self.pointer).decode())
    description = property(lambda self: lib.rn_device_description(self.pointer).decode())
    cpu_level = property(lambda self: lib.rn_cpu_level(self.pointer))
    reads_host_memory = property(lambda self: self.name == "cpu")  # then arrays are used where they lie, else copied

    def memory(self):
        """Free and total bytes."""
        free, total = c_uint64(), c_uint64()
        lib.rn_device_memory(self.pointer, byref(free), byref(total))
        return free.value, total.value

    def set_cpu_levels(self, mask):
        lib.rn_cpu_set_level_mask(self.pointer, mask)

    def synchronize(self):
        lib.rn_device_synchronize(self.pointer)

    def reset(self):
        lib.rn_device_reset(self.pointer)


class _View:
    """Gives NumPy a tensor's memory and keeps the tensor alive meanwhile."""

    def __init__(self, tensor, address):
        self.tensor = tensor
        self.__array_interface__ = {"version": 3, "shape": tensor.shape, "typestr": DTYPES[tensor.dtype].str,
                                    "data": (address, False)}


class Tensor(_Handle):
    kind = "tensor"

    @classmethod
    def create(cls, device, shape, dtype=np.float32):
        """Zeros."""
        return cls(_create(lib.rn_tensor_create, _ten, device.pointer, CODES[np.dtype(dtype)], len(shape), _sizes(shape)))

    @classmethod
    def wrap(cls, device, array):
        """The memory of a contiguous, aligned, writable array, which lives as long as the library refers to it."""
        if not (array.flags.carray and array.dtype in CODES):
            raise ValueError("only contiguous, aligned, writable arrays of %s can be wrapped" %
                             ", ".join(str(dtype) for dtype in CODES))
        key = id(_keep(_Kept(array)))
        try:
            return cls(_create(lib.rn_tensor_wrap, _ten, device.pointer, CODES[array.dtype], array.ndim,
                               _sizes(array.shape), array.ctypes.data, array.nbytes, _drop_array, key))
        except Error:
            _kept.pop(key)
            raise

    dtype = property(lambda self: lib.rn_tensor_dtype(self.pointer))
    shape = property(lambda self: tuple(lib.rn_tensor_dim(self.pointer, i)
                                        for i in range(lib.rn_tensor_rank(self.pointer))))
    nbytes = property(lambda self: lib.rn_tensor_nbytes(self.pointer))

    def numpy(self):
        """The elements, not copied. After writing weights through it: Model.mark_written()."""
        address = lib.rn_tensor_data(self.pointer)
        if not address:
            raise ValueError("the tensor's memory is not the host's, or not in plain order; use read()")
        return np.asarray(_View(self, address))

    def read(self):
        """A copy of the elements; bf16 becomes float32."""
        array = np.empty(self.shape, DTYPES.get(self.dtype, np.dtype(np.uint16)))
        lib.rn_tensor_read(self.pointer, array.ctypes.data, array.nbytes)
        return (array.astype(np.uint32) << 16).view(np.float32) if self.dtype == BF16 else array

    def write(self, values):
        """Converts when needed; for bf16 the library rounds to nearest, ties to even."""
        if self.dtype == BF16:
            with _tensor(self._device(), np.asarray(values, np.float32)) as source:
                self.copy_from(source)
            return
        array = np.ascontiguousarray(values, DTYPES[self.dtype])
        lib.rn_tensor_write(self.pointer, array.ctypes.data, array.nbytes)

    def _device(self):
        pointer = lib.rn_tensor_device(self.pointer)
        return Device(Context.borrowed(lib.rn_device_context(pointer)), pointer)

    def copy_from(self, other):
        lib.rn_tensor_copy(other.pointer, self.pointer)

    def slice(self, first, count):
        return Tensor(_create(lib.rn_tensor_slice, _ten, self.pointer, first, count))


class _Kept:
    """Makes a key of its own for each wrapping of an array."""

    def __init__(self, value):
        self.value = value


def _tensor(device, value, dtype=None):
    """A tensor as it is, or an array: wrapped, after a copy if it cannot be as it is, or copied to a device of other memory."""
    if isinstance(value, Tensor):
        return Tensor.borrowed(value.pointer)
    array = np.ascontiguousarray(value, dtype).reshape(np.shape(value))
    if device.reads_host_memory:
        return Tensor.wrap(device, array if array.flags.carray else array.copy())
    tensor = Tensor.create(device, array.shape, array.dtype)
    tensor.write(array)
    return tensor


@contextlib.contextmanager
def _results(device, value):
    """A tensor to be filled: the value if it is one, or an array's memory, which has the results once the device is done."""
    if isinstance(value, Tensor) or device.reads_host_memory:
        with Tensor.borrowed(value.pointer) if isinstance(value, Tensor) else Tensor.wrap(device, value) as tensor:
            yield tensor
            device.synchronize()
        return
    if not value.flags.carray:
        raise ValueError("results need a contiguous, aligned, writable array")
    with Tensor.create(device, value.shape, value.dtype) as tensor:
        yield tensor
        lib.rn_tensor_read(tensor.pointer, value.ctypes.data, value.nbytes)


class Layer(_Handle):
    """A description; models are made of it."""
    kind = "layer"

    def __init__(self, context, pointer):
        super().__init__(pointer)
        self.context = context

    def append(self, child, name=None):
        lib.rn_sequential_append(self.pointer, None if name is None else name.encode(), child.pointer)
        return self

    def replace(self, path, child):
        lib.rn_layer_replace_child(self.pointer, path.encode(), child.pointer)

    def output_shape(self, shape):
        rank, dims = c_int32(), _dims()
        lib.rn_layer_output_shape(self.pointer, len(shape), _sizes(shape), byref(rank), dims)
        return tuple(dims[:rank.value])


class Loss(_Handle):
    kind = "loss"

    def compute(self, prediction, target, device):
        """The loss and its gradient."""
        gradient, value = np.empty_like(prediction), c_float()
        kind = prediction.dtype if np.ndim(target) > 1 else np.int64
        with _tensor(device, prediction) as p, _tensor(device, target, kind) as t, _results(device, gradient) as g:
            lib.rn_loss_compute(self.pointer, p.pointer, t.pointer, g.pointer, byref(value))
        return value.value, gradient


State = collections.namedtuple("State", "name value grad kind trainable")
LoadReport = collections.namedtuple("LoadReport", "missing unexpected misshapen")


class Model(_Handle):
    """Weights of a layer tree. Iterating gives State entries in the order of PyTorch's state_dict."""
    kind = "model"

    def __init__(self, layer, device=None):
        device = device or layer.context.device("cpu")
        super().__init__(_create(lib.rn_model_create, _mod, layer.context.pointer, layer.pointer, device.pointer))
        self.device = device

    def _entry(self, find, key):
        entry = rn_state_entry(sizeof(rn_state_entry))
        find(self.pointer, key, byref(entry))
        grad = Tensor.borrowed(entry.grad) if entry.grad else None
        return State(entry.name.decode(), Tensor.borrowed(entry.value), grad, entry.kind, bool(entry.trainable))

    def __len__(self):
        return lib.rn_model_state_count(self.pointer)

    def __iter__(self):
        return (self._entry(lib.rn_model_state, i) for i in range(len(self)))

    def __getitem__(self, name):
        return self._entry(lib.rn_model_find_state, name.encode())

    def init(self, seed):
        lib.rn_model_init(self.pointer, seed)

    def reset_statistics(self):
        lib.rn_model_reset_statistics(self.pointer)

    def copy(self, device=None):
        device = device or self.device
        twin = Model.__new__(Model)
        _Handle.__init__(twin, _create(lib.rn_model_copy, _mod, self.pointer, device.pointer))
        twin.device = device
        return twin

    def parameter_count(self, trainable_only=False):
        return lib.rn_model_parameter_count(self.pointer, trainable_only)

    def set_trainable(self, name_glob, trainable):
        return _create(lib.rn_model_set_trainable, c_size_t, self.pointer, name_glob.encode(), trainable).value

    def mark_written(self):
        lib.rn_model_mark_written(self.pointer)

    def zero_grad(self):
        lib.rn_model_zero_grad(self.pointer)

    def clip_grad_norm(self, max_norm):
        return _create(lib.rn_model_clip_grad_norm, c_double, self.pointer, max_norm).value

    def summary(self, shape):
        return _collected(lib.rn_model_summary, self.pointer, len(shape), _sizes(shape))

    def dot(self, shape, name=None, flags=0):
        """A picture for Graphviz; flags: DOT_*."""
        options = _defaults(rn_dot_options, name=_text(name), flags=flags)
        return _collected(lib.rn_model_write_dot, self.pointer, len(shape), _sizes(shape), byref(options))

    def macs(self, shape):
        return _create(lib.rn_model_macs, c_int64, self.pointer, len(shape), _sizes(shape)).value

    def save(self, path):
        lib.rn_model_save(self.pointer, _text(path))

    def save_torch(self, path):
        """A state_dict for torch.load(path, weights_only=True)."""
        lib.rn_model_save_torch(self.pointer, _text(path))

    def export_onnx(self, path, shape, flags=0):
        """flags: ONNX_*."""
        options = _defaults(rn_onnx_options, flags=flags)
        lib.rn_model_export_onnx(self.pointer, len(shape), _sizes(shape), byref(options), _text(path))

    def load(self, path, strip_prefix=None, renames=(), partial=False):
        """The names that were missing, unexpected or misshapen; also as the attribute `report` of an error."""
        pairs = (rn_rename * max(len(renames), 1))(*((_text(a), _text(b)) for a, b in renames))
        options = _defaults(rn_load_options, flags=LOAD_PARTIAL if partial else 0, strip_prefix=_text(strip_prefix),
                            renames=pairs, num_renames=len(renames))
        try:
            lib.rn_model_load(self.pointer, _text(path), byref(options))
            return _load_report(options)
        except Error as error:
            error.report = _load_report(options)
            raise
        finally:
            lib.rn_load_report_release(byref(options))

    def sgd(self, lr=0.1, momentum=0.9, dampening=0.0, weight_decay=1e-4, nesterov=False):
        return Optimizer(_create(lib.rn_sgd_create, _opt, self.pointer, byref(_defaults(
            rn_sgd_options, flags=SGD_NESTEROV if nesterov else 0, lr=lr, momentum=momentum, dampening=dampening,
            weight_decay=weight_decay))))

    def adam(self, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, decoupled=False):
        return Optimizer(_create(lib.rn_adam_create, _opt, self.pointer, byref(_defaults(
            rn_adam_options, flags=ADAM_DECOUPLED if decoupled else 0, lr=lr, beta1=beta1, beta2=beta2, eps=eps,
            weight_decay=weight_decay))))


def _load_report(options):
    def names(address):
        return ctypes.string_at(address).decode().splitlines() if address else []
    return LoadReport(names(options.missing), names(options.unexpected), names(options.misshapen))


class Optimizer(_Handle):
    kind = "optimizer"
    steps = property(lambda self: lib.rn_optimizer_steps(self.pointer))

    @property
    def lr(self):
        return lib.rn_optimizer_lr(self.pointer)

    @lr.setter
    def lr(self, value):
        lib.rn_optimizer_set_lr(self.pointer, value)

    def add_group(self, name_glob, lr_factor=1.0, weight_decay=0.0):
        lib.rn_optimizer_add_group(self.pointer, name_glob.encode(), byref(_defaults(
            rn_group_options, lr_factor=lr_factor, weight_decay=weight_decay)))

    def exclude_from_decay(self, max_rank=1):
        """Takes weight decay off biases and batch normalisation; the number of parameters that lost it."""
        return _create(lib.rn_optimizer_exclude_from_decay, c_size_t, self.pointer, max_rank).value

    def step(self):
        lib.rn_optimizer_step(self.pointer)

    def save_torch(self, path):
        lib.rn_optimizer_save_torch(self.pointer, _text(path))

    def load_torch(self, path):
        """Moments, steps and learning rate of a state_dict of torch.optim."""
        lib.rn_optimizer_load_torch(self.pointer, _text(path))


class Ema(_Handle):
    """Moving averages of a model's weights; `model` is them as a model."""
    kind = "ema"

    def __init__(self, model, decay=0.999, average_buffers=False, warmup=False):
        flags = (EMA_AVERAGE_BUFFERS if average_buffers else 0) | (EMA_WARMUP if warmup else 0)
        super().__init__(_create(lib.rn_ema_create, _ema, model.pointer, byref(_defaults(
            rn_ema_options, flags=flags, decay=decay))))
        self.model = Model.borrowed(lib.rn_ema_model(self.pointer))
        self.model.device = model.device

    updates = property(lambda self: lib.rn_ema_updates(self.pointer))

    def update(self):
        lib.rn_ema_update(self.pointer)


class Schedule(_Handle):
    kind = "schedule"

    def lr(self, step):
        return _create(lib.rn_schedule_lr, c_double, self.pointer, step).value

    def apply(self, step, optimizer):
        lib.rn_schedule_apply(self.pointer, step, optimizer.pointer)

    def observe(self, metric):
        lib.rn_schedule_observe(self.pointer, metric)


def _fields(struct):
    """A filled struct as a named tuple."""
    names = [name for name, _ in struct._fields_[1:]]
    return collections.namedtuple(type(struct).__name__[3:], names)(*(getattr(struct, name) for name in names))


class Plan(_Handle):
    """A model compiled for a shape [N, ...]; train=True for training, statistics=True to renew running statistics.
    dtype float64: reference kernels; "bf16" or "f16": activations of half the size, arrays stay float32. loss_scale: the first one,
    0: as the type needs."""
    kind = "plan"

    def __init__(self, model, shape, train=False, loss=None, optimizer=None, dtype=np.float32, flags=0, batches=(),
                 accumulate=1, clip_norm=0.0, memory_limit=0, seed=0, statistics=False, loss_scale=0.0):
        mode = PLAN_STATISTICS if statistics else PLAN_TRAIN if train else PLAN_INFER
        compute = {"bf16": BF16, "f16": F16}.get(dtype) if isinstance(dtype, str) else None
        compute = compute or CODES[np.dtype(dtype)]
        outside = np.dtype(np.float32) if compute in (BF16, F16) else DTYPES[compute]
        self.model, self.dtype, self.input_shape = model, outside, tuple(shape)
        super().__init__(_create(lib.rn_plan_create, _pla, model.pointer, byref(_defaults(
            rn_plan_options, flags=flags, mode=mode, rank=len(shape),
            input_dims=_dims(*shape), batches=(c_int64 * 8)(*batches), compute_dtype=compute,
            accumulate=accumulate, loss=_pointer(loss), optimizer=_pointer(optimizer), clip_norm=clip_norm,
            memory_limit=memory_limit, seed=seed, loss_scale=loss_scale))))

    def input(self):
        """The plan's own input tensor, in the layout its first layer reads."""
        return Tensor.borrowed(_create(lib.rn_plan_input, _ten, self.pointer))

    def output_shape(self, n):
        rank, dims = c_int32(), _dims()
        lib.rn_plan_output_shape(self.pointer, n, byref(rank), dims)
        return tuple(dims[:rank.value])

    def forward(self, x, y=None):
        """The output as an array; y, an array or a tensor of its shape and type, is filled and returned when given."""
        with self._input(x) as source:
            y = np.empty(self.output_shape(source.shape[0]), self.dtype) if y is None else y
            with _results(self.model.device, y) as target:
                lib.rn_plan_forward(self.pointer, source.pointer, target.pointer)
        return y

    def update_statistics(self, x):
        """In a statistics plan: takes a batch into the running statistics."""
        with self._input(x) as source:
            lib.rn_plan_forward(self.pointer, source.pointer, None)
        lib.rn_device_synchronize(self.model.device.pointer)

    def backward(self, dy, dx=None):
        """Adds to the gradients; fills dx, an array or a tensor, when given (flags=PLAN_INPUT_GRAD)."""
        device = self.model.device
        with self._input(dy) as source, contextlib.nullcontext() if dx is None else _results(device, dx) as target:
            lib.rn_plan_backward(self.pointer, source.pointer, _pointer(target))
        lib.rn_device_synchronize(device.pointer)

    def _input(self, value):
        return _tensor(self.model.device, value, None if isinstance(value, Tensor) else self.dtype)

    def _step(self, function, x, target):
        labels = not isinstance(target, Tensor) and np.ndim(target) == 1
        with self._input(x) as first:
            second = _tensor(self.model.device, target, np.int64) if labels else self._input(target)
            with second:
                function(self.pointer, first.pointer, second.pointer)
                lib.rn_device_synchronize(self.model.device.pointer)

    def train_step(self, x, target):
        """The whole step: labels [N]; class probabilities or values like the output."""
        self._step(lib.rn_plan_train_step, x, target)

    def eval_step(self, x, target):
        self._step(lib.rn_plan_eval_step, x, target)

    def metrics(self, reset=False):
        metrics = rn_metrics(sizeof(rn_metrics))
        lib.rn_plan_metrics(self.pointer, byref(metrics), reset)
        return _fields(metrics)

    def memory(self):
        memory = rn_memory(sizeof(rn_memory))
        lib.rn_plan_memory(self.pointer, byref(memory))
        return _fields(memory)

    def describe(self):
        return _collected(lib.rn_plan_describe, self.pointer)

    def set_profiling(self, on):
        lib.rn_plan_set_profiling(self.pointer, on)

    def profile(self):
        return _collected(lib.rn_plan_profile, self.pointer)


class Transform(_Handle):
    """Steps return the transform, so that they can be chained."""
    kind = "transform"

    def random_crop(self, padding, height=0, width=0):
        lib.rn_transform_random_crop(self.pointer, padding, height, width)
        return self

    def random_hflip(self, p=0.5):
        lib.rn_transform_random_hflip(self.pointer, p)
        return self

    def normalize(self, mean, std):
        if len(mean) != len(std):
            raise ValueError("mean and std need one value per channel each")
        doubles = c_double * len(mean)
        lib.rn_transform_normalize(self.pointer, len(mean), doubles(*mean), doubles(*std))
        return self

    def cutout(self, size):
        lib.rn_transform_cutout(self.pointer, size)
        return self

    def center_crop(self, height, width):
        lib.rn_transform_center_crop(self.pointer, height, width)
        return self

    def ten_crop(self, height, width):
        """Ten rows for each image."""
        lib.rn_transform_ten_crop(self.pointer, height, width)
        return self

    def short_side(self, shortest, longest=None):
        lib.rn_transform_short_side(self.pointer, shortest, shortest if longest is None else longest)
        return self

    def resize(self, height, width):
        lib.rn_transform_resize(self.pointer, height, width)
        return self

    def random_resized_crop(self, height, width, area=None, ratio=None):
        """area, ratio: smallest and largest; None: torchvision's."""
        pairs = [(c_double * 2)(*pair) if pair else None for pair in (area, ratio)]
        lib.rn_transform_random_resized_crop(self.pointer, height, width, *pairs)
        return self

    def pca_color(self, stddev=0.1):
        lib.rn_transform_pca_color(self.pointer, stddev, None, None)
        return self

    def subtract(self, mean):
        lib.rn_transform_subtract(self.pointer, mean.pointer)
        return self

    def apply(self, image, seed=0):
        """f32 [rows, C, H, W] of one image [C, H, W]."""
        return Tensor(_create(lib.rn_transform_apply, _ten, self.pointer, image.pointer, seed))


class Dataset(_Handle):
    kind = "dataset"
    classes = property(lambda self: lib.rn_dataset_classes(self.pointer))

    def __len__(self):
        return lib.rn_dataset_size(self.pointer)

    def describe(self):
        info = rn_dataset_info(sizeof(rn_dataset_info))
        lib.rn_dataset_describe(self.pointer, byref(info))
        return _fields(info)

    def read(self, index):
        """A stored image and its label."""
        info, label = self.describe(), c_int64()
        image = np.empty((info.channels, info.height, info.width), DTYPES[info.dtype])
        lib.rn_dataset_read(self.pointer, index, image.ctypes.data, image.nbytes, byref(label))
        return image, label.value

    def read_image(self, index):
        """The same as a tensor, also where images differ in size."""
        image, label = _ten(), c_int64()
        lib.rn_dataset_read_image(self.pointer, index, byref(image), byref(label))
        return Tensor(image), label.value

    def class_name(self, index):
        name = lib.rn_dataset_class_name(self.pointer, index)
        return name and name.decode()

    def item_name(self, index):
        name = lib.rn_dataset_item_name(self.pointer, index)
        return name and name.decode()

    def mean(self):
        return Tensor(_create(lib.rn_dataset_mean, _ten, self.pointer))

    def take(self, count):
        return Dataset(_create(lib.rn_dataset_take, _set, self.pointer, count))

    def loader(self, batch=128, shuffle=False, drop_last=False, seed=0, workers=1, prefetch=2, transform=None,
               device=None, plan=None, shard=0, num_shards=1, mixup=0.0, cutmix=0.0, mix_probability=1.0,
               cutmix_share=0.5, residency="host"):
        """
        mixup, cutmix: the alpha of each; batches then have class probabilities instead of labels. residency: "host",
        "auto" or "device": where batches are made.
        """
        flags = (LOADER_SHUFFLE if shuffle else 0) | (LOADER_DROP_LAST if drop_last else 0)
        return Loader(_create(lib.rn_loader_create, _loa, self.pointer, byref(_defaults(
            rn_loader_options, flags=flags, batch=batch, seed=seed, workers=workers, prefetch=prefetch,
            device=_pointer(device), transform=_pointer(transform), plan=_pointer(plan), shard=shard,
            num_shards=num_shards, mixup_alpha=mixup, cutmix_alpha=cutmix, mix_probability=mix_probability,
            cutmix_share=cutmix_share, residency=("host", "auto", "device").index(residency)))))


def _custom_dataset(context, read, count, classes, shape, dtype):
    reader = [read]

    def fill(_, index, image, label):
        try:
            values, label[0] = reader[0](index)
            array = np.ascontiguousarray(values, dtype).reshape(shape)
            ctypes.memmove(image, array.ctypes.data, array.nbytes)
            return OK
        except Exception:  # nothing may be raised into C
            return E_USER

    types = dict(rn_dataset_vtable._fields_)
    # A callback cannot free its own code while it runs: the two small functions stay, the reader goes.
    table = rn_dataset_vtable(sizeof(rn_dataset_vtable), types["read"](fill),
                              types["release"](lambda _: reader.clear()))
    _keep(_Kept(table))
    info = rn_dataset_info(sizeof(rn_dataset_info), count, classes, *shape, CODES[dtype], 0)
    return Dataset(_create(lib.rn_custom_dataset_create, _set, context.pointer, byref(table), None, byref(info)))


class Loader(_Handle):
    """Iterating gives the batches of one epoch, (images, labels): tensors that are valid until the next one."""
    kind = "loader"

    def __len__(self):
        return lib.rn_loader_batches(self.pointer)

    def next(self):
        """The next batch, None at the end of an epoch."""
        images, labels = _ten(), _ten()
        if lib.rn_loader_next(self.pointer, byref(images), byref(labels)) == END:
            return None
        return Tensor.borrowed(images), Tensor.borrowed(labels)

    def __iter__(self):
        return iter(self.next, None)

    def resident_bytes(self):
        """What the dataset takes on the device; 0 when the host makes the batches."""
        return lib.rn_loader_resident_bytes(self.pointer)

    def position(self):
        epoch, batch = c_int64(), c_int64()
        lib.rn_loader_position(self.pointer, byref(epoch), byref(batch))
        return epoch.value, batch.value

    def seek(self, epoch, batch):
        lib.rn_loader_seek(self.pointer, epoch, batch)


def _checkpoint(model, optimizer, schedule, loader, plan, epoch, step, values, ema):
    return rn_checkpoint(sizeof(rn_checkpoint), 0, model.pointer, _pointer(optimizer), _pointer(schedule),
                         _pointer(loader), _pointer(plan), epoch, step, (c_double * 4)(*values), _pointer(ema))


def save_checkpoint(path, context, model, optimizer=None, schedule=None, loader=None, plan=None, epoch=0, step=0,
                    values=(), ema=None):
    checkpoint = _checkpoint(model, optimizer, schedule, loader, plan, epoch, step, values, ema)
    lib.rn_checkpoint_save(context.pointer, _text(path), byref(checkpoint))


def save_torch_checkpoint(path, context, model, optimizer=None, epoch=0, step=0):
    """A dictionary of "model", "optimizer", "epoch" and "step" for torch.load()."""
    checkpoint = _checkpoint(model, optimizer, None, None, None, epoch, step, (), None)
    lib.rn_checkpoint_save_torch(context.pointer, _text(path), byref(checkpoint))


def load_checkpoint(path, context, model, optimizer=None, schedule=None, loader=None, plan=None, ema=None):
    """Restores the parts; returns epoch, step and the four values."""
    checkpoint = _checkpoint(model, optimizer, schedule, loader, plan, 0, 0, (), ema)
    lib.rn_checkpoint_load(context.pointer, _text(path), byref(checkpoint))
    return checkpoint.epoch, checkpoint.step, tuple(checkpoint.value)


def softmax(device, logits):
    probabilities = np.empty_like(logits)
    with _tensor(device, logits) as source, _results(device, probabilities) as target:
        lib.rn_softmax(source.pointer, target.pointer)
    return probabilities


def topk(device, logits, labels, k=1):
    """How many labels are among the k largest logits."""
    with _tensor(device, logits) as first, _tensor(device, labels, np.int64) as second:
        return _create(lib.rn_topk, c_int64, first.pointer, second.pointer, k).value


def zoo_names():
    names = []
    while (name := lib.rn_zoo_name(len(names))) is not None:
        names.append(name.decode())
    return names


def zoo_renames(name):
    """Pairs for Model.load(renames=...)."""
    table, count = _P(rn_rename)(), c_size_t()
    lib.rn_zoo_renames(name.encode(), byref(table), byref(count))
    return [(getattr(table[i], "from").decode(), table[i].to.decode()) for i in range(count.value)]


def version():
    return lib.rn_build_info(BUILD_VERSION).decode()


if lib.rn_version() >> 8 != 0x0001:  # before 1.0, a minor version may change structs
    raise ImportError("this module is for libresnet 0.1, the library is %s" % version())
