/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "host/queue_state.h"

/* The oldest command under `cid` that is still expected to be answered. Bent CIDs may collide. */
static struct nvc_slot *find_pending(struct nvc_queue *queue, uint16_t cid)
{
	struct nvc_slot *found = NULL;

	for (size_t i = 0; i < NVC_QUEUE_MAX_PENDING; i++) {
		struct nvc_slot *slot = &queue->slots[i];

		if (slot->used && slot->cid == cid && !slot->done.answered &&
			(found == NULL || slot->age < found->age))
			found = slot;
	}
	return found;
}

/* The oldest command under `cid`, answered or not, that nvc_queue_wait has not handed out. */
static struct nvc_slot *find_tag(struct nvc_queue *queue, uint16_t cid)
{
	struct nvc_slot *found = NULL;

	for (size_t i = 0; i < NVC_QUEUE_MAX_PENDING; i++) {
		struct nvc_slot *slot = &queue->slots[i];

		if (slot->used && slot->cid == cid && (found == NULL || slot->age < found->age))
			found = slot;
	}
	return found;
}

/* A slot whose last use is longest ago; when all are used, the oldest that was answered and never asked for. */
static struct nvc_slot *pick_slot(struct nvc_queue *queue)
{
	struct nvc_slot *found = NULL, *answered = NULL;

	for (size_t i = 0; i < NVC_QUEUE_MAX_PENDING; i++) {
		struct nvc_slot *slot = &queue->slots[i];

		if (!slot->used && (found == NULL || slot->age < found->age))
			found = slot;
		if (slot->used && slot->done.answered &&
			(answered == NULL || slot->age < answered->age))
			answered = slot;
	}
	return found != NULL ? found : answered;
}

static bool grow(uint8_t **buffer, size_t *cap, size_t need)
{
	uint8_t *larger;

	if (need <= *cap)
		return true;
	larger = realloc(*buffer, need);
	if (larger == NULL)
		return false;
	*buffer = larger;
	*cap = need;
	return true;
}

static uint16_t new_cid(struct nvc_queue *queue)
{
	uint16_t cid;

	do {
		cid = queue->next_cid++;
	} while (cid == 0xffff || find_tag(queue, cid) != NULL);
	return cid;
}

enum nvc_result nvc_queue_encode_sqe(const struct nvc_queue *queue,
	const struct nvc_command *command, uint16_t cid, uint8_t sqe[NVC_SQE_LEN],
	struct nvc_error *err)
{
	union {
		struct nvc_sqe_head head;
		struct nvc_cmd_connect connect;
		struct nvc_cmd_property property;
		struct nvc_cmd_auth auth;
		struct nvc_cmd_disconnect disconnect;
		struct nvc_cmd_nvme nvme;
		struct nvc_cmd_fabrics fabrics;
	} fields;
	struct nvc_writer writer = nvc_writer_over(sqe, NVC_SQE_LEN);
	enum nvc_result result;

	if (command->layout->struct_size > sizeof(fields))
		return nvc_fail(err, NVC_E_INVALID, "%s is no command", command->layout->name);
	memcpy(&fields, command->fields, command->layout->struct_size);
	fields.head.flags = queue->host->psdt;
	fields.head.cid = cid;
	fields.head.sgl_addr = 0;
	if (command->out.len > 0 && !command->transport_sgl) {
		fields.head.sgl_len = (uint32_t)command->out.len;
		fields.head.sgl_id = NVC_SGL_IN_CAPSULE;
	} else {
		/* With length 0 for commands without data, as every known host sends it. */
		fields.head.sgl_len = (uint32_t)(command->out.len + command->in_len);
		fields.head.sgl_id = NVC_SGL_TRANSPORT;
	}
	memset(sqe, 0, NVC_SQE_LEN);
	result = nvc_encode(command->layout, &fields, command->bends, &writer);
	if (result != NVC_OK)
		return nvc_fail(err, result, "%s cannot be encoded as asked: %s",
			command->layout->name, nvc_result_name(result));
	return NVC_OK;
}

enum nvc_result nvc_queue_submit(struct nvc_queue *queue, const struct nvc_command *command,
	uint16_t *tag, struct nvc_error *err)
{
	struct nvc_pdu pdu = {.ch.type = NVC_PDU_CAPSULE_CMD};
	struct nvc_slot *slot = pick_slot(queue);
	enum nvc_result result;

	if (command->out.len > NVC_QUEUE_MAX_DATA || command->in_len > NVC_QUEUE_MAX_DATA)
		return nvc_fail(err, NVC_E_INVALID, "%s: more than %d bytes of data",
			command->layout->name, NVC_QUEUE_MAX_DATA);
	if (slot == NULL)
		return nvc_fail(err, NVC_E_NO_SPACE, "%d commands are on their way already",
			NVC_QUEUE_MAX_PENDING);
	result = nvc_queue_encode_sqe(queue, command, new_cid(queue), pdu.sqe, err);
	if (result != NVC_OK)
		return result;
	slot->in_len = command->in_len;
	slot->in_got = 0;
	slot->out_len = command->transport_sgl ? command->out.len : 0;
	slot->out_next = 0;
	if (!grow(&slot->in, &slot->in_cap, slot->in_len) ||
		!grow(&slot->out, &slot->out_cap, slot->out_len))
		return nvc_fail(err, NVC_E_NO_MEMORY, "no memory for the data of %s",
			command->layout->name);
	/* So that a short answer leaves zeros behind it, never an older one. */
	if (slot->in_len > 0)
		memset(slot->in, 0, slot->in_len);
	if (slot->out_len > 0)
		memcpy(slot->out, command->out.data, slot->out_len);
	else
		pdu.data = command->out;
	slot->done = (struct nvc_completion){0};
	slot->cid = (uint16_t)nvc_get_le(pdu.sqe + 2, 2);
	slot->age = ++queue->next_age;
	result = nvc_queue_send_pdu(queue, &pdu, command->pdu_bends, err);
	slot->used = result == NVC_OK;
	*tag = slot->cid;
	return result;
}

static void take_response(struct nvc_queue *queue, const struct nvc_pdu *pdu)
{
	struct nvc_cqe cqe;
	struct nvc_slot *slot;

	if (nvc_decode(&nvc_cqe_layout, NVC_SLICE(pdu->cqe), &cqe, NULL, NULL) != NVC_OK)
		return;
	slot = find_pending(queue, cqe.cid);
	if (slot == NULL) {
		nvc_queue_violation(
			queue, "CapsuleResp for CID %u, which is not on its way", cqe.cid);
		return;
	}
	slot->done.answered = true;
	slot->done.cqe = cqe;
	slot->done.status = nvc_cqe_status(cqe.status_field);
	slot->done.dnr = (cqe.status_field >> 15) != 0;
}

static void take_success_flag(
	struct nvc_queue *queue, const struct nvc_pdu *pdu, struct nvc_slot *slot)
{
	if ((pdu->ch.flags & NVC_FLAG_LAST) == 0) {
		nvc_queue_violation(
			queue, "C2HData for CID %u with SUCCESS but not LAST", slot->cid);
		return;
	}
	if (queue->info.connected && queue->info.connect.sqhd != 0xffff)
		nvc_queue_violation(queue,
			"C2HData for CID %u with SUCCESS though SQ flow control is on", slot->cid);
	slot->done.answered = true;
	slot->done.success_flag = true;
	slot->done.cqe = (struct nvc_cqe){.cid = slot->cid};
}

static void take_data(struct nvc_queue *queue, const struct nvc_pdu *pdu)
{
	const struct nvc_data *xfer = &pdu->xfer;
	struct nvc_slot *slot = find_pending(queue, xfer->cccid);
	size_t len = pdu->data.len, room;

	if (slot == NULL || slot->in_len == 0) {
		nvc_queue_violation(queue, "C2HData for CID %u, which %s", xfer->cccid,
			slot == NULL ? "is not on its way" : "asked for no data");
		return;
	}
	room = slot->in_len - slot->in_got;
	if (xfer->length != len)
		nvc_queue_violation(queue, "C2HData for CID %u with DATAL %u but %zu bytes of data",
			xfer->cccid, xfer->length, len);
	if (slot->done.data_last)
		nvc_queue_violation(
			queue, "C2HData for CID %u after the one with LAST", xfer->cccid);
	else if (xfer->offset != slot->in_got)
		nvc_queue_violation(queue, "C2HData for CID %u with DATAO %u, not %zu", xfer->cccid,
			xfer->offset, slot->in_got);
	else if (len > room)
		nvc_queue_violation(queue,
			"C2HData for CID %u to byte %zu, beyond the %zu asked for", xfer->cccid,
			slot->in_got + len, slot->in_len);
	if (!slot->done.data_last && xfer->offset == slot->in_got && len > 0) {
		len = len < room ? len : room;
		memcpy(slot->in + slot->in_got, pdu->data.data, len);
		slot->in_got += len;
	}
	if (pdu->ddgst_wrong) {
		slot->done.data_digest_wrong = true;
		nvc_queue_violation(
			queue, "a wrong data digest in C2HData for CID %u", xfer->cccid);
	}
	if ((pdu->ch.flags & NVC_FLAG_LAST) != 0)
		slot->done.data_last = true;
	if ((pdu->ch.flags & NVC_FLAG_SUCCESS) != 0)
		take_success_flag(queue, pdu, slot);
}

/* Sends what an R2T asks for, in pieces of at most MAXH2CDATA, LAST on the last (TCP 1.0, 3.3.2.3). */
static enum nvc_result answer_r2t(struct nvc_queue *queue, const struct nvc_pdu *r2t,
	uint64_t deadline, struct nvc_error *err)
{
	const struct nvc_data *xfer = &r2t->xfer;
	struct nvc_slot *slot = find_pending(queue, xfer->cccid);
	const size_t max = queue->info.icresp.max > 0 ? queue->info.icresp.max : SIZE_MAX;
	size_t left = xfer->length, pos = xfer->offset;

	if (slot == NULL || slot->out_len == 0 || left == 0 || pos > slot->out_len ||
		left > slot->out_len - pos) {
		nvc_queue_violation(queue,
			"R2T for CID %u, R2TO %u, R2TL %u: there is no such data to send",
			xfer->cccid, xfer->offset, xfer->length);
		return NVC_OK;
	}
	if (pos != slot->out_next)
		nvc_queue_violation(queue, "R2T for CID %u with R2TO %u, not %zu", xfer->cccid,
			xfer->offset, slot->out_next);
	slot->out_next = pos + left;
	while (left > 0) {
		const size_t len = left < max ? left : max;
		struct nvc_pdu pdu = {
			.ch = {.type = NVC_PDU_H2C_DATA, .flags = len == left ? NVC_FLAG_LAST : 0},
			.xfer = {xfer->cccid, xfer->ttag, (uint32_t)pos, (uint32_t)len},
			.data = nvc_slice_of(slot->out + pos, len),
		};
		struct nvc_slice bytes = {0};
		enum nvc_result result = nvc_queue_encode_pdu(queue, &pdu, NULL, &bytes, err);

		if (result == NVC_OK)
			result = nvc_queue_send_bytes(queue, bytes, deadline, err);
		if (result != NVC_OK)
			return result;
		queue->info.pdus_sent++;
		pos += len;
		left -= len;
	}
	return NVC_OK;
}

enum nvc_result nvc_queue_dispatch(struct nvc_queue *queue, const struct nvc_pdu *pdu,
	uint64_t deadline, struct nvc_error *err)
{
	switch (pdu->ch.type) {
	case NVC_PDU_CAPSULE_RESP:
		take_response(queue, pdu);
		return NVC_OK;
	case NVC_PDU_C2H_DATA:
		take_data(queue, pdu);
		return NVC_OK;
	case NVC_PDU_R2T:
		return answer_r2t(queue, pdu, deadline, err);
	case NVC_PDU_C2H_TERM_REQ:
		queue->info.term_received = true;
		queue->info.term = pdu->term;
		return NVC_OK;
	default:
		nvc_queue_violation(queue, "an unexpected PDU of type %02xh", pdu->ch.type);
		return NVC_OK;
	}
}

/* Takes and acts on one PDU. */
static enum nvc_result step(struct nvc_queue *queue, uint64_t deadline, struct nvc_error *err)
{
	struct nvc_pdu pdu;
	enum nvc_result result = nvc_queue_next_pdu(queue, deadline, &pdu, err);

	return result == NVC_OK ? nvc_queue_dispatch(queue, &pdu, deadline, err) : result;
}

static void hand_out(struct nvc_slot *slot, struct nvc_completion *done)
{
	*done = slot->done;
	done->data = nvc_slice_of(slot->in, slot->in_got);
}

static enum nvc_result say_term(const struct nvc_queue *queue, struct nvc_error *err)
{
	const char *name = nvc_name_of(nvc_fes_names, queue->info.term.fes);

	return nvc_fail(err, NVC_E_CLOSED,
		"%s: the controller sent C2HTermReq FES %02xh (%s), FEI %u", queue->info.label,
		queue->info.term.fes, name != NULL ? name : "reserved", queue->info.term.fei);
}

enum nvc_result nvc_queue_wait(struct nvc_queue *queue, uint16_t tag, uint64_t timeout,
	struct nvc_completion *done, struct nvc_error *err)
{
	const uint64_t deadline = nvc_queue_deadline(queue, timeout);
	struct nvc_slot *slot = find_tag(queue, tag);
	enum nvc_result result = NVC_OK;

	*done = (struct nvc_completion){0};
	if (slot == NULL)
		return nvc_fail(err, NVC_E_INVALID, "no command with CID %u is on its way", tag);
	for (size_t i = 0; result == NVC_OK && !slot->done.answered; i++) {
		if (queue->info.term_received)
			result = say_term(queue, err);
		else if (i == NVC_QUEUE_MAX_IDLE_PDUS)
			result = nvc_fail(err, NVC_E_MALFORMED,
				"%s: %d PDUs came and none answered CID %u", queue->info.label,
				NVC_QUEUE_MAX_IDLE_PDUS, tag);
		else
			result = step(queue, deadline, err);
	}
	hand_out(slot, done);
	if (result == NVC_E_TIMEOUT)
		return result;
	slot->used = false;
	return slot->done.answered ? NVC_OK : result;
}

enum nvc_result nvc_queue_do(struct nvc_queue *queue, const struct nvc_command *command,
	struct nvc_completion *done, struct nvc_error *err)
{
	struct nvc_completion unused;
	uint16_t tag = 0;
	enum nvc_result result;

	if (done == NULL)
		done = &unused;
	*done = (struct nvc_completion){0};
	result = nvc_queue_submit(queue, command, &tag, err);
	return result == NVC_OK ? nvc_queue_wait(queue, tag, 0, done, err) : result;
}

enum nvc_result nvc_queue_await_end(
	struct nvc_queue *queue, uint64_t timeout, enum nvc_end *end, struct nvc_error *err)
{
	const uint64_t deadline = nvc_queue_deadline(queue, timeout);
	struct nvc_error unused = {0};
	enum nvc_result result = NVC_OK;

	for (size_t i = 0; result == NVC_OK && i < NVC_QUEUE_MAX_IDLE_PDUS; i++) {
		if (queue->info.term_received)
			break;
		result = step(queue, deadline, &unused);
	}
	*end = queue->info.end;
	if (queue->info.end != NVC_END_OPEN || queue->info.term_received)
		return NVC_OK;
	if (result == NVC_OK)
		return nvc_fail(err, NVC_E_MALFORMED, "%s: %d PDUs came instead of the end",
			queue->info.label, NVC_QUEUE_MAX_IDLE_PDUS);
	return nvc_fail(err, result, "%s", unused.text);
}
