/* SPDX-License-Identifier: MIT */
/* The devices of a context and where they come from. */
#ifndef RNI_BACKEND_REGISTRY_H
#define RNI_BACKEND_REGISTRY_H

#include "backend/context.h"

/* Opens all devices of a backend and adds them; on failure none is added. */
rn_status rni_registry_add(rn_context *ctx, const rn_backend *backend);
/* Looks for the CUDA module; that there is none is only logged. */
void rni_registry_find_modules(rn_context *ctx);
/* Closes devices, then modules. */
void rni_registry_clear(rn_context *ctx);
void rni_plugin_unload(rn_context *ctx);

#endif
