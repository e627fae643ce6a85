/*
 * data.c
 *		Calls that data pass through: read and write in their forms, and what is attached by shmat.
 *
 * Beyond errno and return: short(N) passes on at most N bytes, torn(N) writes N and claims all, corrupt
 * flips bits of one byte on its way (offset modulo the bytes), skip claims success and does nothing.
 *
 * Thread, signal safety: that of the call; no malloc, no locks.
 */
#include "call.h"

/* How many bytes a verdict lets through. */
static size_t
passed_bytes(const InjectArrival *arrival, size_t count)
{
	if ((arrival->verdict == VERDICT_SHORT || arrival->verdict == VERDICT_TORN) &&
		(uint64_t) arrival->a < count)
		return (size_t) arrival->a;
	return count;
}

static size_t
total_bytes(const struct iovec *pieces, int count)
{
	size_t total = 0;

	for (int i = 0; i < count; i++)
		total += pieces[i].iov_len;
	return total;
}

/*
 * At most so many bytes of a vector, without a copy of it: its first pieces whole, or one that is cut.
 * `limit` is less than the whole.
 */
static int
cut_pieces(const struct iovec *pieces, size_t limit, struct iovec *first)
{
	int whole = 0;

	*first = (struct iovec){pieces[0].iov_base, limit};
	if (pieces[0].iov_len >= limit)
		return 1;
	for (size_t sum = pieces[0].iov_len; sum <= limit; sum += pieces[whole].iov_len)
		whole++;
	*first = pieces[0];
	return whole;
}

static void
corrupt_read(const InjectArrival *arrival, const struct iovec *pieces, ssize_t length)
{
	size_t at;

	if (arrival->verdict != VERDICT_CORRUPT || length <= 0)
		return;
	at = (size_t) arrival->a % (size_t) length;
	for (; at >= pieces->iov_len; pieces++)
		at -= pieces->iov_len;
	((unsigned char *) pieces->iov_base)[at] ^= (unsigned char) arrival->b;
}

/* What a write with one byte changed is made of, without a copy of the rest. */
static int
corrupted_pieces(const InjectArrival *arrival, const unsigned char *data, size_t count,
				 unsigned char *changed, struct iovec *pieces)
{
	size_t at = (size_t) arrival->a % count;

	*changed = data[at] ^ (unsigned char) arrival->b;
	pieces[0] = (struct iovec){(void *) (uintptr_t) data, at};
	pieces[1] = (struct iovec){changed, 1};
	pieces[2] = (struct iovec){(void *) (uintptr_t) (data + at + 1), count - at - 1};
	return 3;
}

/* torn(N) claims all, if the part was written at all. */
static ssize_t
claimed_bytes(const InjectArrival *arrival, ssize_t written, size_t count)
{
	return arrival->verdict == VERDICT_TORN && written >= 0 ? (ssize_t) count : written;
}

#define FINISH(name_, result_)                                                                     \
	if ((result_) >= 0)                                                                            \
		(void) call_pass(&AFTER(name_), true, (int64_t) (result_));                                \
	return result_

/* `real_`, `corrupted_`: the calls' arguments, with `passed` bytes, or with `pieces`. */
#define READ_WRAPPER(name_, parameters_, real_)                                                    \
	ssize_t WRAPPER(name_) parameters_                                                             \
	{                                                                                              \
		InjectArrival before = call_pass(&BEFORE(name_), true, (int64_t) count);                   \
		size_t passed = passed_bytes(&before, count);                                              \
		struct iovec whole = {data, passed};                                                       \
		long result;                                                                               \
                                                                                                   \
		if (call_is_replaced(&before, 0, &result))                                                 \
			return result;                                                                         \
		result = REAL(name_) real_;                                                                \
		corrupt_read(&before, &whole, result);                                                     \
		FINISH(name_, result);                                                                     \
	}

READ_WRAPPER(read, (int fd, void *data, size_t count), (fd, data, passed))
READ_WRAPPER(pread, (int fd, void *data, size_t count, off_t offset), (fd, data, passed, offset))

#define WRITE_WRAPPER(name_, vector_, parameters_, real_, corrupted_)                              \
	ssize_t WRAPPER(name_) parameters_                                                             \
	{                                                                                              \
		InjectArrival before = call_pass(&BEFORE(name_), true, (int64_t) count);                   \
		size_t passed = passed_bytes(&before, count);                                              \
		struct iovec pieces[3];                                                                    \
		unsigned char changed;                                                                     \
		long result;                                                                               \
                                                                                                   \
		if (call_is_replaced(&before, (long) count, &result))                                      \
			return result;                                                                         \
		if (before.verdict == VERDICT_CORRUPT && count > 0)                                        \
		{                                                                                          \
			(void) corrupted_pieces(&before, data, count, &changed, pieces);                       \
			result = REAL(vector_) corrupted_;                                                     \
		}                                                                                          \
		else                                                                                       \
			result = claimed_bytes(&before, REAL(name_) real_, count);                             \
		FINISH(name_, result);                                                                     \
	}

WRITE_WRAPPER(write, writev, (int fd, const void *data, size_t count), (fd, data, passed),
			  (fd, pieces, 3))
WRITE_WRAPPER(pwrite, pwritev, (int fd, const void *data, size_t count, off_t offset),
			  (fd, data, passed, offset), (fd, pieces, 3, offset))

/* In both directions: what is cut is cut, what is read may be changed, what is torn is claimed. */
#define VECTOR_WRAPPER(name_, skipped_, parameters_, real_, cut_)                                  \
	ssize_t WRAPPER(name_) parameters_                                                             \
	{                                                                                              \
		InjectArrival before = call_pass(&BEFORE(name_), true, count);                             \
		struct iovec first;                                                                        \
		size_t total;                                                                              \
		long result;                                                                               \
                                                                                                   \
		if (before.verdict == VERDICT_NONE)                                                        \
		{                                                                                          \
			result = REAL(name_) real_;                                                            \
			FINISH(name_, result);                                                                 \
		}                                                                                          \
		total = total_bytes(pieces, count);                                                        \
		if (call_is_replaced(&before, skipped_, &result))                                          \
			return result;                                                                         \
		if (passed_bytes(&before, total) < total)                                                  \
		{                                                                                          \
			const struct iovec *cut = pieces;                                                      \
			int kept = cut_pieces(pieces, (size_t) before.a, &first);                              \
                                                                                                   \
			if (kept == 1)                                                                         \
				cut = &first;                                                                      \
			result = claimed_bytes(&before, REAL(name_) cut_, total);                              \
		}                                                                                          \
		else                                                                                       \
			result = REAL(name_) real_;                                                            \
		corrupt_read(&before, pieces, result);                                                     \
		FINISH(name_, result);                                                                     \
	}

VECTOR_WRAPPER(readv, 0, (int fd, const struct iovec *pieces, int count), (fd, pieces, count),
			   (fd, cut, kept))
VECTOR_WRAPPER(preadv, 0, (int fd, const struct iovec *pieces, int count, off_t offset),
			   (fd, pieces, count, offset), (fd, cut, kept, offset))
VECTOR_WRAPPER(writev, (long) total, (int fd, const struct iovec *pieces, int count),
			   (fd, pieces, count), (fd, cut, kept))
VECTOR_WRAPPER(pwritev, (long) total, (int fd, const struct iovec *pieces, int count, off_t offset),
			   (fd, pieces, count, offset), (fd, cut, kept, offset))

/* Flip bits of one byte of the segment; the offset is taken modulo its size. */
static void
corrupt_segment(int shmid, unsigned char *address, const InjectArrival *arrival)
{
	struct shmid_ds status;
	int saved_errno = errno;

	if (REAL(shmctl)(shmid, IPC_STAT, &status) == 0 && status.shm_segsz > 0)
		address[(size_t) arrival->a % status.shm_segsz] ^= (unsigned char) arrival->b;
	errno = saved_errno;
}

void *
WRAPPER(shmat)(int shmid, const void *address, int flags)
{
	InjectArrival before = call_pass(&BEFORE(shmat), true, shmid);
	InjectArrival after;
	long result;
	void *attached;

	if (call_is_replaced(&before, -1, &result))
		return (void *) result;
	attached = REAL(shmat)(shmid, address, flags);
	if (attached == (void *) -1)
		return attached;
	after = call_pass(&AFTER(shmat), true, shmid);
	if (after.verdict == VERDICT_CORRUPT && (flags & SHM_RDONLY) == 0)
		corrupt_segment(shmid, attached, &after);
	return attached;
}

OTHER_NAME(pread64, pread)
OTHER_NAME(pwrite64, pwrite)
OTHER_NAME(preadv64, preadv)
OTHER_NAME(pwritev64, pwritev)
