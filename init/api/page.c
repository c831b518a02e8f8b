/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The page for browsers: HTML, script, style and icon, embedded in the binary from init/api/page, and the boot chart.
 * The page gets its data from the other routes of this server, and its Content-Security-Policy allows no other
 * connection.
 */
#include "accept.h"
#include "answers.h"
#include "ask.h"
#include "chart.h"

#define TYPE_HTML   "text/html; charset=utf-8"
#define TYPE_CSS    "text/css; charset=utf-8"
#define TYPE_SCRIPT "text/javascript; charset=utf-8"
#define TYPE_SVG    "image/svg+xml"

#define POLICY "Content-Security-Policy"
#define NOTHING_ELSE "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/* Events contain untrusted text: even if the script mishandles it, no other script runs and nothing is sent out. */
#define PAGE_POLICY "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " \
		    "frame-src 'self'" NOTHING_ELSE

/* The chart contains its style and loads nothing. */
#define CHART_POLICY "default-src 'none'; style-src 'unsafe-inline'" NOTHING_ELSE

/* Paths are relative to the top of the source tree, where everything is compiled. */
#define FROM(file) ".incbin \"init/api/page/" file "\"\n"
#define EMBED(name, content)                                                                            \
	__asm__(".section .rodata." #name ",\"a\",@progbits\n"                                          \
		#name "_start:\n"                                                                       \
		content                                                                                 \
		#name "_end:\n"                                                                         \
		".previous\n");                                                                         \
	extern const char name##_start[], name##_end[]

EMBED(page_html, FROM("page.html"));
EMBED(page_script, FROM("page.js") FROM("page-status.js") FROM("page-events.js") FROM("page-actions.js")
      FROM("page-start.js"));
EMBED(page_style, FROM("page.css"));
EMBED(page_icon, FROM("page.svg"));

static enum MHD_Result respond_policy(struct request *request, const char *type, const char *policy,
				      struct MHD_Response *response)
{
	if (response) {
		MHD_add_response_header(response, POLICY, policy);
		MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
	}
	return respond(request, MHD_HTTP_OK, type, response);
}

static struct MHD_Response *embedded(const char *start, const char *end)
{
	return MHD_create_response_from_buffer_static((size_t)(end - start), start);
}

enum MHD_Result answer_root(struct request *request)
{
	const char *accept = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);
	bool html = accept_html(accept);
	struct MHD_Response *response = html ? embedded(page_html_start, page_html_end) :
					MHD_create_response_from_buffer_static(sizeof(ALIVE) - 1, ALIVE);

	if (response)
		MHD_add_response_header(response, MHD_HTTP_HEADER_VARY, MHD_HTTP_HEADER_ACCEPT);
	return html ? respond_policy(request, TYPE_HTML, PAGE_POLICY, response) :
		      respond(request, MHD_HTTP_OK, TYPE_JSON, response);
}

enum MHD_Result answer_page_script(struct request *request)
{
	return respond_policy(request, TYPE_SCRIPT, PAGE_POLICY, embedded(page_script_start, page_script_end));
}

enum MHD_Result answer_page_style(struct request *request)
{
	return respond_policy(request, TYPE_CSS, PAGE_POLICY, embedded(page_style_start, page_style_end));
}

enum MHD_Result answer_page_icon(struct request *request)
{
	return respond_policy(request, TYPE_SVG, PAGE_POLICY, embedded(page_icon_start, page_icon_end));
}

enum MHD_Result answer_boot_chart(struct request *request)
{
	enum MHD_Result result;

	if (!ask_status(request, CHART_MAX, chart_svg, &result))
		return result;
	return respond_policy(request, TYPE_SVG, CHART_POLICY, response_of_text(request));
}
