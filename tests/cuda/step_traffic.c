/* SPDX-License-Identifier: MIT */
/*
 * Some training steps over the simulated module, for traffic.py to count kernels and bytes (RNI_SIM_STATISTICS).
 *   step_traffic MODULE NET BATCH SIDE f32|bf16 STEPS
 */
#include "simulated.h"

static sim_training training = {.accumulate = 1};

START_TEST(train)
{
    sim_outcome outcome;
    sim_train_alone(&training, &outcome);
    sim_outcome_free(&outcome);
}
END_TEST

int main(int argc, char **argv)
{
    const TTest *const tests[] = {train};
    if (argc != 7) {
        fprintf(stderr, "usage: %s MODULE NET BATCH SIDE f32|bf16 STEPS\n", argv[0]);
        return 2;
    }
    if (!sim_open(argv[1]))
        return 1;
    training.net = argv[2];
    training.batch = atoi(argv[3]);
    training.side = atoi(argv[4]);
    training.dtype = strcmp(argv[5], "bf16") == 0 ? RN_BF16 : RN_F32;
    training.steps = atoi(argv[6]);
    return support_main("traffic", tests, 1);
}
