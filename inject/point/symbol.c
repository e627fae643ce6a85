/*
 * symbol.c
 *		Which function of an ELF file a place in it belongs to.
 *
 * The file is mapped, its sections of symbols are searched, it is unmapped: no malloc, no lock of the dynamic
 * linker, system calls past everybody's wrappers.  So it may run in a signal handler and in the child of a
 * threaded parent.  A file is input: every offset in it is checked against its size.
 *
 * Owner: the mapping lives as long as the call.
 */
#include "symbol.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct Image
{
	const unsigned char *bytes;
	uint64_t size;
} Image;

static bool
map_file(const char *path, Image *image)
{
	struct stat status;
	long fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	long mapping = -1;

	if (fd < 0)
		return false;
	if (syscall(SYS_fstat, fd, &status) == 0 && S_ISREG(status.st_mode) &&
		status.st_size >= (off_t) sizeof(Elf64_Ehdr))
		mapping = syscall(SYS_mmap, NULL, status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	(void) syscall(SYS_close, fd);
	if (mapping == -1)
		return false;
	image->bytes = (const unsigned char *) mapping;
	image->size = (uint64_t) status.st_size;
	return true;
}

/* `count` records of `size` bytes at `offset`; NULL when they are not all in the file, or not aligned. */
static const void *
records(const Image *image, uint64_t offset, uint64_t count, uint64_t size)
{
	uint64_t length;

	if (__builtin_mul_overflow(count, size, &length) || offset > image->size ||
		length > image->size - offset || offset % 8 != 0)
		return NULL;
	return image->bytes + offset;
}

static const Elf64_Ehdr *
file_header(const Image *image)
{
	const Elf64_Ehdr *header = (const Elf64_Ehdr *) (const void *) image->bytes;

	if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_ident[EI_CLASS] != ELFCLASS64 ||
		header->e_ident[EI_DATA] != ELFDATA2LSB || header->e_phentsize != sizeof(Elf64_Phdr) ||
		header->e_shentsize != sizeof(Elf64_Shdr))
		return NULL;
	return header;
}

/* Symbols speak of addresses, /proc of bytes of the file. */
static bool
address_of_byte(const Image *image, const Elf64_Ehdr *header, uint64_t offset, uint64_t *address)
{
	const Elf64_Phdr *segment =
		records(image, header->e_phoff, header->e_phnum, sizeof(Elf64_Phdr));

	for (int i = 0; segment != NULL && i < header->e_phnum; i++)
	{
		if (segment[i].p_type != PT_LOAD || offset < segment[i].p_offset ||
			offset - segment[i].p_offset >= segment[i].p_filesz)
			continue;
		*address = segment[i].p_vaddr + (offset - segment[i].p_offset);
		return true;
	}
	return false;
}

/* "refill.part.0" is refill. */
static void
copy_name(const char *from, size_t length, char *name, size_t size)
{
	size_t used = 0;

	while (used < length && used + 1 < size && from[used] != '\0' && from[used] != '.')
		used++;
	memcpy(name, from, used);
	name[used] = '\0';
}

/* By address, or, when `name` is not NULL, by name. */
typedef struct Wanted
{
	uint64_t address;
	const char *name;
} Wanted;

static bool
is_wanted(const Elf64_Sym *symbol, const char *name, const Wanted *wanted)
{
	if (ELF64_ST_TYPE(symbol->st_info) != STT_FUNC || symbol->st_size == 0)
		return false;
	if (wanted->name != NULL)
		return strcmp(name, wanted->name) == 0;
	return wanted->address >= symbol->st_value &&
		   wanted->address - symbol->st_value < symbol->st_size;
}

static bool
find_in_section(const Image *image, const Elf64_Shdr *section, const Elf64_Shdr *strings,
				const Wanted *wanted, char *name, size_t size)
{
	uint64_t count = section->sh_size / sizeof(Elf64_Sym);
	const Elf64_Sym *symbol = records(image, section->sh_offset, count, sizeof(Elf64_Sym));

	if (strings->sh_offset > image->size || strings->sh_size > image->size - strings->sh_offset)
		return false;
	for (uint64_t i = 0; symbol != NULL && i < count; i++)
	{
		if (symbol[i].st_name >= strings->sh_size || symbol[i].st_shndx == SHN_UNDEF)
			continue;
		/* the name is copied only when it is asked for or found */
		if (wanted->name == NULL && !is_wanted(&symbol[i], "", wanted))
			continue;
		copy_name((const char *) image->bytes + strings->sh_offset + symbol[i].st_name,
				  strings->sh_size - symbol[i].st_name, name, size);
		if (is_wanted(&symbol[i], name, wanted))
			return true;
	}
	return false;
}

static bool
find_symbol(const Image *image, const Wanted *wanted, char *name, size_t size)
{
	const Elf64_Ehdr *header = file_header(image);
	const Elf64_Shdr *section;

	if (header == NULL)
		return false;
	section = records(image, header->e_shoff, header->e_shnum, sizeof(Elf64_Shdr));
	for (int i = 0; section != NULL && i < header->e_shnum; i++)
	{
		if ((section[i].sh_type != SHT_SYMTAB && section[i].sh_type != SHT_DYNSYM) ||
			section[i].sh_link >= header->e_shnum)
			continue;
		if (find_in_section(image, &section[i], &section[section[i].sh_link], wanted, name, size))
			return true;
	}
	return false;
}

bool
symbol_at(const char *path, uint64_t offset, char *name, size_t size)
{
	Image image;
	Wanted wanted = {0, NULL};
	bool found;

	if (!map_file(path, &image))
		return false;
	found = file_header(&image) != NULL &&
			address_of_byte(&image, file_header(&image), offset, &wanted.address) &&
			find_symbol(&image, &wanted, name, size);
	(void) syscall(SYS_munmap, image.bytes, image.size);
	return found;
}

bool
symbol_exists(const char *path, const char *name)
{
	Image image;
	Wanted wanted = {0, name};
	char found[256];
	bool exists;

	if (!map_file(path, &image))
		return false;
	exists = find_symbol(&image, &wanted, found, sizeof(found));
	(void) syscall(SYS_munmap, image.bytes, image.size);
	return exists;
}
