/*
 * empty.c
 *		Fuzz target: nothing.  How fast an engine is by itself, for the others to be compared with.
 */
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	(void) data;
	(void) size;
	return 0;
}
