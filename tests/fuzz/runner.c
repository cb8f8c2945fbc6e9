/* SPDX-License-Identifier: MIT */
/* Runs a target without libFuzzer: every file of the corpus as it is, cut short, and with changed bytes. */
#include "fuzz.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LARGEST_FILE 65536
#define MUTATIONS 400

static uint64_t state = 1;

static uint32_t random_below(uint32_t n)
{
    state = state * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX */
    return (uint32_t)(state >> 33) % n;
}

static void mutate(const uint8_t *seed, size_t size)
{
    static uint8_t data[LARGEST_FILE];
    size_t length = size;
    memcpy(data, seed, size);
    for (uint32_t i = 1 + random_below(8); i > 0 && size > 0; i--)
        data[random_below((uint32_t)size)] = (uint8_t)(random_below(3) ? random_below(256) : 255u * random_below(2));
    if (random_below(4) == 0)
        length = random_below((uint32_t)size + 1);
    LLVMFuzzerTestOneInput(data, length);
}

static int run_file(const char *path)
{
    static uint8_t data[LARGEST_FILE];
    FILE *file = fopen(path, "rb");
    size_t size;
    if (file == NULL)
        return 0;
    size = fread(data, 1, sizeof data, file);
    fclose(file);
    LLVMFuzzerTestOneInput(data, size);
    for (int i = 0; i < MUTATIONS; i++)
        mutate(data, size);
    return 1;
}

int main(int argc, char **argv)
{
    DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
    char path[4096];
    int files = 0;
    if (dir == NULL) {
        fprintf(stderr, "usage: %s CORPUS\n", argv[0]);
        return 2;
    }
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
        files += run_file(path);
    }
    closedir(dir);
    rn_context_release(fuzz_context());
    printf("%d files, %d changed ones of each\n", files, MUTATIONS);
    return files > 0 ? 0 : 1;
}
