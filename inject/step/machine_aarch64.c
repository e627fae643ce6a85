/*
 * machine_aarch64.c
 *		See machine.h.  Not run yet on such a machine.
 *
 * A step clears the exclusive monitor, so a loop of LDXR and STXR never ends when stepped: the library is to be built with
 * LSE atomics (-march=armv8.1-a or later).  There is no trap flag for user space, and no string instruction.
 */
#ifdef __aarch64__

#include <elf.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>

#include "inject/step/machine.h"

const unsigned machine_syscall_length = 4;
const bool machine_has_breakpoints = false;

bool
machine_read(pid_t pid, MachineState *state)
{
	struct user_regs_struct registers;
	struct iovec vector = {.iov_base = &registers, .iov_len = sizeof(registers)};

	if (ptrace(PTRACE_GETREGSET, pid, (void *) NT_PRSTATUS, &vector) < 0)
		return false;
	*state = (MachineState){
		.ip = registers.pc,
		.number = (int64_t) registers.regs[8],
		.entered = (int64_t) registers.regs[8],
		.argument = {registers.regs[0], registers.regs[1], registers.regs[2], registers.regs[3]},
		.result = (int64_t) registers.regs[0],
	};
	return true;
}

bool
machine_is_syscall(uint64_t ip)
{
	uint32_t code;

	memcpy(&code, (const void *) (uintptr_t) ip, sizeof(code));
	return (code & 0xffe0001f) == 0xd4000001; /* svc */
}

bool
machine_skip_rounds(pid_t pid, uint64_t ip)
{
	(void) pid;
	(void) ip;
	return false;
}

bool
machine_break_at(pid_t pid, uint64_t address)
{
	(void) pid;
	(void) address;
	return false;
}

void
machine_break_off(pid_t pid)
{
	(void) pid;
}

void
machine_trap_on(void)
{
}

void
machine_trap_off(void)
{
}

void
machine_read_context(const void *context, MachineState *state)
{
	(void) context;
	memset(state, 0, sizeof(*state));
}

#endif
