/* SPDX-License-Identifier: MIT */
/* The recipes with a name, in the form of recipe files; keys that are not there have their defaults. */
#include "recipe.h"
#include <string.h>

static const struct {
    const char *name, *text;
} builtin[] = {
    {"tutorial",
     "# The PyTorch tutorial for deep residual networks (yunjey/pytorch-tutorial)\n"
     "epochs = 80\n"
     "batch = 100\n"
     "optimizer = adam\n"
     "lr = 0.001\n"
     "weight_decay = 0\n"
     "schedule = step\n"
     "gamma = 0.3333333333333333\n"
     "period = 20\n"
     "normalize = no\n"},
    {"paper",
     "# He et al. 2015, arXiv 1512.03385, section 4.2; normalised per channel instead of per pixel\n"
     "iterations = 64000\n"
     "schedule = multistep\n"
     "milestones = 0.5 0.75\n" /* 32,000 and 48,000 */
     "warmup_error = 0.8\n"    /* after about 400 */
     "warmup_depth = 110\n"},
    {"paper-plateau",
     "# As paper, but the learning rate falls when the error on 5,000 images held out does no longer\n"
     "iterations = 64000\n"
     "validation = 5000\n"
     "schedule = plateau\n"
     "warmup = 0.00625\n" /* 400 */
     "warmup_shape = constant\n"
     "warmup_depth = 110\n"},
    {"paper-imagenet",
     "# He et al. 2015, section 3.4, for folders of pictures; normalised per channel instead of per pixel\n"
     "iterations = 600000\n"
     "batch = 256\n"
     "schedule = plateau\n"
     "patience = 5\n"
     "train_crop = short-side\n"
     "color = 0.1\n"
     "normalize = imagenet\n"},
    {"imagenet",
     "# As ImageNet nets are trained since: warm-up, cosine, smoothed labels, no decay on biases and normalisation\n"
     "epochs = 90\n"
     "batch = 256\n"
     "decay_all = no\n"
     "label_smoothing = 0.1\n"
     "schedule = cosine\n"
     "warmup = 0.05\n"
     "normalize = imagenet\n"},
    {"cosine",
     "# Behind the best published results of the CIFAR nets (chenyaofo/image-classification-codebase)\n"
     "epochs = 200\n"
     "batch = 256\n"
     "nesterov = yes\n"
     "weight_decay = 0.0005\n"
     "schedule = cosine\n"
     "normalize = images\n"},
    {"fast",
     "# A good result in minutes: one cycle of the learning rate, smoothed labels\n"
     "epochs = 10\n"
     "batch = 256\n"
     "lr = 0.3\n"
     "nesterov = yes\n"
     "weight_decay = 0.0005\n"
     "decay_all = no\n"
     "label_smoothing = 0.1\n"
     "schedule = one-cycle\n"
     "rise = 0.25\n"},
};

const char *recipe_builtin(const char *name)
{
    for (size_t i = 0; i < sizeof builtin / sizeof builtin[0]; i++)
        if (strcmp(builtin[i].name, name) == 0)
            return builtin[i].text;
    return NULL;
}

const char *recipe_name(size_t index)
{
    return index < sizeof builtin / sizeof builtin[0] ? builtin[index].name : NULL;
}
