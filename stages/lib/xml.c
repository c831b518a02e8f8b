/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * expat with a stack of open elements: one path buffer, and for each level where its name begins and where
 * its text begins in one text buffer. A child's text is dropped from that buffer when the child ends.
 *
 * A declared encoding counts for nothing once expat is told one, but it still looks for UTF-16 by itself. That has a
 * zero byte in each '<', which UTF-8 has nowhere in XML.
 */
#include <errno.h>
#include <expat.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "xml.h"

struct parse {
	XML_Parser expat;
	xml_element_fn element;
	void *context;
	char path[XML_PATH_MAX + 1];
	size_t path_size;
	unsigned depth;
	size_t name_at[XML_DEPTH_MAX];
	size_t text_at[XML_DEPTH_MAX];
	char *text;		/* XML_DEPTH_MAX * XML_TEXT_MAX at most, grown as needed */
	size_t text_size, text_room;
	int result;
	struct xml_fault fault;
};

static void stop(struct parse *p, int result, const char *reason)
{
	if (p->result)
		return;
	p->result = result;
	p->fault.reason = reason;
	XML_StopParser(p->expat, XML_FALSE);
}

static void on_start(void *context, const char *name, const char **attributes)
{
	struct parse *p = context;
	const char *colon = strrchr(name, ':');
	size_t size, at;

	(void)attributes;
	if (p->result)
		return;
	name = colon ? colon + 1 : name;
	size = strlen(name);
	if (p->depth == XML_DEPTH_MAX)
		return stop(p, -EMSGSIZE, "nested too deeply");
	at = p->path_size;
	if (at + 1 + size > XML_PATH_MAX)
		return stop(p, -EMSGSIZE, "element names too long");
	p->name_at[p->depth] = at;
	p->text_at[p->depth] = p->text_size;
	p->depth++;
	if (at)
		p->path[at++] = '/';
	memcpy(p->path + at, name, size + 1);
	p->path_size = at + size;
}

static void on_end(void *context, const char *name)
{
	struct parse *p = context;
	size_t at;
	int r;

	(void)name;
	if (p->result)
		return;
	at = p->text_at[--p->depth];
	if (p->text)
		p->text[p->text_size] = '\0';
	r = p->element(p->context, p->path, p->text ? p->text + at : "", p->text_size - at);
	p->text_size = at;
	p->path_size = p->name_at[p->depth];
	p->path[p->path_size] = '\0';
	if (r)
		stop(p, r, "refused");
}

static void on_text(void *context, const char *text, int size)
{
	struct parse *p = context;
	size_t more = (size_t)size;

	if (p->result || !p->depth)
		return;
	if (p->text_size - p->text_at[p->depth - 1] + more > XML_TEXT_MAX)
		return stop(p, -EMSGSIZE, "text of an element too long");
	if (p->text_size + more + 1 > p->text_room) {
		size_t room = (p->text_size + more + 1) * 2;
		char *grown = realloc(p->text, room);

		if (!grown)
			return stop(p, -ENOMEM, "out of memory");
		p->text = grown;
		p->text_room = room;
	}
	memcpy(p->text + p->text_size, text, more);
	p->text_size += more;
}

static void on_doctype(void *context, const char *name, const char *sysid, const char *pubid, int internal)
{
	(void)name, (void)sysid, (void)pubid, (void)internal;
	stop(context, -EBADMSG, "document type refused");
}

/* expat 2.9 has another name for it. */
static unsigned long long line_number(XML_Parser parser)
{
#if XML_MAJOR_VERSION > 2 || XML_MINOR_VERSION >= 9
	return XML_GetCurrentLineNumber64(parser);
#else
	return XML_GetCurrentLineNumber(parser);
#endif
}

static void parse(struct parse *p, const void *bytes, size_t size)
{
	XML_SetUserData(p->expat, p);
	XML_SetElementHandler(p->expat, on_start, on_end);
	XML_SetCharacterDataHandler(p->expat, on_text);
	XML_SetStartDoctypeDeclHandler(p->expat, on_doctype);
	if (XML_Parse(p->expat, bytes, (int)size, XML_TRUE) == XML_STATUS_ERROR && !p->result) {
		p->result = XML_GetErrorCode(p->expat) == XML_ERROR_NO_MEMORY ? -ENOMEM : -EBADMSG;
		p->fault.reason = XML_ErrorString(XML_GetErrorCode(p->expat));
		p->fault.line = line_number(p->expat);
	}
}

int xml_parse(const void *bytes, size_t size, xml_element_fn element, void *context, struct xml_fault *ret_fault)
{
	struct parse p = { .element = element, .context = context };

	if (size > INT_MAX) {
		p.result = -EMSGSIZE;
		p.fault.reason = "too large";
	} else if (size && memchr(bytes, '\0', size)) {
		p.result = -EBADMSG;
		p.fault.reason = "not UTF-8";
	} else if (!(p.expat = XML_ParserCreate("UTF-8"))) {
		p.result = -ENOMEM;
		p.fault.reason = "out of memory";
	} else {
		parse(&p, bytes, size);
		XML_ParserFree(p.expat);
	}
	free(p.text);
	if (p.result && ret_fault)
		*ret_fault = p.fault;
	return p.result;
}
