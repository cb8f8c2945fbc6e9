/* SPDX-License-Identifier: MIT */
#include "history.h"
#include "../common/check.h"
#include "../common/files.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char header[] = "epoch,lr,train_loss,train_accuracy,test_loss,test_accuracy,seconds,images_per_second,"
                             "validation_loss,validation_accuracy\n";

static void append(history *h, const history_row *row)
{
    if (h->count == h->capacity) {
        h->capacity = h->capacity ? 2 * h->capacity : 64;
        h->rows = realloc(h->rows, h->capacity * sizeof *h->rows);
        if (!h->rows)
            fail(1, "out of memory");
    }
    h->rows[h->count++] = *row;
}

/* The last two fields are empty when nothing is held out. */
static int parse_row(const char *line, history_row *row)
{
    row->validation_loss = row->validation_accuracy = NAN;
    return sscanf(line, "%" SCNd64 ",%lf,%lf,%lf,%lf,%lf,%lf,%lf,%lf,%lf", &row->epoch, &row->lr, &row->train_loss,
                  &row->train_accuracy, &row->test_loss, &row->test_accuracy, &row->seconds, &row->images_per_second,
                  &row->validation_loss, &row->validation_accuracy) >= 8;
}

/* Lines that are no rows, the header for one, are passed over. */
static void read_rows(history *h, int64_t epochs)
{
    FILE *const file = fopen(h->path, "r");
    char line[512];
    history_row row;
    if (!file)
        return;
    while (fgets(line, sizeof line, file))
        if (parse_row(line, &row) && row.epoch <= epochs)
            append(h, &row);
    fclose(file);
}

static void print_row(FILE *file, const history_row *row)
{
    fprintf(file, "%" PRId64 ",%.9g,%.6f,%.6f,%.6f,%.6f,%.2f,%.1f,", row->epoch, row->lr, row->train_loss,
            row->train_accuracy, row->test_loss, row->test_accuracy, row->seconds, row->images_per_second);
    if (isnan(row->validation_loss))
        fputs(",\n", file);
    else
        fprintf(file, "%.6f,%.6f\n", row->validation_loss, row->validation_accuracy);
}

static void write_all(const history *h)
{
    char *temporary;
    FILE *const file = replace_begin(h->path, &temporary);
    fputs(header, file);
    for (size_t i = 0; i < h->count; i++)
        print_row(file, &h->rows[i]);
    replace_end(file, temporary, h->path);
}

void history_open(history *h, const char *dir, int64_t epochs)
{
    *h = (history){.path = path_in(dir, "history.csv")};
    if (epochs > 0)
        read_rows(h, epochs);
    write_all(h);
}

void history_add(history *h, const history_row *row)
{
    append(h, row);
    FILE *const file = fopen(h->path, "a");
    if (!file)
        fail(1, "%s: %s", h->path, strerror(errno));
    print_row(file, row);
    if (fclose(file) != 0)
        fail(1, "%s: %s", h->path, strerror(errno));
}

void history_close(history *h)
{
    free(h->path);
    free(h->rows);
}
