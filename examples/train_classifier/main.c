/* SPDX-License-Identifier: MIT */
/*
 * train_classifier: trains a residual network of the zoo on CIFAR-10 or Fashion-MNIST.
 *
 *   options.c   the command line          recipe.c   optimizer, learning rate, augmentation
 *   dataset.c   the images                train.c    the training itself: begin here
 *   history.c   history.csv               curve.c    learning-curve.svg
 *   files.c     the output folder         progress.c the bar on a terminal
 */
#include "check.h"
#include "options.h"
#include "train.h"
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile sig_atomic_t interrupted;

_Noreturn void fail(int status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fflush(stdout);
    fputs("train_classifier: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(status);
}

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
