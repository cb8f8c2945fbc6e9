/* SPDX-License-Identifier: MIT */
/*
 * The simulated module through its table, for what the library does not ask of it: several queues, programs that outlive a
 * queue, ops alone, copies of a device that is lost.
 *   test_table MODULE
 */
#include "simulated.h"
#include <resnet/sys/backend.h>

static const rn_backend *backend;
static char message[300];

static void *plain_alloc(void *host, size_t size, size_t align)
{
    void *memory = NULL;
    (void)host;
    return posix_memalign(&memory, align < 16 ? 16 : align, size) == 0 ? memory : NULL;
}

static void plain_free(void *host, void *memory, size_t size, size_t align)
{
    (void)host, (void)size, (void)align;
    free(memory);
}

static void no_log(void *host, int32_t level, const char *text)
{
    (void)host, (void)level, (void)text;
}

static rn_status keep_message(void *host, rn_status status, const char *text)
{
    (void)host;
    snprintf(message, sizeof message, "%s", text);
    return status;
}

static const rn_host_api host = {
    .struct_size = sizeof host, .alloc = plain_alloc, .free = plain_free, .log = no_log, .fail = keep_message};

static void *open_device(void)
{
    void *dev = NULL;
    ck_ok(backend->device_open(&host, 0, &dev));
    return dev;
}

static void *open_queue(void *dev)
{
    void *queue = NULL;
    ck_ok(backend->queue_create(dev, &queue));
    return queue;
}

/* A program: ReLU three times over, each of what the last gave. */
enum { COUNT = 1000, OPS = 3 };

static const uint32_t operands[OPS][2] = {{0, 1}, {1, 2}, {2, 3}};

static void fill_program(rn_value values[OPS + 1], rn_op ops[OPS], rn_program_desc *desc)
{
    for (uint32_t i = 0; i <= OPS; i++) {
        values[i] = (rn_value){.struct_size = sizeof *values,
                               .dtype = RN_F32,
                               .role = RN_ROLE_ARENA,
                               .rank = 2,
                               .dims = {1, COUNT},
                               .bytes = COUNT * sizeof(float),
                               .offset = i * 4096};
        if (i < OPS)
            ops[i] = (rn_op){.struct_size = sizeof *ops,
                             .kind = RN_OP_RELU,
                             .in = &operands[i][0],
                             .out = &operands[i][1],
                             .num_in = 1,
                             .num_out = 1,
                             .path = "net",
                             .workspace = RN_NO_VALUE};
    }
    *desc = (rn_program_desc){
        .struct_size = sizeof *desc, .values = values, .ops = ops, .num_values = OPS + 1, .num_ops = OPS};
}

typedef struct chain {
    rn_value values[OPS + 1];
    rn_op ops[OPS];
    rn_program_desc desc;
    void *dev, *program, *arena, *base[RN_ROLE_COUNT];
    float sent[COUNT];
} chain;

static void make_chain(void *dev, chain *c)
{
    *c = (chain){.dev = dev};
    fill_program(c->values, c->ops, &c->desc);
    ck_ok(backend->program_create(dev, &c->desc, &c->program));
    ck_ok(backend->memory_alloc(dev, (OPS + 1) * 4096, &c->arena));
    c->base[RN_ROLE_ARENA] = c->arena;
    for (int i = 0; i < COUNT; i++)
        c->sent[i] = (float)(i % 7 - 3);
}

static rn_status run_chain(chain *c, void *queue)
{
    const rn_run run = {.struct_size = sizeof run, .batch = 1, .num_ops = OPS, .base = c->base, .grad_scale = 1};
    const rn_status status = backend->copy_in(c->dev, queue, c->arena, c->sent, sizeof c->sent);
    return status == RN_OK ? backend->program_run(c->program, queue, &run) : status;
}

static void check_chain(chain *c, void *queue)
{
    float got[COUNT];
    ck_ok(backend->copy_out(c->dev, queue, got, (char *)c->arena + OPS * 4096, sizeof got));
    for (int i = 0; i < COUNT; i++)
        ck_assert(got[i] == (c->sent[i] > 0 ? c->sent[i] : 0));
}

static void free_chain(chain *c)
{
    backend->program_destroy(c->program);
    backend->memory_free(c->dev, c->arena, (OPS + 1) * 4096);
}

/* A queue goes, and with it the graphs that were captured in it; the program goes on in another. */
START_TEST(a_program_outlives_its_queue)
{
    chain c;
    void *const dev = open_device(), *queue = open_queue(dev), *const other = open_queue(dev);
    make_chain(dev, &c);
    for (int i = 0; i < 3; i++)
        ck_ok(run_chain(&c, queue));
    check_chain(&c, queue);
    for (int i = 0; i < 3; i++)
        ck_ok(run_chain(&c, other));
    const int64_t graphs = sim.get("graphs");
    ck_assert_int_ge(graphs, 2);
    backend->queue_destroy(dev, queue);
    ck_assert_int_lt(sim.get("graphs"), graphs);
    ck_assert_int_gt(sim.get("graphs"), 0);
    queue = open_queue(dev);
    for (int i = 0; i < 3; i++)
        ck_ok(run_chain(&c, queue));
    check_chain(&c, queue);
    backend->queue_destroy(dev, other);
    free_chain(&c);
    backend->queue_destroy(dev, queue);
    backend->device_close(dev);
    sim_settled();
}
END_TEST

/* More ops that may report than a queue keeps paths of, and the first of them is wrong: its path is told. */
START_TEST(many_ops_alone_that_may_report)
{
    static const uint32_t in[] = {0, 1}, out[] = {RN_NO_VALUE, 2};
    static const rn_cross_entropy_params params = {0};
    const rn_value values[] = {
        {.struct_size = sizeof *values,
         .dtype = RN_F32,
         .role = RN_ROLE_ARENA,
         .rank = 2,
         .dims = {4, 10},
         .bytes = 160},
        {.struct_size = sizeof *values, .dtype = RN_I64, .role = RN_ROLE_TARGET, .rank = 1, .dims = {4}, .bytes = 32},
        {.struct_size = sizeof *values,
         .dtype = RN_F64,
         .role = RN_ROLE_METRICS,
         .rank = 1,
         .batch_axis = -1,
         .dims = {sizeof(rn_step_metrics) / 8},
         .bytes = sizeof(rn_step_metrics)},
        {.struct_size = sizeof *values,
         .dtype = RN_U8,
         .role = RN_ROLE_ARENA,
         .rank = 1,
         .batch_axis = -1,
         .dims = {1 << 16},
         .bytes = 1 << 16,
         .offset = 1024},
    };
    const int64_t right[4] = {0, 1, 2, 3}, wrong[4] = {0, 1, 99, 3};
    void *const dev = open_device(), *const queue = open_queue(dev);
    void *memory = NULL, *base[RN_ROLE_COUNT] = {NULL};
    rn_fault fault = {.struct_size = sizeof fault};
    ck_ok(backend->memory_alloc(dev, 1 << 18, &memory));
    ck_ok(backend->fill(dev, queue, memory, 1 << 18));
    base[RN_ROLE_ARENA] = memory;
    base[RN_ROLE_METRICS] = (char *)memory + (1 << 17);
    base[RN_ROLE_TARGET] = (char *)memory + (1 << 17) + 4096;
    const rn_run run = {.struct_size = sizeof run, .batch = 4, .num_ops = 1, .base = base, .grad_scale = 1};
    for (int i = 0; i < 40; i++) {
        char path[16];
        snprintf(path, sizeof path, "op %d", i);
        const rn_op op = {.struct_size = sizeof op,
                          .kind = RN_OP_CROSS_ENTROPY,
                          .flags = RN_OPF_NO_GRAD,
                          .in = in,
                          .out = out,
                          .num_in = 2,
                          .num_out = 2,
                          .params = &params,
                          .params_size = sizeof params,
                          .path = path,
                          .workspace = 3};
        ck_ok(backend->copy_in(dev, queue, base[RN_ROLE_TARGET], i == 3 ? wrong : right, sizeof right));
        ck_ok(backend->op_run(dev, queue, &op, values, &run));
    }
    ck_ok(backend->queue_wait(dev, queue, &fault));
    ck_assert_int_eq(fault.status, RN_E_INVALID);
    ck_assert_str_eq(fault.message, "op 3: cross_entropy: label 2: 0 to 9 expected, got 99");
    backend->memory_free(dev, memory, 1 << 18);
    backend->queue_destroy(dev, queue);
    backend->device_close(dev);
    sim_settled();
}
END_TEST

/* The device goes while parts of a copy from it are on their way. */
START_TEST(a_copy_from_a_device_that_is_lost)
{
    enum { BYTES = 8 << 20 };
    chain c;
    void *memory = NULL;
    char *const got = malloc(BYTES);
    void *const dev = open_device(), *const queue = open_queue(dev);
    make_chain(dev, &c);
    ck_ok(backend->memory_alloc(dev, BYTES, &memory));
    ck_ok(backend->fill(dev, queue, memory, BYTES));
    ck_ok(backend->copy_out(dev, queue, got, memory, BYTES));
    ck_ok(run_chain(&c, queue));
    sim.set("lose_after", 1);
    ck_assert_int_eq(backend->copy_out(dev, queue, got, memory, BYTES), RN_E_BACKEND);
    ck_assert_msg(strstr(message, "cuda:0: cannot wait for "), "%s", message);
    ck_assert_int_eq(backend->copy_out(dev, queue, got, memory, BYTES), RN_E_DEVICE);
    ck_assert_msg(strstr(message, "the device is lost"), "%s", message);
    free_chain(&c);
    backend->memory_free(dev, memory, BYTES);
    backend->queue_destroy(dev, queue);
    backend->device_close(dev);
    free(got);
    sim.forget();
    sim.set("lose_after", 0);
    sim_settled();
}
END_TEST

/*
 * Gradients of filters that cuDNN made wait until somebody looks at them: an op that reads one of them finds it, and what
 * is added to it later comes on top.
 */
enum {
    CHANNELS = 32,
    SIDE = 4,
    IMAGES = 2,
    WEIGHTS = CHANNELS * CHANNELS * 9,
    PIXELS = IMAGES * CHANNELS * SIDE * SIDE
};
enum { LEFT_X, LEFT_DY, LEFT_OUT, LEFT_WORK, LEFT_DW, LEFT_OTHER, LEFT_VALUES };
enum { LEFT_PLACE = 256 << 10 }; /* of a value */

static void left_values(rn_value values[LEFT_VALUES])
{
    for (uint32_t i = 0; i < LEFT_VALUES; i++) {
        const int image = i == LEFT_X || i == LEFT_DY, gradient = i == LEFT_DW || i == LEFT_OTHER;
        values[i] = (rn_value){.struct_size = sizeof *values,
                               .dtype = image ? RN_BF16 : RN_F32,
                               .role = gradient ? RN_ROLE_PARAM_GRAD : RN_ROLE_ARENA,
                               .layout = image ? RN_LAYOUT_NHWC : RN_LAYOUT_PLAIN,
                               .rank = 4,
                               .batch_axis = image ? 0 : -1,
                               .dims = {image ? IMAGES : CHANNELS, CHANNELS, image ? SIDE : 3, image ? SIDE : 3},
                               .bytes = image ? PIXELS * 2 : WEIGHTS * sizeof(float),
                               .offset = (gradient ? i - LEFT_DW : i) * LEFT_PLACE};
    }
    values[LEFT_WORK] = (rn_value){.struct_size = sizeof *values,
                                   .dtype = RN_U8,
                                   .role = RN_ROLE_ARENA,
                                   .rank = 1,
                                   .batch_axis = -1,
                                   .dims = {4 * LEFT_PLACE},
                                   .bytes = 4 * LEFT_PLACE,
                                   .offset = LEFT_WORK * LEFT_PLACE};
}

static void left_images(void *dev, void *queue, char *arena)
{
    uint16_t pixels[PIXELS];
    for (int i = 0; i < PIXELS; i++)
        pixels[i] = (uint16_t)(0x3f80 + i * 37 % 128); /* 1 to 2 */
    ck_ok(backend->copy_in(dev, queue, arena + LEFT_X * LEFT_PLACE, pixels, sizeof pixels));
    ck_ok(backend->copy_in(dev, queue, arena + LEFT_DY * LEFT_PLACE, pixels, sizeof pixels));
}

START_TEST(a_gradient_that_waits_is_added_for_who_reads_it)
{
    static const uint32_t images[] = {LEFT_X, LEFT_DY}, dw = LEFT_DW, other = LEFT_OTHER, out = LEFT_OUT;
    static const rn_conv_params params = {.in_channels = CHANNELS,
                                          .out_channels = CHANNELS,
                                          .groups = 1,
                                          .kernel = {3, 3},
                                          .stride = {1, 1},
                                          .padding = {1, 1},
                                          .dilation = {1, 1},
                                          .in_height = SIDE,
                                          .in_width = SIDE,
                                          .out_height = SIDE,
                                          .out_width = SIDE};
    const rn_op filter = {.struct_size = sizeof filter,
                          .kind = RN_OP_CONV_BACKWARD_FILTER,
                          .in = images,
                          .out = &dw,
                          .num_in = 2,
                          .num_out = 1,
                          .params = &params,
                          .params_size = sizeof params,
                          .path = "conv",
                          .workspace = LEFT_WORK};
    rn_op ops[4] = {filter, filter, filter, filter};
    rn_value values[LEFT_VALUES];
    static float got[3][WEIGHTS];
    void *const dev = open_device(), *const queue = open_queue(dev);
    void *memory = NULL, *program = NULL, *base[RN_ROLE_COUNT] = {NULL};
    left_values(values);
    ops[1].out = &other;
    ops[2] = (rn_op){.struct_size = sizeof filter,
                     .kind = RN_OP_CONVERT,
                     .in = &dw,
                     .out = &out,
                     .num_in = 1,
                     .num_out = 1,
                     .path = "reader",
                     .workspace = RN_NO_VALUE};
    rn_op_info info = {.struct_size = sizeof info};
    ck_ok(backend->op_query(dev, &ops[0], values, &info)); /* opens cuDNN */
    ck_assert_uint_le(info.workspace, values[LEFT_WORK].bytes);
    const rn_program_desc desc = {sizeof desc, values, ops, LEFT_VALUES, 4};
    const rn_run run = {.struct_size = sizeof run, .batch = IMAGES, .num_ops = 4, .base = base, .grad_scale = 1};
    ck_ok(backend->program_create(dev, &desc, &program));
    ck_ok(backend->memory_alloc(dev, 16 * LEFT_PLACE, &memory));
    base[RN_ROLE_ARENA] = memory;
    base[RN_ROLE_PARAM_GRAD] = (char *)memory + 8 * LEFT_PLACE;
    left_images(dev, queue, memory);
    for (int again = 0; again < 3; again++) { /* in streams, captured, as a graph */
        ck_ok(backend->fill(dev, queue, base[RN_ROLE_PARAM_GRAD], 2 * LEFT_PLACE));
        ck_ok(backend->program_run(program, queue, &run));
        ck_ok(backend->copy_out(dev, queue, got[0], (char *)memory + LEFT_OUT * LEFT_PLACE, sizeof got[0]));
        ck_ok(backend->copy_out(dev, queue, got[1], base[RN_ROLE_PARAM_GRAD], sizeof got[1]));
        ck_ok(backend->copy_out(dev, queue, got[2], (char *)base[RN_ROLE_PARAM_GRAD] + LEFT_PLACE, sizeof got[2]));
        for (int i = 0; i < WEIGHTS; i++) {
            ck_assert(got[2][i] > 1 && got[0][i] == got[2][i]);
            ck_assert(got[1][i] == 2 * got[2][i]);
        }
    }
    backend->program_destroy(program);
    backend->memory_free(dev, memory, 16 * LEFT_PLACE);
    backend->queue_destroy(dev, queue);
    backend->device_close(dev);
    sim_settled();
}
END_TEST

START_TEST(a_device_that_is_not_there)
{
    void *dev = NULL;
    ck_assert_int_eq(backend->device_open(&host, 7, &dev), RN_E_DEVICE);
    ck_assert_str_eq(message, "cuda: there is no device 7: there are 1");
    ck_assert_ptr_null(dev);
}
END_TEST

/* The Nth allocation of the host's memory fails while a program is made; nothing of it stays. */
static int allowed;

static void *few_allocations(void *unused, size_t size, size_t align)
{
    return allowed-- > 0 ? plain_alloc(unused, size, align) : NULL;
}

START_TEST(no_memory_for_a_program)
{
    rn_host_api poor = host;
    chain c = {.dev = NULL};
    void *dev = NULL;
    rn_status status = RN_E_NOMEM;
    int n = 0;
    poor.alloc = few_allocations;
    allowed = 1;
    ck_ok(backend->device_open(&poor, 0, &dev));
    fill_program(c.values, c.ops, &c.desc);
    for (; status != RN_OK; n++) {
        allowed = n;
        status = backend->program_create(dev, &c.desc, &c.program);
        ck_assert_msg(status == RN_OK || (status == RN_E_NOMEM && strstr(message, "out of memory")), "%s", message);
    }
    ck_assert_int_ge(n, 3);
    backend->program_destroy(c.program);
    backend->device_close(dev);
    sim_settled();
}
END_TEST

int main(int argc, char **argv)
{
    const TTest *const tests[] = {a_program_outlives_its_queue,      many_ops_alone_that_may_report,
                                  a_copy_from_a_device_that_is_lost, a_gradient_that_waits_is_added_for_who_reads_it,
                                  a_device_that_is_not_there,        no_memory_for_a_program};
    rn_backend_query_fn query = NULL;
    if (argc != 2 || !sim_open(argv[1]))
        return 2;
    void *const module = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    void *const symbol = module ? dlsym(module, "rn_backend_query") : NULL;
    memcpy(&query, &symbol, sizeof symbol);
    if (!query || query(RN_BACKEND_ABI_MAJOR + 1, 0, &backend) != RN_E_VERSION ||
        query(RN_BACKEND_ABI_MAJOR, RN_BACKEND_ABI_MINOR, &backend) != RN_OK)
        return 2;
    return support_main("table", tests, sizeof tests / sizeof *tests);
}
