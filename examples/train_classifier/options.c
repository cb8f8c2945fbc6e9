/* SPDX-License-Identifier: MIT */
#include "options.h"
#include "../common/check.h"
#include "../common/network.h"
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: train_classifier --dataset NAME [FLAG...]\n"
    "\n"
    "Trains a residual network on images and evaluates it on test images after every epoch.\n"
    "\n"
    DATA_TEST_HELP
    DATA_TRAIN_HELP
    "  --arch NAME          network, see --list-archs (tutorial)\n"
    "  --recipe NAME|FILE   tutorial: Adam 1e-3, a third of it every 20 of 80 epochs, batch 100\n"
    "                       paper:    SGD 0.1, a tenth of it at 1/2 and 3/4 of 64,000 steps, batch 128\n"
    "                       paper-plateau: a tenth when the error on 5,000 images held out stops falling\n"
    "                       cosine:   SGD with Nesterov momentum, cosine from 0.1 to 0, 200 epochs, batch 256\n"
    "                       fast:     one cycle of the learning rate in 10 epochs, batch 256\n"
    "                       paper-imagenet, imagenet: for folders of pictures\n"
    "                       or a file like those that --print-recipe prints, see docs/recipes.md\n"
    "  --print-recipe NAME  print a recipe, with what other flags replace in it\n"
    "  --set KEY=VALUE      a value of the recipe, as in a file; may be given several times\n"
    "  --epochs N           instead of the recipe's length; all but the step schedule are stretched to it\n"
    "  --iterations N       the same in steps\n"
    "  --batch N            images per step, instead of the recipe's\n"
    "  --micro-batch N      images computed at a time, a divisor of the batch: less memory\n"
    "  --memory-limit SIZE  800M, 4G: halves or thirds ... the batch until training needs no more than that\n"
    "  --lr X               learning rate at the start, instead of the recipe's\n"
    "  --seed N             of weights, order of images and augmentation (0)\n"
    "  --dtype NAME         fp32, or bf16 or fp16: activations of half the size, weights and sums stay fp32; fp16 scales\n"
    "                       the loss and is slow on a CPU (fp32)\n"
    "  --threads N          threads to compute with (as many as there are)\n"
    "  --device NAME        auto, cpu or cuda:N (auto)\n"
    "  --residency NAME     where batches are made: host, device (it holds the dataset), or auto: device where that is a\n"
    "                       GPU that has the memory and can do the recipe's augmentation (auto)\n"
    "  --out DIR            folder for what is written (resnet-out)\n"
    "  --resume             go on from DIR/checkpoint.safetensors, exactly where it was saved\n"
    "  --weights FILE       begin with these: safetensors, or what torch.save() wrote (.pth)\n"
    "  --export FILE        write the trained weights there too: .pth, .pt, .ckpt, .th for PyTorch, else safetensors\n"
    "  --list-archs         print the names of the networks\n"
    "  --help               print this\n"
    "\n"
    "Written to the folder: model.safetensors (weights), checkpoint.safetensors (all that --resume needs), recipe.txt,\n"
    "labels.txt (names of the classes), history.csv (a line per epoch; accuracies are fractions) and\n"
    "learning-curve.svg. Ctrl-C finishes the step, saves and exits with 130.\n";

static const flag flags[] = {
    DATA_TEST_FLAGS(options, data),
    DATA_TRAIN_FLAGS(options, data),
    {"--arch", FLAG_TEXT, offsetof(options, arch)},
    {"--recipe", FLAG_TEXT, offsetof(options, recipe_name)},
    {"--print-recipe", FLAG_TEXT, offsetof(options, print_recipe)},
    {"--set", FLAG_APPEND, offsetof(options, set)},
    {"--weights", FLAG_TEXT, offsetof(options, weights)},
    {"--export", FLAG_TEXT, offsetof(options, exported)},
    {"--epochs", FLAG_COUNT, offsetof(options, epochs)},
    {"--iterations", FLAG_COUNT, offsetof(options, iterations)},
    {"--batch", FLAG_COUNT, offsetof(options, batch)},
    {"--micro-batch", FLAG_COUNT, offsetof(options, micro_batch)},
    {"--memory-limit", FLAG_BYTES, offsetof(options, memory_limit)},
    {"--lr", FLAG_RATE, offsetof(options, lr)},
    {"--seed", FLAG_SEED, offsetof(options, seed)},
    {"--dtype", FLAG_TEXT, offsetof(options, dtype)},
    {"--threads", FLAG_THREADS, offsetof(options, threads)},
    {"--device", FLAG_TEXT, offsetof(options, device)},
    {"--residency", FLAG_TEXT, offsetof(options, residency_name)},
    {"--out", FLAG_TEXT, offsetof(options, out)},
    {"--resume", FLAG_SWITCH, offsetof(options, resume)},
    {"--list-archs", FLAG_ARCHS, 0},
    {"--help", FLAG_HELP, 0},
};
static const flag_table table = {flags, sizeof flags / sizeof flags[0], help};

/* Flags of their own come last, so that they win over --set. */
static void load_recipe(options *o)
{
    recipe *const r = &o->recipe;
    recipe_load(r, o->print_recipe ? o->print_recipe : o->recipe_name);
    for (size_t i = 0; i < o->set.count; i++)
        recipe_set(r, "--set", o->set.item[i]);
    if (o->epochs)
        r->epochs = o->epochs, r->iterations = 0;
    if (o->iterations)
        r->iterations = o->iterations, r->epochs = 0;
    if (o->batch)
        r->batch = o->batch;
    if (o->micro_batch)
        r->micro_batch = o->micro_batch;
    if (o->lr > 0)
        r->lr = o->lr;
    recipe_check(r);
}

static int32_t residency_of(const char *name)
{
    static const char *const names[] = {
        [RN_RESIDENCY_HOST] = "host",
        [RN_RESIDENCY_AUTO] = "auto",
        [RN_RESIDENCY_DEVICE] = "device",
    };
    for (int32_t i = 0; i < (int32_t)(sizeof names / sizeof names[0]); i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    fail(2, "--residency: expected auto, host or device, got '%s'", name);
}

void options_parse(options *o, int argc, char **argv)
{
    *o = (options){.arch = "tutorial", .recipe_name = "tutorial", .device = "auto", .out = "resnet-out", .dtype = "fp32", .residency_name = "auto"};
    flags_parse(&table, o, argc, argv, NULL);
    if (o->epochs && o->iterations)
        fail(2, "--epochs and --iterations both say how long to train: give one of them");
    load_recipe(o);
    if (o->print_recipe) {
        recipe_print(&o->recipe, stdout);
        exit(0);
    }
    data_options_check(&o->data, 1);
    o->residency = residency_of(o->residency_name);
    network_dtype(o->dtype);
}
