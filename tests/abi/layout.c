/* SPDX-License-Identifier: MIT */
/*
 * The layout of every public struct as first released, on x86-64. A struct may grow at its end: then its size here
 * becomes a lower bound ("at least") and the new fields are added below the old ones. Nothing else may change.
 */
#include <resnet/resnet.h>
#include <resnet/sys/backend.h>
#include <resnet/sys/cpu.h>
#include <stddef.h>

#if defined(__x86_64__) && defined(__LP64__)

#define SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type " changed its size")
#define AT_LEAST(type, bytes) _Static_assert(sizeof(type) > (bytes), #type " shrank")
#define FIELD(type, field, offset, bytes)                                                                              \
    _Static_assert(offsetof(type, field) == (offset) && sizeof(((type *)0)->field) == (bytes), #type "." #field " moved")

/* resnet/base.h */
SIZE(rn_allocator, 32);
FIELD(rn_allocator, struct_size, 0, 8);
FIELD(rn_allocator, alloc, 8, 8);
FIELD(rn_allocator, free, 16, 8);
FIELD(rn_allocator, user, 24, 8);

/* resnet/checkpoint.h */
SIZE(rn_checkpoint, 112); /* first released: at least 104 */
FIELD(rn_checkpoint, struct_size, 0, 8);
FIELD(rn_checkpoint, flags, 8, 8);
FIELD(rn_checkpoint, model, 16, 8);
FIELD(rn_checkpoint, optimizer, 24, 8);
FIELD(rn_checkpoint, schedule, 32, 8);
FIELD(rn_checkpoint, loader, 40, 8);
FIELD(rn_checkpoint, plan, 48, 8);
FIELD(rn_checkpoint, epoch, 56, 8);
FIELD(rn_checkpoint, step, 64, 8);
FIELD(rn_checkpoint, value, 72, 32);
FIELD(rn_checkpoint, ema, 104, 8);

/* resnet/context.h */
SIZE(rn_context_options, 80);
FIELD(rn_context_options, struct_size, 0, 8);
FIELD(rn_context_options, flags, 8, 8);
FIELD(rn_context_options, seed, 16, 8);
FIELD(rn_context_options, num_threads, 24, 4);
FIELD(rn_context_options, log_level, 28, 4);
FIELD(rn_context_options, allocator, 32, 8);
FIELD(rn_context_options, log, 40, 8);
FIELD(rn_context_options, log_user, 48, 8);
FIELD(rn_context_options, parallel, 56, 8);
FIELD(rn_context_options, parallel_user, 64, 8);
FIELD(rn_context_options, backend_dir, 72, 8);

/* resnet/data.h */
SIZE(rn_dataset_info, 56);
FIELD(rn_dataset_info, struct_size, 0, 8);
FIELD(rn_dataset_info, count, 8, 8);
FIELD(rn_dataset_info, classes, 16, 8);
FIELD(rn_dataset_info, channels, 24, 8);
FIELD(rn_dataset_info, height, 32, 8);
FIELD(rn_dataset_info, width, 40, 8);
FIELD(rn_dataset_info, dtype, 48, 4);
FIELD(rn_dataset_info, reserved, 52, 4);

SIZE(rn_dataset_vtable, 24);
FIELD(rn_dataset_vtable, struct_size, 0, 8);
FIELD(rn_dataset_vtable, read, 8, 8);
FIELD(rn_dataset_vtable, release, 16, 8);

SIZE(rn_loader_options, 120); /* first released: at least 80 */
FIELD(rn_loader_options, struct_size, 0, 8);
FIELD(rn_loader_options, flags, 8, 8);
FIELD(rn_loader_options, batch, 16, 8);
FIELD(rn_loader_options, seed, 24, 8);
FIELD(rn_loader_options, workers, 32, 4);
FIELD(rn_loader_options, prefetch, 36, 4);
FIELD(rn_loader_options, device, 40, 8);
FIELD(rn_loader_options, transform, 48, 8);
FIELD(rn_loader_options, plan, 56, 8);
FIELD(rn_loader_options, shard, 64, 8);
FIELD(rn_loader_options, num_shards, 72, 8);
FIELD(rn_loader_options, mixup_alpha, 80, 8);
FIELD(rn_loader_options, cutmix_alpha, 88, 8);
FIELD(rn_loader_options, mix_probability, 96, 8);
FIELD(rn_loader_options, cutmix_share, 104, 8);
FIELD(rn_loader_options, residency, 112, 4);
FIELD(rn_loader_options, reserved, 116, 4);

/* resnet/ema.h */
SIZE(rn_ema_options, 24);
FIELD(rn_ema_options, struct_size, 0, 8);
FIELD(rn_ema_options, flags, 8, 8);
FIELD(rn_ema_options, decay, 16, 8);

/* resnet/image.h */
SIZE(rn_image_options, 24);
FIELD(rn_image_options, struct_size, 0, 8);
FIELD(rn_image_options, flags, 8, 8);
FIELD(rn_image_options, max_pixels, 16, 8);
SIZE(rn_image_folder_options, 32);
FIELD(rn_image_folder_options, struct_size, 0, 8);
FIELD(rn_image_folder_options, flags, 8, 8);
FIELD(rn_image_folder_options, max_pixels, 16, 8);
FIELD(rn_image_folder_options, classes_of, 24, 8);

/* resnet/layer.h */
SIZE(rn_conv2d_options, 112);
FIELD(rn_conv2d_options, struct_size, 0, 8);
FIELD(rn_conv2d_options, flags, 8, 8);
FIELD(rn_conv2d_options, in_channels, 16, 8);
FIELD(rn_conv2d_options, out_channels, 24, 8);
FIELD(rn_conv2d_options, kernel, 32, 16);
FIELD(rn_conv2d_options, stride, 48, 16);
FIELD(rn_conv2d_options, padding, 64, 16);
FIELD(rn_conv2d_options, dilation, 80, 16);
FIELD(rn_conv2d_options, groups, 96, 8);
FIELD(rn_conv2d_options, bias, 104, 4);
FIELD(rn_conv2d_options, init, 108, 4);

SIZE(rn_batchnorm2d_options, 40);
FIELD(rn_batchnorm2d_options, struct_size, 0, 8);
FIELD(rn_batchnorm2d_options, flags, 8, 8);
FIELD(rn_batchnorm2d_options, channels, 16, 8);
FIELD(rn_batchnorm2d_options, eps, 24, 8);
FIELD(rn_batchnorm2d_options, momentum, 32, 8);

SIZE(rn_pool2d_options, 64);
FIELD(rn_pool2d_options, struct_size, 0, 8);
FIELD(rn_pool2d_options, flags, 8, 8);
FIELD(rn_pool2d_options, kernel, 16, 16);
FIELD(rn_pool2d_options, stride, 32, 16);
FIELD(rn_pool2d_options, padding, 48, 16);

SIZE(rn_linear_options, 40);
FIELD(rn_linear_options, struct_size, 0, 8);
FIELD(rn_linear_options, flags, 8, 8);
FIELD(rn_linear_options, in_features, 16, 8);
FIELD(rn_linear_options, out_features, 24, 8);
FIELD(rn_linear_options, bias, 32, 4);
FIELD(rn_linear_options, init, 36, 4);

SIZE(rn_pad_shortcut_options, 48);
FIELD(rn_pad_shortcut_options, struct_size, 0, 8);
FIELD(rn_pad_shortcut_options, flags, 8, 8);
FIELD(rn_pad_shortcut_options, stride, 16, 16);
FIELD(rn_pad_shortcut_options, channels_before, 32, 8);
FIELD(rn_pad_shortcut_options, channels_after, 40, 8);

SIZE(rn_residual_options, 32);
FIELD(rn_residual_options, struct_size, 0, 8);
FIELD(rn_residual_options, flags, 8, 8);
FIELD(rn_residual_options, main_name, 16, 8);
FIELD(rn_residual_options, shortcut_name, 24, 8);

/* resnet/loss.h */
SIZE(rn_cross_entropy_options, 24);
FIELD(rn_cross_entropy_options, struct_size, 0, 8);
FIELD(rn_cross_entropy_options, flags, 8, 8);
FIELD(rn_cross_entropy_options, label_smoothing, 16, 8);

SIZE(rn_mse_options, 16);
FIELD(rn_mse_options, struct_size, 0, 8);
FIELD(rn_mse_options, flags, 8, 8);

/* resnet/metrics.h */
SIZE(rn_metrics, 80); /* first released: at least 64 */
FIELD(rn_metrics, struct_size, 0, 8);
FIELD(rn_metrics, loss_sum, 8, 8);
FIELD(rn_metrics, last_loss, 16, 8);
FIELD(rn_metrics, grad_norm, 24, 8);
FIELD(rn_metrics, count, 32, 8);
FIELD(rn_metrics, correct, 40, 8);
FIELD(rn_metrics, steps, 48, 8);
FIELD(rn_metrics, nonfinite, 56, 8);
FIELD(rn_metrics, loss_scale, 64, 8);
FIELD(rn_metrics, skipped, 72, 8);

/* resnet/model.h */
SIZE(rn_state_entry, 40);
FIELD(rn_state_entry, struct_size, 0, 8);
FIELD(rn_state_entry, name, 8, 8);
FIELD(rn_state_entry, value, 16, 8);
FIELD(rn_state_entry, grad, 24, 8);
FIELD(rn_state_entry, kind, 32, 4);
FIELD(rn_state_entry, trainable, 36, 4);

SIZE(rn_rename, 16);
FIELD(rn_rename, from, 0, 8);
FIELD(rn_rename, to, 8, 8);

SIZE(rn_dot_options, 24);
FIELD(rn_dot_options, struct_size, 0, 8);
FIELD(rn_dot_options, flags, 8, 8);
FIELD(rn_dot_options, name, 16, 8);

SIZE(rn_onnx_options, 16);
FIELD(rn_onnx_options, struct_size, 0, 8);
FIELD(rn_onnx_options, flags, 8, 8);

SIZE(rn_load_options, 64);
FIELD(rn_load_options, struct_size, 0, 8);
FIELD(rn_load_options, flags, 8, 8);
FIELD(rn_load_options, strip_prefix, 16, 8);
FIELD(rn_load_options, renames, 24, 8);
FIELD(rn_load_options, num_renames, 32, 8);
FIELD(rn_load_options, missing, 40, 8);
FIELD(rn_load_options, unexpected, 48, 8);
FIELD(rn_load_options, misshapen, 56, 8);

/* resnet/optimizer.h */
SIZE(rn_sgd_options, 48);
FIELD(rn_sgd_options, struct_size, 0, 8);
FIELD(rn_sgd_options, flags, 8, 8);
FIELD(rn_sgd_options, lr, 16, 8);
FIELD(rn_sgd_options, momentum, 24, 8);
FIELD(rn_sgd_options, dampening, 32, 8);
FIELD(rn_sgd_options, weight_decay, 40, 8);

SIZE(rn_adam_options, 56);
FIELD(rn_adam_options, struct_size, 0, 8);
FIELD(rn_adam_options, flags, 8, 8);
FIELD(rn_adam_options, lr, 16, 8);
FIELD(rn_adam_options, beta1, 24, 8);
FIELD(rn_adam_options, beta2, 32, 8);
FIELD(rn_adam_options, eps, 40, 8);
FIELD(rn_adam_options, weight_decay, 48, 8);

SIZE(rn_group_options, 32);
FIELD(rn_group_options, struct_size, 0, 8);
FIELD(rn_group_options, flags, 8, 8);
FIELD(rn_group_options, lr_factor, 16, 8);
FIELD(rn_group_options, weight_decay, 24, 8);

/* resnet/plan.h */
SIZE(rn_plan_options, 232); /* first released: at least 200 */
FIELD(rn_plan_options, struct_size, 0, 8);
FIELD(rn_plan_options, flags, 8, 8);
FIELD(rn_plan_options, mode, 16, 4);
FIELD(rn_plan_options, rank, 20, 4);
FIELD(rn_plan_options, input_dims, 24, 64);
FIELD(rn_plan_options, batches, 88, 64);
FIELD(rn_plan_options, compute_dtype, 152, 4);
FIELD(rn_plan_options, accumulate, 156, 4);
FIELD(rn_plan_options, loss, 160, 8);
FIELD(rn_plan_options, optimizer, 168, 8);
FIELD(rn_plan_options, clip_norm, 176, 8);
FIELD(rn_plan_options, memory_limit, 184, 8);
FIELD(rn_plan_options, seed, 192, 8);
FIELD(rn_plan_options, loss_scale, 200, 8);
FIELD(rn_plan_options, loss_scale_growth, 208, 8);
FIELD(rn_plan_options, loss_scale_backoff, 216, 8);
FIELD(rn_plan_options, loss_scale_interval, 224, 8);

SIZE(rn_memory, 72);
FIELD(rn_memory, struct_size, 0, 8);
FIELD(rn_memory, arena, 8, 8);
FIELD(rn_memory, lower_bound, 16, 8);
FIELD(rn_memory, derived, 24, 8);
FIELD(rn_memory, io, 32, 8);
FIELD(rn_memory, parameters, 40, 8);
FIELD(rn_memory, gradients, 48, 8);
FIELD(rn_memory, optimizer, 56, 8);
FIELD(rn_memory, total, 64, 8);

/* resnet/schedule.h */
SIZE(rn_step_schedule_options, 40);
FIELD(rn_step_schedule_options, struct_size, 0, 8);
FIELD(rn_step_schedule_options, flags, 8, 8);
FIELD(rn_step_schedule_options, lr, 16, 8);
FIELD(rn_step_schedule_options, gamma, 24, 8);
FIELD(rn_step_schedule_options, period, 32, 8);

SIZE(rn_multistep_schedule_options, 48);
FIELD(rn_multistep_schedule_options, struct_size, 0, 8);
FIELD(rn_multistep_schedule_options, flags, 8, 8);
FIELD(rn_multistep_schedule_options, lr, 16, 8);
FIELD(rn_multistep_schedule_options, gamma, 24, 8);
FIELD(rn_multistep_schedule_options, milestones, 32, 8);
FIELD(rn_multistep_schedule_options, num_milestones, 40, 8);

SIZE(rn_cosine_schedule_options, 40);
FIELD(rn_cosine_schedule_options, struct_size, 0, 8);
FIELD(rn_cosine_schedule_options, flags, 8, 8);
FIELD(rn_cosine_schedule_options, lr, 16, 8);
FIELD(rn_cosine_schedule_options, min_lr, 24, 8);
FIELD(rn_cosine_schedule_options, steps, 32, 8);

SIZE(rn_hold_schedule_options, 32);
FIELD(rn_hold_schedule_options, struct_size, 0, 8);
FIELD(rn_hold_schedule_options, flags, 8, 8);
FIELD(rn_hold_schedule_options, factor, 16, 8);
FIELD(rn_hold_schedule_options, threshold, 24, 8);

SIZE(rn_warmup_schedule_options, 32);
FIELD(rn_warmup_schedule_options, struct_size, 0, 8);
FIELD(rn_warmup_schedule_options, flags, 8, 8);
FIELD(rn_warmup_schedule_options, start_factor, 16, 8);
FIELD(rn_warmup_schedule_options, steps, 24, 8);

SIZE(rn_one_cycle_schedule_options, 56);
FIELD(rn_one_cycle_schedule_options, struct_size, 0, 8);
FIELD(rn_one_cycle_schedule_options, flags, 8, 8);
FIELD(rn_one_cycle_schedule_options, max_lr, 16, 8);
FIELD(rn_one_cycle_schedule_options, pct_start, 24, 8);
FIELD(rn_one_cycle_schedule_options, div, 32, 8);
FIELD(rn_one_cycle_schedule_options, final_div, 40, 8);
FIELD(rn_one_cycle_schedule_options, steps, 48, 8);

SIZE(rn_plateau_schedule_options, 72);
FIELD(rn_plateau_schedule_options, struct_size, 0, 8);
FIELD(rn_plateau_schedule_options, flags, 8, 8);
FIELD(rn_plateau_schedule_options, lr, 16, 8);
FIELD(rn_plateau_schedule_options, factor, 24, 8);
FIELD(rn_plateau_schedule_options, threshold, 32, 8);
FIELD(rn_plateau_schedule_options, min_lr, 40, 8);
FIELD(rn_plateau_schedule_options, eps, 48, 8);
FIELD(rn_plateau_schedule_options, patience, 56, 8);
FIELD(rn_plateau_schedule_options, cooldown, 64, 8);

/* resnet/sys/backend.h */
SIZE(rn_value, 112);
FIELD(rn_value, struct_size, 0, 8);
FIELD(rn_value, dtype, 8, 4);
FIELD(rn_value, role, 12, 4);
FIELD(rn_value, layout, 16, 4);
FIELD(rn_value, rank, 20, 4);
FIELD(rn_value, batch_axis, 24, 4);
FIELD(rn_value, reserved, 28, 4);
FIELD(rn_value, dims, 32, 64);
FIELD(rn_value, bytes, 96, 8);
FIELD(rn_value, offset, 104, 8);

SIZE(rn_conv_params, 136);
FIELD(rn_conv_params, in_channels, 0, 8);
FIELD(rn_conv_params, out_channels, 8, 8);
FIELD(rn_conv_params, groups, 16, 8);
FIELD(rn_conv_params, in_height, 24, 8);
FIELD(rn_conv_params, in_width, 32, 8);
FIELD(rn_conv_params, out_height, 40, 8);
FIELD(rn_conv_params, out_width, 48, 8);
FIELD(rn_conv_params, kernel, 56, 16);
FIELD(rn_conv_params, stride, 72, 16);
FIELD(rn_conv_params, padding, 88, 16);
FIELD(rn_conv_params, dilation, 104, 16);
FIELD(rn_conv_params, batch, 120, 8);
FIELD(rn_conv_params, direct, 128, 4);

SIZE(rn_bn_params, 24);
FIELD(rn_bn_params, eps, 0, 8);
FIELD(rn_bn_params, momentum, 8, 8);
FIELD(rn_bn_params, pixels, 16, 8);

SIZE(rn_pool_params, 48);
FIELD(rn_pool_params, kernel, 0, 16);
FIELD(rn_pool_params, stride, 16, 16);
FIELD(rn_pool_params, padding, 32, 16);

SIZE(rn_dropout_params, 16);
FIELD(rn_dropout_params, p, 0, 8);
FIELD(rn_dropout_params, stream, 8, 4);
FIELD(rn_dropout_params, reserved, 12, 4);

SIZE(rn_pad_shortcut_params, 32);
FIELD(rn_pad_shortcut_params, stride, 0, 16);
FIELD(rn_pad_shortcut_params, channels_before, 16, 8);
FIELD(rn_pad_shortcut_params, channels_after, 24, 8);

SIZE(rn_cross_entropy_params, 8);
FIELD(rn_cross_entropy_params, label_smoothing, 0, 8);

SIZE(rn_segment, 32);
FIELD(rn_segment, offset, 0, 8);
FIELD(rn_segment, count, 8, 8);
FIELD(rn_segment, group, 16, 4);
FIELD(rn_segment, reserved, 20, 4);
FIELD(rn_segment, weight_decay, 24, 8);

SIZE(rn_segments_params, 24);
FIELD(rn_segments_params, clip_norm, 0, 8);
FIELD(rn_segments_params, num_segments, 8, 8);
FIELD(rn_segments_params, segments, 16, 8);

SIZE(rn_sgd_params, 40);
FIELD(rn_sgd_params, momentum, 0, 8);
FIELD(rn_sgd_params, dampening, 8, 8);
FIELD(rn_sgd_params, nesterov, 16, 4);
FIELD(rn_sgd_params, reserved, 20, 4);
FIELD(rn_sgd_params, num_segments, 24, 8);
FIELD(rn_sgd_params, segments, 32, 8);

SIZE(rn_adam_params, 56);
FIELD(rn_adam_params, beta1, 0, 8);
FIELD(rn_adam_params, beta2, 8, 8);
FIELD(rn_adam_params, eps, 16, 8);
FIELD(rn_adam_params, decoupled, 24, 4);
FIELD(rn_adam_params, reserved, 28, 4);
FIELD(rn_adam_params, state_stride, 32, 8);
FIELD(rn_adam_params, num_segments, 40, 8);
FIELD(rn_adam_params, segments, 48, 8);

SIZE(rn_augment_step, 48);
FIELD(rn_augment_step, kind, 0, 4);
FIELD(rn_augment_step, lane, 4, 4);
FIELD(rn_augment_step, level, 8, 4);
FIELD(rn_augment_step, in_height, 12, 4);
FIELD(rn_augment_step, in_width, 16, 4);
FIELD(rn_augment_step, top, 20, 4);
FIELD(rn_augment_step, left, 24, 4);
FIELD(rn_augment_step, down, 28, 4);
FIELD(rn_augment_step, across, 32, 4);
FIELD(rn_augment_step, height, 36, 4);
FIELD(rn_augment_step, width, 40, 4);
FIELD(rn_augment_step, threshold, 44, 4);

SIZE(rn_augment_params, 16);
FIELD(rn_augment_params, num_steps, 0, 8);
FIELD(rn_augment_params, steps, 8, 8);

SIZE(rn_loss_scale_params, 48);
FIELD(rn_loss_scale_params, growth, 0, 8);
FIELD(rn_loss_scale_params, backoff, 8, 8);
FIELD(rn_loss_scale_params, least, 16, 8);
FIELD(rn_loss_scale_params, most, 24, 8);
FIELD(rn_loss_scale_params, interval, 32, 8);
FIELD(rn_loss_scale_params, host_counts, 40, 4);
FIELD(rn_loss_scale_params, reserved, 44, 4);

SIZE(rn_step_metrics, 96); /* first released: at least 64 */
FIELD(rn_step_metrics, loss_sum, 0, 8);
FIELD(rn_step_metrics, last_loss, 8, 8);
FIELD(rn_step_metrics, grad_norm, 16, 8);
FIELD(rn_step_metrics, count, 24, 8);
FIELD(rn_step_metrics, correct, 32, 8);
FIELD(rn_step_metrics, steps, 40, 8);
FIELD(rn_step_metrics, nonfinite, 48, 8);
FIELD(rn_step_metrics, step_nonfinite, 56, 8);
FIELD(rn_step_metrics, loss_scale, 64, 8);
FIELD(rn_step_metrics, good_steps, 72, 8);
FIELD(rn_step_metrics, skipped, 80, 8);
FIELD(rn_step_metrics, uncounted, 88, 8);

SIZE(rn_op, 72);
FIELD(rn_op, struct_size, 0, 8);
FIELD(rn_op, kind, 8, 4);
FIELD(rn_op, flags, 12, 4);
FIELD(rn_op, in, 16, 8);
FIELD(rn_op, out, 24, 8);
FIELD(rn_op, num_in, 32, 4);
FIELD(rn_op, num_out, 36, 4);
FIELD(rn_op, params, 40, 8);
FIELD(rn_op, params_size, 48, 8);
FIELD(rn_op, path, 56, 8);
FIELD(rn_op, workspace, 64, 4);
FIELD(rn_op, reserved, 68, 4);

SIZE(rn_op_info, 40);
FIELD(rn_op_info, struct_size, 0, 8);
FIELD(rn_op_info, workspace, 8, 8);
FIELD(rn_op_info, out_bytes, 16, 8);
FIELD(rn_op_info, in_place, 24, 4);
FIELD(rn_op_info, one_packing, 28, 4);
FIELD(rn_op_info, late, 32, 4);
FIELD(rn_op_info, reserved, 36, 4);

SIZE(rn_program_desc, 32);
FIELD(rn_program_desc, struct_size, 0, 8);
FIELD(rn_program_desc, values, 8, 8);
FIELD(rn_program_desc, ops, 16, 8);
FIELD(rn_program_desc, num_values, 24, 4);
FIELD(rn_program_desc, num_ops, 28, 4);

SIZE(rn_run, 72);
FIELD(rn_run, struct_size, 0, 8);
FIELD(rn_run, batch, 8, 8);
FIELD(rn_run, first_op, 16, 4);
FIELD(rn_run, num_ops, 20, 4);
FIELD(rn_run, base, 24, 8);
FIELD(rn_run, lr, 32, 8);
FIELD(rn_run, optimizer_step, 40, 8);
FIELD(rn_run, step, 48, 8);
FIELD(rn_run, seed, 56, 8);
FIELD(rn_run, grad_scale, 64, 8);

SIZE(rn_fault, 256);
FIELD(rn_fault, struct_size, 0, 8);
FIELD(rn_fault, status, 8, 4);
FIELD(rn_fault, reserved, 12, 4);
FIELD(rn_fault, message, 16, 240);

SIZE(rn_host_api, 64);
FIELD(rn_host_api, struct_size, 0, 8);
FIELD(rn_host_api, host, 8, 8);
FIELD(rn_host_api, alloc, 16, 8);
FIELD(rn_host_api, free, 24, 8);
FIELD(rn_host_api, log, 32, 8);
FIELD(rn_host_api, fail, 40, 8);
FIELD(rn_host_api, parallel, 48, 8);
FIELD(rn_host_api, num_threads, 56, 4);
FIELD(rn_host_api, reserved, 60, 4);

SIZE(rn_device_info, 232);
FIELD(rn_device_info, struct_size, 0, 8);
FIELD(rn_device_info, name, 8, 32);
FIELD(rn_device_info, description, 40, 160);
FIELD(rn_device_info, free_bytes, 200, 8);
FIELD(rn_device_info, total_bytes, 208, 8);
FIELD(rn_device_info, host_memory, 216, 4);
FIELD(rn_device_info, dlpack_type, 220, 4);
FIELD(rn_device_info, dlpack_id, 224, 4);
FIELD(rn_device_info, activation_layout, 228, 4);

SIZE(rn_backend, 216);
FIELD(rn_backend, struct_size, 0, 8);
FIELD(rn_backend, abi_major, 8, 4);
FIELD(rn_backend, abi_minor, 12, 4);
FIELD(rn_backend, name, 16, 8);
FIELD(rn_backend, version, 24, 8);
FIELD(rn_backend, device_count, 32, 8);
FIELD(rn_backend, device_open, 40, 8);
FIELD(rn_backend, device_close, 48, 8);
FIELD(rn_backend, device_info, 56, 8);
FIELD(rn_backend, memory_alloc, 64, 8);
FIELD(rn_backend, memory_free, 72, 8);
FIELD(rn_backend, copy_in, 80, 8);
FIELD(rn_backend, copy_out, 88, 8);
FIELD(rn_backend, copy, 96, 8);
FIELD(rn_backend, fill, 104, 8);
FIELD(rn_backend, queue_create, 112, 8);
FIELD(rn_backend, queue_destroy, 120, 8);
FIELD(rn_backend, queue_wait, 128, 8);
FIELD(rn_backend, op_query, 136, 8);
FIELD(rn_backend, program_create, 144, 8);
FIELD(rn_backend, program_run, 152, 8);
FIELD(rn_backend, program_destroy, 160, 8);
FIELD(rn_backend, op_run, 168, 8);
FIELD(rn_backend, memory_discard, 176, 8);
FIELD(rn_backend, mark_create, 184, 8);
FIELD(rn_backend, mark_destroy, 192, 8);
FIELD(rn_backend, mark_record, 200, 8);
FIELD(rn_backend, mark_elapsed, 208, 8);

/* resnet/zoo.h */
SIZE(rn_zoo_options, 32);
FIELD(rn_zoo_options, struct_size, 0, 8);
FIELD(rn_zoo_options, flags, 8, 8);
FIELD(rn_zoo_options, classes, 16, 8);
FIELD(rn_zoo_options, in_channels, 24, 8);

AT_LEAST(rn_cifar_resnet_options, 48);
FIELD(rn_cifar_resnet_options, struct_size, 0, 8);
FIELD(rn_cifar_resnet_options, flags, 8, 8);
FIELD(rn_cifar_resnet_options, depth, 16, 8);
FIELD(rn_cifar_resnet_options, classes, 24, 8);
FIELD(rn_cifar_resnet_options, in_channels, 32, 8);
FIELD(rn_cifar_resnet_options, shortcut, 40, 4);
FIELD(rn_cifar_resnet_options, init, 44, 4);
FIELD(rn_cifar_resnet_options, width, 48, 8);

SIZE(rn_resnet_options, 112);
FIELD(rn_resnet_options, struct_size, 0, 8);
FIELD(rn_resnet_options, flags, 8, 8);
FIELD(rn_resnet_options, depth, 16, 8);
FIELD(rn_resnet_options, blocks, 24, 32);
FIELD(rn_resnet_options, classes, 56, 8);
FIELD(rn_resnet_options, in_channels, 64, 8);
FIELD(rn_resnet_options, width, 72, 8);
FIELD(rn_resnet_options, groups, 80, 8);
FIELD(rn_resnet_options, width_per_group, 88, 8);
FIELD(rn_resnet_options, block, 96, 4);
FIELD(rn_resnet_options, shortcut, 100, 4);
FIELD(rn_resnet_options, init, 104, 4);
FIELD(rn_resnet_options, reserved, 108, 4);

#endif

int main(void)
{
    return 0;
}
