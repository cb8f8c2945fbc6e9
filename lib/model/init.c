/* SPDX-License-Identifier: MIT */
#include "model/init.h"
#include "base/rng.h"
#include "model/model.h"

/* Four values from one Philox block. */
static void draw4(const rni_state_decl *decl, const uint32_t bits[4], float out[4])
{
    if (decl->fill == RNI_FILL_UNIFORM) {
        for (int i = 0; i < 4; i++)
            out[i] = (float)((2.0 * (double)rni_uniform(bits[i]) - 1.0) * decl->amount);
        return;
    }
    double pair[2];
    for (int i = 0; i < 4; i += 2) {
        rni_normal(bits[i], bits[i + 1], pair);
        out[i] = (float)(pair[0] * decl->amount);
        out[i + 1] = (float)(pair[1] * decl->amount);
    }
}

void rni_init_values(uint64_t seed, uint32_t index, const rni_state_decl *decl, float *out, int64_t count)
{
    for (int64_t e = 0; e < count; e += 4) {
        float four[4] = {(float)decl->amount, (float)decl->amount, (float)decl->amount, (float)decl->amount};
        if (decl->fill != RNI_FILL_CONSTANT) {
            uint32_t bits[4];
            rni_philox(seed, RNI_STREAM_INIT, 0, index, (uint32_t)(e / 4), bits);
            draw4(decl, bits, four);
        }
        for (int64_t i = 0; i < 4 && e + i < count; i++)
            out[e + i] = four[i];
    }
}

/* Fills one entry through host memory. */
static rn_status init_state(rn_model *m, size_t index, uint64_t seed)
{
    rni_state *const s = &m->states[index];
    rni_state_decl decls[RNI_MAX_STATES];
    s->layer->cls->states(s->layer, decls);
    const rni_state_decl *const decl = &decls[s->slot];
    if (decl->dtype == RN_I64) {
        const int64_t value = (int64_t)decl->amount;
        return rn_tensor_write(s->value, &value, sizeof value);
    }
    const size_t nbytes = rn_tensor_nbytes(s->value);
    float *const values = rni_alloc(&m->ctx->allocator, nbytes);
    if (!values)
        return rni_nomem("initial weights", nbytes);
    rni_init_values(seed, (uint32_t)index, decl, values, rn_tensor_count(s->value));
    const rn_status status = rn_tensor_write(s->value, values, nbytes);
    rni_free(&m->ctx->allocator, values);
    return status;
}

rn_status rn_model_reset_statistics(rn_model *m)
{
    RNI_REQUIRE(m);
    for (size_t i = 0; i < m->num_states; i++)
        if (m->states[i].kind == RN_STATE_BUFFER)
            RNI_TRY(init_state(m, i, 0)); /* constants: the seed has no say */
    return RN_OK;
}

rn_status rn_model_init(rn_model *m, uint64_t seed)
{
    RNI_REQUIRE(m);
    for (size_t i = 0; i < m->num_states; i++)
        RNI_TRY(init_state(m, i, seed));
    return RN_OK;
}
