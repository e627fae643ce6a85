/*
 * json_writer.c
 *		See json_writer.h.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "json_writer.h"
#include "utf8.h"

void
json_begin(JsonWriter *writer, FILE *out)
{
	memset(writer, 0, sizeof(*writer));
	writer->out = out;
}

bool
json_finish(JsonWriter *writer)
{
	(void) fputc('\n', writer->out);
	return !writer->broken && writer->depth == 0 && ferror(writer->out) == 0;
}

static void
put_string(JsonWriter *writer, const char *bytes, size_t length)
{
	FILE *out = writer->out;

	(void) fputc('"', out);
	for (size_t i = 0; i < length;)
	{
		uint32_t code = 0;
		size_t size = utf8_next(bytes + i, length - i, &code);

		if (size == 0)
		{
			(void) fputs(UTF8_REPLACEMENT, out);
			i++;
			continue;
		}
		if (code == '"' || code == '\\')
			(void) fprintf(out, "\\%c", (int) code);
		else if (code == '\n')
			(void) fputs("\\n", out);
		else if (code < 0x20 || code == 0x7f)
			(void) fprintf(out, "\\u%04x", (unsigned) code);
		else
			(void) fwrite(bytes + i, 1, size, out);
		i += size;
	}
	(void) fputc('"', out);
}

/* What stands before every value: comma, line, key. */
static void
lead(JsonWriter *writer, const char *key)
{
	if (writer->not_first[writer->depth])
		(void) fputc(',', writer->out);
	if (writer->compact && writer->not_first[writer->depth])
		(void) fputc(' ', writer->out);
	else if (writer->depth > 0 && !writer->compact)
		(void) fprintf(writer->out, "\n%*s", writer->depth * 2, "");
	writer->not_first[writer->depth] = true;
	if (key != NULL)
	{
		put_string(writer, key, strlen(key));
		(void) fputs(": ", writer->out);
	}
}

static void
open_level(JsonWriter *writer, const char *key, char bracket)
{
	lead(writer, key);
	(void) fputc(bracket, writer->out);
	if (writer->depth + 1 >= JSON_DEPTH_MAX)
	{
		writer->broken = true;
		return;
	}
	writer->not_first[++writer->depth] = false;
}

static void
close_level(JsonWriter *writer, char bracket)
{
	bool empty = !writer->not_first[writer->depth];

	if (writer->depth > 0)
		writer->depth--;
	if (!empty && !writer->compact)
		(void) fprintf(writer->out, "\n%*s", writer->depth * 2, "");
	(void) fputc(bracket, writer->out);
}

void
json_object(JsonWriter *writer, const char *key)
{
	open_level(writer, key, '{');
}

void
json_object_end(JsonWriter *writer)
{
	close_level(writer, '}');
}

void
json_array(JsonWriter *writer, const char *key)
{
	open_level(writer, key, '[');
}

void
json_array_end(JsonWriter *writer)
{
	close_level(writer, ']');
}

void
json_bytes(JsonWriter *writer, const char *key, const char *bytes, size_t length)
{
	lead(writer, key);
	put_string(writer, bytes, length);
}

void
json_string(JsonWriter *writer, const char *key, const char *text)
{
	if (text != NULL)
	{
		json_bytes(writer, key, text, strlen(text));
		return;
	}
	lead(writer, key);
	(void) fputs("null", writer->out);
}

void
json_int(JsonWriter *writer, const char *key, int64_t value)
{
	lead(writer, key);
	(void) fprintf(writer->out, "%" PRId64, value);
}

void
json_uint(JsonWriter *writer, const char *key, uint64_t value)
{
	lead(writer, key);
	(void) fprintf(writer->out, "%" PRIu64, value);
}

void
json_bool(JsonWriter *writer, const char *key, bool value)
{
	lead(writer, key);
	(void) fputs(value ? "true" : "false", writer->out);
}

void
json_raw(JsonWriter *writer, const char *key, const char *bytes, size_t length)
{
	lead(writer, key);
	(void) fwrite(bytes, 1, length, writer->out);
}

void
json_milliseconds(JsonWriter *writer, const char *key, double value)
{
	lead(writer, key);
	(void) fprintf(writer->out, "%.3f", value);
}

void
json_real(JsonWriter *writer, const char *key, double value)
{
	lead(writer, key);
	if (isfinite(value))
		(void) fprintf(writer->out, "%.6g", value);
	else
		(void) fputs("null", writer->out); /* JSON has no word for it */
}
