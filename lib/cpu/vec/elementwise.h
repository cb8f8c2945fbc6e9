/* SPDX-License-Identifier: MIT */
/* Flat arrays of activations. */

static void relu(void *vy, const void *vx, size_t n)
{
    elem *const y = vy;
    const elem *const x = vx;
    for (size_t i = 0; i < n; i += LANES)
        e_store_n(y + i, v_relu(e_load_n(x + i, n - i)), n - i);
}

static void relu_backward(void *vdx, const void *vdy, const void *vy, size_t n)
{
    elem *const dx = vdx;
    const elem *const dy = vdy, *const y = vy;
    for (size_t i = 0; i < n; i += LANES)
        e_store_n(dx + i, v_where_positive(e_load_n(y + i, n - i), e_load_n(dy + i, n - i)), n - i);
}

static void add(void *vy, const void *va, const void *vb, size_t n, int with_relu)
{
    elem *const y = vy;
    const elem *const a = va, *const b = vb;
    if (with_relu) {
        for (size_t i = 0; i < n; i += LANES)
            e_store_n(y + i, v_relu(v_add(e_load_n(a + i, n - i), e_load_n(b + i, n - i))), n - i);
    } else {
        for (size_t i = 0; i < n; i += LANES)
            e_store_n(y + i, v_add(e_load_n(a + i, n - i), e_load_n(b + i, n - i)), n - i);
    }
}
