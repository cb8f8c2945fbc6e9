/* SPDX-License-Identifier: MIT */
/* Signals: a kernel's wild access ends the kernel, the host's access to device memory ends the process with a text. */
#include "fault.h"
#include "fiber.h"
#include "launch.h"
#include "memory.h"
#include "report.h"
#include "touch.h"
#include <csignal>
#include <cstring>
#include <ucontext.h>

namespace sim
{
static const int signals[] = {SIGSEGV, SIGFPE, SIGBUS};
static struct sigaction before[3];

static bool is_write(const ucontext_t *context)
{
    return (context->uc_mcontext.gregs[REG_ERR] & 2) != 0; /* of the page fault's error code */
}

static void kernel_fault(int signal, const siginfo_t *info, const ucontext_t *context)
{
    const uintptr_t address = (uintptr_t)info->si_addr;
    const std::string place = code_place((const void *)context->uc_mcontext.gregs[REG_RIP]);
    if (signal == SIGFPE)
        report("division by zero at %s", place.c_str());
    else if (info->si_code == SI_KERNEL)
        report("misaligned vector access, or no address at all, at %s", place.c_str());
    else if (in_arena(address))
        report("%s outside every allocation, at %s: %s", is_write(context) ? "write" : "read", place.c_str(),
               describe_address(address));
    else
        report("%s at address %p, which is not device memory, at %s", is_write(context) ? "write" : "read",
               info->si_addr, place.c_str());
    abandon_kernel(cudaErrorIllegalAddress);
}

static void pass_on(int signal)
{
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (signals[i] == signal)
            sigaction(signal, &before[i], nullptr); /* the instruction runs again, and faults for whoever was first */
}

static void handle(int signal, siginfo_t *info, void *context)
{
    const uintptr_t address = (uintptr_t)info->si_addr;
    if (in_kernel()) {
        if (signal == SIGSEGV && note_touch(address, 1))
            return;
        kernel_fault(signal, info, (const ucontext_t *)context);
    }
    if (signal == SIGSEGV && info->si_code != SI_KERNEL && in_arena(address))
        last_words("simulator: host code at %s %s device memory, %s\n",
                   code_place((const void *)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP]).c_str(),
                   is_write((ucontext_t *)context) ? "writes" : "reads", describe_address(address));
    pass_on(signal);
}

void catch_faults()
{
    struct sigaction ours, old;
    memset(&ours, 0, sizeof ours);
    ours.sa_sigaction = handle;
    ours.sa_flags = SA_SIGINFO | SA_NODEFER;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        sigaction(signals[i], &ours, &old);
        if (!(old.sa_flags & SA_SIGINFO) || old.sa_sigaction != handle)
            before[i] = old;
    }
}

void release_faults()
{
    struct sigaction now;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (sigaction(signals[i], nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) && now.sa_sigaction == handle)
            sigaction(signals[i], &before[i], nullptr);
}
} // namespace sim
