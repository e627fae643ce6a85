/*
 * symbols.h
 *		Which function and which source line an address of this process belongs to.
 *
 * From the DWARF of the modules mapped here, by libdw; without it, or without debug information, from what the dynamic
 * linker knows: exported functions, no lines.  What is not known is NULL or 0.
 *
 * Owner: strings belong to the StepSymbols.  Not thread safe.
 */
#ifndef HOLDFAST_INJECT_STEP_SYMBOLS_H
#define HOLDFAST_INJECT_STEP_SYMBOLS_H

#include <stdint.h>

typedef struct StepPlace
{
	const char *module; /* file name without directories; "" when not known */
	uint64_t module_offset;
	const char *symbol;
	uint64_t symbol_offset;
	const char *file; /* as the compiler was given it, without what leads to the project */
	int line;
} StepPlace;

typedef struct StepSymbols StepSymbols;

StepSymbols *step_symbols_open(void); /* NULL: out of memory */
void step_symbols_close(StepSymbols *symbols);
void step_symbols_find(StepSymbols *symbols, uint64_t address, StepPlace *place);

/* "libdw" or "dladdr". */
const char *step_symbols_source(void);

#endif
