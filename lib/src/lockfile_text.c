/*
 * lockfile_text.c
 *		The bytes of a lockfile: parse, format.  Pure functions, no memory, no system call.
 *
 * What PostgreSQL writes must be readable, in every shape it has had: one line (in the middle of a start), three with
 * key and id in the last (up to 9.0), five (socket locks), seven, eight; padded blanks; lines still empty.  What no server
 * writes is refused with the line that is wrong: PostgreSQL's own atoi() takes "12abc" for PID 12, deletes the file and
 * starts.  So is a file without its last line end: cut short, its PID may be another's.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <holdfast/lockfile.h>

#include "crc32c.h"
#include "report.h"

#define OUR_FIRST_LINE 9
#define LINES_MAX      15
#define OUR_FORMAT     "holdfast 1"

typedef struct Line
{
	const char *start;
	Size length; /* without line end */
} Line;

typedef struct Lines
{
	Line line[LINES_MAX + 1]; /* 1-based, as PostgreSQL counts them */
	int count;
	Size crc_offset; /* where line 15 starts */
	bool more;       /* something follows line 15 */
} Lines;

static HoldfastStatus
damaged(int line, const char *why)
{
	return report(HOLDFAST_ERROR, HOLDFAST_DAMAGED, 0, NULL, NULL,
				  "bogus data in lock file, line %d: %s", line, why);
}

/* ---- scanning ---- */

static void
split(const char *bytes, Size length, Lines *lines)
{
	const char *end = bytes + length;

	memset(lines, 0, sizeof(*lines));
	while (bytes < end && lines->count < LINES_MAX)
	{
		const char *stop =
			memchr(bytes, '\n', (Size) (end - bytes)); /* the last line, too, has one */
		Line *line = &lines->line[++lines->count];

		if (lines->count == LINES_MAX)
			lines->crc_offset = length - (Size) (end - bytes);
		line->start = bytes;
		line->length = (Size) (stop - bytes);
		if (line->length > 0 && stop[-1] == '\r')
			line->length--;
		bytes = stop + 1;
	}
	lines->more = bytes < end;
}

static bool
is_blank(const Line *line)
{
	for (Size i = 0; i < line->length; i++)
	{
		if (line->start[i] != ' ' && line->start[i] != '\t')
			return false;
	}
	return true;
}

/* Takes blanks and a decimal number off the front of the line; false if there is none or it is over `max`. */
static bool
take_number(Line *line, uint64_t max, uint64_t *number)
{
	uint64_t value = 0;
	Size digits = 0;
	Size i = 0;

	while (i < line->length && line->start[i] == ' ')
		i++;
	for (; i < line->length && line->start[i] >= '0' && line->start[i] <= '9'; i++, digits++)
	{
		unsigned digit = (unsigned) (line->start[i] - '0');

		if (value > (max - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	if (digits == 0)
		return false;
	line->start += i;
	line->length -= i;
	*number = value;
	return true;
}

/* The whole line is one number. */
static bool
is_number(Line line, uint64_t max, uint64_t *number)
{
	return take_number(&line, max, number) && is_blank(&line);
}

static bool
take_hex(Line *line, Size digits, uint64_t *number)
{
	*number = 0;
	if (line->length < digits)
		return false;
	for (Size i = 0; i < digits; i++)
	{
		char c = line->start[i];
		unsigned nibble;

		if (c >= '0' && c <= '9')
			nibble = (unsigned) (c - '0');
		else if (c >= 'a' && c <= 'f')
			nibble = (unsigned) (c - 'a') + 10;
		else
			return false;
		*number = *number << 4 | nibble;
	}
	line->start += digits;
	line->length -= digits;
	return true;
}

static bool
copy_line(const Line *line, char *to, Size size)
{
	if (line->length >= size)
		return false;
	if (line->length > 0) /* a line that is missing points nowhere */
		memcpy(to, line->start, line->length);
	to[line->length] = '\0';
	return true;
}

static bool
line_is(const Line *line, const char *text)
{
	return line->length != 0 && line->length == strlen(text) &&
		   memcmp(line->start, text, line->length) == 0;
}

/* ---- PostgreSQL's lines ---- */

static HoldfastStatus
parse_pid(Line line, HoldfastLockfile *out)
{
	uint64_t pid;

	if (line.length > 0 && line.start[0] == '-')
	{
		out->standalone = true;
		line.start++;
		line.length--;
	}
	if (line.length == 0 || line.start[0] == ' ' || !is_number(line, INT32_MAX, &pid) || pid == 0)
		return damaged(LOCK_FILE_LINE_PID, "not a process ID");
	out->pid = (pid_t) pid;
	return HOLDFAST_OK;
}

static bool
is_segment(Line line, HoldfastLockfile *out)
{
	uint64_t key, id;

	if (!take_number(&line, UINT32_MAX, &key) || !take_number(&line, INT32_MAX, &id) ||
		!is_blank(&line))
		return false;
	out->has_segment = true;
	out->shmem_key = key;
	out->shmem_id = id;
	return true;
}

/*
 * A time, before 1970 where nobody has set the clock; up to PostgreSQL 9.0 this was where key and id stood, and the
 * last line.
 */
static HoldfastStatus
parse_start_time(const Lines *lines, HoldfastLockfile *out)
{
	Line line = lines->line[LOCK_FILE_LINE_START_TIME];
	uint64_t number;
	bool before = line.length > 1 && line.start[0] == '-' && line.start[1] != ' ';

	if (is_blank(&line) || (lines->count == LOCK_FILE_LINE_START_TIME && is_segment(line, out)))
		return HOLDFAST_OK;
	if (before)
	{
		line.start++;
		line.length--;
	}
	if (!is_number(line, INT64_MAX, &number))
		return damaged(LOCK_FILE_LINE_START_TIME, "not a time");
	out->start_time_s = before ? -(int64_t) number : (int64_t) number;
	return HOLDFAST_OK;
}

static HoldfastStatus
parse_postgres_lines(const Lines *lines, HoldfastLockfile *out)
{
	uint64_t number;
	HoldfastStatus status = parse_pid(lines->line[LOCK_FILE_LINE_PID], out);

	if (status < 0)
		return status;
	if (!copy_line(&lines->line[LOCK_FILE_LINE_DATA_DIR], out->data_dir, sizeof(out->data_dir)))
		return damaged(LOCK_FILE_LINE_DATA_DIR, "too long");
	status = parse_start_time(lines, out);
	if (status < 0)
		return status;
	if (!is_blank(&lines->line[LOCK_FILE_LINE_PORT]))
	{
		if (!is_number(lines->line[LOCK_FILE_LINE_PORT], 65535, &number))
			return damaged(LOCK_FILE_LINE_PORT, "not a port");
		out->port = (int) number;
	}
	if (!copy_line(&lines->line[LOCK_FILE_LINE_SOCKET_DIR], out->socket_dir,
				   sizeof(out->socket_dir)))
		return damaged(LOCK_FILE_LINE_SOCKET_DIR, "too long");
	if (!copy_line(&lines->line[LOCK_FILE_LINE_LISTEN_ADDR], out->listen_addr,
				   sizeof(out->listen_addr)))
		return damaged(LOCK_FILE_LINE_LISTEN_ADDR, "too long");
	if (!is_blank(&lines->line[LOCK_FILE_LINE_SHMEM_KEY]) &&
		!is_segment(lines->line[LOCK_FILE_LINE_SHMEM_KEY], out))
		return damaged(LOCK_FILE_LINE_SHMEM_KEY, "not a shared memory key and ID");
	if (!copy_line(&lines->line[LOCK_FILE_LINE_PM_STATUS], out->status, sizeof(out->status)))
		return damaged(LOCK_FILE_LINE_PM_STATUS, "too long");
	return HOLDFAST_OK;
}

/* ---- our lines ---- */

static bool
is_boot_id(const Line *line)
{
	for (Size i = 0; i < line->length; i++)
	{
		if (strchr("0123456789abcdef-", line->start[i]) == NULL)
			return false;
	}
	return line->length == 36;
}

static HoldfastStatus
parse_our_lines(const Lines *lines, HoldfastLockfile *out)
{
	Line namespaces = lines->line[12];
	Line cookie = lines->line[13];
	uint64_t number;

	if (!is_number(lines->line[10], UINT64_MAX, &out->pid_start_time))
		return damaged(10, "not a start time");
	if (!is_boot_id(&lines->line[11]))
		return damaged(11, "not a boot ID");
	memcpy(out->boot_id, lines->line[11].start, lines->line[11].length); /* 36, of 40 zeros */
	if (!take_number(&namespaces, UINT64_MAX, &out->pid_namespace) ||
		!take_number(&namespaces, UINT64_MAX, &out->ipc_namespace) || !is_blank(&namespaces))
		return damaged(12, "not two namespaces");
	if (!take_hex(&cookie, 16, &out->cookie.word[0]) ||
		!take_hex(&cookie, 16, &out->cookie.word[1]) || cookie.length != 0)
		return damaged(13, "not a cookie");
	if (!is_blank(&lines->line[14]))
	{
		/* Key 0 is IPC_PRIVATE: no segment is found by it. */
		if (!is_number(lines->line[14], INT32_MAX, &number) || number == 0)
			return damaged(14, "not a shared memory key");
		out->has_intent = true;
		out->intent_key = (IpcMemoryKey) number;
	}
	out->is_ours = true;
	return HOLDFAST_OK;
}

static HoldfastStatus
check_crc(const char *bytes, const Lines *lines)
{
	Line line = lines->line[LINES_MAX];
	uint64_t crc;

	if (lines->count < LINES_MAX || !take_hex(&line, 8, &crc) || line.length != 0)
		return damaged(LINES_MAX, "no checksum: the file is not whole");
	if (lines->more)
		return damaged(LINES_MAX + 1, "nothing belongs here");
	if (crc != holdfast_crc32c(bytes, lines->crc_offset))
		return damaged(LINES_MAX, "the checksum does not match");
	return HOLDFAST_OK;
}

HoldfastStatus
holdfast_lockfile_parse(const char *bytes, Size length, HoldfastLockfile *out)
{
	Lines lines;
	HoldfastStatus status;

	memset(out, 0, sizeof(*out));
	if (length == 0)
		return report(HOLDFAST_ERROR, HOLDFAST_DAMAGED, 0, NULL, NULL, "lock file is empty");
	if (length > HOLDFAST_LOCKFILE_SIZE_MAX)
		return report(HOLDFAST_ERROR, HOLDFAST_DAMAGED, 0, NULL, NULL,
					  "lock file is larger than %d bytes", HOLDFAST_LOCKFILE_SIZE_MAX);
	if (memchr(bytes, '\0', length) != NULL)
		return report(HOLDFAST_ERROR, HOLDFAST_DAMAGED, 0, NULL, NULL,
					  "bogus data in lock file: it contains a zero byte");
	if (bytes[length - 1] != '\n')
		return report(HOLDFAST_ERROR, HOLDFAST_DAMAGED, 0, NULL, NULL,
					  "bogus data in lock file: its last line has no end");
	split(bytes, length, &lines);
	status = parse_postgres_lines(&lines, out);
	if (status < 0)
		return status;
	if (line_is(&lines.line[OUR_FIRST_LINE], OUR_FORMAT))
	{
		status = check_crc(bytes, &lines);
		return status < 0 ? status : parse_our_lines(&lines, out);
	}
	if (lines.count < OUR_FIRST_LINE)
		return HOLDFAST_OK;
	/* PostgreSQL never wrote a ninth line: this is a file of ours, damaged just where it says so. */
	return damaged(OUR_FIRST_LINE,
				   lines.line[OUR_FIRST_LINE].length >= 8 &&
						   memcmp(lines.line[OUR_FIRST_LINE].start, "holdfast", 8) == 0
					   ? "a format of another version"
					   : "nothing belongs here");
}

/* ---- format ---- */

typedef struct Writer
{
	char *bytes;
	Size capacity;
	Size length;
	bool full;
} Writer;

static void put(Writer *writer, const char *format, ...) HOLDFAST_PRINTF(2, 3);

static void
put(Writer *writer, const char *format, ...)
{
	Size room = writer->capacity - writer->length;
	va_list args;
	int wanted;

	if (writer->full)
		return;
	va_start(args, format);
	wanted = vsnprintf(writer->bytes + writer->length, room, format, args);
	va_end(args);
	writer->full = (Size) wanted >= room; /* a negative one is larger than any room */
	if (!writer->full)
		writer->length += (Size) wanted;
}

/* Terminated, on one line, and nothing after it that would be lost. */
static bool
is_text(const char *text, Size size)
{
	Size length = strnlen(text, size);

	return length < size && strcspn(text, "\r\n") == length;
}

static bool
is_writable(const HoldfastLockfile *in)
{
	Line boot_id = {.start = in->boot_id, .length = strnlen(in->boot_id, sizeof(in->boot_id))};

	if (in->pid <= 0 || in->start_time_s == INT64_MIN || in->port < 0 || in->port > 65535 ||
		in->shmem_key > UINT32_MAX || in->shmem_id > INT32_MAX)
		return false;
	if (!is_text(in->data_dir, sizeof(in->data_dir)) ||
		!is_text(in->socket_dir, sizeof(in->socket_dir)) ||
		!is_text(in->listen_addr, sizeof(in->listen_addr)) ||
		!is_text(in->status, sizeof(in->status)))
		return false;
	return !in->is_ours || (is_boot_id(&boot_id) && (!in->has_intent || in->intent_key > 0));
}

static void
put_postgres_lines(Writer *writer, const HoldfastLockfile *in)
{
	put(writer, "%s%d\n%s\n%" PRId64 "\n", in->standalone ? "-" : "", (int) in->pid, in->data_dir,
		in->start_time_s);
	if (in->port != 0)
		put(writer, "%d", in->port);
	put(writer, "\n%s\n%s\n", in->socket_dir, in->listen_addr);
	if (in->has_segment)
		put(writer, "%9lu %9lu", in->shmem_key, in->shmem_id);
	put(writer, "\n%s\n", in->status);
}

static void
put_our_lines(Writer *writer, const HoldfastLockfile *in)
{
	put(writer, OUR_FORMAT "\n%" PRIu64 "\n%s\n%" PRIu64 " %" PRIu64 "\n", in->pid_start_time,
		in->boot_id, in->pid_namespace, in->ipc_namespace);
	put(writer, "%016" PRIx64 "%016" PRIx64 "\n", in->cookie.word[0], in->cookie.word[1]);
	if (in->has_intent)
		put(writer, "%d", (int) in->intent_key);
	put(writer, "\n");
	if (!writer->full)
		put(writer, "%08" PRIx32 "\n", holdfast_crc32c(writer->bytes, writer->length));
}

Size
holdfast_lockfile_format(const HoldfastLockfile *in, char *bytes, Size capacity)
{
	Writer writer = {.bytes = bytes, .capacity = capacity};

	if (!is_writable(in))
		return 0;
	put_postgres_lines(&writer, in);
	if (in->is_ours)
		put_our_lines(&writer, in);
	return writer.full ? 0 : writer.length;
}
