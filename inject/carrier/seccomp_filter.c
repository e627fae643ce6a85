/*
 * seccomp_filter.c
 *		A program of the kernel's that stops the calls of a list and asks us.
 *
 * Written by hand, for there is little to it: another machine's calls pass (32-bit programs are not reached), those
 * of the list are notified, the rest pass.
 *
 * Async-signal-safe: called between fork and exec.
 */
#include "seccomp_filter.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "inject/syscall/kernel.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

#define LOAD(field_)                   BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field_))
#define IF_EQUAL(value_, then_, else_) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value_, then_, else_)
#define ANSWER(value_)                 BPF_STMT(BPF_RET | BPF_K, value_)

static long
install(const struct sock_fprog *program, unsigned long flags)
{
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER | flags,
				   program);
}

/* Once stopped a call is interrupted by SIGKILL only (Linux 5.19); before, any signal makes it come again. */
static long
install_best(const struct sock_fprog *program)
{
	long fd = install(program, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);

	if (fd < 0 && errno == EINVAL)
		fd = install(program, 0);
	return fd;
}

int
seccomp_filter_install(const long *numbers, int count)
{
	struct sock_filter code[SECCOMP_NUMBERS_MAX * 2 + 5];
	unsigned short length = 0;
	struct sock_fprog program = {.filter = code};
	long fd;

	if (count > SECCOMP_NUMBERS_MAX)
	{
		errno = E2BIG;
		return -1;
	}
	code[length++] = (struct sock_filter) LOAD(arch);
	code[length++] = (struct sock_filter) IF_EQUAL(KERNEL_AUDIT_ARCH, 1, 0);
	code[length++] = (struct sock_filter) ANSWER(SECCOMP_RET_ALLOW);
	code[length++] = (struct sock_filter) LOAD(nr);
	for (int i = 0; i < count; i++)
	{
		code[length++] = (struct sock_filter) IF_EQUAL((unsigned) numbers[i], 0, 1);
		code[length++] = (struct sock_filter) ANSWER(SECCOMP_RET_USER_NOTIF);
	}
	code[length++] = (struct sock_filter) ANSWER(SECCOMP_RET_ALLOW);
	program.len = length;
	fd = install_best(&program);
	if (fd < 0 && errno == EACCES && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		fd = install_best(&program);
	return (int) fd;
}
