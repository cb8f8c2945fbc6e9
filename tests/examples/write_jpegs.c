/* SPDX-License-Identifier: MIT */
/* write_jpegs: makes JPEG files of what it reads: lines "WIDTH HEIGHT PATH", each followed by that many RGB pixels. */
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

static void write_jpeg(const char *path, unsigned width, unsigned height, unsigned char *pixels)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    FILE *const file = fopen(path, "wb");
    if (!file)
        exit(1);
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_stdio_dest(&jpeg, file);
    jpeg.image_width = width;
    jpeg.image_height = height;
    jpeg.input_components = 3;
    jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 85, TRUE);
    jpeg_start_compress(&jpeg, TRUE);
    while (jpeg.next_scanline < height) {
        JSAMPROW row = pixels + (size_t)jpeg.next_scanline * width * 3;
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    if (fclose(file) != 0)
        exit(1);
}

int main(void)
{
    unsigned width, height;
    char path[4096];
    while (scanf("%u %u %4095[^\n]", &width, &height, path) == 3 && getchar() == '\n') {
        const size_t size = (size_t)width * height * 3;
        unsigned char *const pixels = malloc(size);
        if (!pixels || fread(pixels, 1, size, stdin) != size)
            return 1;
        write_jpeg(path, width, height, pixels);
        free(pixels);
    }
    return 0;
}
