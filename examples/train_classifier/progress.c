/* SPDX-License-Identifier: MIT */
#include "progress.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BAR = 24 };

double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void progress_init(progress *p, int64_t epochs, int64_t total_steps)
{
    const char *const terminal = getenv("TERM");
    *p = (progress){.epochs = epochs, .total_steps = total_steps};
    p->on = isatty(STDERR_FILENO) && terminal && strcmp(terminal, "dumb") != 0;
}

void progress_epoch(progress *p, int64_t epoch, int64_t steps, int64_t global_step)
{
    p->epoch = epoch;
    p->steps = steps;
    p->begun = now();
    p->images = 0;
    p->first_step = global_step;
}

static void format_time(char text[32], double seconds)
{
    const long s = (long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(text, 32, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(text, 32, "%ld:%02ld", s / 60, s % 60);
}

/* The next line begins where this one does. */
static void draw(progress *p, const char *line)
{
    const int length = (int)strlen(line);
    fprintf(stderr, "\r%s%*s", line, p->width > length ? p->width - length : 0, "");
    fflush(stderr);
    p->width = length;
    p->drawn = now();
}

void progress_step(progress *p, int64_t step, int64_t global_step, int64_t images)
{
    p->images += images;
    if (!p->on || (now() - p->drawn < 0.1 && step < p->steps))
        return;
    const double seconds = now() - p->begun;
    const int64_t done = global_step - p->first_step;
    const int filled = (int)(step * BAR / p->steps);
    char line[160], bar[BAR + 1], left[32], all[32];
    memset(bar, '.', BAR);
    memset(bar, '#', (size_t)filled);
    bar[BAR] = '\0';
    format_time(left, seconds / (double)done * (double)(p->steps - step));
    format_time(all, seconds / (double)done * (double)(p->total_steps - global_step));
    snprintf(line, sizeof line, "epoch %lld/%lld [%s] %3d %%  %.0f images/s  %s left, %s in all", (long long)p->epoch + 1,
             (long long)p->epochs, bar, (int)(100 * step / p->steps), (double)p->images / seconds, left, all);
    draw(p, line);
}

void progress_note(progress *p, const char *text)
{
    if (p->on)
        draw(p, text);
}

void progress_clear(progress *p)
{
    if (p->on && p->width)
        fprintf(stderr, "\r%*s\r", p->width, "");
    p->width = 0;
}
