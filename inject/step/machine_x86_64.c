/*
 * machine_x86_64.c
 *		See machine.h.
 *
 * EFLAGS.TF makes the processor trap after each instruction; the kernel gives SIGTRAP.  SYSCALL is no exception to it but
 * for the moment: the kernel returns with the flag set, so the trap comes after the instruction that follows.
 */
#ifdef __x86_64__

#include <stddef.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <ucontext.h>

#include "inject/step/machine.h"

const unsigned machine_syscall_length = 2;
const bool machine_has_breakpoints = true;

bool
machine_read(pid_t pid, MachineState *state)
{
	struct user_regs_struct registers;

	if (ptrace(PTRACE_GETREGS, pid, NULL, &registers) < 0)
		return false;
	*state = (MachineState){
		.ip = registers.rip,
		.number = (int64_t) registers.rax,
		.entered = (int64_t) registers.orig_rax,
		.argument = {registers.rdi, registers.rsi, registers.rdx, registers.r10},
		.result = (int64_t) registers.rax,
	};
	return true;
}

bool
machine_is_syscall(uint64_t ip)
{
	static const unsigned char syscall_code[2] = {0x0f, 0x05};

	return memcmp((const void *) (uintptr_t) ip, syscall_code, sizeof(syscall_code)) == 0;
}

/* rep stos and rep movs, of bytes or with a REX.W: all that a C library uses. */
static size_t
rounds_length(uint64_t ip)
{
	const unsigned char *code = (const unsigned char *) (uintptr_t) ip;
	size_t length = 1;

	if (code[0] != 0xf3)
		return 0;
	if (code[length] == 0x48)
		length++;
	return code[length] == 0xa4 || code[length] == 0xa5 || code[length] == 0xaa ||
				   code[length] == 0xab
			   ? length + 1
			   : 0;
}

static bool
poke_debug(pid_t pid, int which, uint64_t value)
{
	return ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, u_debugreg) + (size_t) which * 8,
				  (void *) (uintptr_t) value) == 0;
}

bool
machine_break_at(pid_t pid, uint64_t address)
{
	return poke_debug(pid, 0, address) && poke_debug(pid, 7, 1);
}

bool
machine_skip_rounds(pid_t pid, uint64_t ip)
{
	size_t length = rounds_length(ip);

	return length != 0 && machine_break_at(pid, ip + length);
}

void
machine_break_off(pid_t pid)
{
	(void) poke_debug(pid, 7, 0);
}

void
machine_trap_on(void)
{
	__asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq" ::: "memory", "cc");
}

void
machine_trap_off(void)
{
	__asm__ volatile("pushfq; andq $~0x100, (%%rsp); popfq" ::: "memory", "cc");
}

void
machine_read_context(const void *context, MachineState *state)
{
	const greg_t *registers = ((const ucontext_t *) context)->uc_mcontext.gregs;

	*state = (MachineState){
		.ip = (uint64_t) registers[REG_RIP],
		.number = registers[REG_RAX],
		.argument = {(uint64_t) registers[REG_RDI], (uint64_t) registers[REG_RSI],
					 (uint64_t) registers[REG_RDX], (uint64_t) registers[REG_R10]},
		.result = registers[REG_RAX],
	};
}

#endif
