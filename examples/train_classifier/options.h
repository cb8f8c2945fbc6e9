/* SPDX-License-Identifier: MIT */
/* The command line. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "../common/dataset.h"
#include "../common/recipe.h"

typedef struct options {
    data_options data;
    const char *arch, *recipe_name, *print_recipe, *device, *out, *dtype, *residency_name;
    texts set;                                   /* key=value */
    int64_t epochs, iterations, batch, micro_batch; /* 0: the recipe's */
    double lr;                                   /* 0: the recipe's */
    uint64_t seed, memory_limit;                 /* memory_limit 0: none */
    int32_t residency;                           /* RN_RESIDENCY_*, by its name */
    int32_t threads;                             /* 0: as many as there are */
    int resume;
    const char *weights, *exported; /* NULL: none */
    recipe recipe; /* with what the flags replace */
} options;

/* Exits with 2 when the flags make no sense, with 0 after --help, --list-archs and --print-recipe. */
void options_parse(options *o, int argc, char **argv);

#endif
