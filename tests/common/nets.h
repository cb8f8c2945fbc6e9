/* SPDX-License-Identifier: MIT */
/* Small nets that several tests share. */
#ifndef TEST_NETS_H
#define TEST_NETS_H

#include <resnet/resnet.h>

/* Builders return NULL on failure (see rn_error_message()) and take over the references of layers they are given. */
rn_layer *net_conv(rn_context *ctx, int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t groups,
                   int32_t bias);
rn_layer *net_bn(rn_context *ctx, int64_t channels);
rn_layer *net_linear(rn_context *ctx, int64_t in, int64_t out);
rn_layer *net_relu(rn_context *ctx);
rn_layer *net_dropout(rn_context *ctx, double p);
rn_layer *net_pool(rn_context *ctx, int average, int64_t kernel, int64_t stride, int64_t padding, uint64_t flags);
rn_layer *net_pad_shortcut(rn_context *ctx, int64_t stride, int64_t before, int64_t after);
/* A sequential of children named by their index. */
rn_layer *net_chain(rn_context *ctx, size_t count, rn_layer *const *children);
/* conv, BN, ReLU, conv, BN and a shortcut (NULL: the identity). */
rn_layer *net_block(rn_context *ctx, int64_t in, int64_t out, int64_t stride, rn_layer *shortcut, uint64_t flags);
/* A block with a projection of that kernel as its shortcut. */
rn_layer *net_projected(rn_context *ctx, int64_t in, int64_t out, int64_t kernel);
/* Stem, two blocks, dropout (when p > 0), global average pooling and a linear layer, for images of 3 channels. */
rn_layer *net_small(rn_context *ctx, int64_t classes, double p);

typedef struct net_case {
    const char *name;
    rn_layer *(*build)(rn_context *ctx);
    int32_t rank;
    int64_t dims[4];
    int random; /* another mask at each forward */
} net_case;

/* Each kind of layer, of residual block, and small nets; ends with a NULL name. */
extern const net_case net_cases[];

/*
 * Writes weights and buffers anew: multiples of 2^-12, so that a step of 2^-19 from them is exact in float; BN away
 * from 1 and 0.
 */
rn_status net_fill(rn_model *m, uint64_t seed);
/* n distinct numbers in (-1, 1) in a mixed order, none nearer to 0 or to another than 1/n. */
void net_input(double *x, size_t n, uint64_t seed);
/* Uniform in [0, 1); advances the state. */
double net_random(uint64_t *state);

#endif
