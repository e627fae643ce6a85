/*
 * machine.h
 *		What stepping needs to know of the machine.  One file per architecture answers.
 *
 * Code is read at the victim's addresses in the caller's own memory: the victim was forked from it and runs no exec.
 */
#ifndef HOLDFAST_INJECT_STEP_MACHINE_H
#define HOLDFAST_INJECT_STEP_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The registers that matter, of a stopped tracee or of a signal frame. */
typedef struct MachineState
{
	uint64_t ip;
	int64_t number;  /* of the system call that ip stands before */
	int64_t entered; /* of the system call that a tracee has entered */
	uint64_t argument[4];
	int64_t result; /* of the system call that was just left */
} MachineState;

bool machine_read(pid_t pid, MachineState *state);
bool machine_is_syscall(uint64_t ip);
extern const unsigned machine_syscall_length;

/* A string instruction traps at each of its rounds.  Lets the tracee run to behind it; false: there is no such way. */
bool machine_skip_rounds(pid_t pid, uint64_t ip);
extern const bool machine_has_breakpoints;
/* Lets the tracee stop before the instruction at that address, each time; false: there is no such way. */
bool machine_break_at(pid_t pid, uint64_t address);
/* Takes the breakpoint of either away again. */
void machine_break_off(pid_t pid);

/* The trap flag: the next instruction but one of the caller traps.  Nothing where there is none. */
void machine_trap_on(void);
void machine_trap_off(void);
void machine_read_context(const void *context, MachineState *state);

#endif
