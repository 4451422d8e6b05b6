/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream/stream.h"

#include <stdlib.h>

struct tapped {
	struct nvc_stream base;
	struct nvc_stream *lower;
	const struct nvc_world *world;
	struct nvc_tap tap;
	bool closed;
};

static void show_bytes(struct tapped *tapped, bool h2c, struct nvc_slice bytes)
{
	if (tapped->tap.bytes && bytes.len)
		tapped->tap.bytes(tapped->tap.self, h2c, bytes, nvc_env_now(&tapped->world->env));
}

static void show_end(struct tapped *tapped, bool h2c, enum nvc_end how)
{
	if (tapped->tap.ended)
		tapped->tap.ended(tapped->tap.self, h2c, how, nvc_env_now(&tapped->world->env));
}

/* The peer's end is shown once, when the lower stream first tells of it. */
static void follow_end(struct tapped *tapped)
{
	if (tapped->base.end == NVC_END_OPEN && tapped->lower->end != NVC_END_OPEN)
		show_end(tapped, false, tapped->lower->end);
	tapped->base.end = tapped->lower->end;
	tapped->base.alert = tapped->lower->alert;
}

static enum nvc_result tap_send(struct nvc_stream *s, struct nvc_slice bytes, uint64_t deadline)
{
	struct tapped *tapped = (struct tapped *)s;
	enum nvc_result result = nvc_stream_send(tapped->lower, bytes, deadline);

	if (result == NVC_OK)
		show_bytes(tapped, true, bytes);
	follow_end(tapped);
	return result;
}

static enum nvc_result tap_recv(
	struct nvc_stream *s, uint8_t *out, size_t size, uint64_t deadline, size_t *num)
{
	struct tapped *tapped = (struct tapped *)s;
	enum nvc_result result = nvc_stream_recv(tapped->lower, out, size, deadline, num);

	if (result == NVC_OK)
		show_bytes(tapped, false, nvc_slice_of(out, *num));
	follow_end(tapped);
	if (result == NVC_E_TIMEOUT && tapped->tap.waited && tapped->base.end == NVC_END_OPEN)
		tapped->tap.waited(tapped->tap.self, nvc_env_now(&tapped->world->env));
	return result;
}

static void tap_close(struct nvc_stream *s, enum nvc_end how)
{
	struct tapped *tapped = (struct tapped *)s;

	if (tapped->closed)
		return;
	tapped->closed = true;
	show_end(tapped, true, how);
	nvc_stream_close(tapped->lower, how);
}

static void tap_free(struct nvc_stream *s)
{
	struct tapped *tapped = (struct tapped *)s;

	tap_close(s, NVC_END_FIN);
	nvc_stream_free(tapped->lower);
	free(tapped);
}

struct nvc_stream *nvc_tap_new(
	struct nvc_stream *lower, const struct nvc_world *world, struct nvc_tap tap)
{
	static const struct nvc_stream_ops ops = {tap_send, tap_recv, tap_close, tap_free};
	struct tapped *tapped = calloc(1, sizeof(*tapped));

	if (!tapped) {
		nvc_stream_free(lower);
		return NULL;
	}
	tapped->base.ops = &ops;
	tapped->lower = lower;
	tapped->world = world;
	tapped->tap = tap;
	return &tapped->base;
}
