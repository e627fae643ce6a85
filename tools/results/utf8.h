/*
 * utf8.h
 *		One character at a time out of bytes that may be anything.
 */
#ifndef HOLDFAST_TOOLS_UTF8_H
#define HOLDFAST_TOOLS_UTF8_H

#include <stddef.h>
#include <stdint.h>

/*
 * Length of the well-formed UTF-8 sequence at bytes[0..length), its code point in *code; 0 when there is none
 * (overlong, surrogate, cut short, beyond U+10FFFF): the caller replaces one byte and goes on.
 */
size_t utf8_next(const char *bytes, size_t length, uint32_t *code);

#define UTF8_REPLACEMENT "\xef\xbf\xbd"

#endif
