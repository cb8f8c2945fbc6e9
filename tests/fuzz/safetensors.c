/* SPDX-License-Identifier: MIT */
/* rn_model_load() and rn_checkpoint_load() on arbitrary bytes. */
#include "fuzz.h"
#include <stdlib.h>

static rn_model *small_model(void)
{
    static rn_model *model;
    const rn_linear_options linear = {sizeof linear, 0, 3, 2, 1, 0};
    rn_layer *layer = NULL, *seq = NULL;
    rn_device *dev = NULL;
    if (model != NULL)
        return model;
    if (rn_context_find_device(fuzz_context(), "cpu", &dev) < 0 || rn_sequential_create(fuzz_context(), &seq) < 0 ||
        rn_linear_create(fuzz_context(), &linear, &layer) < 0 || rn_sequential_append(seq, "fc", layer) < 0 ||
        rn_model_create(fuzz_context(), seq, dev, &model) < 0)
        abort();
    rn_layer_release(layer);
    rn_layer_release(seq);
    return model;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rn_load_options options = RN_LOAD_OPTIONS_INIT;
    rn_checkpoint checkpoint = RN_CHECKPOINT_INIT;
    const char *path = fuzz_file(0, data, size);
    rn_model *model = small_model();

    fuzz_check(rn_model_load(model, path, &options));
    rn_load_report_release(&options);
    options.flags = RN_LOAD_PARTIAL;
    fuzz_check(rn_model_load(model, path, &options));
    rn_load_report_release(&options);
    checkpoint.model = model;
    fuzz_check(rn_checkpoint_load(fuzz_context(), path, &checkpoint));
    return 0;
}
