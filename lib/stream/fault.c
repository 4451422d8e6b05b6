/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream/stream.h"

#include <stdlib.h>

#include "stream/fifo.h"

struct fault {
	struct nvc_stream base;
	struct nvc_stream *lower;
	const struct nvc_world *world;
	struct nvc_fault_plan plan;
	struct nvc_fifo held; /* with plan.merge: sent by the caller, not yet by us */
	size_t num_sent;
	bool cut;
	bool closed;
};

static enum nvc_result pause_before_send(struct fault *fault, uint64_t deadline)
{
	uint64_t now = nvc_env_now(&fault->world->env);
	uint64_t until = now + fault->plan.delay;

	if (!fault->plan.delay)
		return NVC_OK;
	if (until >= deadline) {
		fault->world->wait_until(fault->world->self, deadline);
		return NVC_E_TIMEOUT;
	}
	fault->world->wait_until(fault->world->self, until);
	return NVC_OK;
}

/* Sends in segments as planned; the cut falls between two bytes, wherever it was asked for. */
static enum nvc_result push(struct fault *fault, struct nvc_slice bytes, uint64_t deadline)
{
	const struct nvc_fault_plan *plan = &fault->plan;
	enum nvc_result result = pause_before_send(fault, deadline);

	while (result == NVC_OK && bytes.len) {
		size_t len = bytes.len;

		if (plan->max_segment && len > plan->max_segment)
			len = plan->max_segment;
		if (plan->cut_after && len > plan->cut_after - fault->num_sent)
			len = plan->cut_after - fault->num_sent;
		result = nvc_stream_send(fault->lower, nvc_slice_sub(bytes, 0, len), deadline);
		fault->base.end = fault->lower->end;
		fault->base.alert = fault->lower->alert;
		if (result != NVC_OK)
			break;
		fault->num_sent += len;
		bytes = nvc_slice_sub(bytes, len, bytes.len);
		if (plan->cut_after && fault->num_sent >= plan->cut_after) {
			fault->cut = true;
			nvc_stream_close(fault->lower, plan->cut_end);
			result = NVC_E_CLOSED;
		}
	}
	return result;
}

static enum nvc_result flush(struct fault *fault, uint64_t deadline)
{
	enum nvc_result result;

	if (!fault->held.len)
		return NVC_OK;
	result = push(fault, nvc_fifo_peek(&fault->held), deadline);
	nvc_fifo_drop(&fault->held, fault->held.len);
	return result;
}

static enum nvc_result fault_send(struct nvc_stream *s, struct nvc_slice bytes, uint64_t deadline)
{
	struct fault *fault = (struct fault *)s;

	if (fault->cut)
		return NVC_E_CLOSED;
	if (!fault->plan.merge)
		return push(fault, bytes, deadline);
	return nvc_fifo_put(&fault->held, bytes) ? NVC_OK : NVC_E_NO_MEMORY;
}

static enum nvc_result fault_recv(
	struct nvc_stream *s, uint8_t *out, size_t size, uint64_t deadline, size_t *num)
{
	struct fault *fault = (struct fault *)s;
	enum nvc_result result;

	if (fault->cut)
		return NVC_E_CLOSED;
	result = flush(fault, deadline);
	if (result != NVC_OK)
		return result;
	if (fault->plan.max_segment && size > fault->plan.max_segment)
		size = fault->plan.max_segment;
	result = nvc_stream_recv(fault->lower, out, size, deadline, num);
	s->end = fault->lower->end;
	s->alert = fault->lower->alert;
	return result;
}

static void fault_close(struct nvc_stream *s, enum nvc_end how)
{
	struct fault *fault = (struct fault *)s;

	if (fault->closed)
		return;
	fault->closed = true;
	if (how != NVC_END_RST && !fault->cut)
		flush(fault, nvc_env_now(&fault->world->env) + fault->plan.delay + NVC_SEC(1));
	if (!fault->cut)
		nvc_stream_close(fault->lower, how);
}

static void fault_free(struct nvc_stream *s)
{
	struct fault *fault = (struct fault *)s;

	fault_close(s, NVC_END_FIN);
	nvc_stream_free(fault->lower);
	nvc_fifo_fini(&fault->held);
	free(fault);
}

struct nvc_stream *nvc_fault_new(
	struct nvc_stream *lower, const struct nvc_world *world, const struct nvc_fault_plan *plan)
{
	static const struct nvc_stream_ops ops = {fault_send, fault_recv, fault_close, fault_free};
	struct fault *fault = calloc(1, sizeof(*fault));

	if (!fault) {
		nvc_stream_free(lower);
		return NULL;
	}
	fault->base.ops = &ops;
	fault->lower = lower;
	fault->world = world;
	fault->plan = *plan;
	return &fault->base;
}
