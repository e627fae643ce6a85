/*
 * kernel.h
 *		The kernel's own interface: numbers of calls, and asking without the C library.
 *
 * The one file of this room that knows a machine: x86-64, and aarch64, whose kernel lacks the older calls.
 */
#ifndef HOLDFAST_INJECT_KERNEL_H
#define HOLDFAST_INJECT_KERNEL_H

#include <linux/audit.h>
#include <stdarg.h>
#include <sys/syscall.h>

#define NO_NUMBER (-1)

/* Calls that newer machines no longer have: numbers that no kernel knows, each another. */
#ifndef SYS_open
#define SYS_open (-1001)
#endif
#ifndef SYS_rename
#define SYS_rename (-1002)
#endif
#ifndef SYS_link
#define SYS_link (-1003)
#endif
#ifndef SYS_unlink
#define SYS_unlink (-1004)
#endif
#ifndef SYS_poll
#define SYS_poll (-1005)
#endif
#ifndef SYS_epoll_wait
#define SYS_epoll_wait (-1006)
#endif
#ifndef SYS_time
#define SYS_time (-1007)
#endif
#ifndef SYS_vfork
#define SYS_vfork (-1008)
#endif

/* The six words that follow `last_` in a call like syscall(), whether they are there or not. */
#define KERNEL_WORDS(word_, last_)                                                                 \
	do                                                                                             \
	{                                                                                              \
		va_list words_;                                                                            \
                                                                                                   \
		va_start(words_, last_);                                                                   \
		for (int i_ = 0; i_ < 6; i_++)                                                             \
			(word_)[i_] = va_arg(words_, long);                                                    \
		va_end(words_);                                                                            \
	} while (0)

/* As the kernel answers: a negative errno is a failure. */
static inline long
kernel_call(long number, const long argument[6])
{
#if defined(__x86_64__)
	register long r10 __asm__("r10") = argument[3];
	register long r8 __asm__("r8") = argument[4];
	register long r9 __asm__("r9") = argument[5];
	long result;

	__asm__ volatile("syscall"
					 : "=a"(result)
					 : "a"(number), "D"(argument[0]), "S"(argument[1]), "d"(argument[2]), "r"(r10),
					   "r"(r8), "r"(r9)
					 : "rcx", "r11", "memory");
	return result;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = argument[0];
	register long x1 __asm__("x1") = argument[1];
	register long x2 __asm__("x2") = argument[2];
	register long x3 __asm__("x3") = argument[3];
	register long x4 __asm__("x4") = argument[4];
	register long x5 __asm__("x5") = argument[5];

	__asm__ volatile("svc #0"
					 : "+r"(x0)
					 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
					 : "memory");
	return x0;
#else
#error "this machine's way into the kernel is not known"
#endif
}

#if defined(__x86_64__)
#define KERNEL_AUDIT_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define KERNEL_AUDIT_ARCH AUDIT_ARCH_AARCH64
#endif

#endif
