/* SPDX-License-Identifier: MIT */
#include "touch.h"
#include "access.h"
#include <cstring>
#include <sys/mman.h>

namespace sim
{
static OldPages pages;
static bool looking;

void begin_touches()
{
    looking = true;
    protect_all(PROT_NONE);
}

void end_touches()
{
    looking = false;
    protect_all(PROT_READ | PROT_WRITE);
}

const OldPages &touched_pages()
{
    return pages;
}

void forget_touches()
{
    for (const auto &p : pages)
        delete p.second;
    pages.clear();
}

static void keep_page(uintptr_t page)
{
    mprotect((void *)page, PAGE, PROT_READ | PROT_WRITE);
    OldPage *const old = pages[page] = new OldPage;
    memcpy(old->content, (void *)page, PAGE);
    const unsigned char *const defined = defined_bytes(page);
    if (defined)
        memcpy(old->defined, defined, PAGE);
    else
        memset(old->defined, 1, PAGE);
}

bool note_touch(uintptr_t address, size_t bytes)
{
    if (!looking)
        return false;
    bool news = false;
    for (uintptr_t page = address / PAGE * PAGE; page < address + bytes; page += PAGE) {
        const Allocation *const a = page_owner(page);
        if (!a || !a->live || pages.count(page))
            continue;
        keep_page(page);
        news = true;
    }
    return news;
}
} // namespace sim
