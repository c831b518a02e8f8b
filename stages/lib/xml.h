/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Small XML documents from servers: element text by path, nothing else. A DTD (and so every entity of the document's
 * own) is refused; depth, path and text are bounded; it is read as UTF-8, whatever it declares. Attributes, comments
 * and processing instructions are ignored; a namespace prefix is removed and not resolved.
 */
#ifndef STAGES_LIB_XML_H
#define STAGES_LIB_XML_H

#include <stddef.h>

#define XML_DEPTH_MAX 16
#define XML_PATH_MAX  256	/* "Outer/Inner/Leaf", bytes */
#define XML_TEXT_MAX  8192	/* of one element, bytes */

/*
 * Called at the end of each element with the path to it and its own text (that of its children is not in it),
 * as UTF-8 with a NUL at the end. Anything but 0 ends the parse and is its result.
 */
typedef int (*xml_element_fn)(void *context, const char *path, const char *text, size_t size);

struct xml_fault {
	const char *reason;		/* static */
	unsigned long long line;	/* where it is not well-formed, from 1; else 0 */
};

/* 0, what `element` returned, -EBADMSG (not well-formed, or refused), -EMSGSIZE (a bound) or -ENOMEM. Then there is a
 * fault; ret_fault may be NULL. */
int xml_parse(const void *bytes, size_t size, xml_element_fn element, void *context, struct xml_fault *ret_fault);

#endif
