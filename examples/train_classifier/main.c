/* SPDX-License-Identifier: MIT */
/*
 * train_classifier: trains a residual network of the zoo on CIFAR-10, CIFAR-100 or Fashion-MNIST.
 *
 *   options.c   the command line          train.c    the training itself: begin here
 *   history.c   history.csv               curve.c    learning-curve.svg
 *   progress.c  the bar on a terminal
 *
 * In ../common, shared with other programs: recipe.c (optimizer, learning rate, augmentation), dataset.c (the images),
 * files.c (the output folder).
 */
#include "../common/check.h"
#include "options.h"
#include "train.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>

const char program_name[] = "train_classifier";

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

/* The first one asks for an orderly end, a second one ends the program at once. */
static void catch_signals(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = (int)(SA_RESTART | SA_RESETHAND);
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

int main(int argc, char **argv)
{
    options o;
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ); /* whole lines, also into a file */
    options_parse(&o, argc, argv);
    catch_signals();
    return train(&o, &interrupted);
}
