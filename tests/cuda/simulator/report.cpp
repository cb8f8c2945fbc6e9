/* SPDX-License-Identifier: MIT */
#include "report.h"
#include "control.h"
#include "device.h"
#include "launch.h"
#include "settings.h"
#include <cstdarg>
#include <cstdio>
#include <deque>
#include <dlfcn.h>
#include <unistd.h>

namespace sim
{
/* Reports with one text of one launch that are kept; the rest only counts. */
constexpr int ALIKE = 3;

static std::deque<std::string> texts;
static int64_t count;

static struct {
    const char *format;
    uint64_t launch;
    int times;
} latest;

static bool alike(const char *format)
{
    const uint64_t launch = launch_number();
    if (latest.format != format || latest.launch != launch)
        latest = {format, launch, 0};
    return ++latest.times > ALIKE;
}

void report(const char *format, ...)
{
    count++;
    if (alike(format))
        return;
    char text[600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    texts.push_back(running_place() + text);
    if ((int64_t)texts.size() <= setting(REPORTS))
        fprintf(stderr, "simulator: %s\n", texts.back().c_str());
}

void last_words(const char *format, ...)
{
    char text[600];
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    count++;
    if (length > 0)
        (void)!write(STDERR_FILENO, text, (size_t)length < sizeof text ? (size_t)length : sizeof text - 1);
}

int64_t reports()
{
    return count;
}

const char *report_text(int64_t index)
{
    return index >= 0 && index < (int64_t)texts.size() ? texts[(size_t)index].c_str() : nullptr;
}

void forget_reports()
{
    texts.clear();
    count = 0;
    latest = {};
}

std::string code_place(const void *address)
{
    Dl_info info;
    char text[400];
    if (!dladdr(address, &info) || !info.dli_fname)
        return "?";
    snprintf(text, sizeof text, "%s+0x%zx", info.dli_fname,
             (size_t)((const char *)address - (const char *)info.dli_fbase));
    return text;
}
} // namespace sim

const char *rni_sim_report(int64_t index)
{
    const sim::Lock lock;
    return sim::report_text(index);
}
