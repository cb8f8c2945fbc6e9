/* SPDX-License-Identifier: MIT */
/* Backend modules for test_plugin.c; MODULE_* says what is wrong with this one. */
#include "fake_backend.h"

RN_API rn_status rn_backend_query(uint32_t host_major, uint32_t host_minor, const rn_backend **out);
RN_API int module_unrelated(void);

int module_unrelated(void)
{
    return 1;
}

#if defined(MODULE_REFUSES)
rn_status rn_backend_query(uint32_t host_major, uint32_t host_minor, const rn_backend **out)
{
    (void)host_major, (void)host_minor, (void)out;
    return RN_E_VERSION;
}
#elif defined(MODULE_EMPTY)
rn_status rn_backend_query(uint32_t host_major, uint32_t host_minor, const rn_backend **out)
{
    (void)host_major, (void)host_minor, (void)out;
    return RN_OK;
}
#elif !defined(MODULE_NO_SYMBOL)
rn_status rn_backend_query(uint32_t host_major, uint32_t host_minor, const rn_backend **out)
{
    static rn_backend backend = FAKE_BACKEND;
    (void)host_minor;
#if defined(MODULE_OTHER_MAJOR)
    backend.abi_major = host_major + 1;
#else
    if (host_major != backend.abi_major)
        return RN_E_VERSION;
#endif
    *out = &backend;
    return RN_OK;
}
#endif
