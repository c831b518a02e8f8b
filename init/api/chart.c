/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One row per node: name on the left, duration and state on the right, the reason below if it failed, is blocked or
 * retries. A state has a colour, a pattern and a word. Light or dark follows the viewer's preference by a media query
 * in the picture, so it also fits where it is embedded. Times count from the machine's start, as everywhere.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "chart.h"

#define SECOND_NS     1000000000LL
#define WIDTH         960
#define MARGIN        16
#define PLOT_LEFT     200
#define PLOT_RIGHT    708
#define TOOK_RIGHT    796	/* the durations end here, */
#define STATE_LEFT    808	/* and the states begin here */
#define ROW_HEIGHT    22
#define LINE_HEIGHT   16
#define BAR_HEIGHT    12
#define BAR_LEAST     2		/* a short one is still seen */
#define NAME_COLUMNS  24
#define TEXT_COLUMNS  104
#define LINES_MAX     4
#define TICKS_MAX     8
#define LEGEND_WIDTH  116

static const char *const state_names[] = NODE_STATE_NAMES;
static const char *const boot_names[] = BOOT_STATE_NAMES;

struct drawing {
	struct text *t;
	const struct status *status;
	int64_t from_ns, to_ns, step_ns;	/* the axis */
	int y;
};

/* A piece of a longer text. */
struct line {
	const char *start;
	size_t size;
};

static const char head[] =
	"<style>"
	"svg{color-scheme:light dark;font:12px system-ui,sans-serif;background:var(--paper);"
	"--paper:#ffffff;--ink:#17212b;--dim:#55626f;--rule:#dde3e9;"
	"--good:#1a7f4b;--busy:#0b62c4;--wait:#8f5b00;--bad:#c0232c;--off:#6a7683}"
	"@media(prefers-color-scheme:dark){svg{"
	"--paper:#14191f;--ink:#e6eaef;--dim:#9ca9b6;--rule:#2b343e;"
	"--good:#3fb97f;--busy:#63aefc;--wait:#e3a72f;--bad:#ff7a72;--off:#8996a3}}"
	"text{fill:var(--ink)}"
	".h{font-size:18px;font-weight:600}"
	".d,.s{fill:var(--dim)}"
	".b,.w{fill:var(--bad)}"
	".b{font-weight:600}"
	".s,.w{font-size:11px;paint-order:stroke;stroke:var(--paper);stroke-width:4}"
	".e{text-anchor:end}.m{text-anchor:middle}.n{font-variant-numeric:tabular-nums}"
	".g{stroke:var(--rule)}.k{stroke:var(--dim);stroke-dasharray:3 3}"
	".done,.ready,.life{fill:var(--good)}"
	".early{fill:var(--wait);opacity:.4}"
	".running{fill:url(#running)}.retrying{fill:url(#retrying)}.failed{fill:url(#failed)}"
	".stopping{fill:url(#stopping)}"
	".stopped{fill:var(--off)}"
	".waiting,.skipped,.disabled,.blocked{fill:none;stroke:var(--off)}.blocked{stroke:var(--bad)}"
	".waiting,.disabled,.blocked{stroke-dasharray:2 2}"
	"</style><defs>"
	"<pattern id=\"running\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\""
	" patternTransform=\"rotate(45)\">"
	"<path d=\"M0 0h6v6H0z\" style=\"fill:var(--busy);opacity:.55\"/>"
	"<path d=\"M0 0h3v6H0z\" style=\"fill:var(--busy)\"/></pattern>"
	"<pattern id=\"retrying\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\">"
	"<path d=\"M0 0h3v5H0z\" style=\"fill:var(--wait)\"/></pattern>"
	"<pattern id=\"failed\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">"
	"<path d=\"M0 0h6v6H0z\" style=\"fill:var(--bad);opacity:.35\"/>"
	"<path d=\"M0 0l6 6M6 0l-6 6\" style=\"stroke:var(--bad);stroke-width:1.6\"/></pattern>"
	"<pattern id=\"stopping\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\""
	" patternTransform=\"rotate(-45)\">"
	"<path d=\"M0 0h3v6H0z\" style=\"fill:var(--off)\"/></pattern>"
	"</defs>";

/* Distances of ticks in milliseconds; beyond the last one, whole multiples of it. */
static const int64_t steps_ms[] = {
	1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 15000, 30000,
	60000, 120000, 300000, 600000, 900000, 1800000, 3600000, 7200000, 14400000, 28800000, 43200000, 86400000,
};

/* ---- words ---------------------------------------------------------------------------------------------------- */

static void escape(struct text *t, const char *bytes, size_t size)
{
	static const struct {
		char byte;
		const char *entity;
	} entities[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"}};

	for (size_t i = 0; i < size; i++) {
		const char *entity = NULL;

		for (size_t j = 0; j < sizeof(entities) / sizeof(*entities); j++)
			if (bytes[i] == entities[j].byte)
				entity = entities[j].entity;
		if (entity)
			text_put(t, entity);
		else
			text_add(t, bytes + i, 1);
	}
}

static void put(struct text *t, const char *string)
{
	escape(t, string, strlen(string));
}

static void put_duration(struct text *t, int64_t ns)
{
	int64_t s = ns / SECOND_NS;

	if (s < 60)
		text_printf(t, "%.2f s", (double)ns / SECOND_NS);
	else if (s < 3600)
		text_printf(t, "%" PRId64 " min %" PRId64 " s", s / 60, s % 60);
	else if (s < 86400)
		text_printf(t, "%" PRId64 " h %" PRId64 " min", s / 3600, s / 60 % 60);
	else
		text_printf(t, "%" PRId64 " d %" PRId64 " h", s / 86400, s / 3600 % 24);
}

/* How far `columns` characters of the string reach. */
static size_t reach(const char *string, size_t columns)
{
	size_t i = 0;

	for (size_t n = 0; string[i]; i++)
		if (((unsigned char)string[i] & 0xc0) != 0x80 && n++ == columns)
			break;
	return i;
}

/* Splits into lines of TEXT_COLUMNS, at spaces if there are any. */
static size_t wrap(const char *string, struct line lines[LINES_MAX])
{
	size_t n = 0;

	while (*string && n < LINES_MAX) {
		size_t size = reach(string, TEXT_COLUMNS), end = size;

		if (string[size] && n < LINES_MAX - 1)
			for (size_t i = size; i > size / 2; i--)
				if (string[i] == ' ') {
					end = i;
					break;
				}
		lines[n++] = (struct line){string, end};
		string += end;
		while (*string == ' ')
			string++;
	}
	return n;
}

/* ---- times ---------------------------------------------------------------------------------------------------- */

/* A stage: from its first attempt on. A service: its latest start, until it was ready. */
static int64_t took_ns(const struct status *status, const struct control_node *node)
{
	int64_t start_ns = node->kind == NODE_SERVICE ? node->started_ns : node->first_started_ns;
	int64_t ns = status_end_ns(status, node) - start_ns;

	return ns < 0 ? 0 : ns;
}

static int64_t step_ns(int64_t span_ns)
{
	const size_t n = sizeof(steps_ms) / sizeof(*steps_ms);
	int64_t last_ns = steps_ms[n - 1] * 1000000;

	for (size_t i = 0; i < n; i++)
		if (span_ns / (steps_ms[i] * 1000000) < TICKS_MAX)
			return steps_ms[i] * 1000000;
	return (span_ns / last_ns / TICKS_MAX + 1) * last_ns;
}

/* From the machine's start, or if PID 1 started too late for that to be readable, from about its start. */
static void choose_axis(struct drawing *d)
{
	int64_t started_ns = d->status->boot.started_ns;

	d->to_ns = status_axis_end_ns(d->status);
	d->step_ns = step_ns(d->to_ns);
	if (started_ns / 2 <= d->to_ns - started_ns || started_ns >= d->to_ns)
		return;
	d->step_ns = step_ns(d->to_ns - started_ns);
	d->from_ns = started_ns / d->step_ns * d->step_ns;
}

static double x_of(const struct drawing *d, int64_t ns)
{
	double part = (double)(ns - d->from_ns) / (double)(d->to_ns - d->from_ns);

	return PLOT_LEFT + (PLOT_RIGHT - PLOT_LEFT) * (part < 0 ? 0 : part > 1 ? 1 : part);
}

/* ---- drawing -------------------------------------------------------------------------------------------------- */

static void text_at(struct drawing *d, const char *class, int x)
{
	text_printf(d->t, "<text class=\"%s\" x=\"%d\" y=\"%d\">", class, x, d->y);
}

static void text_end(struct drawing *d)
{
	text_put(d->t, "</text>");
}

static void bar(struct drawing *d, const char *class, int64_t from_ns, int64_t to_ns, int height)
{
	double from = x_of(d, from_ns), to = x_of(d, to_ns);

	if (to - from < BAR_LEAST) {	/* to the left at the axis' end */
		from = from > PLOT_RIGHT - BAR_LEAST ? PLOT_RIGHT - BAR_LEAST : from;
		to = from + BAR_LEAST;
	}
	text_printf(d->t, "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\"/>", class, from,
		    d->y - 4 - height / 2.0, to - from, height);
}

static void bars(struct drawing *d, const struct control_node *node)
{
	int64_t end = status_end_ns(d->status, node);

	if (node->first_started_ns <= 0)
		return;
	if (node->attempts > 1 && node->first_started_ns < node->started_ns)
		bar(d, "early", node->first_started_ns, node->started_ns, BAR_HEIGHT / 2);
	bar(d, state_names[node->state], node->started_ns, end, BAR_HEIGHT);
	if (node->state == NODE_READY && x_of(d, end) < PLOT_RIGHT - BAR_LEAST)
		bar(d, "life", end, d->to_ns, 2);
}

static bool in_trouble(const struct control_node *node)
{
	return node->state == NODE_FAILED || node->state == NODE_BLOCKED || node->state == NODE_RETRYING;
}

static size_t wrap_node(const struct control_node *node, struct line lines[LINES_MAX])
{
	return in_trouble(node) ? wrap(node->reason, lines) : 0;
}

static void put_lines(struct drawing *d, const char *class, int x, const struct line *lines, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		d->y += LINE_HEIGHT;
		text_at(d, class, x);
		escape(d->t, lines[i].start, lines[i].size);
		text_end(d);
	}
}

static void put_state(struct text *t, const struct control_node *node)
{
	text_put(t, state_names[node->state]);
	if (node->attempts > 1)
		text_printf(t, ", %" PRIu32 " %s", node->attempts, node->kind == NODE_SERVICE ? "starts" : "attempts");
}

/* The same as text: shown at the pointer, and read by screen readers. */
static void put_title(struct drawing *d, const struct control_node *node)
{
	text_put(d->t, "<title>");
	put(d->t, node->name);
	text_put(d->t, ": ");
	put_state(d->t, node);
	if (node->first_started_ns > 0) {
		text_put(d->t, ", began after ");
		put_duration(d->t, node->first_started_ns);
		text_put(d->t, ", took ");
		put_duration(d->t, took_ns(d->status, node));
	}
	if (node->reason[0]) {
		text_put(d->t, ": ");
		put(d->t, node->reason);
	}
	text_put(d->t, "</title>");
}

static void row(struct drawing *d, const struct control_node *node)
{
	struct line lines[LINES_MAX];
	size_t shown = reach(node->name, NAME_COLUMNS);

	text_put(d->t, "<g>");
	put_title(d, node);
	text_at(d, "n", MARGIN);
	escape(d->t, node->name, shown);
	text_put(d->t, node->name[shown] ? "…" : "");
	text_end(d);
	bars(d, node);
	text_at(d, "n e", TOOK_RIGHT);
	if (node->first_started_ns > 0)
		put_duration(d->t, took_ns(d->status, node));
	else
		text_put(d->t, "–");
	text_end(d);
	text_at(d, node->state == NODE_FAILED ? "b" : "n", STATE_LEFT);
	put_state(d->t, node);
	text_end(d);
	put_lines(d, node->state == NODE_FAILED ? "w" : "s", PLOT_LEFT, lines, wrap_node(node, lines));
	text_put(d->t, "</g>\n");
	d->y += ROW_HEIGHT;
}

static void put_summary(struct text *t, const struct status *status)
{
	const struct control_boot *boot = &status->boot;

	text_put(t, boot_names[boot->state]);
	if (boot->ended_ns > 0) {
		text_put(t, " after ");
		put_duration(t, boot->ended_ns);
	}
	text_put(t, ", up ");
	put_duration(t, boot->now_ns);
	text_put(t, "; gantry ");
	put(t, boot->version);
}

static void put_hostname(struct text *t, const struct status *status)
{
	put(t, status->boot.hostname[0] ? status->boot.hostname : "gantry");
}

static void put_heading(struct drawing *d)
{
	struct line lines[LINES_MAX];

	d->y = 30;
	text_at(d, "h", MARGIN);
	put_hostname(d->t, d->status);
	text_end(d);
	d->y += 20;
	text_at(d, "d n", MARGIN);
	put_summary(d->t, d->status);
	text_end(d);
	put_lines(d, "b", MARGIN, lines, wrap(d->status->boot.reason, lines));
	text_put(d->t, "\n");
}

static void put_tick(struct text *t, int64_t ns, int64_t step)
{
	int64_t unit = step < 60 * SECOND_NS ? SECOND_NS : step < 3600 * SECOND_NS ? 60 * SECOND_NS : 3600 * SECOND_NS;
	int digits = step < SECOND_NS / 100 ? 3 : step < SECOND_NS / 10 ? 2 : step < SECOND_NS ? 1 : 0;

	text_printf(t, "%.*f", digits, (double)ns / (double)unit);
}

/* Lines from here to `bottom`, drawn first so that the bars lie on them. */
static void put_axis(struct drawing *d, int bottom)
{
	const struct control_boot *boot = &d->status->boot;
	int64_t step = d->step_ns;

	d->y += 26;
	for (int64_t ns = d->from_ns; ns <= d->to_ns; ns += step) {
		double x = x_of(d, ns);

		text_printf(d->t, "<path class=\"g\" d=\"M%.1f %dV%d\"/>", x, d->y + 6, bottom);
		text_printf(d->t, "<text class=\"s m n\" x=\"%.1f\" y=\"%d\">", x, d->y);
		put_tick(d->t, ns, step);
		text_end(d);
	}
	text_at(d, "s", PLOT_RIGHT + 20);
	text_put(d->t, step < 60 * SECOND_NS ? "seconds" : step < 3600 * SECOND_NS ? "minutes" : "hours");
	text_put(d->t, " since the machine started</text>\n");
	if (boot->started_ns > 0)
		text_printf(d->t, "<path class=\"k\" d=\"M%.1f %dV%d\"/>", x_of(d, boot->started_ns), d->y + 6, bottom);
	if (boot->ended_ns > 0)
		text_printf(d->t, "<path class=\"k\" d=\"M%.1f %dV%d\"/>", x_of(d, boot->ended_ns), d->y + 6, bottom);
	text_put(d->t, "\n");
}

static void put_sample(struct drawing *d, const char *class, const char *word, int *x)
{
	bool lives = strcmp(class, state_names[NODE_READY]) == 0;

	if (*x + LEGEND_WIDTH > WIDTH) {
		*x = MARGIN;
		d->y += ROW_HEIGHT;
	}
	if (lives)
		text_printf(d->t, "<rect class=\"life\" x=\"%d\" y=\"%d\" width=\"20\" height=\"2\"/>", *x, d->y - 5);
	text_printf(d->t, "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"10\"/>", class, *x, d->y - 9,
		    lives ? 9 : 20);
	text_at(d, "s", *x + 26);
	text_put(d->t, word);
	text_end(d);
	*x += LEGEND_WIDTH;
}

/* The states that are in the picture. */
static void put_legend(struct drawing *d)
{
	bool there[NODE_STATE_MAX] = {false}, earlier = false;
	int x = MARGIN;

	for (size_t i = 0; i < d->status->n_nodes; i++) {
		there[d->status->nodes[i].state] |= d->status->nodes[i].first_started_ns > 0;
		earlier |= d->status->nodes[i].attempts > 1;
	}
	for (size_t i = 0; i < NODE_STATE_MAX; i++)
		if (there[i])
			put_sample(d, state_names[i], state_names[i], &x);
	if (earlier)
		put_sample(d, "early", "earlier attempts", &x);
	text_at(d, "s", x);
	text_put(d->t, "dashed: start ");
	text_put(d->t, d->status->boot.ended_ns > 0 ? "and end of the boot" : "of the boot");
	text_end(d);
	text_put(d->t, "\n");
}

static int rows_height(const struct status *status)
{
	struct line lines[LINES_MAX];
	int height = 0;

	for (size_t i = 0; i < status->n_nodes; i++)
		height += ROW_HEIGHT + LINE_HEIGHT * (int)wrap_node(&status->nodes[i], lines);
	return height;
}

void chart_svg(struct text *t, const struct status *status)
{
	struct drawing d = {.t = t, .status = status};
	struct line lines[LINES_MAX];
	int top = 76 + LINE_HEIGHT * (int)wrap(status->boot.reason, lines);
	int bottom = top + 14 + rows_height(status), height = bottom + 24 + 2 * ROW_HEIGHT;

	choose_axis(&d);
	text_printf(t, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" "
		    "role=\"img\" aria-labelledby=\"title desc\">\n<title id=\"title\">Boot of ", WIDTH, height, WIDTH,
		    height);
	put_hostname(t, status);
	text_put(t, "</title><desc id=\"desc\">");
	put_summary(t, status);
	if (status->boot.reason[0]) {
		text_put(t, ". Reason: ");
		put(t, status->boot.reason);
	}
	text_put(t, "</desc>\n");
	text_put(t, head);
	text_put(t, "\n");
	put_heading(&d);
	put_axis(&d, bottom);
	d.y = top + 26;
	for (size_t i = 0; i < status->n_nodes; i++)
		row(&d, &status->nodes[i]);
	d.y = bottom + 24;
	put_legend(&d);
	text_put(t, "</svg>\n");
}
