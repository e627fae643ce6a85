/*
 * markup.c
 *		See markup.h.
 */
#include "markup.h"

#include <stdbool.h>
#include <string.h>

#include "utf8.h"

static bool
is_xml_character(uint32_t code)
{
	return code == '\t' || code == '\n' || code == '\r' || (code >= 0x20 && code < 0x7f) ||
		   (code > 0x9f && code != 0xfffe && code != 0xffff);
}

void
markup_bytes(const char *bytes, size_t length, FILE *out)
{
	for (size_t i = 0; i < length;)
	{
		uint32_t code = 0;
		size_t size = utf8_next(bytes + i, length - i, &code);

		if (size == 0 || !is_xml_character(code))
			(void) fputs(UTF8_REPLACEMENT, out);
		else if (code == '<')
			(void) fputs("&lt;", out);
		else if (code == '>')
			(void) fputs("&gt;", out);
		else if (code == '&')
			(void) fputs("&amp;", out);
		else if (code == '"')
			(void) fputs("&quot;", out);
		else if (code == '\n' || code == '\r' || code == '\t')
			(void) fprintf(out, "&#%u;", (unsigned) code);
		else
			(void) fwrite(bytes + i, 1, size, out);
		i += size == 0 ? 1 : size;
	}
}

void
markup_text(const char *text, FILE *out)
{
	markup_bytes(text, strlen(text), out);
}
