/* SPDX-License-Identifier: MIT */
/* A library without JPEG and PNG says so, and resizes all the same. */
#include "support.h"

#define WITHOUT "this library was built without JPEG and PNG"

START_TEST(says_so)
{
    rn_device *cpu = NULL;
    rn_context *const ctx = support_context(&cpu);
    const char *const paths[1] = {"x.jpg"};
    const int64_t dims[3] = {3, 4, 5};
    rn_tensor *image = NULL, *resized = NULL;
    rn_dataset *ds = NULL;
    ck_assert_ptr_null(strstr(rn_build_info(RN_BUILD_FEATURES), "images"));
    ck_fails(rn_image_decode(ctx, "\xff\xd8\xff", 3, NULL, &image), RN_E_UNSUPPORTED, WITHOUT);
    ck_fails(rn_image_folder_open(ctx, "/tmp", NULL, &ds), RN_E_UNSUPPORTED, WITHOUT);
    ck_fails(rn_image_files_open(ctx, paths, NULL, 1, 1, NULL, &ds), RN_E_UNSUPPORTED, WITHOUT);
    ck_assert(image == NULL && ds == NULL);
    ck_ok(rn_tensor_create(cpu, RN_U8, 3, dims, &image));
    ck_ok(rn_image_resize(image, 8, 8, &resized));
    rn_tensor_release(image);
    rn_tensor_release(resized);
    rn_context_release(ctx);
}
END_TEST

SUPPORT_MAIN("image_absent", says_so)
