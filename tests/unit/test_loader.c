/* SPDX-License-Identifier: MIT */
/* Loaders: which batches they give, whatever the number of workers; position, shards, errors, ending. */
#include "data_support.h"
#include "backend/context.h"
#include "base/rng.h"
#include "data/data.h"
#include "plan/plan.h"
#include "tensor/tensor.h"
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>

enum { COUNT = 23, SIDE = 6, PIXELS = 3 * SIDE * SIDE };

typedef struct fixture {
    rn_context *ctx;
    rn_device *cpu;
    rn_dataset *ds;
    rn_transform *t;
} fixture;

static fixture begin(void)
{
    fixture f;
    f.ctx = support_context(&f.cpu);
    f.ds = test_images(f.cpu, COUNT, 3, SIDE, 10);
    ck_ok(rn_transform_create(f.ctx, &f.t));
    ck_ok(rn_transform_random_crop(f.t, 2, 0, 0));
    ck_ok(rn_transform_random_hflip(f.t, 0.5));
    return f;
}

static void end(fixture *f)
{
    rn_transform_release(f->t);
    rn_dataset_release(f->ds);
    rn_context_release(f->ctx);
}

static rn_loader *make(const fixture *f, uint64_t flags, int64_t batch, int32_t workers, int32_t prefetch)
{
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    rn_loader *l = NULL;
    o.flags = flags, o.batch = batch, o.workers = workers, o.prefetch = prefetch, o.transform = f->t;
    ck_ok(rn_loader_create(f->ds, &o, &l));
    return l;
}

/* A batch as numbers that tests can keep. */
typedef struct seen {
    int64_t count;
    int64_t labels[COUNT];
    float images[COUNT * PIXELS];
} seen;

static rn_status look(rn_loader *l, seen *s)
{
    rn_tensor *images = NULL, *labels = NULL;
    const rn_status status = rn_loader_next(l, &images, &labels);
    memset(s, 0, sizeof *s);
    if (status != RN_OK)
        return status;
    s->count = rn_tensor_dim(images, 0);
    ck_assert_int_eq(rn_tensor_dtype(images), RN_F32);
    ck_assert_int_eq(rn_tensor_dim(labels, 0), s->count);
    ck_ok(rn_tensor_read(images, s->images, (size_t)s->count * PIXELS * sizeof(float)));
    ck_ok(rn_tensor_read(labels, s->labels, (size_t)s->count * sizeof(int64_t)));
    return RN_OK;
}

/* Both loaders give the same for some epochs. */
static void expect_equal(rn_loader *a, rn_loader *b, int epochs)
{
    static seen x, y;
    for (int ends = 0; ends < epochs;) {
        const rn_status status = look(a, &x);
        ck_assert_int_eq(look(b, &y), status);
        ck_assert_int_eq(memcmp(&x, &y, sizeof x), 0);
        ends += status == RN_END;
    }
}

START_TEST(in_order)
{
    fixture f = begin();
    static seen s;
    rn_transform_release(f.t);
    f.t = NULL;
    rn_loader *const l = make(&f, 0, 5, 1, 2);
    ck_assert_int_eq(rn_loader_batches(l), 5);
    for (int epoch = 0; epoch < 2; epoch++) {
        int64_t n = 0;
        while (look(l, &s) == RN_OK)
            for (int64_t i = 0; i < s.count; i++, n++) {
                ck_assert_int_eq(s.labels[i], n % 10);
                for (int64_t j = 0; j < PIXELS; j++)
                    ck_assert(s.images[i * PIXELS + j] ==
                              (float)test_pixel(n, j / (SIDE * SIDE), j / SIDE % SIDE, j % SIDE) / 255.0f);
            }
        ck_assert_int_eq(n, COUNT);
    }
    rn_loader_release(l);
    end(&f);
}
END_TEST

START_TEST(shuffled)
{
    fixture f = begin();
    static seen s;
    int64_t order[COUNT], previous[COUNT] = {0};
    rn_loader *const l = make(&f, RN_LOADER_SHUFFLE, 5, 1, 2);
    for (uint32_t epoch = 0; epoch < 3; epoch++) {
        int64_t n = 0;
        rni_permutation(7, epoch, COUNT, order); /* the context's seed */
        while (look(l, &s) == RN_OK)
            for (int64_t i = 0; i < s.count; i++, n++)
                ck_assert_int_eq(s.labels[i], order[n] % 10);
        ck_assert_int_eq(n, COUNT);
        ck_assert_int_ne(memcmp(order, previous, sizeof order), 0);
        memcpy(previous, order, sizeof order);
    }
    rn_loader_release(l);
    end(&f);
}
END_TEST

START_TEST(drop_last)
{
    fixture f = begin();
    static seen s;
    rn_loader *l = make(&f, RN_LOADER_DROP_LAST, 5, 1, 2);
    ck_assert_int_eq(rn_loader_batches(l), 4);
    for (int i = 0; i < 4; i++) {
        ck_ok(look(l, &s));
        ck_assert_int_eq(s.count, 5);
    }
    ck_assert_int_eq(look(l, &s), RN_END);
    ck_ok(look(l, &s));
    rn_loader_release(l);
    l = make(&f, 0, 5, 1, 2);
    ck_ok(rn_loader_seek(l, 0, 4));
    ck_ok(look(l, &s));
    ck_assert_int_eq(s.count, 3);
    rn_loader_release(l);
    l = make(&f, 0, 1000, 1, 2);
    ck_assert_int_eq(rn_loader_batches(l), 1);
    ck_ok(look(l, &s));
    ck_assert_int_eq(s.count, COUNT);
    ck_assert_int_eq(look(l, &s), RN_END);
    rn_loader_release(l);
    for (int32_t workers = 0; workers < 2; workers++) {
        l = make(&f, RN_LOADER_DROP_LAST, 1000, workers, 2);
        ck_assert_int_eq(rn_loader_batches(l), 0);
        ck_assert_int_eq(look(l, &s), RN_END);
        ck_assert_int_eq(look(l, &s), RN_END);
        rn_loader_release(l);
    }
    end(&f);
}
END_TEST

START_TEST(same_with_any_workers)
{
    static const int32_t settings[][2] = {{0, 1}, {1, 1}, {1, 3}, {3, 1}, {3, 2}, {3, 9}, {2, 40}};
    fixture f = begin();
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        rn_loader *const a = make(&f, RN_LOADER_SHUFFLE, 4, 0, 1);
        rn_loader *const b = make(&f, RN_LOADER_SHUFFLE, 4, settings[i][0], settings[i][1]);
        expect_equal(a, b, 4);
        rn_loader_release(a);
        rn_loader_release(b);
    }
    end(&f);
}
END_TEST

/* What an image becomes depends on epoch and index, not on the batch it is in. */
START_TEST(same_in_any_batch)
{
    fixture f = begin();
    static seen whole, s;
    rn_loader *const a = make(&f, RN_LOADER_SHUFFLE, COUNT, 1, 1), *const b = make(&f, RN_LOADER_SHUFFLE, 4, 2, 2);
    for (int epoch = 0; epoch < 2; epoch++) {
        int64_t n = 0;
        ck_ok(look(a, &whole));
        while (look(b, &s) == RN_OK) {
            ck_assert_int_eq(memcmp(whole.images + n * PIXELS, s.images, (size_t)s.count * PIXELS * sizeof(float)), 0);
            n += s.count;
        }
        ck_assert_int_eq(n, COUNT);
        ck_assert_int_eq(look(a, &s), RN_END);
    }
    rn_loader_release(a);
    rn_loader_release(b);
    end(&f);
}
END_TEST

START_TEST(seek_is_exact)
{
    fixture f = begin();
    static seen s;
    int64_t epoch = -1, batch = -1;
    for (int32_t workers = 0; workers < 4; workers += 3) {
        for (int64_t steps = 0; steps < 15; steps++) {
            rn_loader *const a = make(&f, RN_LOADER_SHUFFLE, 4, workers, 3);
            rn_loader *const b = make(&f, RN_LOADER_SHUFFLE, 4, workers, 3);
            ck_ok(look(b, &s)); /* b has been elsewhere */
            for (int64_t i = 0; i < steps; i++)
                look(a, &s);
            ck_ok(rn_loader_position(a, &epoch, &batch));
            ck_assert_int_eq(epoch, steps / 7); /* six batches and the end */
            ck_assert_int_eq(batch, steps % 7);
            ck_ok(rn_loader_seek(b, epoch, batch));
            expect_equal(a, b, 2);
            rn_loader_release(a);
            rn_loader_release(b);
        }
    }
    rn_loader *const l = make(&f, 0, 4, 1, 1);
    ck_fails(rn_loader_seek(l, 0, 7), RN_E_INVALID, "batch: expected 0 to 6, got 7");
    ck_fails(rn_loader_seek(l, 0, -1), RN_E_INVALID, "batch");
    ck_fails(rn_loader_seek(l, -1, 0), RN_E_INVALID, "epoch");
    ck_ok(rn_loader_position(l, &epoch, &batch));
    ck_assert_int_eq(epoch + batch, 0);
    ck_ok(rn_loader_seek(l, 4, 6));
    ck_assert_int_eq(look(l, &s), RN_END);
    ck_ok(rn_loader_position(l, &epoch, &batch));
    ck_assert_int_eq(epoch, 5);
    ck_assert_int_eq(batch, 0);
    rn_loader_release(l);
    end(&f);
}
END_TEST

/* Three shards have each image of the epoch's order once. */
START_TEST(shards)
{
    fixture f = begin();
    static seen s;
    int64_t order[COUNT], expected[3] = {8, 8, 7};
    for (uint32_t epoch = 0; epoch < 2; epoch++)
        for (int64_t shard = 0; shard < 3; shard++) {
            rn_loader_options o = RN_LOADER_OPTIONS_INIT;
            rn_loader *l = NULL;
            int64_t n = 0;
            o.flags = RN_LOADER_SHUFFLE, o.batch = 3, o.shard = shard, o.num_shards = 3;
            ck_ok(rn_loader_create(f.ds, &o, &l));
            ck_ok(rn_loader_seek(l, epoch, 0));
            rni_permutation(7, epoch, COUNT, order);
            for (; look(l, &s) == RN_OK; n += s.count)
                for (int64_t i = 0; i < s.count; i++)
                    ck_assert_int_eq(s.labels[i], order[shard + (n + i) * 3] % 10);
            ck_assert_int_eq(n, expected[shard]);
            rn_loader_release(l);
        }
    end(&f);
}
END_TEST

/* A dataset of the host's that fails, gives a bad label, or takes its time. */
typedef struct host {
    atomic_int failing, slow, reads;
    rn_status status;
    int64_t slowest; /* an image that takes long; 0: none */
} host;

static rn_status host_read(void *user, int64_t index, void *image, int64_t *label)
{
    host *const h = user;
    const struct timespec moment = {0, 2000000}, long_moment = {0, 60000000};
    atomic_fetch_add(&h->reads, 1);
    if (atomic_load(&h->slow))
        nanosleep(index && index == h->slowest ? &long_moment : &moment, NULL);
    memset(image, (int)index, 4);
    *label = index == 9 && h->status == RN_OK && atomic_load(&h->failing) ? 77 : index % 3;
    return index == 9 && atomic_load(&h->failing) ? h->status : RN_OK;
}

static rn_dataset *host_dataset(rn_context *ctx, host *h)
{
    const rn_dataset_vtable vt = {sizeof vt, host_read, NULL};
    rn_dataset_info info = RN_DATASET_INFO_INIT;
    rn_dataset *ds = NULL;
    info.count = 20, info.classes = 3, info.channels = 1, info.height = info.width = 2;
    ck_ok(rn_custom_dataset_create(ctx, &vt, h, &info, &ds));
    return ds;
}

START_TEST(errors_arrive)
{
    fixture f = begin();
    for (int32_t workers = 0; workers < 4; workers++) {
        host h = {1, 0, 0, workers % 2 ? RN_E_USER : RN_OK, 0};
        rn_dataset *const ds = host_dataset(f.ctx, &h);
        rn_loader_options o = RN_LOADER_OPTIONS_INIT;
        rn_loader *l = NULL;
        rn_tensor *images = NULL, *labels = NULL;
        int64_t epoch = -1, batch = -1;
        o.batch = 4, o.workers = workers, o.prefetch = 3;
        ck_ok(rn_loader_create(ds, &o, &l));
        ck_ok(rn_loader_next(l, &images, &labels));
        ck_ok(rn_loader_next(l, &images, &labels));
        rn_tensor *const before = images;
        for (int i = 0; i < 3; i++) {
            if (workers % 2)
                ck_fails(rn_loader_next(l, &images, &labels), RN_E_USER, "image 9 failed with RN_E_USER");
            else
                ck_fails(rn_loader_next(l, &images, &labels), RN_E_INVALID, "label of image 9: expected 0 to 2, got 77");
            ck_assert_ptr_eq(images, before);
            ck_ok(rn_loader_position(l, &epoch, &batch));
            ck_assert_int_eq(batch, 2);
        }
        ck_ok(rn_loader_seek(l, 0, 3)); /* past it */
        ck_ok(rn_loader_next(l, &images, &labels));
        ck_assert_int_eq(((int64_t *)rn_tensor_data(labels))[0], 12 % 3);
        ck_ok(rn_loader_seek(l, 0, 2));
        ck_fails(rn_loader_next(l, &images, &labels), workers % 2 ? RN_E_USER : RN_E_INVALID, "image 9");
        atomic_store(&h.failing, 0); /* the same batch again */
        ck_ok(rn_loader_next(l, &images, &labels));
        ck_assert_int_eq(((int64_t *)rn_tensor_data(labels))[1], 0);
        ck_assert(((float *)rn_tensor_data(images))[4] == 9.0f / 255.0f);
        rn_loader_release(l);
        rn_dataset_release(ds);
    }
    end(&f);
}
END_TEST

/* Released, or sent elsewhere, while workers are at work. */
START_TEST(ends_while_busy)
{
    fixture f = begin();
    for (int i = 0; i < 12; i++) {
        host h = {0, 1, 0, RN_OK, 0};
        rn_dataset *const ds = host_dataset(f.ctx, &h);
        rn_loader_options o = RN_LOADER_OPTIONS_INIT;
        rn_loader *l = NULL;
        rn_tensor *images = NULL, *labels = NULL;
        o.batch = 4, o.workers = 3, o.prefetch = 6;
        ck_ok(rn_loader_create(ds, &o, &l));
        rn_dataset_release(ds);
        for (int j = 0; j < i % 4; j++)
            ck_ok(rn_loader_next(l, &images, &labels));
        if (i % 3 == 1) {
            ck_ok(rn_loader_seek(l, 2, 1));
            for (int batch = 1; batch < 5; batch++) {
                ck_ok(rn_loader_next(l, &images, &labels));
                for (int n = 0; n < 4; n++)
                    ck_assert(((float *)rn_tensor_data(images))[4 * n] == (float)(4 * batch + n) / 255.0f);
            }
        }
        rn_loader_release(l);
        const int reads = atomic_load(&h.reads);
        const struct timespec moment = {0, 10000000};
        nanosleep(&moment, NULL);
        ck_assert_int_eq(atomic_load(&h.reads), reads); /* nobody reads on */
    }
    end(&f);
}
END_TEST

/* A worker that is in the middle of a batch when the loader is sent elsewhere does not write into a later one. */
START_TEST(seek_leaves_nothing_behind)
{
    fixture f = begin();
    host h = {0, 1, 0, RN_OK, 8};
    rn_dataset *const ds = host_dataset(f.ctx, &h);
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    rn_loader *l = NULL;
    rn_tensor *images = NULL, *labels = NULL;
    o.batch = 4, o.workers = 3, o.prefetch = 6;
    ck_ok(rn_loader_create(ds, &o, &l));
    ck_ok(rn_loader_next(l, &images, &labels)); /* image 8 is being read */
    ck_ok(rn_loader_seek(l, 0, 1));
    for (int batch = 1; batch < 5; batch++) {
        ck_ok(rn_loader_next(l, &images, &labels));
        for (int n = 0; n < 4; n++)
            ck_assert(((float *)rn_tensor_data(images))[4 * n] == (float)(4 * batch + n) / 255.0f);
    }
    rn_loader_release(l);
    rn_dataset_release(ds);
    end(&f);
}
END_TEST

/* The host's batch is left alone while the next ones are made. */
START_TEST(borrowed_until_the_next_call)
{
    fixture f = begin();
    static seen s;
    const struct timespec moment = {0, 5000000};
    rn_loader *const l = make(&f, RN_LOADER_SHUFFLE, 4, 3, 2);
    for (int i = 0; i < 20; i++) {
        rn_tensor *images = NULL, *labels = NULL;
        if (rn_loader_next(l, &images, &labels) == RN_END)
            continue;
        memcpy(s.images, rn_tensor_data(images), rn_tensor_nbytes(images));
        memcpy(s.labels, rn_tensor_data(labels), rn_tensor_nbytes(labels));
        nanosleep(&moment, NULL);
        ck_assert_int_eq(memcmp(s.images, rn_tensor_data(images), rn_tensor_nbytes(images)), 0);
        ck_assert_int_eq(memcmp(s.labels, rn_tensor_data(labels), rn_tensor_nbytes(labels)), 0);
    }
    rn_loader_release(l);
    end(&f);
}
END_TEST

START_TEST(nothing_before_the_first_next)
{
    fixture f = begin();
    host h = {0, 0, 0, RN_OK, 0};
    rn_dataset *const ds = host_dataset(f.ctx, &h);
    const struct timespec moment = {0, 20000000};
    rn_loader *l = NULL;
    ck_ok(rn_loader_create(ds, NULL, &l));
    nanosleep(&moment, NULL);
    ck_assert_int_eq(atomic_load(&h.reads), 0);
    rn_loader_release(l);
    rn_dataset_release(ds);
    end(&f);
}
END_TEST

/* A child of fork() has no workers: an error, not a hang, and it can release the loader. */
START_TEST(forked_child)
{
    fixture f = begin();
    static seen s;
    rn_loader *const l = make(&f, 0, 4, 2, 2);
    ck_ok(look(l, &s));
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        rn_tensor *images = NULL, *labels = NULL;
        const int ok = rn_loader_next(l, &images, &labels) == RN_E_STATE && rn_loader_seek(l, 0, 0) == RN_E_STATE;
        rn_loader_release(l);
        _exit(ok ? 0 : 1);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_ok(look(l, &s));
    rn_loader_release(l);
    end(&f);
}
END_TEST

static rn_plan *plan_for(rn_model *m, int64_t batch, rn_dtype dtype)
{
    rn_plan_options o = RN_PLAN_OPTIONS_INIT;
    rn_plan *p = NULL;
    o.input_dims[0] = batch, o.input_dims[1] = 3, o.input_dims[2] = o.input_dims[3] = SIDE + 2;
    o.compute_dtype = dtype;
    ck_ok(rn_plan_create(m, &o, &p));
    return p;
}

/* A plan's logits are the same bits from its own layout and from plain tensors. */
START_TEST(in_a_plans_layout)
{
    fixture f = begin();
    rn_layer *const net = support_net(f.ctx, 3, 10);
    rn_model *m = NULL;
    const int64_t dims[2] = {4, 10};
    ck_ok(rn_model_create(f.ctx, net, f.cpu, &m));
    rn_transform_release(f.t);
    ck_ok(rn_transform_create(f.ctx, &f.t));
    ck_ok(rn_transform_random_crop(f.t, 3, SIDE + 2, SIDE + 2));
    static const rn_dtype dtypes[] = {RN_F32, RN_F64, RN_BF16};
    for (int d = 0; d < 3; d++) {
        const rn_dtype dtype = dtypes[d], outside = dtype == RN_BF16 ? RN_F32 : dtype;
        rn_plan *const p = plan_for(m, 4, dtype);
        rn_loader_options o = RN_LOADER_OPTIONS_INIT;
        rn_loader *a = NULL, *b = NULL;
        rn_tensor *images[2], *labels[2], *y[2] = {NULL, NULL}, *wide = NULL;
        o.batch = 4, o.transform = f.t;
        ck_ok(rn_loader_create(f.ds, &o, &a));
        o.plan = p;
        ck_ok(rn_loader_create(f.ds, &o, &b));
        for (int i = 0; i < 2; i++)
            ck_ok(rn_tensor_create(f.cpu, outside, 2, dims, &y[i]));
        for (int n = 0; n < 5; n++) {
            ck_ok(rn_loader_next(a, &images[0], &labels[0]));
            ck_ok(rn_loader_next(b, &images[1], &labels[1]));
            int32_t layout = -1, rank = 0;
            rn_dtype made = 0;
            int64_t input[RN_MAX_RANK];
            ck_ok(rni_plan_input_layout(p, &layout, &made, &rank, input));
            ck_assert_int_eq(images[1]->layout, layout);
            ck_assert_int_eq(rn_tensor_dtype(images[1]), dtype);
            ck_ok(rn_tensor_create(f.cpu, outside, 4, images[0]->dims, &wide));
            ck_ok(rn_tensor_copy(images[0], wide));
            ck_ok(rn_plan_forward(p, wide, y[0]));
            ck_ok(rn_plan_forward(p, images[1], y[1]));
            ck_assert_int_eq(memcmp(rn_tensor_data(y[0]), rn_tensor_data(y[1]), rn_tensor_nbytes(y[0])), 0);
            ck_assert_int_eq(memcmp(rn_tensor_data(labels[0]), rn_tensor_data(labels[1]), 32), 0);
            rn_tensor_release(wide);
        }
        for (int i = 0; i < 2; i++)
            rn_tensor_release(y[i]);
        rn_loader_release(a);
        rn_loader_release(b);
        o.batch = 5;
        b = NULL;
        ck_fails(rn_loader_create(f.ds, &o, &b), RN_E_SHAPE, "reads [4, 3, 8, 8], but the loader makes [5, 3, 8, 8]");
        o.batch = 4, o.transform = NULL;
        ck_fails(rn_loader_create(f.ds, &o, &b), RN_E_SHAPE, "the loader makes [4, 3, 6, 6]");
        ck_assert_ptr_null(b);
        rn_plan_release(p);
    }
    rn_model_release(m);
    rn_layer_release(net);
    end(&f);
}
END_TEST

/* Memory the host cannot address: batches are sent to it. The CPU plays the part. */
START_TEST(on_a_device)
{
    fixture f = begin();
    static seen x, y;
    rn_loader *const a = make(&f, RN_LOADER_SHUFFLE, 4, 2, 2);
    f.cpu->info.host_memory = 0;
    rn_loader *const b = make(&f, RN_LOADER_SHUFFLE, 4, 2, 2);
    for (int i = 0; i < 6; i++) {
        rn_tensor *images = NULL, *labels = NULL;
        f.cpu->info.host_memory = 1;
        ck_ok(look(a, &x));
        f.cpu->info.host_memory = 0;
        ck_ok(rn_loader_next(b, &images, &labels));
        f.cpu->info.host_memory = 1;
        memset(&y, 0, sizeof y);
        y.count = rn_tensor_dim(images, 0);
        ck_ok(rn_tensor_read(images, y.images, (size_t)y.count * PIXELS * sizeof(float)));
        ck_ok(rn_tensor_read(labels, y.labels, (size_t)y.count * sizeof(int64_t)));
        ck_assert_int_eq(memcmp(&x, &y, sizeof x), 0);
    }
    rn_loader_release(a);
    f.cpu->info.host_memory = 0;
    rn_loader_release(b);
    f.cpu->info.host_memory = 1;
    end(&f);
}
END_TEST

/* The same in the layout that a plan reads. */
START_TEST(in_a_plans_layout_on_a_device)
{
    fixture f = begin();
    rn_layer *const net = support_net(f.ctx, 3, 10);
    rn_model *m = NULL;
    rn_loader *here = NULL, *there = NULL;
    rn_tensor *x[2], *y[2];
    static float values[2][4 * 3 * (SIDE + 2) * (SIDE + 2)];
    ck_ok(rn_model_create(f.ctx, net, f.cpu, &m));
    rn_plan *const p = plan_for(m, 4, RN_F32);
    rn_transform_release(f.t);
    ck_ok(rn_transform_create(f.ctx, &f.t));
    ck_ok(rn_transform_random_crop(f.t, 3, SIDE + 2, SIDE + 2));
    rn_loader_options o = RN_LOADER_OPTIONS_INIT;
    o.batch = 4, o.transform = f.t, o.plan = p, o.workers = 0;
    ck_ok(rn_loader_create(f.ds, &o, &here));
    f.cpu->info.host_memory = 0;
    ck_ok(rn_loader_create(f.ds, &o, &there));
    for (int n = 0; n < 3; n++) {
        f.cpu->info.host_memory = 1;
        ck_ok(rn_loader_next(here, &x[0], &y[0]));
        f.cpu->info.host_memory = 0;
        ck_ok(rn_loader_next(there, &x[1], &y[1]));
        for (int i = 0; i < 2; i++)
            ck_ok(rn_tensor_read(x[i], values[i], sizeof values[i]));
        ck_assert_int_eq(memcmp(values[0], values[1], sizeof values[0]), 0);
    }
    rn_loader_release(there);
    f.cpu->info.host_memory = 1;
    rn_loader_release(here);
    rn_plan_release(p);
    rn_model_release(m);
    rn_layer_release(net);
    end(&f);
}
END_TEST

static char *identity(const fixture *f, const rn_loader_options *o)
{
    rni_text text = {.allocator = &f->ctx->allocator};
    rn_loader *l = NULL;
    ck_ok(rn_loader_create(f->ds, o, &l));
    ck_ok(rni_loader_identity(l, &text));
    char *const copy = strdup(text.data);
    rni_text_free(&text);
    rn_loader_release(l);
    return copy;
}

/* The identity changes with whatever changes batches, and with nothing else. */
START_TEST(identities)
{
    fixture f = begin();
    rn_loader_options base = RN_LOADER_OPTIONS_INIT;
    base.transform = f.t;
    char *const expected = identity(&f, &base);
    rn_loader_options o[12];
    for (int i = 0; i < 12; i++)
        o[i] = base;
    o[0].workers = 3, o[0].prefetch = 5, o[0].seed = 7; /* the context's seed */
    o[1].batch = 64;
    o[2].seed = 8;
    o[3].flags = RN_LOADER_SHUFFLE;
    o[4].flags = RN_LOADER_DROP_LAST;
    o[5].num_shards = 2;
    o[6].num_shards = 2, o[6].shard = 1;
    o[7].transform = NULL;
    o[8].mixup_alpha = 0.2;
    o[9].cutmix_alpha = 0.2;
    o[10].mixup_alpha = 0.2, o[10].mix_probability = 0.5;
    o[11].mixup_alpha = 0.2, o[11].cutmix_share = 0.25;
    char *texts[12];
    for (int i = 0; i < 12; i++)
        texts[i] = identity(&f, &o[i]);
    ck_assert_str_eq(texts[0], expected);
    for (int i = 1; i < 12; i++)
        for (int j = 0; j < i; j++)
            ck_assert_str_ne(texts[i], texts[j]);
    ck_ok(rn_transform_random_hflip(f.t, 0.1));
    char *const more = identity(&f, &base);
    ck_assert_ptr_nonnull(strstr(more, "hflip 0.10000000000000001"));
    rn_dataset_release(f.ds);
    f.ds = test_images(f.cpu, COUNT, 3, SIDE, 5);
    base.transform = NULL;
    char *const other = identity(&f, &base);
    ck_assert_str_ne(other, texts[7]);
    for (int i = 0; i < 12; i++)
        free(texts[i]);
    free(expected);
    free(more);
    free(other);
    end(&f);
}
END_TEST

START_TEST(refused_options)
{
    fixture f = begin();
    const rn_loader_options good = RN_LOADER_OPTIONS_INIT;
    rn_loader_options o = good;
    rn_loader *l = NULL;
    int64_t x = 0;
    ck_fails(rn_loader_create(NULL, &o, &l), RN_E_INVALID, "ds is NULL");
    ck_fails(rn_loader_create(f.ds, &o, NULL), RN_E_INVALID, "out is NULL");
    o.batch = 0;
    ck_fails(rn_loader_create(f.ds, &o, &l), RN_E_INVALID, "options.batch: expected 1 or more, got 0");
    o = good, o.flags = 4;
    ck_fails(rn_loader_create(f.ds, &o, &l), RN_E_INVALID, "options.flags: unknown flag in 0x4");
    o = good, o.workers = -1;
    ck_fails(rn_loader_create(f.ds, &o, &l), RN_E_INVALID, "options.workers: expected 0 to 256, got -1");
    o = good, o.prefetch = 0;
    ck_fails(rn_loader_create(f.ds, &o, &l), RN_E_INVALID, "options.prefetch: expected 1 to 1024, got 0");
    o = good, o.num_shards = 0;
    ck_fails(rn_loader_create(f.ds, &o, &l), RN_E_INVALID, "options.num_shards");
    o = good, o.shard = 1;
    ck_fails(rn_loader_create(f.ds, &o, &l), RN_E_INVALID, "options.shard: expected 0 to 0, got 1");
    o = good, o.struct_size = 0;
    ck_fails(rn_loader_create(f.ds, &o, &l), RN_E_VERSION, "rn_loader_options");
    rn_device *other = NULL;
    rn_context *const another = support_context(&other);
    o = good, o.device = other;
    ck_fails(rn_loader_create(f.ds, &o, &l), RN_E_DEVICE, "another context");
    rn_context_release(another);
    ck_assert_ptr_null(l);
    ck_fails(rn_loader_next(NULL, NULL, NULL), RN_E_INVALID, "l is NULL");
    ck_fails(rn_loader_position(NULL, &x, &x), RN_E_INVALID, "l is NULL");
    ck_fails(rn_loader_seek(NULL, 0, 0), RN_E_INVALID, "l is NULL");
    ck_assert_int_eq(rn_loader_batches(NULL), 0);
    rn_loader_release(NULL);
    ck_assert_ptr_null(rn_loader_retain(NULL));
    end(&f);
}
END_TEST

SUPPORT_MAIN("loader", in_order, shuffled, drop_last, same_with_any_workers, same_in_any_batch, seek_is_exact, shards,
             errors_arrive, ends_while_busy, seek_leaves_nothing_behind, borrowed_until_the_next_call,
             nothing_before_the_first_next, forked_child, in_a_plans_layout, on_a_device, in_a_plans_layout_on_a_device, identities, refused_options)
