/* SPDX-License-Identifier: MIT */
/*
 * Some training steps over the simulated module, for traffic.py to count kernels and bytes (RNI_SIM_STATISTICS). With 0 steps
 * the program is made, and what it must move and compute at least is printed.
 *   step_traffic MODULE NET BATCH SIDE f32|bf16|f16 STEPS
 */
#include "simulated.h"

static sim_training training = {.accumulate = 1};

static rn_status print(void *user, const char *text, size_t length)
{
    (void)user;
    fwrite(text, 1, length, stdout);
    return RN_OK;
}

START_TEST(train)
{
    sim_outcome outcome;
    rn_device *dev = NULL;
    sim_parts parts;
    if (training.steps > 0) {
        sim_train_alone(&training, &outcome);
        sim_outcome_free(&outcome);
        return;
    }
    rn_context *const ctx = sim_device(&dev);
    ck_ok(sim_begin(dev, &training, &parts));
    ck_ok(rn_plan_describe(parts.plan, print, NULL));
    sim_end(&parts);
    rn_context_release(ctx);
}
END_TEST

int main(int argc, char **argv)
{
    const TTest *const tests[] = {train};
    if (argc != 7) {
        fprintf(stderr, "usage: %s MODULE NET BATCH SIDE f32|bf16|f16 STEPS\n", argv[0]);
        return 2;
    }
    if (!sim_open(argv[1]))
        return 1;
    training.net = argv[2];
    training.batch = atoi(argv[3]);
    training.side = atoi(argv[4]);
    training.dtype = strcmp(argv[5], "bf16") == 0 ? RN_BF16 : strcmp(argv[5], "f16") == 0 ? RN_F16 : RN_F32;
    training.steps = atoi(argv[6]);
    return support_main("traffic", tests, 1);
}
