/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/queue_state.h"

enum { RX_FIRST = 8192 };

uint64_t nvc_queue_deadline(const struct nvc_queue *queue, uint64_t timeout)
{
	const uint64_t now = nvc_env_now(&queue->host->world->env);

	if (timeout == 0)
		timeout = queue->timeout;
	if (timeout == 0)
		timeout = queue->host->timeout;
	return timeout >= NVC_NEVER - now ? NVC_NEVER : now + timeout;
}

void nvc_queue_violation(struct nvc_queue *queue, const char *format, ...)
{
	va_list args;

	if (queue->info.num_violations++ > 0)
		return;
	va_start(args, format);
	vsnprintf(queue->info.violation, sizeof(queue->info.violation), format, args);
	va_end(args);
}

/* The stream says that it ended: remember how, as precisely as any layer of it knows. */
static void note_end(struct nvc_queue *queue, enum nvc_result result)
{
	struct nvc_queue_info *info = &queue->info;

	if (info->end != NVC_END_OPEN)
		return;
	info->end = queue->stream->end;
	info->tls_alert = queue->stream->alert;
	if (queue->tls != NULL && queue->tls->end == NVC_END_TLS_ALERT) {
		info->end = NVC_END_TLS_ALERT;
		info->tls_alert = queue->tls->alert;
	}
	if (info->end == NVC_END_OPEN && result == NVC_E_CLOSED)
		info->end = NVC_END_FIN;
	if (info->end == NVC_END_OPEN && result == NVC_E_RESET)
		info->end = NVC_END_RST;
}

static enum nvc_result say_over(
	const struct nvc_queue *queue, enum nvc_result result, struct nvc_error *err)
{
	const struct nvc_queue_info *info = &queue->info;

	if (result == NVC_E_STATE)
		return nvc_fail(err, result, "%s: we closed the connection", info->label);
	if (result == NVC_E_MALFORMED)
		return nvc_fail(err, result, "%s: %s", info->label, info->violation);
	if (info->end == NVC_END_TLS_ALERT)
		return nvc_fail(err, result,
			"%s: the controller ended the connection (TLS alert %u)", info->label,
			info->tls_alert);
	return nvc_fail(err, result, "%s: the controller ended the connection (%s)", info->label,
		info->end == NVC_END_OPEN ? nvc_result_name(result) : nvc_end_name(info->end));
}

enum nvc_result nvc_queue_send_bytes(
	struct nvc_queue *queue, struct nvc_slice bytes, uint64_t deadline, struct nvc_error *err)
{
	enum nvc_result result;

	if (queue->info.local_end != NVC_END_OPEN)
		return say_over(queue, NVC_E_STATE, err);
	result = nvc_stream_send(queue->stream, bytes, deadline);
	if (result == NVC_OK)
		return NVC_OK;
	if (result == NVC_E_TIMEOUT) {
		queue->host->num_timeouts++;
		return nvc_fail(
			err, result, "%s: the controller takes no more bytes", queue->info.label);
	}
	/* What the controller sent before it closed can still be read: `over` stays as it is. */
	note_end(queue, result);
	return say_over(queue, result, err);
}

enum nvc_result nvc_queue_encode_pdu(struct nvc_queue *queue, const struct nvc_pdu *pdu,
	const struct nvc_bends *bends, struct nvc_slice *out, struct nvc_error *err)
{
	size_t need = nvc_pdu_len(pdu);
	struct nvc_writer writer;
	enum nvc_result result;

	for (size_t i = 0; bends != NULL && i < bends->num; i++)
		need += bends->list[i].bytes.len;
	if (need > queue->tx_cap) {
		uint8_t *tx = realloc(queue->tx, need);

		if (tx == NULL)
			return nvc_fail(
				err, NVC_E_NO_MEMORY, "no memory for a PDU of %zu bytes", need);
		queue->tx = tx;
		queue->tx_cap = need;
	}
	writer = nvc_writer_over(queue->tx, queue->tx_cap);
	result = nvc_pdu_encode(pdu, &queue->info.mode, bends, &writer);
	if (result != NVC_OK)
		return nvc_fail(err, result, "a PDU of type %02xh cannot be encoded as asked: %s",
			pdu->ch.type, nvc_result_name(result));
	*out = nvc_writer_slice(&writer);
	return NVC_OK;
}

enum nvc_result nvc_queue_send_pdu(struct nvc_queue *queue, const struct nvc_pdu *pdu,
	const struct nvc_bends *bends, struct nvc_error *err)
{
	struct nvc_slice bytes = {0};
	enum nvc_result result = nvc_queue_encode_pdu(queue, pdu, bends, &bytes, err);

	if (result == NVC_OK)
		result = nvc_queue_send_bytes(queue, bytes, nvc_queue_deadline(queue, 0), err);
	if (result == NVC_OK)
		queue->info.pdus_sent++;
	return result;
}

enum nvc_result nvc_queue_send_raw(
	struct nvc_queue *queue, struct nvc_slice bytes, struct nvc_error *err)
{
	return nvc_queue_send_bytes(queue, bytes, nvc_queue_deadline(queue, 0), err);
}

/* Makes room behind rx_end. A PDU is bounded before its bytes are waited for, so the buffer is bounded too. */
static enum nvc_result make_room(struct nvc_queue *queue)
{
	size_t cap = queue->rx_cap == 0 ? RX_FIRST : queue->rx_cap;
	uint8_t *rx;

	if (queue->rx_start > 0) {
		memmove(queue->rx, queue->rx + queue->rx_start, queue->rx_end - queue->rx_start);
		queue->rx_end -= queue->rx_start;
		queue->rx_start = 0;
	}
	if (queue->rx_end < queue->rx_cap)
		return NVC_OK;
	if (queue->rx_cap > 0)
		cap *= 2;
	rx = realloc(queue->rx, cap);
	if (rx == NULL)
		return NVC_E_NO_MEMORY;
	queue->rx = rx;
	queue->rx_cap = cap;
	return NVC_OK;
}

static enum nvc_result receive_more(
	struct nvc_queue *queue, uint64_t deadline, struct nvc_error *err)
{
	enum nvc_result result = make_room(queue);
	size_t num = 0;

	if (result != NVC_OK)
		return nvc_fail(err, result, "no memory to receive a PDU");
	/* A controller that always has one more byte must not keep us beyond the deadline. */
	if (nvc_env_now(&queue->host->world->env) > deadline)
		result = NVC_E_TIMEOUT;
	else
		result = nvc_stream_recv(queue->stream, queue->rx + queue->rx_end,
			queue->rx_cap - queue->rx_end, deadline, &num);
	queue->info.silent = result == NVC_E_TIMEOUT;
	if (result == NVC_OK) {
		queue->rx_end += num;
		return NVC_OK;
	}
	if (result == NVC_E_TIMEOUT) {
		queue->host->num_timeouts++;
		return nvc_fail(
			err, result, "%s: the controller sent nothing in time", queue->info.label);
	}
	queue->over = result;
	note_end(queue, result);
	if (queue->rx_end > queue->rx_start)
		nvc_queue_violation(queue,
			"the connection ended within a PDU, after %zu bytes of it",
			queue->rx_end - queue->rx_start);
	return say_over(queue, result, err);
}

static enum nvc_result unreadable(
	struct nvc_queue *queue, const char *why, const struct nvc_ch *ch, struct nvc_error *err)
{
	nvc_queue_violation(queue, "%s (PDU type %02xh, HLEN %u, PDO %u, PLEN %u)", why, ch->type,
		ch->hlen, ch->pdo, ch->plen);
	queue->over = NVC_E_MALFORMED;
	return nvc_fail(err, NVC_E_MALFORMED, "%s: %s (PDU type %02xh, HLEN %u, PDO %u, PLEN %u)",
		queue->info.label, why, ch->type, ch->hlen, ch->pdo, ch->plen);
}

/* The common header as far as it is there, for messages. */
static struct nvc_ch peek_ch(struct nvc_slice in)
{
	struct nvc_reader reader = nvc_reader_of(in);
	struct nvc_ch ch = {.type = (uint8_t)nvc_read_le(&reader, 1)};

	ch.flags = (uint8_t)nvc_read_le(&reader, 1);
	ch.hlen = (uint8_t)nvc_read_le(&reader, 1);
	ch.pdo = (uint8_t)nvc_read_le(&reader, 1);
	ch.plen = (uint32_t)nvc_read_le(&reader, 4);
	return ch;
}

static enum nvc_result take_pdu(
	struct nvc_queue *queue, struct nvc_slice in, struct nvc_pdu *pdu, struct nvc_error *err)
{
	const struct nvc_ch ch = peek_ch(in);
	uint32_t fei = 0;
	enum nvc_fes fes;

	queue->rx_taken = in.len;
	queue->info.pdus_received++;
	fes = nvc_pdu_check(&ch, NVC_C2H, &queue->info.mode, &fei);
	if (fes != NVC_FES_NONE)
		nvc_queue_violation(queue,
			"a PDU to be answered with FES %02xh, FEI %u (type %02xh, flags %02xh, "
			"HLEN %u, PDO %u, PLEN %u)",
			fes, fei, ch.type, ch.flags, ch.hlen, ch.pdo, ch.plen);
	if (nvc_pdu_decode(in, &queue->info.mode, pdu, NULL) != NVC_OK)
		return unreadable(queue, "a PDU that cannot be taken apart", &ch, err);
	if (pdu->hdgst_wrong)
		return unreadable(queue, "a wrong header digest", &ch, err);
	return NVC_OK;
}

enum nvc_result nvc_queue_next_pdu(
	struct nvc_queue *queue, uint64_t deadline, struct nvc_pdu *pdu, struct nvc_error *err)
{
	enum nvc_result result;

	/* After our FIN the peer may still speak, and how it ends is worth knowing. */
	if (queue->info.local_end == NVC_END_RST)
		return say_over(queue, NVC_E_STATE, err);
	queue->rx_start += queue->rx_taken;
	queue->rx_taken = 0;
	for (;;) {
		struct nvc_slice in = {NULL, queue->rx_end - queue->rx_start};
		size_t plen = 0;

		if (queue->over == NVC_E_MALFORMED)
			return say_over(queue, queue->over, err);
		if (in.len > 0) {
			in.data = queue->rx + queue->rx_start;
			result = nvc_pdu_frame(in, NVC_QUEUE_MAX_PDU, &plen);
			if (result == NVC_OK)
				return take_pdu(queue, nvc_slice_sub(in, 0, plen), pdu, err);
			if (result != NVC_E_TRUNCATED) {
				const struct nvc_ch ch = peek_ch(in);

				return unreadable(queue, "a length no PDU can have", &ch, err);
			}
		}
		if (queue->over != NVC_OK)
			return say_over(queue, queue->over, err);
		result = receive_more(queue, deadline, err);
		if (result != NVC_OK)
			return result;
	}
}

enum nvc_result nvc_queue_recv_pdu(
	struct nvc_queue *queue, uint64_t timeout, struct nvc_pdu *pdu, struct nvc_error *err)
{
	return nvc_queue_next_pdu(queue, nvc_queue_deadline(queue, timeout), pdu, err);
}
