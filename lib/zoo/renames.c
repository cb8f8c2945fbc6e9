/* SPDX-License-Identifier: MIT */
/* Names in the files of others. */
#include "base/error.h"
#include <resnet/zoo.h>
#include <string.h>

static const rn_rename akamaster[] = {{"linear.", "fc."}, {"*.shortcut.", ".downsample."}};

rn_status rn_zoo_renames(const char *name, const rn_rename **table, size_t *count)
{
    RNI_REQUIRE(name);
    RNI_REQUIRE(table);
    RNI_REQUIRE(count);
    if (strcmp(name, "akamaster") != 0)
        return rni_fail(RN_E_NOT_FOUND, "name: there are no renames '%.40s'; there are: akamaster", name);
    *table = akamaster;
    *count = sizeof akamaster / sizeof akamaster[0];
    return RN_OK;
}
