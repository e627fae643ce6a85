/*
 * json_writer.h
 *		Writes JSON as it comes: commas, nesting and escapes are its business, meaning is the caller's.
 *
 * Any bytes may be given as strings.  What is not UTF-8 comes out as U+FFFD, control characters as \u00XX, so that the
 * output is always valid.  No memory: nesting is bounded by JSON_DEPTH_MAX, beyond which writing stops and
 * json_finish() says so.
 */
#ifndef HOLDFAST_TOOLS_JSON_WRITER_H
#define HOLDFAST_TOOLS_JSON_WRITER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define JSON_DEPTH_MAX 16

typedef struct JsonWriter
{
	FILE *out;
	int depth;
	bool broken;                    /* nested too deep */
	bool compact;                   /* the caller's to switch: values on one line, for long lists */
	bool not_first[JSON_DEPTH_MAX]; /* a value was written at this depth */
} JsonWriter;

/* jansson, which reads the same files, has functions of these names: linked statically they would clash. */
#define json_object holdfast_json_object
#define json_array  holdfast_json_array
#define json_string holdfast_json_string
#define json_real   holdfast_json_real

void json_begin(JsonWriter *writer, FILE *out);
/* Ends the text with a newline.  False when something could not be written or was not closed. */
bool json_finish(JsonWriter *writer);

/* `key` is NULL inside an array and at the top. */
void json_object(JsonWriter *writer, const char *key);
void json_object_end(JsonWriter *writer);
void json_array(JsonWriter *writer, const char *key);
void json_array_end(JsonWriter *writer);
void json_bytes(JsonWriter *writer, const char *key, const char *bytes, size_t length);
void json_string(JsonWriter *writer, const char *key, const char *text); /* NULL: null */
void json_int(JsonWriter *writer, const char *key, int64_t value);
void json_uint(JsonWriter *writer, const char *key, uint64_t value);
void json_bool(JsonWriter *writer, const char *key, bool value);
/* JSON that somebody else wrote; it is not looked at. */
void json_raw(JsonWriter *writer, const char *key, const char *bytes, size_t length);
void json_milliseconds(JsonWriter *writer, const char *key, double value); /* three decimals */
void json_real(JsonWriter *writer, const char *key,
			   double value); /* six digits; null if not finite */

#endif
