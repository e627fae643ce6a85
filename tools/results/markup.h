/*
 * markup.h
 *		Any bytes as text inside XML or HTML, in an element or in an attribute.
 *
 * XML 1.0 has no way to write most control characters at all, not even escaped: they come out as U+FFFD, as does what
 * is not UTF-8.
 */
#ifndef HOLDFAST_TOOLS_MARKUP_H
#define HOLDFAST_TOOLS_MARKUP_H

#include <stddef.h>
#include <stdio.h>

void markup_bytes(const char *bytes, size_t length, FILE *out);
void markup_text(const char *text, FILE *out);

#endif
