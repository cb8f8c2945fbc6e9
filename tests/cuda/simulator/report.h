/* SPDX-License-Identifier: MIT */
/* Faults that the simulator found. */
#ifndef RNI_SIMULATOR_REPORT_H
#define RNI_SIMULATOR_REPORT_H

#include <cstdint>
#include <string>

namespace sim
{
/* Prints and keeps a fault; "[kernel, block, thread]" comes before the text while a kernel runs. */
void report(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Printed and counted, without anything from the heap, and not kept: for the signal handler. */
void last_words(const char *format, ...) __attribute__((format(printf, 1, 2)));

int64_t reports();
const char *report_text(int64_t index);
void forget_reports();

/* "FILE+0xOFFSET", as addr2line takes them, of an address in code. */
std::string code_place(const void *address);
} // namespace sim

#endif
