/* SPDX-License-Identifier: BSD-3-Clause */
/* A line of text that grows in the caller's buffer and is cut, never overrun, when the buffer is full. */
#ifndef NVC_WIRE_TEXT_H
#define NVC_WIRE_TEXT_H

#include "wire/bytes.h"

struct nvc_text {
	char *out;
	size_t size;
	size_t len; /* without the NUL */
};

/* nvc_text_over starts an empty line in `out` (`size` bytes with the NUL). */
struct nvc_text nvc_text_over(char *out, size_t size);

/* nvc_text_add appends a formatted piece. */
void nvc_text_add(struct nvc_text *text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* nvc_text_hex appends `in` as hex, cut after 8 bytes; "-" when it is empty. */
void nvc_text_hex(struct nvc_text *text, struct nvc_slice in);

/* nvc_text_rest returns the room behind the line, for functions that write text of their own; *size receives its bytes.
 * nvc_text_skip takes what they wrote into the line. */
char *nvc_text_rest(struct nvc_text *text, size_t *size);
void nvc_text_skip(struct nvc_text *text);

#endif
