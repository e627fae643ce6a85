/*
 * symbol.h
 *		Which function of an ELF file a place in it belongs to.
 */
#ifndef HOLDFAST_INJECT_SYMBOL_H
#define HOLDFAST_INJECT_SYMBOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Name of the function that covers byte `offset` of the file, without the compiler's ".part.0".  False when
 * the file cannot be read, is no ELF file of this machine, or no symbol covers the place (a stripped file
 * knows its exported functions only).  Async-signal-safe.
 */
bool symbol_at(const char *path, uint64_t offset, char *name, size_t size);

/* Whether the file has a function of that name. */
bool symbol_exists(const char *path, const char *name);

#endif
