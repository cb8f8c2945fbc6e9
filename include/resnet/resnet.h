/* SPDX-License-Identifier: MIT */
/**
 * @file resnet.h
 * All of libresnet's public headers.
 */
#ifndef RESNET_RESNET_H
#define RESNET_RESNET_H

#include <resnet/base.h>
#include <resnet/checkpoint.h>
#include <resnet/context.h>
#include <resnet/data.h>
#include <resnet/device.h>
#include <resnet/ema.h>
#include <resnet/image.h>
#include <resnet/layer.h>
#include <resnet/loss.h>
#include <resnet/metrics.h>
#include <resnet/model.h>
#include <resnet/optimizer.h>
#include <resnet/plan.h>
#include <resnet/schedule.h>
#include <resnet/tensor.h>
#include <resnet/transform.h>
#include <resnet/zoo.h>

#endif
