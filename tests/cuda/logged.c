/* SPDX-License-Identifier: MIT */
#include "logged.h"

char logged_text[300];
int logged_lines;

static void on_log(void *user, int32_t level, const char *text)
{
    (void)user, (void)level;
    if (!strstr(text, "cuda"))
        return;
    logged_lines++;
    snprintf(logged_text, sizeof logged_text, "%s", text);
}

rn_context *logged_context(void)
{
    rn_context_options o = RN_CONTEXT_OPTIONS_INIT;
    rn_context *ctx = NULL;
    o.num_threads = 1;
    o.seed = 7;
    o.log = on_log;
    o.log_level = RN_LOG_INFO;
    ck_ok(rn_context_create(&o, &ctx));
    logged_text[0] = '\0';
    logged_lines = 0;
    return ctx;
}
