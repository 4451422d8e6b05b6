/* SPDX-License-Identifier: BSD-3-Clause */
/* A stream that stands below TLS in the tests and spoils one thing of what passes through it. */
#ifndef BEND_STREAM_H
#define BEND_STREAM_H

#include <check.h>
#include <string.h>

#include "stream/stream.h"

static void add_be(uint8_t *at, size_t size, size_t more)
{
	size_t value = more;

	for (size_t i = 0; i < size; i++)
		value += (size_t)at[i] << (8 * (size - 1 - i));
	for (size_t i = 0; i < size; i++)
		at[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
}

/* Puts an identity "?" and a binder of 32 zeros before those of a ClientHello, which spoils the real binder. */
static size_t prepend_identity(uint8_t *hello, size_t len)
{
	static const uint8_t identity[] = {0, 1, '?', 0, 0, 0, 0};
	static const uint8_t binder[33] = {32};
	const size_t more = sizeof(identity) + sizeof(binder);
	size_t suites = 5 + 4 + 2 + 32 + 1 + hello[43];
	size_t extensions = suites + 2 + (size_t)(hello[suites] << 8 | hello[suites + 1]) + 2;
	size_t psk = extensions + 2, binders;

	/* pre_shared_key is 41 and the last one: its length reaches the end. */
	while (hello[psk] != 0 || hello[psk + 1] != 41)
		psk += 4 + (size_t)(hello[psk + 2] << 8 | hello[psk + 3]);
	binders = psk + 6 + (size_t)(hello[psk + 4] << 8 | hello[psk + 5]);
	memmove(hello + binders + 2 + more, hello + binders + 2, len - binders - 2);
	memcpy(hello + binders + 2 + sizeof(identity), binder, sizeof(binder));
	add_be(hello + binders, 2, sizeof(binder));
	memmove(hello + psk + 6 + sizeof(identity), hello + psk + 6, binders + 2 - psk - 6);
	memcpy(hello + psk + 6, identity, sizeof(identity));
	add_be(hello + psk + 4, 2, sizeof(identity));
	add_be(hello + psk + 2, 2, more);
	add_be(hello + extensions, 2, more);
	add_be(hello + 6, 3, more);
	add_be(hello + 3, 2, more);
	return len + more;
}

struct bend {
	struct nvc_stream base;
	struct nvc_stream *lower;
	bool flip_next_recv, fin_next_recv, flip_next_send, swallow, prepend;
};

static enum nvc_result bend_send(struct nvc_stream *s, struct nvc_slice bytes, uint64_t deadline)
{
	struct bend *bend = (struct bend *)s;
	uint8_t copy[4096];

	if (bend->swallow)
		return NVC_OK;
	ck_assert_uint_le(bytes.len, sizeof(copy));
	memcpy(copy, bytes.data, bytes.len);
	if (bend->prepend)
		bytes.len = prepend_identity(copy, bytes.len);
	bend->prepend = false;
	if (bend->flip_next_send)
		copy[bytes.len - 1] ^= 1;
	bend->flip_next_send = false;
	return nvc_stream_send(bend->lower, nvc_slice_of(copy, bytes.len), deadline);
}

static enum nvc_result bend_recv(
	struct nvc_stream *s, uint8_t *out, size_t size, uint64_t deadline, size_t *num)
{
	struct bend *bend = (struct bend *)s;
	enum nvc_result result;

	if (bend->fin_next_recv) {
		s->end = NVC_END_FIN;
		return NVC_E_CLOSED;
	}
	result = nvc_stream_recv(bend->lower, out, size, deadline, num);
	s->end = bend->lower->end;
	if (result == NVC_OK && bend->flip_next_recv)
		out[*num - 1] ^= 1;
	bend->flip_next_recv = false;
	return result;
}

static void bend_close(struct nvc_stream *s, enum nvc_end how)
{
	nvc_stream_close(((struct bend *)s)->lower, how);
}

static void bend_free(struct nvc_stream *s)
{
	nvc_stream_free(((struct bend *)s)->lower);
}

static const struct nvc_stream_ops bend_ops = {bend_send, bend_recv, bend_close, bend_free};

#endif
