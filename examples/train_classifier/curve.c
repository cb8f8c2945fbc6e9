/* SPDX-License-Identifier: MIT */
#include "curve.h"
#include "../common/files.h"
#include <math.h>
#include <stdlib.h>

enum { WIDTH = 960, HEIGHT = 446, TOP = 120, BOTTOM = 388, PANEL = 368, LEFT_1 = 66, LEFT_2 = 532 };

/* Plain colours, with a second set for dark surroundings, so that viewers that know no style queries draw well too. */
static const char style[] =
    "<style>\n"
    "text{font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;font-size:13px;fill:#57606a}\n"
    ".title{font-size:20px;font-weight:600;fill:#1f2328}.panel{font-size:15px;font-weight:600;fill:#1f2328}\n"
    ".paper{fill:#ffffff}.grid{stroke:#e4e7eb;stroke-width:1}.axis{stroke:#8c959f;stroke-width:1}\n"
    ".end{text-anchor:end}.middle{text-anchor:middle}\n"
    ".train{fill:none;stroke:#c2570c;stroke-width:2;stroke-dasharray:6 4;stroke-linejoin:round}\n"
    ".test{fill:none;stroke:#1d5fd1;stroke-width:2.5;stroke-linejoin:round}\n"
    ".train-dot{fill:#c2570c}.test-dot{fill:#1d5fd1}\n"
    "@media (prefers-color-scheme:dark){text{fill:#9aa4af}.title,.panel{fill:#f0f3f6}.paper{fill:#14181d}"
    ".grid{stroke:#2b323a}.axis{stroke:#6b7580}.train{stroke:#f5a05a}.test{stroke:#74aaff}"
    ".train-dot{fill:#f5a05a}.test-dot{fill:#74aaff}}\n"
    "</style>\n";

typedef struct series {
    const char *name; /* class of the line */
    size_t offset;    /* of the value in a row */
} series;

typedef struct panel {
    const char *title;
    int left;
    double factor; /* of values, for the axis */
    const char *unit;
    series lines[2];
    double low, high, step; /* of the axis */
} panel;

static double value_of(const history_row *row, const panel *p, int line)
{
    return p->factor * *(const double *)((const char *)row + p->lines[line].offset);
}

/* 1, 2 or 5 times a power of ten, about a fifth of the range. */
static double nice_step(double range)
{
    const double rough = range / 5, power = pow(10, floor(log10(rough)));
    const double digit = rough / power;
    return power * (digit <= 1 ? 1 : digit <= 2 ? 2 : digit <= 5 ? 5 : 10);
}

/* The axis holds all values; that of the loss begins at 0, that of the accuracy ends at 100 at most. */
static void fit_axis(panel *p, const history *h)
{
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < h->count; i++)
        for (int line = 0; line < 2; line++) {
            const double v = value_of(&h->rows[i], p, line);
            if (!isfinite(v))
                continue;
            low = v < low ? v : low;
            high = v > high ? v : high;
        }
    if (!isfinite(low))
        low = 0, high = 1;
    if (p->factor < 2)
        low = 0;
    if (high - low < 1e-3 * p->factor)
        high = low + 1e-3 * p->factor;
    p->step = nice_step(high - low);
    p->low = floor(low / p->step) * p->step;
    p->high = ceil(high / p->step - 1e-9) * p->step;
}

static double x_of(const panel *p, const history *h, double epoch)
{
    const double first = (double)h->rows[0].epoch, last = (double)h->rows[h->count - 1].epoch;
    return p->left + (last > first ? (epoch - first) / (last - first) : 0.5) * PANEL;
}

static double y_of(const panel *p, double value)
{
    return BOTTOM - (value - p->low) / (p->high - p->low) * (BOTTOM - TOP);
}

static void draw_y_axis(FILE *file, const panel *p)
{
    const int decimals = p->step < 1 ? (int)ceil(-log10(p->step) - 1e-9) : 0;
    for (int i = 0; p->low + i * p->step <= p->high + p->step / 2; i++) {
        const double value = p->low + i * p->step, y = y_of(p, value);
        fprintf(file, "<line class=\"%s\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>", i ? "grid" : "axis", p->left,
                p->left + PANEL, y, y);
        fprintf(file, "<text class=\"end\" x=\"%d\" y=\"%.1f\">%.*f%s</text>\n", p->left - 8, y + 4.5, decimals, value,
                p->unit);
    }
}

static void draw_x_axis(FILE *file, const panel *p, const history *h)
{
    const int64_t first = h->rows[0].epoch, last = h->rows[h->count - 1].epoch;
    int64_t step = last > first ? (int64_t)nice_step((double)(last - first) / 2) : 1;
    step = step < 1 ? 1 : step;
    for (int64_t epoch = first; epoch <= last; epoch = (epoch / step + 1) * step) {
        const double x = x_of(p, h, (double)epoch);
        fprintf(file, "<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", x, x, BOTTOM, BOTTOM + 5);
        fprintf(file, "<text class=\"middle\" x=\"%.1f\" y=\"%d\">%lld</text>\n", x, BOTTOM + 21, (long long)epoch);
    }
    fprintf(file, "<text class=\"middle\" x=\"%d\" y=\"%d\">epoch</text>\n", p->left + PANEL / 2, BOTTOM + 42);
}

static void draw_line(FILE *file, const panel *p, const history *h, int line)
{
    const char *const name = p->lines[line].name;
    fprintf(file, "<polyline class=\"%s\" points=\"", name);
    for (size_t i = 0; i < h->count; i++) {
        const double value = value_of(&h->rows[i], p, line);
        if (isfinite(value))
            fprintf(file, "%.1f,%.1f ", x_of(p, h, (double)h->rows[i].epoch), y_of(p, value));
    }
    fputs("\"/>\n", file);
    for (size_t i = h->count > 30 ? h->count - 1 : 0; i < h->count; i++) {
        const double value = value_of(&h->rows[i], p, line);
        if (isfinite(value))
            fprintf(file, "<circle class=\"%s-dot\" r=\"3\" cx=\"%.1f\" cy=\"%.1f\"/>\n", name,
                    x_of(p, h, (double)h->rows[i].epoch), y_of(p, value));
    }
}

static void draw_panel(FILE *file, panel *p, const history *h)
{
    fit_axis(p, h);
    fprintf(file, "<text class=\"panel\" x=\"%d\" y=\"%d\">%s</text>\n", p->left, TOP - 16, p->title);
    draw_y_axis(file, p);
    draw_x_axis(file, p, h);
    draw_line(file, p, h, 0);
    draw_line(file, p, h, 1);
}

static void draw_legend(FILE *file)
{
    fprintf(file, "<line class=\"train\" x1=\"742\" x2=\"778\" y1=\"%d\" y2=\"%d\"/><text x=\"786\" y=\"%d\">train</text>\n",
            36, 36, 40);
    fprintf(file, "<line class=\"test\" x1=\"834\" x2=\"870\" y1=\"%d\" y2=\"%d\"/><text x=\"878\" y=\"%d\">test</text>\n",
            36, 36, 40);
}

void curve_write(const history *h, const char *dir, const curve_labels *labels)
{
    panel loss = {"Loss", LEFT_1, 1, "",
                  {{"train", offsetof(history_row, train_loss)}, {"test", offsetof(history_row, test_loss)}}, 0, 0, 0};
    panel accuracy = {"Accuracy", LEFT_2, 100, " %",
                      {{"train", offsetof(history_row, train_accuracy)}, {"test", offsetof(history_row, test_accuracy)}},
                      0, 0, 0};
    char *temporary;
    if (!h->count)
        return;
    char *const path = path_in(dir, "learning-curve.svg");
    FILE *const file = replace_begin(path, &temporary);
    fprintf(file, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\">\n",
            WIDTH, HEIGHT, WIDTH, HEIGHT);
    fprintf(file, "<title>%s: %s</title>\n%s", labels->title, labels->subtitle, style);
    fprintf(file, "<rect class=\"paper\" width=\"%d\" height=\"%d\" rx=\"8\"/>\n", WIDTH, HEIGHT);
    fprintf(file, "<text class=\"title\" x=\"24\" y=\"40\">%s</text>\n<text x=\"24\" y=\"62\">%s</text>\n", labels->title,
            labels->subtitle);
    draw_legend(file);
    draw_panel(file, &loss, h);
    draw_panel(file, &accuracy, h);
    fputs("</svg>\n", file);
    replace_end(file, temporary, path);
    free(path);
}
