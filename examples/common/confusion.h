/* SPDX-License-Identifier: MIT */
/* How often which class was taken for which. */
#ifndef CONFUSION_H
#define CONFUSION_H

#include <stdint.h>

typedef struct confusion {
    int64_t classes;
    int64_t *count;    /* [true class][predicted class] */
    const char **name; /* of each class; NULL: its number */
} confusion;

void confusion_open(confusion *c, int64_t classes);
void confusion_close(confusion *c);

/* Replaces DIR/confusion.csv: a line for each true class, a column for each predicted one, with their names. */
void confusion_write_csv(const confusion *c, const char *dir);
/* Replaces DIR/confusion.svg: a square for each pair, darker the larger its part of the true class is. */
void confusion_write_svg(const confusion *c, const char *dir, const char *title, const char *subtitle);

#endif
