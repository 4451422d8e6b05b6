/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { SHOWN_BYTES = 8 };

struct nvc_text nvc_text_over(char *out, size_t size)
{
	if (size)
		out[0] = '\0';
	return (struct nvc_text){.out = out, .size = size};
}

void nvc_text_add(struct nvc_text *text, const char *format, ...)
{
	size_t room = text->size - text->len;
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(room ? text->out + text->len : NULL, room, format, args);
	va_end(args);
	if (len > 0 && room)
		text->len += (size_t)len < room ? (size_t)len : room - 1;
}

void nvc_text_hex(struct nvc_text *text, struct nvc_slice in)
{
	char hex[2 * SHOWN_BYTES + 1];

	nvc_hex(nvc_slice_sub(in, 0, SHOWN_BYTES), hex, sizeof(hex));
	nvc_text_add(text, "%s%s", in.len ? hex : "-", in.len > SHOWN_BYTES ? ".." : "");
}

char *nvc_text_rest(struct nvc_text *text, size_t *size)
{
	*size = text->size - text->len;
	return text->out + text->len;
}

void nvc_text_skip(struct nvc_text *text)
{
	if (text->size)
		text->len += strlen(text->out + text->len);
}
