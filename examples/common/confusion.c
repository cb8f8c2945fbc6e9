/* SPDX-License-Identifier: MIT */
#include "confusion.h"
#include "check.h"
#include "files.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 640, LEFT = 150, TOP = 110, BELOW = 120, RIGHT = 40, MOST_NAMES = 40, MOST_NUMBERS = 12 };

static const char style[] =
    "<style>\n"
    "text{font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;font-size:13px;fill:#57606a}\n"
    ".title{font-size:20px;font-weight:600;fill:#1f2328}.paper{fill:#ffffff}.frame{fill:none;stroke:#8c959f}\n"
    ".right{fill:#1d5fd1}.wrong{fill:#c2570c}.end{text-anchor:end}.middle{text-anchor:middle}.light{fill:#ffffff}\n"
    "@media (prefers-color-scheme:dark){text{fill:#9aa4af}.title{fill:#f0f3f6}.paper{fill:#14181d}.frame{stroke:#6b7580}"
    ".right{fill:#74aaff}.wrong{fill:#f5a05a}.light{fill:#14181d}}\n"
    "</style>\n";

void confusion_open(confusion *c, int64_t classes)
{
    c->classes = classes;
    c->count = allocate((size_t)(classes * classes), sizeof *c->count);
    c->name = allocate((size_t)classes, sizeof *c->name);
}

void confusion_close(confusion *c)
{
    free(c->name);
    free(c->count);
}

/* In CSV, quotes around names that hold commas or quotes. */
static void print_csv_name(FILE *file, const confusion *c, int64_t class)
{
    const char *const name = c->name[class];
    if (!name) {
        fprintf(file, "%lld", (long long)class);
        return;
    }
    const int quoted = strpbrk(name, ",\"\n") != NULL;
    if (quoted)
        fputc('"', file);
    for (const char *s = name; *s; s++)
        fprintf(file, quoted && *s == '"' ? "%c\"" : "%c", *s);
    if (quoted)
        fputc('"', file);
}

void confusion_write_csv(const confusion *c, const char *dir)
{
    char *const path = path_in(dir, "confusion.csv"), *temporary;
    FILE *const file = replace_begin(path, &temporary);
    fputs("true class", file);
    for (int64_t k = 0; k < c->classes; k++) {
        fputc(',', file);
        print_csv_name(file, c, k);
    }
    fputc('\n', file);
    for (int64_t t = 0; t < c->classes; t++) {
        print_csv_name(file, c, t);
        for (int64_t k = 0; k < c->classes; k++)
            fprintf(file, ",%lld", (long long)c->count[t * c->classes + k]);
        fputc('\n', file);
    }
    replace_end(file, temporary, path);
    free(path);
}

static void print_svg_text(FILE *file, const char *text)
{
    for (; *text; text++) {
        if (*text == '&')
            fputs("&amp;", file);
        else if (*text == '<')
            fputs("&lt;", file);
        else
            fputc(*text, file);
    }
}

static void draw_names(FILE *file, const confusion *c, double cell)
{
    for (int64_t k = 0; k < c->classes; k++) {
        const double middle = ((double)k + 0.5) * cell;
        char number[24];
        snprintf(number, sizeof number, "%lld", (long long)k);
        const char *const name = c->name[k] ? c->name[k] : number;
        fprintf(file, "<text class=\"end\" x=\"%d\" y=\"%.1f\">", LEFT - 8, TOP + middle + 4.5);
        print_svg_text(file, name);
        fprintf(file, "</text><text class=\"end\" transform=\"translate(%.1f %d) rotate(-45)\">", LEFT + middle + 4.5,
                TOP + SIDE + 16);
        print_svg_text(file, name);
        fputs("</text>\n", file);
    }
}

static void draw_cell(FILE *file, const confusion *c, double cell, int64_t row, int64_t column, double strength)
{
    const int64_t count = c->count[row * c->classes + column];
    const double x = LEFT + (double)column * cell, y = TOP + (double)row * cell;
    fprintf(file, "<rect class=\"%s\" opacity=\"%.3f\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\"/>",
            row == column ? "right" : "wrong", strength, x, y, cell, cell);
    if (c->classes <= MOST_NUMBERS)
        fprintf(file, "<text class=\"middle%s\" x=\"%.1f\" y=\"%.1f\">%lld</text>", strength > 0.6 ? " light" : "",
                x + cell / 2, y + cell / 2 + 4.5, (long long)count);
    fputc('\n', file);
}

/* Strengths are square roots of parts, so that rare mistakes are seen too. */
static void draw_cells(FILE *file, const confusion *c, double cell)
{
    for (int64_t row = 0; row < c->classes; row++) {
        const int64_t *const counts = c->count + row * c->classes;
        int64_t all = 0;
        for (int64_t column = 0; column < c->classes; column++)
            all += counts[column];
        for (int64_t column = 0; column < c->classes; column++)
            if (counts[column])
                draw_cell(file, c, cell, row, column, sqrt((double)counts[column] / (double)all));
    }
}

void confusion_write_svg(const confusion *c, const char *dir, const char *title, const char *subtitle)
{
    char *const path = path_in(dir, "confusion.svg"), *temporary;
    FILE *const file = replace_begin(path, &temporary);
    const int width = LEFT + SIDE + RIGHT, height = TOP + SIDE + BELOW;
    const double cell = (double)SIDE / (double)c->classes;
    fprintf(file, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\">\n",
            width, height, width, height);
    fprintf(file, "<title>%s: %s</title>\n%s", title, subtitle, style);
    fprintf(file, "<rect class=\"paper\" width=\"%d\" height=\"%d\" rx=\"8\"/>\n", width, height);
    fprintf(file, "<text class=\"title\" x=\"24\" y=\"40\">%s</text>\n<text x=\"24\" y=\"62\">%s</text>\n", title, subtitle);
    fprintf(file, "<text x=\"24\" y=\"%d\">true class: row</text><text x=\"%d\" y=\"%d\">answer: column</text>\n", TOP - 16,
            LEFT, TOP - 16);
    draw_cells(file, c, cell);
    if (c->classes <= MOST_NAMES)
        draw_names(file, c, cell);
    fprintf(file, "<rect class=\"frame\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>\n</svg>\n", LEFT, TOP, SIDE, SIDE);
    replace_end(file, temporary, path);
    free(path);
}
