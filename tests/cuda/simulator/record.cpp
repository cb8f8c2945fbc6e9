/* SPDX-License-Identifier: MIT */
#include "record.h"
#include "launch.h"
#include "memory.h"
#include "report.h"
#include "touch.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <map>
#include <set>
#include <unistd.h>

namespace sim
{
namespace
{
struct Buffer {
    uintptr_t address;
    size_t bytes;
    std::vector<unsigned char> before, defined;
};
} // namespace

/* Of a launch that is recorded: 4 MiB. */
constexpr size_t MOST_PAGES = (4 << 20) / PAGE;

static std::set<std::string> known;
static std::map<std::string, int> recorded;
static int files;

static const char *folder()
{
    static const char *const name = getenv("RNI_SIM_RECORD");
    return name;
}

static size_t limit(const char *variable, size_t otherwise)
{
    const char *const text = getenv(variable);
    return text && *text ? strtoull(text, nullptr, 0) : otherwise;
}

std::string mangled_name(const Launch &launch)
{
    Dl_info info;
    const bool found = dladdr((void *)launch.kernel.function, &info) && info.dli_sname &&
                       info.dli_saddr == (void *)launch.kernel.function;
    return found ? info.dli_sname : "";
}

/* All device addresses are alike. */
static std::string key_of(const Launch &launch, const std::string &name)
{
    std::vector<unsigned char> parameters = launch.parameters;
    for (size_t i = 0; i + sizeof(uintptr_t) <= parameters.size(); i += sizeof(uintptr_t)) {
        uintptr_t word;
        memcpy(&word, &parameters[i], sizeof word);
        if (in_arena(word))
            memset(&parameters[i], 1, sizeof word);
    }
    std::string key = name;
    key.append((const char *)&launch.grid, sizeof launch.grid);
    key.append((const char *)&launch.block, sizeof launch.block);
    return key.append((const char *)parameters.data(), parameters.size());
}

bool record_wanted(const Launch &launch)
{
    if (!folder() || launch.threads() > limit("RNI_SIM_RECORD_THREADS", 65536))
        return false;
    const std::string name = mangled_name(launch);
    if (name.empty()) {
        report("the kernel %s has no symbol that is exported: it cannot be recorded", launch.kernel.name);
        return false;
    }
    return recorded[name] < (int)limit("RNI_SIM_RECORD_COUNT", 4) && !known.count(key_of(launch, name));
}

/* Neighbouring pages of one allocation, cut to it. */
static std::vector<Buffer> buffers()
{
    std::vector<Buffer> all;
    const Allocation *previous = nullptr;
    for (const auto &p : touched_pages()) {
        const Allocation *const a = page_owner(p.first);
        const uintptr_t from = p.first < a->address ? a->address : p.first;
        const uintptr_t end = p.first + PAGE < a->address + a->bytes ? p.first + PAGE : a->address + a->bytes;
        if (from >= end)
            continue;
        if (all.empty() || a != previous || all.back().address + all.back().bytes != from)
            all.push_back({from, 0, {}, {}});
        Buffer &b = all.back();
        b.bytes += end - from;
        b.before.insert(b.before.end(), p.second->content + (from - p.first), p.second->content + (end - p.first));
        b.defined.insert(b.defined.end(), p.second->defined + (from - p.first), p.second->defined + (end - p.first));
        previous = a;
    }
    return all;
}

static bool write_file(const std::string &name, const void *data, size_t bytes)
{
    FILE *const f = fopen((std::string(folder()) + "/" + name).c_str(), "wb");
    const bool written = f && fwrite(data, 1, bytes, f) == bytes;
    return f && fclose(f) == 0 && written;
}

static std::string quoted(const std::string &text)
{
    return "\"" + text + "\"";
}

/* The name in quotes of a file with the content, "null" when there is none to write. */
static std::string content_file(const std::string &name, const std::vector<unsigned char> &content)
{
    if (content.empty())
        return "null";
    if (!write_file(name, content.data(), content.size()))
        report("cannot write %s/%s", folder(), name.c_str());
    return quoted(name);
}

static std::vector<unsigned char> bits_of(const std::vector<unsigned char> &defined)
{
    if (!memchr(defined.data(), 0, defined.size()))
        return {};
    std::vector<unsigned char> bits((defined.size() + 7) / 8);
    for (size_t i = 0; i < defined.size(); i++)
        bits[i / 8] = (unsigned char)(bits[i / 8] | (defined[i] & 1) << i % 8);
    return bits;
}

static std::string buffer_json(const Buffer &b, const std::string &stem)
{
    std::vector<unsigned char> after((unsigned char *)b.address, (unsigned char *)b.address + b.bytes);
    if (after == b.before)
        after.clear();
    return "{\"address\": " + std::to_string(b.address) + ", \"bytes\": " + std::to_string(b.bytes) +
           ", \"before\": " + content_file(stem + ".before", b.before) +
           ", \"after\": " + content_file(stem + ".after", after) +
           ", \"defined\": " + content_file(stem + ".defined", bits_of(b.defined)) + "}";
}

template <class List, class Text>
std::string joined(const List &list, Text text)
{
    std::string all;
    for (const auto &entry : list)
        all += (all.empty() ? "" : ", ") + text(entry);
    return "[" + all + "]";
}

static std::string numbers(const std::vector<uint64_t> &list)
{
    return joined(list, [](uint64_t n) { return std::to_string(n); });
}

static std::string hexadecimal(const std::vector<unsigned char> &bytes)
{
    std::string text;
    char digits[3];
    for (const unsigned char b : bytes) {
        snprintf(digits, sizeof digits, "%02x", b);
        text += digits;
    }
    return text;
}

static void write_record(const Launch &launch, const std::string &name)
{
    const std::string stem = std::to_string(getpid()) + "-" + std::to_string(++files);
    const std::vector<simt::Parameter> layout(launch.kernel.layout, launch.kernel.layout + launch.kernel.count);
    int count = 0;
    std::string text = "{\"version\": 1, \"kernel\": " + quoted(name);
    text += ",\n \"grid\": " + numbers({launch.grid.x, launch.grid.y, launch.grid.z});
    text += ", \"block\": " + numbers({launch.block.x, launch.block.y, launch.block.z});
    text += ",\n \"parameters\": " + quoted(hexadecimal(launch.parameters));
    text += ",\n \"layout\": " + joined(layout, [](const simt::Parameter &p) { return numbers({p.offset, p.bytes}); });
    text += ",\n \"allocations\": " + joined(live_allocations(), [](const Allocation *a) {
                return numbers({a->address, a->bytes});
            });
    text += ",\n \"buffers\": " +
            joined(buffers(), [&](const Buffer &b) { return buffer_json(b, stem + "-" + std::to_string(++count)); });
    text += "}\n";
    if (!write_file(stem + ".json", text.data(), text.size()))
        report("cannot write %s/%s.json", folder(), stem.c_str());
}

void record(const Launch &launch)
{
    if (touched_pages().size() > MOST_PAGES)
        return;
    const std::string name = mangled_name(launch);
    known.insert(key_of(launch, name));
    recorded[name]++;
    write_record(launch, name);
}
} // namespace sim
