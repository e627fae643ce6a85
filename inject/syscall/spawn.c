/*
 * spawn.c
 *		vfork and clone: children that share what their parent has.
 *
 * Between vfork and exec the child runs in the parent's memory: its arrivals are counted in the parent's
 * slot, a kill ends the child alone.  There is no point after vfork, and no C function around it: the child
 * would return from its frame before the parent does.  So the wrapper asks for the verdict and then jumps.
 *
 * Thread, signal safety: that of the call; no malloc, no locks.
 */
#include <stdarg.h>

#include "call.h"

/* All seven are read, whether they are there or not, as the C library's own does. */
int
WRAPPER(clone)(int (*start)(void *), void *stack, int flags, void *argument, ...)
{
	InjectArrival before = call_pass(&BEFORE(clone), true, flags);
	void *rest[3];
	va_list args;
	long result;

	if (call_is_replaced(&before, 0, &result))
		return (int) result;
	va_start(args, argument);
	for (int i = 0; i < 3; i++)
		rest[i] = va_arg(args, void *);
	va_end(args);
	result = REAL(clone)(start, stack, flags, argument, rest[0], rest[1], rest[2]);
	if (result >= 0)
		(void) call_pass(&AFTER(clone), true, result);
	return (int) result;
}

#ifdef HOLDFAST_PRELOAD

/* Whether vfork is replaced; the low half is then what it returns. */
__attribute__((used)) static long
vfork_verdict(void)
{
	InjectArrival before = call_pass(&BEFORE(vfork), false, 0);
	long result;

	return call_is_replaced(&before, 0, &result) ? (long) (1UL << 32 | (uint32_t) result) : 0;
}

#if defined(__x86_64__)
/* clang-format off */
__asm__(".text\n"
		".globl vfork\n"
		".type vfork, @function\n"
		"vfork:\n"
		".cfi_startproc\n"
		"	subq $8, %rsp\n"
		".cfi_adjust_cfa_offset 8\n"
		"	call vfork_verdict\n"
		"	addq $8, %rsp\n"
		".cfi_adjust_cfa_offset -8\n"
		"	testq %rax, %rax\n"
		"	jne 1f\n"
		"	jmp *real_vfork(%rip)\n"
		"1:	movslq %eax, %rax\n"
		"	ret\n"
		".cfi_endproc\n"
		".size vfork, .-vfork\n");
/* clang-format on */
#else
/* POSIX lets it be a fork. */
__attribute__((visibility("default"))) pid_t
vfork(void)
{
	long verdict = vfork_verdict();

	return verdict != 0 ? (pid_t) (int32_t) verdict : REAL(fork)();
}
#endif
#endif
