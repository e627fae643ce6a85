/*
 * svg.c
 *		The figures as a plot: a block per group, a bar per figure, scaled to the longest of its unit in that block.
 *
 * Quartiles are whiskers, bounds are marks: green when reached, red when missed.  Names are our own or another
 * program's: they are escaped.
 */
#include <math.h>
#include <string.h>

#include "figures.h"

#define WIDTH      1080
#define LABEL_X    430
#define BAR_WIDTH  480
#define ROW        20
#define GROUP_HEAD 38

static void
put_escaped(FILE *out, const char *text)
{
	for (; *text != '\0'; text++)
	{
		unsigned char c = (unsigned char) *text;

		if (c == '&' || c == '<' || c == '>' || c == '"')
			(void) fprintf(out, "&#%d;", c);
		else
			(void) fputc(c < 0x20 || c >= 0x7f ? '?' : c, out);
	}
}

static void
put_text(FILE *out, double x, double y, const char *style, const char *text)
{
	(void) fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">", x, y, style);
	put_escaped(out, text);
	(void) fputs("</text>\n", out);
}

/* What the longest bar of this figure's unit stands for, in its group. */
static double
full_scale(const Figure *figure)
{
	double most = 0;

	for (size_t i = 0; i < figures_count(); i++)
	{
		const Figure *other = &figures[i];

		if (strcmp(other->group, figure->group) != 0 || strcmp(other->unit, figure->unit) != 0)
			continue;
		most = fmax(most, fmax(other->high, other->value));
		if (other->bound != FIGURE_NO_BOUND)
			most = fmax(most, other->want);
	}
	return most > 0 ? most : 1;
}

static void
put_bar(FILE *out, const Figure *figure, double y)
{
	double scale = BAR_WIDTH / full_scale(figure);
	double middle = y - 5;
	const char *style = strncmp(figure->name, "holdfast", 8) == 0 ? "ours" : "peer";
	char value[64];

	put_text(out, LABEL_X - 8, y, "label", figure->name);
	(void) fprintf(out,
				   "<rect x=\"%d\" y=\"%.1f\" width=\"%.1f\" height=\"12\" class=\"%s\"/>\n"
				   "<path d=\"M%.1f %.1fH%.1f\" class=\"whisker\"/>\n",
				   LABEL_X, y - 11, figure->value * scale, style, LABEL_X + figure->low * scale,
				   middle, LABEL_X + figure->high * scale);
	if (figure->bound != FIGURE_NO_BOUND)
		(void) fprintf(out, "<path d=\"M%.1f %.1fv16\" class=\"%s\"/>\n",
					   LABEL_X + figure->want * scale, y - 13,
					   figure_reached(figure) ? "reached" : "missed");
	(void) snprintf(value, sizeof(value), figure->value < 1000 ? "%.2f %s" : "%.0f %s",
					figure->value, figure->unit);
	put_text(out, LABEL_X + BAR_WIDTH + 10, y, "value", value);
}

bool
figures_svg(FILE *out)
{
	double y = 10;
	double height = 20;
	const char *group = "";

	for (size_t i = 0; i < figures_count(); i++)
	{
		height += strcmp(group, figures[i].group) != 0 ? GROUP_HEAD + ROW : ROW;
		group = figures[i].group;
	}
	(void) fprintf(
		out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %.0f\" width=\"%d\" "
		"height=\"%.0f\">\n"
		"<style>text{font:12px sans-serif;fill:#222}.head{font-weight:bold;font-size:14px}"
		".label{text-anchor:end}.ours{fill:#2b6cb0}.peer{fill:#a0aec0}"
		".whisker{stroke:#222;stroke-width:1}.reached{stroke:#2f855a;stroke-width:3}"
		".missed{stroke:#c53030;stroke-width:3}</style>\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
		WIDTH, height, WIDTH, height);
	group = "";
	for (size_t i = 0; i < figures_count(); i++)
	{
		if (strcmp(group, figures[i].group) != 0)
		{
			group = figures[i].group;
			y += GROUP_HEAD;
			put_text(out, 12, y - 8, "head", group);
			y += ROW - 10;
		}
		put_bar(out, &figures[i], y);
		y += ROW;
	}
	(void) fputs("</svg>\n", out);
	return !ferror(out);
}
