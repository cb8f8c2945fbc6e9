/* SPDX-License-Identifier: MIT */
/*
 * export_onnx: a network of the zoo, with trained weights, as a file for ONNX Runtime and its kin:
 *
 *     export_onnx --arch tutorial --weights model.safetensors --out tutorial.onnx
 */
#include <errno.h>
#include <resnet/resnet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: export_onnx --arch NAME --out FILE [FLAG...]\n"
    "\n"
    "Writes a network in inference mode as an ONNX file (opset 17); its input may hold any number of images.\n"
    "\n"
    "  --arch NAME      network of the zoo\n"
    "  --out FILE       the file to write\n"
    "  --weights FILE   its weights, as rn_model_save() or train_classifier write them; else they are random\n"
    "  --classes N      of the network (as published)\n"
    "  --channels N     of the input (3)\n"
    "  --size N         height and width of the input (224; networks for CIFAR: 32)\n"
    "  --fold           batch normalisation folded into the convolutions\n"
    "  --help           print this\n";

typedef struct options {
    const char *arch, *weights, *out;
    int64_t classes, channels, size; /* 0: as published */
    int fold;
} options;

static _Noreturn void misused(const char *what, const char *why)
{
    fprintf(stderr, "export_onnx: %s: %s (--help says more)\n", what, why);
    exit(2);
}

/* Every call of the library returns a status; the message says what was wrong. */
static void check(rn_status status)
{
    if (status >= 0)
        return;
    fprintf(stderr, "export_onnx: %s\n", rn_error_message());
    exit(1);
}

static int64_t number(const char *name, const char *text)
{
    char *end;
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end || value < 1 || value > 1 << 20)
        misused(name, "expected a whole number from 1 to 1048576");
    return value;
}

static void take_value(options *o, const char *name, const char *value)
{
    if (strcmp(name, "--arch") == 0)
        o->arch = value;
    else if (strcmp(name, "--weights") == 0)
        o->weights = value;
    else if (strcmp(name, "--out") == 0)
        o->out = value;
    else if (strcmp(name, "--classes") == 0)
        o->classes = number(name, value);
    else if (strcmp(name, "--channels") == 0)
        o->channels = number(name, value);
    else if (strcmp(name, "--size") == 0)
        o->size = number(name, value);
    else
        misused(name, "unknown flag");
}

static options parse(int argc, char **argv)
{
    options o = {NULL, NULL, NULL, 0, 0, 0, 0};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(help, stdout);
            exit(0);
        }
        if (strcmp(argv[i], "--fold") == 0) {
            o.fold = 1;
            continue;
        }
        if (i + 1 == argc)
            misused(argv[i], strncmp(argv[i], "--", 2) == 0 ? "expected a value" : "unknown argument");
        take_value(&o, argv[i], argv[i + 1]);
        i++;
    }
    if (!o.arch || !o.out)
        misused(o.arch ? "--out" : "--arch", "is missing");
    return o;
}

static void export(const options *o, const rn_model *model)
{
    rn_onnx_options onnx = RN_ONNX_OPTIONS_INIT;
    const int small = strncmp(o->arch, "cifar_", 6) == 0 || strcmp(o->arch, "tutorial") == 0;
    const int64_t size = o->size ? o->size : small ? 32 : 224;
    const int64_t dims[] = {1, o->channels ? o->channels : 3, size, size};
    onnx.flags = o->fold ? RN_ONNX_FOLD_BATCHNORM : 0;
    check(rn_model_export_onnx(model, 4, dims, &onnx, o->out));
}

int main(int argc, char **argv)
{
    const options o = parse(argc, argv);
    const rn_zoo_options zoo = {sizeof zoo, 0, o.classes, o.channels};
    rn_context *ctx;
    rn_device *cpu;
    rn_layer *net;
    rn_model *model;
    check(rn_context_create(NULL, &ctx));
    check(rn_context_find_device(ctx, "cpu", &cpu));
    check(rn_zoo_create(ctx, o.arch, &zoo, &net));
    check(rn_model_create(ctx, net, cpu, &model));
    if (o.weights)
        check(rn_model_load(model, o.weights, NULL));
    export(&o, model);
    rn_model_release(model);
    rn_layer_release(net);
    rn_context_release(ctx);
    return 0;
}
