/*
 * symbols.c
 *		See symbols.h.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "inject/step/symbols.h"

#ifdef HOLDFAST_LIBDW
#include <elfutils/libdwfl.h>
#endif

struct StepSymbols
{
#ifdef HOLDFAST_LIBDW
	Dwfl *dwfl;
#endif
	int unused;
};

static const char *
base_name(const char *path)
{
	const char *slash = path != NULL ? strrchr(path, '/') : NULL;

	return path == NULL ? "" : slash != NULL ? slash + 1 : path;
}

#ifdef HOLDFAST_LIBDW

const char *
step_symbols_source(void)
{
	return "libdw";
}

/* lib/src/lwlock.c, from wherever it was compiled. */
static const char *
inside_project(const char *file)
{
	static const char *const rooms[] = {"/lib/src/", "/inject/", "/scenarios/", "/tools/"};

	for (size_t i = 0; file != NULL && i < sizeof(rooms) / sizeof(rooms[0]); i++)
	{
		const char *found = strstr(file, rooms[i]);

		if (found != NULL)
			return found + 1;
		if (strncmp(file, rooms[i] + 1, strlen(rooms[i]) - 1) == 0)
			return file;
	}
	return base_name(file);
}

StepSymbols *
step_symbols_open(void)
{
	static const Dwfl_Callbacks callbacks = {
		.find_elf = dwfl_linux_proc_find_elf,
		.find_debuginfo = dwfl_standard_find_debuginfo,
	};
	StepSymbols *symbols = calloc(1, sizeof(*symbols));

	if (symbols == NULL)
		return NULL;
	symbols->dwfl = dwfl_begin(&callbacks);
	if (symbols->dwfl != NULL)
	{
		(void) dwfl_linux_proc_report(symbols->dwfl, getpid());
		(void) dwfl_report_end(symbols->dwfl, NULL, NULL);
	}
	return symbols;
}

void
step_symbols_close(StepSymbols *symbols)
{
	if (symbols == NULL)
		return;
	if (symbols->dwfl != NULL)
		dwfl_end(symbols->dwfl);
	free(symbols);
}

/* What has no symbol of its own, as the linker's stubs in .plt. */
static const char *
section_name(Dwfl_Module *module, Dwarf_Addr address)
{
	Dwarf_Addr bias;
	Elf_Scn *section = dwfl_module_address_section(module, &address, &bias);
	Elf *elf = dwfl_module_getelf(module, &bias);
	GElf_Shdr header;
	size_t names;

	if (section == NULL || elf == NULL || gelf_getshdr(section, &header) == NULL ||
		elf_getshdrstrndx(elf, &names) != 0)
		return NULL;
	return elf_strptr(elf, names, header.sh_name);
}

static void
ask_dwarf(Dwfl *dwfl, uint64_t address, StepPlace *place)
{
	Dwfl_Module *module = dwfl != NULL ? dwfl_addrmodule(dwfl, address) : NULL;
	Dwfl_Line *line;
	Dwarf_Addr start = 0;
	GElf_Off offset;
	GElf_Sym symbol;
	const char *name;

	if (module == NULL)
		return;
	name = dwfl_module_info(module, NULL, &start, NULL, NULL, NULL, NULL, NULL);
	place->module = base_name(name);
	place->module_offset = address - start;
	place->symbol = dwfl_module_addrinfo(module, address, &offset, &symbol, NULL, NULL, NULL);
	place->symbol_offset = place->symbol != NULL ? offset : 0;
	line = dwfl_module_getsrc(module, address);
	if (place->symbol == NULL)
		place->symbol = section_name(module, address);
	if (line != NULL)
		place->file = inside_project(dwfl_lineinfo(line, NULL, &place->line, NULL, NULL, NULL));
}

#else

const char *
step_symbols_source(void)
{
	return "dladdr";
}

StepSymbols *
step_symbols_open(void)
{
	return calloc(1, sizeof(StepSymbols));
}

void
step_symbols_close(StepSymbols *symbols)
{
	free(symbols);
}

#endif

static void
ask_linker(uint64_t address, StepPlace *place)
{
	Dl_info info;

	if (dladdr((void *) (uintptr_t) address, &info) == 0)
		return;
	place->module = base_name(info.dli_fname);
	place->module_offset = address - (uint64_t) (uintptr_t) info.dli_fbase;
	place->symbol = info.dli_sname;
	if (info.dli_sname != NULL)
		place->symbol_offset = address - (uint64_t) (uintptr_t) info.dli_saddr;
}

void
step_symbols_find(StepSymbols *symbols, uint64_t address, StepPlace *place)
{
	memset(place, 0, sizeof(*place));
	place->module = "";
#ifdef HOLDFAST_LIBDW
	ask_dwarf(symbols->dwfl, address, place);
#else
	(void) symbols;
#endif
	if (place->symbol == NULL)
		ask_linker(address, place);
}
