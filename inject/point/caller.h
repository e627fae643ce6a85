/*
 * caller.h
 *		In whose code a point or a call stands.
 */
#ifndef HOLDFAST_INJECT_CALLER_H
#define HOLDFAST_INJECT_CALLER_H

#include <stddef.h>
#include <stdint.h>

/*
 * The file that the code at an address was loaded from, the end of its path if it is longer than `size`, and
 * which byte of it stands there.  "" and the address itself when that is not known.  Async-signal-safe.
 */
uint64_t caller_module(const void *address, char *path, size_t size);

#endif
