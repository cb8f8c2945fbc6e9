/* SPDX-License-Identifier: MIT */
/* history.csv: a line per epoch. */
#ifndef HISTORY_H
#define HISTORY_H

#include <stddef.h>
#include <stdint.h>

typedef struct history_row {
    int64_t epoch; /* 1 is the first */
    double lr;     /* of the epoch's last step */
    double train_loss, train_accuracy, test_loss, test_accuracy; /* means; accuracies are fractions */
    double seconds, images_per_second; /* training and test together; training alone */
    double validation_loss, validation_accuracy; /* of images held out; NAN without */
} history_row;

typedef struct history {
    char *path;
    history_row *rows;
    size_t count, capacity;
} history;

/* Reads the rows of the first `epochs` epochs from DIR/history.csv, when there are any, and writes the file anew. */
void history_open(history *h, const char *dir, int64_t epochs);
/* Adds a row to the list and to the file. */
void history_add(history *h, const history_row *row);
void history_close(history *h);

#endif
