/*
 * coroutine.c
 *		Leaving one stack for another, for x86-64 and aarch64.
 */
#include <stdint.h>
#include <string.h>

#include "coroutine.h"

#if defined(__x86_64__)

__asm__(".text\n"
		".globl sim_switch\n"
		".hidden sim_switch\n"
		".type sim_switch, @function\n"
		"sim_switch:\n"
		"	push %rbp\n"
		"	push %rbx\n"
		"	push %r12\n"
		"	push %r13\n"
		"	push %r14\n"
		"	push %r15\n"
		"	mov %rsp, (%rdi)\n"
		"	mov %rsi, %rsp\n"
		"	pop %r15\n"
		"	pop %r14\n"
		"	pop %r13\n"
		"	pop %r12\n"
		"	pop %rbx\n"
		"	pop %rbp\n"
		"	ret\n"
		".size sim_switch, . - sim_switch\n");

void *
sim_new_stack(unsigned char *stack, size_t size, void (*entry)(void))
{
	uint64_t *top = (uint64_t *) (stack + size);

	memset(stack, 0, size);
	top[-2] =
		(uint64_t) entry; /* popped by ret, which leaves the stack as a call would: 8 off 16 */
	return top - 8;
}

#elif defined(__aarch64__)

__asm__(".text\n"
		".globl sim_switch\n"
		".hidden sim_switch\n"
		".type sim_switch, %function\n"
		"sim_switch:\n"
		"	sub sp, sp, #176\n"
		"	stp x19, x20, [sp]\n"
		"	stp x21, x22, [sp, #16]\n"
		"	stp x23, x24, [sp, #32]\n"
		"	stp x25, x26, [sp, #48]\n"
		"	stp x27, x28, [sp, #64]\n"
		"	stp x29, x30, [sp, #80]\n"
		"	stp d8, d9, [sp, #96]\n"
		"	stp d10, d11, [sp, #112]\n"
		"	stp d12, d13, [sp, #128]\n"
		"	stp d14, d15, [sp, #144]\n"
		"	mov x9, sp\n"
		"	str x9, [x0]\n"
		"	mov sp, x1\n"
		"	ldp x19, x20, [sp]\n"
		"	ldp x21, x22, [sp, #16]\n"
		"	ldp x23, x24, [sp, #32]\n"
		"	ldp x25, x26, [sp, #48]\n"
		"	ldp x27, x28, [sp, #64]\n"
		"	ldp x29, x30, [sp, #80]\n"
		"	ldp d8, d9, [sp, #96]\n"
		"	ldp d10, d11, [sp, #112]\n"
		"	ldp d12, d13, [sp, #128]\n"
		"	ldp d14, d15, [sp, #144]\n"
		"	add sp, sp, #176\n"
		"	ret\n"
		".size sim_switch, . - sim_switch\n");

void *
sim_new_stack(unsigned char *stack, size_t size, void (*entry)(void))
{
	unsigned char *sp = stack + size - 176;

	memset(stack, 0, size);
	((uint64_t *) sp)[11] = (uint64_t) entry; /* x30 */
	return sp;
}

#else
#error "coroutine.c: this machine's stack switch is not written"
#endif
