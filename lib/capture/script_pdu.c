/* SPDX-License-Identifier: BSD-3-Clause */
/* PDUs as steps of a script: commands with their data and answers, and what is no command. */
#include <stdlib.h>
#include <string.h>

#include "capture/script_state.h"

enum { MAX_PENDING = 256 };

/* ---- commands ---- */

static struct nvc_script_pending *find_pending(struct nvc_script_reading *reading, uint16_t cid)
{
	for (size_t i = 0; i < reading->num_pending; i++)
		if (reading->pending[i].cid == cid)
			return &reading->pending[i];
	return NULL;
}

void nvc_script_forget_pending(
	struct nvc_script_reading *reading, struct nvc_script_pending *pending)
{
	const size_t index = (size_t)(pending - reading->pending);

	free(pending->in);
	reading->num_pending--;
	memmove(pending, pending + 1, (reading->num_pending - index) * sizeof(*pending));
}

static bool is_fabrics(const struct nvc_script_step *step, uint8_t fctype)
{
	return step->sqe[0] == NVC_OPC_FABRICS && step->sqe[4] == fctype;
}

static void take_connect(struct nvc_script_reader *reader, struct nvc_script_step *step)
{
	struct nvc_script *script = reader->script;
	struct nvc_script_conn *conn = &script->conns[step->conn];
	struct nvc_connect_data data;
	char nqn[NVC_NQN_MAX_LEN + 1];

	conn->qid = (uint16_t)nvc_get_le(step->sqe + 42, 2);
	if (nvc_decode(&nvc_connect_data_layout, step->bytes, &data, NULL, NULL) != NVC_OK)
		return;
	if (nvc_nqn_get(data.hostnqn, nqn)) {
		conn->host = nvc_script_host_named(reader, nqn);
		if (conn->host >= 0 && !step->answered &&
			nvc_slice_is_zero(NVC_SLICE(script->hosts[conn->host].hostid)))
			memcpy(script->hosts[conn->host].hostid, data.hostid, NVC_HOSTID_LEN);
	}
	(void)nvc_nqn_get(data.subnqn, conn->subnqn);
	for (size_t i = 0; data.cntlid != NVC_CNTLID_DYNAMIC && i < script->num_conns; i++)
		if (script->conns[i].connected && script->conns[i].qid == 0 &&
			script->conns[i].cntlid == data.cntlid)
			conn->admin = (int)i;
}

static void take_command(struct nvc_script_reader *reader, unsigned int conn,
	const struct nvc_pdu *pdu, const struct nvc_replay_event *event)
{
	struct nvc_script_reading *reading = &reader->conns[conn];
	struct nvc_script_step *step = nvc_script_add_step(reader, NVC_SCRIPT_COMMAND, conn, event);
	struct nvc_script_pending *more;
	char text[512];

	if (!step)
		return;
	memcpy(step->sqe, pdu->sqe, sizeof(step->sqe));
	nvc_script_keep(reader, step, pdu->data);
	step->in_capsule = pdu->data.len > 0;
	if (is_fabrics(step, NVC_FCTYPE_CONNECT))
		take_connect(reader, step);
	nvc_script_set_text(reader, step,
		nvc_outline_command(step->sqe, step->bytes, reader->script->conns[conn].qid != 0,
			text, sizeof(text)));
	if (is_fabrics(step, NVC_FCTYPE_AUTH_RECEIVE))
		step->transaction = reading->transaction;
	if (is_fabrics(step, NVC_FCTYPE_AUTH_SEND) && step->in_capsule)
		nvc_script_auth_send(reader, nvc_script_last_step(reader));
	if (reading->num_pending == MAX_PENDING)
		nvc_script_forget_pending(reading, reading->pending);
	more = realloc(reading->pending, (reading->num_pending + 1) * sizeof(*more));
	if (!more) {
		nvc_script_stop(reader, NVC_E_NO_MEMORY, "no memory for the script");
		return;
	}
	reading->pending = more;
	reading->pending[reading->num_pending++] = (struct nvc_script_pending){
		.step = nvc_script_last_step(reader), .cid = (uint16_t)nvc_get_le(pdu->sqe + 2, 2)};
}

/* Appends data to what is known of a command. */
static void append(
	struct nvc_script_reader *reader, uint8_t **data, size_t *len, struct nvc_slice more)
{
	uint8_t *larger;

	reader->script->bytes += more.len;
	if (!more.len || reader->script->bytes > NVC_SCRIPT_MAX_BYTES)
		return;
	larger = realloc(*data, *len + more.len);
	if (!larger) {
		nvc_script_stop(reader, NVC_E_NO_MEMORY, "no memory for the script");
		return;
	}
	memcpy(larger + *len, more.data, more.len);
	*data = larger;
	*len += more.len;
}

static void take_connect_answer(
	struct nvc_script_reader *reader, const struct nvc_script_step *answer)
{
	struct nvc_script *script = reader->script;
	struct nvc_script_conn *conn = &script->conns[answer->conn];
	const uint16_t status = nvc_cqe_status(answer->cqe.status_field);

	/* A subsystem that the target does not know is not the one that it serves. */
	if (!script->subnqn[0] && status != NVC_SC_CONNECT_PARAMETERS &&
		strcmp(conn->subnqn, NVC_DISCOVERY_NQN) != 0)
		snprintf(script->subnqn, sizeof(script->subnqn), "%s", conn->subnqn);
	if (status != NVC_SC_SUCCESS)
		return;
	conn->connected = true;
	conn->cntlid = (uint16_t)answer->cqe.result;
	if (conn->host >= 0)
		script->hosts[conn->host].refused = false;
}

/* A command is answered: by `pdu`, or without a capsule by SUCCESS in its data. */
void nvc_script_take_answer(struct nvc_script_reader *reader, unsigned int conn,
	struct nvc_script_pending *pending, const struct nvc_cqe *cqe,
	const struct nvc_replay_event *event)
{
	struct nvc_script_reading *reading = &reader->conns[conn];
	struct nvc_script *script = reader->script;
	struct nvc_script_step *answer =
				       nvc_script_add_step(reader, NVC_SCRIPT_ANSWER, conn, event),
			       *command;
	long t_id = -1;
	char text[512];

	if (!answer)
		return;
	command = &script->steps[pending->step];
	/* What comes behind the host's end nobody waits for. */
	if (reading->host_ended)
		answer->kind = NVC_SCRIPT_DROPPED;
	command->answered = !reading->host_ended;
	answer->command = pending->step;
	answer->has_cqe = cqe != NULL;
	if (cqe)
		answer->cqe = *cqe;
	answer->kept = pending->in;
	answer->bytes = nvc_slice_of(pending->in, pending->in_len);
	pending->in = NULL;
	answer->violated = reading->violated;
	reading->violated = REQ_NONE;
	if (command->transaction >= 0)
		t_id = script->transactions[command->transaction].t_id;
	nvc_script_set_text(reader, answer,
		nvc_outline_answer(&reader->outline, command->sqe, cqe, answer->bytes, t_id, text,
			sizeof(text)));
	if (is_fabrics(command, NVC_FCTYPE_CONNECT) && cqe)
		take_connect_answer(reader, answer);
	if (is_fabrics(command, NVC_FCTYPE_AUTH_RECEIVE))
		nvc_script_auth_answer(reader, nvc_script_last_step(reader));
	if (is_fabrics(command, NVC_FCTYPE_AUTH_SEND)) {
		if (!command->in_capsule) /* its data is complete only now */
			nvc_script_auth_send(reader, pending->step);
		nvc_script_auth_status(reader, nvc_script_last_step(reader));
	}
	if (cqe && nvc_cqe_status(cqe->status_field) == NVC_SC_OPERATION_DENIED)
		nvc_script_denied(reader, conn);
	nvc_script_forget_pending(reading, pending);
}

/* ---- data by R2T ---- */

static void take_r2t(struct nvc_script_reader *reader, unsigned int conn, const struct nvc_pdu *pdu,
	const struct nvc_replay_event *event)
{
	struct nvc_script_pending *pending = find_pending(&reader->conns[conn], pdu->xfer.cccid);
	struct nvc_script_step *step = nvc_script_add_step(reader, NVC_SCRIPT_R2T, conn, event);

	if (!step)
		return;
	nvc_script_set_text(reader, step, "R2T");
	step->ttag = pdu->xfer.ttag;
	if (!pending)
		return;
	step->command = pending->step;
	pending->r2t = true;
	pending->ttag = pdu->xfer.ttag;
	pending->r2t_at = pdu->xfer.offset;
	pending->left = pdu->xfer.length;
}

/* Whether H2CData is what the R2T asked for; what is not makes the command one that is done PDU by PDU. */
static bool in_order(struct nvc_script_reader *reader, struct nvc_script_pending *pending,
	const struct nvc_pdu *pdu)
{
	struct nvc_script_step *command = &reader->script->steps[pending->step];
	size_t len = command->bytes.len;
	const bool last = pdu->xfer.length == pending->left;

	if (!pending->r2t || pdu->ddgst_wrong || pdu->xfer.ttag != pending->ttag ||
		pdu->xfer.offset != pending->r2t_at || pdu->xfer.offset != len ||
		pdu->xfer.length != pdu->data.len ||
		pdu->xfer.length > reader->conns[command->conn].maxh2cdata ||
		pdu->xfer.length > pending->left || last != ((pdu->ch.flags & NVC_FLAG_LAST) != 0))
		return false;
	append(reader, &command->kept, &len, pdu->data);
	command->bytes = nvc_slice_of(command->kept, len);
	pending->r2t_at += pdu->xfer.length;
	pending->left -= pdu->xfer.length;
	pending->r2t = !last;
	return true;
}

static void take_raw(struct nvc_script_reader *reader, unsigned int conn, const struct nvc_pdu *pdu,
	const struct nvc_replay_event *event)
{
	struct nvc_script_step *step = nvc_script_add_step(reader, NVC_SCRIPT_PDU, conn, event);
	struct nvc_script_pending *pending;

	if (!step)
		return;
	nvc_script_keep(reader, step, event->bytes);
	nvc_script_set_text(reader, step, event->text);
	if (!pdu || pdu->ch.type != NVC_PDU_H2C_DATA)
		return;
	pending = find_pending(&reader->conns[conn], pdu->xfer.cccid);
	if (!pending)
		return;
	step->command = pending->step;
	step->ttag = pending->ttag;
	if (!in_order(reader, pending, pdu))
		reader->script->steps[pending->step].manual = true;
}

/* ---- PDUs ---- */

void nvc_script_take_host_pdu(
	struct nvc_script_reader *reader, unsigned int conn, const struct nvc_replay_event *event)
{
	struct nvc_script_reading *reading = &reader->conns[conn];
	const bool first = !reading->host_spoke;
	struct nvc_pdu pdu;
	uint32_t fei;
	bool sound = nvc_pdu_decode(event->bytes, &reading->mode, &pdu, NULL) == NVC_OK &&
		     nvc_pdu_check(&pdu.ch, NVC_H2C, &reading->mode, &fei) == NVC_FES_NONE &&
		     !pdu.hdgst_wrong;
	struct nvc_script_step *step;

	reading->host_spoke = true;
	if (sound && pdu.ch.type == NVC_PDU_IC_REQ && first &&
		nvc_reserved_is_zero(nvc_pdu_layout(NVC_PDU_IC_REQ), event->bytes, NULL)) {
		step = nvc_script_add_step(reader, NVC_SCRIPT_IC_REQ, conn, event);
		if (!step)
			return;
		step->ic = pdu.ic;
		nvc_script_set_text(reader, step, event->text);
	} else if (sound && pdu.ch.type == NVC_PDU_CAPSULE_CMD && !pdu.ddgst_wrong) {
		take_command(reader, conn, &pdu, event);
	} else {
		take_raw(reader, conn, sound ? &pdu : NULL, event);
	}
}

static void take_response(struct nvc_script_reader *reader, unsigned int conn,
	const struct nvc_pdu *pdu, const struct nvc_replay_event *event)
{
	struct nvc_script_pending *pending;
	struct nvc_cqe cqe;

	if (nvc_decode(&nvc_cqe_layout, NVC_SLICE(pdu->cqe), &cqe, NULL, NULL) != NVC_OK)
		return;
	pending = find_pending(&reader->conns[conn], cqe.cid);
	if (pending)
		nvc_script_take_answer(reader, conn, pending, &cqe, event);
}

static void take_data(struct nvc_script_reader *reader, unsigned int conn,
	const struct nvc_pdu *pdu, const struct nvc_replay_event *event)
{
	struct nvc_script_pending *pending = find_pending(&reader->conns[conn], pdu->xfer.cccid);

	if (!pending)
		return;
	append(reader, &pending->in, &pending->in_len, pdu->data);
	if (pdu->ch.flags & NVC_FLAG_SUCCESS)
		nvc_script_take_answer(reader, conn, pending,
			&(const struct nvc_cqe){.cid = pdu->xfer.cccid}, event);
}

void nvc_script_take_ctrl_pdu(
	struct nvc_script_reader *reader, unsigned int conn, const struct nvc_replay_event *event)
{
	struct nvc_script_reading *reading = &reader->conns[conn];
	struct nvc_script_step *step;
	struct nvc_pdu pdu;
	char text[200];

	if (nvc_pdu_decode(event->bytes, &reading->mode, &pdu, NULL) != NVC_OK)
		return;
	switch (pdu.ch.type) {
	case NVC_PDU_IC_RESP:
		reading->maxh2cdata = pdu.ic.max;
		reading->mode.hdgst = pdu.ic.dgst & NVC_DGST_HEADER;
		reading->mode.ddgst = pdu.ic.dgst & NVC_DGST_DATA;
		step = nvc_script_add_step(reader, NVC_SCRIPT_IC_RESP, conn, event);
		if (!step)
			return;
		step->ic = pdu.ic;
		nvc_script_set_text(reader, step, nvc_outline_ic_resp(&pdu.ic, text, sizeof(text)));
		break;
	case NVC_PDU_CAPSULE_RESP:
		take_response(reader, conn, &pdu, event);
		break;
	case NVC_PDU_C2H_DATA:
		take_data(reader, conn, &pdu, event);
		break;
	case NVC_PDU_R2T:
		take_r2t(reader, conn, &pdu, event);
		break;
	case NVC_PDU_C2H_TERM_REQ:
		step = nvc_script_add_step(reader, NVC_SCRIPT_TERM, conn, event);
		if (step)
			nvc_script_set_text(
				reader, step, nvc_outline_term(&pdu.term, text, sizeof(text)));
		break;
	default:
		break;
	}
}
