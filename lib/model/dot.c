/* SPDX-License-Identifier: MIT */
/*
 * Models as pictures in Graphviz's language DOT. Boxes and clusters are written during the walk. Edges are kept until
 * its end: only where a residual block joins is it known which of them were its shortcut.
 */
#include "base/abi.h"
#include "model/caption.h"
#include "model/model.h"
#include <inttypes.h>
#include <string.h>

/* Each image size has a fill colour; the palette begins again after its end. */
static const char *const colours[] = {"#dcd6f0", "#d5ecd4", "#f8d7d0", "#cfe2f3", "#fff0c2", "#d4efee", "#f3d5e7"};
enum { NUM_COLOURS = sizeof colours / sizeof *colours, MAX_SIZES = 64, MAX_FRAMES = RNI_MAX_DEPTH + 1 };

/* Edges: along the main path; a shortcut that is the identity; one that changes the dimensions. */
enum { LINE_MAIN = 0, LINE_IDENTITY = 1, LINE_CHANGE = 2 };

typedef struct line {
    uint32_t from, to; /* numbers of boxes */
    int32_t kind;      /* LINE_* */
    int32_t alone;     /* a whole shortcut */
} line;

/* A residual block that the walk is in; the first frame is the net. */
typedef struct frame {
    const rn_layer *block; /* NULL: the net */
    rni_shape shape;       /* of what comes in */
    uint32_t source;       /* the box that it comes from */
} frame;

typedef struct drawing {
    const rn_allocator *allocator;
    rn_dot_options options;
    rni_text text;
    int32_t indent;
    uint32_t boxes, clusters; /* drawn so far; edges carry the number of the box they come from */
    line *lines;
    size_t num_lines, cap_lines;
    frame frames[MAX_FRAMES];
    int32_t num_frames;
    int64_t sizes[MAX_SIZES][2]; /* of images, in the order of their first box */
    int32_t num_sizes;
} drawing;

/* The inside of a quoted string that Graphviz shows as this text. */
static void add_escaped(rni_text *text, const char *s)
{
    for (; *s; s++) {
        const unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            rni_text_append(text, "\\%c", c);
        else if (c == '&')
            rni_text_append(text, "&amp;");
        else
            rni_text_append(text, "%c", c < ' ' || c == 127 ? ' ' : c);
    }
}

static void begin_line(drawing *d)
{
    rni_text_append(&d->text, "%*s", (int)d->indent * 2, "");
}

/* `"resnet34:7"`: the net's name keeps the boxes of several nets in one graph apart. */
static void add_id(drawing *d, const char *kind, uint32_t number)
{
    rni_text_append(&d->text, "\"%s", kind);
    if (d->options.name) {
        add_escaped(&d->text, d->options.name);
        rni_text_append(&d->text, ":");
    }
    rni_text_append(&d->text, "%u\"", (unsigned)number);
}

/* Which of the sizes met so far it is, from 0; `is_new` when it is met for the first time. -1: no image. */
static int32_t find_size(drawing *d, const rni_shape *shape, int *is_new)
{
    *is_new = 0;
    if (shape->rank != 4)
        return -1;
    for (int32_t i = 0; i < d->num_sizes; i++)
        if (d->sizes[i][0] == shape->dims[2] && d->sizes[i][1] == shape->dims[3])
            return i;
    if (d->num_sizes == MAX_SIZES)
        return 0;
    *is_new = 1;
    memcpy(d->sizes[d->num_sizes], &shape->dims[2], sizeof d->sizes[0]);
    return d->num_sizes++;
}

/* "output size: 56" beside the first box of a size, as at the borders of stages in the paper. */
static void add_size_label(drawing *d, const rni_shape *shape)
{
    const long long height = (long long)shape->dims[2], width = (long long)shape->dims[3];
    if (height == width)
        rni_text_append(&d->text, ", xlabel=\"output size: %lld\"", height);
    else
        rni_text_append(&d->text, ", xlabel=\"output size: %lldx%lld\"", height, width);
}

static void add_label(drawing *d, const char *caption, const char *path, const rni_shape *shape)
{
    const int is_input = d->boxes == 0;
    rni_text_append(&d->text, "label=\"%s", caption);
    if (d->options.flags & RN_DOT_NAMES && *path) {
        rni_text_append(&d->text, "\\n");
        add_escaped(&d->text, path);
    }
    if (d->options.flags & RN_DOT_SHAPES || is_input) {
        rni_text_append(&d->text, "\\n");
        for (int32_t i = 1; i < shape->rank; i++)
            rni_text_append(&d->text, "%s%lld", i > 1 ? " x " : "", (long long)shape->dims[i]);
    }
    rni_text_append(&d->text, "\"");
}

static rn_status add_line(drawing *d, line added)
{
    RNI_TRY(rni_grow(d->allocator, (void **)&d->lines, d->num_lines, &d->cap_lines, sizeof added, "a picture"));
    d->lines[d->num_lines++] = added;
    return RN_OK;
}

/* A box for a layer, or the net's input (which comes from nowhere). */
static void add_box(drawing *d, const char *caption, const char *path, const rni_shape *shape)
{
    int is_new;
    const int32_t size = find_size(d, shape, &is_new);
    begin_line(d);
    add_id(d, "", d->boxes);
    rni_text_append(&d->text, " [");
    add_label(d, caption, path, shape);
    d->boxes++;
    if (size >= 0)
        rni_text_append(&d->text, ", fillcolor=\"%s\"", colours[size % NUM_COLOURS]);
    if (is_new)
        add_size_label(d, shape);
    rni_text_append(&d->text, "];\n");
}

static int same_shape(const rni_shape *a, const rni_shape *b)
{
    return a->rank == b->rank && memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims) == 0;
}

/* Adaptive pooling has nothing to do where images have its size already. */
static int is_small(const rn_layer *layer, const rni_shape *in, const rni_shape *out)
{
    if (layer->cls == &rni_adaptive_avgpool2d_class)
        return same_shape(in, out);
    return layer->cls == &rni_batchnorm2d_class || layer->cls == &rni_relu_class || layer->cls == &rni_flatten_class ||
           layer->cls == &rni_dropout_class || layer->cls == &rni_identity_class;
}

/* Small layers belong to the box before them in their branch; a zero-padding shortcut is a line. */
static int is_folded(const drawing *d, const rn_layer *layer, const rni_edge *in, const rni_edge *out)
{
    const frame *const f = &d->frames[d->num_frames - 1];
    if (d->options.flags & RN_DOT_ALL_LAYERS)
        return 0;
    if (layer->cls == &rni_pad_shortcut_class)
        return f->block && f->block->num_children > 1 && f->block->children[1].layer == layer;
    return is_small(layer, &in->shape, &out->shape) && in->value != f->source;
}

static rn_status visit_leaf(rni_visitor *v, const rn_layer *layer, const char *path, const rni_edge *in, rni_edge *out)
{
    drawing *const d = v->user;
    char caption[RNI_CAPTION_SIZE];
    if (is_folded(d, layer, in, out))
        return RN_OK;
    out->value = d->boxes;
    rni_layer_caption(layer, &out->shape, caption);
    add_box(d, caption, path, &out->shape);
    return add_line(d, (line){in->value, out->value, LINE_MAIN, 0});
}

static rn_status enter(rni_visitor *v, const rn_layer *layer, const char *path, const rni_edge *in)
{
    drawing *const d = v->user;
    if (layer->cls != &rni_residual_class)
        return RN_OK;
    d->frames[d->num_frames++] = (frame){layer, in->shape, in->value};
    begin_line(d);
    rni_text_append(&d->text, "subgraph ");
    add_id(d, "cluster ", d->clusters++);
    rni_text_append(&d->text, " {\n");
    d->indent++;
    if (d->options.flags & RN_DOT_NAMES) {
        begin_line(d);
        rni_text_append(&d->text, "label=\"");
        add_escaped(&d->text, path);
        rni_text_append(&d->text, "\";\n");
    }
    return RN_OK;
}

static rn_status leave(rni_visitor *v, const rn_layer *layer, const char *path, const rni_edge *out)
{
    drawing *const d = v->user;
    (void)path, (void)out;
    if (layer->cls != &rni_residual_class)
        return RN_OK;
    d->num_frames--;
    d->indent--;
    begin_line(d);
    rni_text_append(&d->text, "}\n");
    return RN_OK;
}

/*
 * The main branch is drawn before the shortcut and ends in its last box, so the lines to boxes with higher numbers are
 * the shortcut's.
 */
static rn_status join(rni_visitor *v, const rn_layer *layer, const char *path, const rni_edge *main,
                      const rni_edge *shortcut, rni_edge *out)
{
    drawing *const d = v->user;
    const frame *const f = &d->frames[d->num_frames - 1];
    const int32_t kind = same_shape(&f->shape, &out->shape) ? LINE_IDENTITY : LINE_CHANGE;
    (void)path;
    for (size_t i = d->num_lines; i > 0 && d->lines[i - 1].to > main->value; i--)
        d->lines[i - 1].kind = kind;
    out->value = d->boxes++;
    begin_line(d);
    add_id(d, "", out->value);
    rni_text_append(&d->text, " [label=\"+\", shape=circle, width=0.16, fixedsize=true, margin=0, fillcolor=white];\n");
    RNI_TRY(add_line(d, (line){main->value, out->value, LINE_MAIN, 0}));
    RNI_TRY(add_line(d, (line){shortcut->value, out->value, kind, shortcut->value == f->source}));
    if (!(d->options.flags & RN_DOT_ALL_LAYERS) || layer->u.residual_flags & RN_RESIDUAL_NO_RELU)
        return RN_OK;
    add_box(d, "relu", "", &out->shape);
    RNI_TRY(add_line(d, (line){out->value, d->boxes - 1, LINE_MAIN, 0}));
    out->value = d->boxes - 1;
    return RN_OK;
}

/* The main path stays straight; shortcuts without boxes bend out to one side. */
static void add_attributes(drawing *d, const line *l)
{
    const char *const side = d->options.flags & RN_DOT_LEFT_TO_RIGHT ? "s" : "e";
    if (l->kind == LINE_MAIN)
        rni_text_append(&d->text, " [weight=10]");
    else if (l->alone)
        rni_text_append(&d->text, " [tailport=%s, headport=%s%s]", side, side,
                        l->kind == LINE_CHANGE ? ", style=dotted" : "");
    else if (l->kind == LINE_CHANGE)
        rni_text_append(&d->text, " [style=dotted]");
}

static void add_lines(drawing *d)
{
    for (size_t i = 0; i < d->num_lines; i++) {
        begin_line(d);
        add_id(d, "", d->lines[i].from);
        rni_text_append(&d->text, " -> ");
        add_id(d, "", d->lines[i].to);
        add_attributes(d, &d->lines[i]);
        rni_text_append(&d->text, ";\n");
    }
}

static void add_header(drawing *d)
{
    const int subgraph = (d->options.flags & RN_DOT_SUBGRAPH) != 0;
    rni_text_append(&d->text, subgraph ? "subgraph \"cluster " : "digraph \"");
    add_escaped(&d->text, d->options.name ? d->options.name : "net");
    rni_text_append(&d->text, "\" {\n");
    d->indent = 1;
    if (!subgraph)
        rni_text_append(&d->text, "  rankdir=%s;\n", d->options.flags & RN_DOT_LEFT_TO_RIGHT ? "LR" : "TB");
    rni_text_append(&d->text,
                    "  graph [ranksep=0.15, nodesep=0.3, labelloc=t, style=rounded, color=\"#b0b0b0\", "
                    "fontname=Helvetica, fontsize=11];\n"
                    "  node [shape=box, style=filled, fillcolor=white, height=0.24, margin=\"0.1,0.03\", "
                    "fontname=Helvetica, fontsize=9];\n"
                    "  edge [arrowsize=0.5];\n");
}

/* Title, and room beside a net for its labels: blocks would inherit both if they came before them. */
static void add_footer(drawing *d)
{
    if (d->options.flags & RN_DOT_SUBGRAPH)
        rni_text_append(&d->text, "  color=\"#ffffff00\";\n  margin=36;\n");
    if (d->options.name) {
        rni_text_append(&d->text, "  label=\"");
        add_escaped(&d->text, d->options.name);
        rni_text_append(&d->text, "\";\n");
    }
    rni_text_append(&d->text, "}\n");
}

static rn_status compose(drawing *d, const rn_model *m, rni_edge *in)
{
    rni_visitor v = {
        .leaf = visit_leaf, .join = join, .enter = enter, .leave = leave, .main_first = 1, .user = d};
    rni_edge out;
    int is_new;
    add_header(d);
    d->frames[d->num_frames++] = (frame){NULL, in->shape, in->value};
    find_size(d, &in->shape, &is_new);
    add_box(d, "input", "", &in->shape);
    RNI_TRY(rni_layer_visit(m->root, &v, "", in, &out));
    add_lines(d);
    add_footer(d);
    return d->text.failed ? rni_nomem("a picture", d->text.capacity) : RN_OK;
}

static const rn_dot_options defaults = RN_DOT_OPTIONS_INIT;

rn_status rn_dot_options_init(rn_dot_options *options, size_t struct_size)
{
    return rni_abi_init(options, struct_size, &defaults, sizeof defaults, sizeof defaults, "rn_dot_options");
}

static rn_status read_options(rn_dot_options *o, const rn_dot_options *given)
{
    const uint64_t known = RN_DOT_ALL_LAYERS | RN_DOT_NAMES | RN_DOT_SHAPES | RN_DOT_LEFT_TO_RIGHT | RN_DOT_SUBGRAPH;
    *o = defaults;
    RNI_TRY(rni_abi_read(o, sizeof *o, sizeof *o, given, "rn_dot_options"));
    if (o->flags & ~known)
        return rni_fail(RN_E_INVALID, "options.flags: unknown flag in 0x%" PRIx64, o->flags);
    if (o->flags & RN_DOT_SUBGRAPH && !o->name)
        return rni_fail(RN_E_INVALID, "options.name: expected a name for a subgraph, got NULL");
    return RN_OK;
}

rn_status rn_model_write_dot(const rn_model *m, int32_t rank, const int64_t *dims, const rn_dot_options *options,
                             rn_write_fn write, void *user)
{
    RNI_REQUIRE(m);
    RNI_REQUIRE(dims);
    RNI_REQUIRE(write);
    rni_edge in;
    drawing d = {.allocator = &m->ctx->allocator, .text = {.allocator = &m->ctx->allocator}};
    RNI_TRY(read_options(&d.options, options));
    RNI_TRY(rni_input_edge(rank, dims, &in));
    rn_status status = compose(&d, m, &in);
    if (status == RN_OK)
        status = write(user, d.text.data, d.text.length);
    rni_free(d.allocator, d.lines);
    rni_text_free(&d.text);
    return status;
}
