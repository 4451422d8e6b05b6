/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture/script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture/script_state.h"
#include "crypto/tls_psk.h"

enum { MAX_PENDING = 256 };

/* ---- what is kept ---- */

void nvc_script_stop(struct nvc_script_reader *reader, enum nvc_result result, const char *why)
{
	if (reader->result != NVC_OK)
		return;
	reader->result = result;
	reader->why = why;
}

/* Room for one more in an array that grows by half. */
static void *grow(
	struct nvc_script_reader *reader, void *array, size_t num, size_t size, size_t max)
{
	void *larger;

	if (num == max) {
		nvc_script_stop(reader, NVC_E_NO_SPACE,
			"the conversation is too long to be re-enacted; cut a part out");
		return NULL;
	}
	/* At powers of two the room is used up. */
	if (num & (num - 1))
		return array;
	larger = realloc(array, (num ? num * 2 : 1) * size);
	if (!larger)
		nvc_script_stop(reader, NVC_E_NO_MEMORY, "no memory for the script");
	return larger;
}

struct nvc_slice nvc_script_keep(struct nvc_script_reader *reader, struct nvc_slice in)
{
	uint8_t *copy;

	reader->script->bytes += in.len;
	if (reader->script->bytes > NVC_SCRIPT_MAX_BYTES) {
		nvc_script_stop(reader, NVC_E_NO_SPACE,
			"the conversation is too long to be re-enacted; cut a part out");
		return nvc_slice_of(NULL, 0);
	}
	copy = in.len ? malloc(in.len) : NULL;
	if (!copy)
		return nvc_slice_of(NULL, 0);
	memcpy(copy, in.data, in.len);
	return nvc_slice_of(copy, in.len);
}

static struct nvc_script_step *add_step(struct nvc_script_reader *reader, enum nvc_script_kind kind,
	unsigned int conn, const struct nvc_replay_event *event)
{
	struct nvc_script *script = reader->script;
	struct nvc_script_step *steps = grow(
		reader, script->steps, script->num_steps, sizeof(*steps), NVC_SCRIPT_MAX_STEPS);
	struct nvc_script_step *step;

	if (!steps)
		return NULL;
	script->steps = steps;
	step = &steps[script->num_steps++];
	*step = (struct nvc_script_step){.kind = kind,
		.conn = conn,
		.frame = event->frame,
		.time = event->time,
		.pdu = event->pdu,
		.command = -1,
		.transaction = -1,
		.message.transaction = -1};
	return step;
}

static void set_text(
	struct nvc_script_reader *reader, struct nvc_script_step *step, const char *text)
{
	step->text = strdup(text);
	if (!step->text)
		nvc_script_stop(reader, NVC_E_NO_MEMORY, "no memory for the script");
}

static int last_step(const struct nvc_script_reader *reader)
{
	return (int)reader->script->num_steps - 1;
}

static int add_conn(struct nvc_script_reader *reader, const struct nvc_replay_event *event)
{
	struct nvc_script *script = reader->script;
	void *conns = grow(reader, script->conns, script->num_conns, sizeof(*script->conns),
		NVC_SCRIPT_MAX_CONNS);
	void *readings = conns ? grow(reader, reader->conns, script->num_conns,
					 sizeof(*reader->conns), NVC_SCRIPT_MAX_CONNS)
			       : NULL;
	struct nvc_psk_identity identity;
	char nqn[NVC_NQN_MAX_LEN + 1];
	struct nvc_script_conn *conn;

	if (conns)
		script->conns = conns;
	if (!readings)
		return -1;
	reader->conns = readings;
	reader->conns[script->num_conns] =
		(struct nvc_script_reading){.transaction = -1, .reply = -1};
	conn = &script->conns[script->num_conns];
	*conn = (struct nvc_script_conn){.id = event->conn,
		.port = event->port,
		.tls = event->tls,
		.host = -1,
		.admin = -1,
		.psk_of = -1,
		.psk_host = -1};
	snprintf(conn->identity, sizeof(conn->identity), "%s",
		event->identity ? event->identity : "");
	if (nvc_tls_psk_identity_parse(nvc_slice_str(conn->identity), &identity, NULL) == NVC_OK) {
		snprintf(nqn, sizeof(nqn), "%.*s", (int)identity.hostnqn.len,
			(const char *)identity.hostnqn.data);
		conn->psk_host = nvc_script_host_named(reader, nqn);
	}
	return (int)script->num_conns++;
}

/* The connection under the capture's number, which is used once. */
static int find_conn(const struct nvc_script *script, unsigned int id)
{
	for (size_t i = script->num_conns; i > 0; i--)
		if (script->conns[i - 1].id == id)
			return (int)i - 1;
	return -1;
}

int nvc_script_host_named(struct nvc_script_reader *reader, const char *hostnqn)
{
	struct nvc_script *script = reader->script;
	struct nvc_script_host *hosts;

	for (size_t i = 0; i < script->num_hosts; i++)
		if (strcmp(script->hosts[i].hostnqn, hostnqn) == 0)
			return (int)i;
	hosts = grow(
		reader, script->hosts, script->num_hosts, sizeof(*hosts), NVC_SCRIPT_MAX_HOSTS);
	if (!hosts)
		return -1;
	script->hosts = hosts;
	hosts[script->num_hosts] = (struct nvc_script_host){.refused = true};
	snprintf(hosts[script->num_hosts].hostnqn, sizeof(hosts[0].hostnqn), "%s", hostnqn);
	return (int)script->num_hosts++;
}

int nvc_script_new_transaction(struct nvc_script_reader *reader)
{
	struct nvc_script *script = reader->script;
	struct nvc_script_transaction *transactions = grow(reader, script->transactions,
		script->num_transactions, sizeof(*transactions), NVC_SCRIPT_MAX_TRANSACTIONS);

	if (!transactions)
		return -1;
	script->transactions = transactions;
	return (int)script->num_transactions++;
}

/* ---- commands ---- */

static struct nvc_script_pending *find_pending(struct nvc_script_reading *reading, uint16_t cid)
{
	for (size_t i = 0; i < reading->num_pending; i++)
		if (reading->pending[i].cid == cid)
			return &reading->pending[i];
	return NULL;
}

static void forget_pending(struct nvc_script_reading *reading, struct nvc_script_pending *pending)
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
	struct nvc_script_step *step = add_step(reader, NVC_SCRIPT_COMMAND, conn, event);
	struct nvc_script_pending *more;
	char text[512];

	if (!step)
		return;
	memcpy(step->sqe, pdu->sqe, sizeof(step->sqe));
	step->bytes = nvc_script_keep(reader, pdu->data);
	step->in_capsule = pdu->data.len > 0;
	if (is_fabrics(step, NVC_FCTYPE_CONNECT))
		take_connect(reader, step);
	set_text(reader, step,
		nvc_outline_command(step->sqe, step->bytes, reader->script->conns[conn].qid != 0,
			text, sizeof(text)));
	if (is_fabrics(step, NVC_FCTYPE_AUTH_RECEIVE))
		step->transaction = reading->transaction;
	if (is_fabrics(step, NVC_FCTYPE_AUTH_SEND) && step->in_capsule)
		nvc_script_auth_send(reader, last_step(reader));
	if (reading->num_pending == MAX_PENDING)
		forget_pending(reading, reading->pending);
	more = realloc(reading->pending, (reading->num_pending + 1) * sizeof(*more));
	if (!more) {
		nvc_script_stop(reader, NVC_E_NO_MEMORY, "no memory for the script");
		return;
	}
	reading->pending = more;
	reading->pending[reading->num_pending++] = (struct nvc_script_pending){
		.step = last_step(reader), .cid = (uint16_t)nvc_get_le(pdu->sqe + 2, 2)};
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
static void take_answer(struct nvc_script_reader *reader, unsigned int conn,
	struct nvc_script_pending *pending, const struct nvc_cqe *cqe,
	const struct nvc_replay_event *event)
{
	struct nvc_script_reading *reading = &reader->conns[conn];
	struct nvc_script *script = reader->script;
	struct nvc_script_step *answer = add_step(reader, NVC_SCRIPT_ANSWER, conn, event), *command;
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
	answer->bytes = nvc_slice_of(pending->in, pending->in_len);
	pending->in = NULL;
	answer->violated = reading->violated;
	reading->violated = REQ_NONE;
	if (command->transaction >= 0)
		t_id = script->transactions[command->transaction].t_id;
	set_text(reader, answer,
		nvc_outline_answer(&reader->outline, command->sqe, cqe, answer->bytes, t_id, text,
			sizeof(text)));
	if (is_fabrics(command, NVC_FCTYPE_CONNECT) && cqe)
		take_connect_answer(reader, answer);
	if (is_fabrics(command, NVC_FCTYPE_AUTH_RECEIVE))
		nvc_script_auth_answer(reader, last_step(reader));
	if (is_fabrics(command, NVC_FCTYPE_AUTH_SEND)) {
		if (!command->in_capsule) /* its data is complete only now */
			nvc_script_auth_send(reader, pending->step);
		nvc_script_auth_status(reader, last_step(reader));
	}
	if (cqe && nvc_cqe_status(cqe->status_field) == NVC_SC_OPERATION_DENIED)
		nvc_script_denied(reader, conn);
	forget_pending(reading, pending);
}

/* ---- data by R2T ---- */

static void take_r2t(struct nvc_script_reader *reader, unsigned int conn, const struct nvc_pdu *pdu,
	const struct nvc_replay_event *event)
{
	struct nvc_script_pending *pending = find_pending(&reader->conns[conn], pdu->xfer.cccid);
	struct nvc_script_step *step = add_step(reader, NVC_SCRIPT_R2T, conn, event);

	if (!step)
		return;
	set_text(reader, step, "R2T");
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
	uint8_t *data = (uint8_t *)(uintptr_t)command->bytes.data;
	size_t len = command->bytes.len;
	const bool last = pdu->xfer.length == pending->left;

	if (!pending->r2t || pdu->ddgst_wrong || pdu->xfer.ttag != pending->ttag ||
		pdu->xfer.offset != pending->r2t_at || pdu->xfer.offset != len ||
		pdu->xfer.length != pdu->data.len ||
		pdu->xfer.length > reader->conns[command->conn].maxh2cdata ||
		pdu->xfer.length > pending->left || last != ((pdu->ch.flags & NVC_FLAG_LAST) != 0))
		return false;
	append(reader, &data, &len, pdu->data);
	command->bytes = nvc_slice_of(data, len);
	pending->r2t_at += pdu->xfer.length;
	pending->left -= pdu->xfer.length;
	pending->r2t = !last;
	return true;
}

static void take_raw(struct nvc_script_reader *reader, unsigned int conn, const struct nvc_pdu *pdu,
	const struct nvc_replay_event *event)
{
	struct nvc_script_step *step = add_step(reader, NVC_SCRIPT_PDU, conn, event);
	struct nvc_script_pending *pending;

	if (!step)
		return;
	step->bytes = nvc_script_keep(reader, event->bytes);
	set_text(reader, step, event->text);
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

static void take_host_pdu(
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
		step = add_step(reader, NVC_SCRIPT_IC_REQ, conn, event);
		if (!step)
			return;
		step->ic = pdu.ic;
		set_text(reader, step, event->text);
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
		take_answer(reader, conn, pending, &cqe, event);
}

static void take_data(struct nvc_script_reader *reader, unsigned int conn,
	const struct nvc_pdu *pdu, const struct nvc_replay_event *event)
{
	struct nvc_script_pending *pending = find_pending(&reader->conns[conn], pdu->xfer.cccid);

	if (!pending)
		return;
	append(reader, &pending->in, &pending->in_len, pdu->data);
	if (pdu->ch.flags & NVC_FLAG_SUCCESS)
		take_answer(reader, conn, pending, &(const struct nvc_cqe){.cid = pdu->xfer.cccid},
			event);
}

static void take_ctrl_pdu(
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
		step = add_step(reader, NVC_SCRIPT_IC_RESP, conn, event);
		if (!step)
			return;
		step->ic = pdu.ic;
		set_text(reader, step, nvc_outline_ic_resp(&pdu.ic, text, sizeof(text)));
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
		step = add_step(reader, NVC_SCRIPT_TERM, conn, event);
		if (step)
			set_text(reader, step, nvc_outline_term(&pdu.term, text, sizeof(text)));
		break;
	default:
		break;
	}
}

/* ---- events ---- */

static void take_open(
	struct nvc_script_reader *reader, const struct nvc_replay_event *event, bool no_tls)
{
	const int conn = add_conn(reader, event);
	struct nvc_script_step *step;

	if (conn < 0)
		return;
	reader->script->conns[conn].no_tls = no_tls;
	step = add_step(reader, NVC_SCRIPT_OPEN, (unsigned int)conn, event);
	if (step)
		set_text(reader, step, event->tls ? "(connects, TLS)" : "(connects)");
	if (!no_tls || !step)
		return;
	step = add_step(reader, NVC_SCRIPT_NO_TLS, (unsigned int)conn, event);
	if (step)
		set_text(reader, step, "(the TLS handshake does not complete)");
}

static void take_end(
	struct nvc_script_reader *reader, unsigned int conn, const struct nvc_replay_event *event)
{
	struct nvc_script_reading *reading = &reader->conns[conn];
	const bool of_host = event->direction == NVC_H2C;
	struct nvc_script_step *step = NULL;
	char text[64];

	/* What came for a command whose response capsule was lost. */
	for (size_t i = 0; !of_host && i < reading->num_pending; i++)
		if (reading->pending[i].in_len)
			take_answer(reader, conn, &reading->pending[i--], NULL, event);
	/* The controller's end after the host's is but an answer to it. */
	if (!reading->host_ended && !(of_host ? reading->host_ended : reading->ctrl_ended))
		step = add_step(
			reader, of_host ? NVC_SCRIPT_HOST_END : NVC_SCRIPT_CTRL_END, conn, event);
	if (of_host)
		reading->host_ended = true;
	else
		reading->ctrl_ended = true;
	snprintf(text, sizeof(text), "(%s ends: %s)", of_host ? "host" : "controller", event->text);
	if (step)
		set_text(reader, step, text);
}

static void take_violation(
	struct nvc_script_reader *reader, int conn, const struct nvc_replay_event *event)
{
	struct nvc_script *script = reader->script;

	if (nvc_requirement(event->req)->area == NVC_AREA_HOST)
		return;
	script->violated[event->req] = true;
	for (size_t i = script->num_steps; i > 0; i--)
		if (script->steps[i - 1].pdu == event->pdu) {
			script->steps[i - 1].violated = event->req;
			return;
		}
	if (conn >= 0)
		reader->conns[conn].violated = event->req;
}

static void on_event(void *self, const struct nvc_replay_event *event)
{
	struct nvc_script_reader *reader = self;
	int conn = find_conn(reader->script, event->conn);

	if (reader->result != NVC_OK)
		return;
	if (event->kind == NVC_REPLAY_OPEN)
		take_open(reader, event, false);
	else if (event->kind == NVC_REPLAY_NOTE && event->identity)
		take_open(reader, event, true);
	else if (event->kind == NVC_REPLAY_VIOLATION)
		take_violation(reader, conn, event);
	if (conn < 0)
		return;
	if (event->kind == NVC_REPLAY_PDU && event->direction == NVC_H2C)
		take_host_pdu(reader, (unsigned int)conn, event);
	else if (event->kind == NVC_REPLAY_PDU)
		take_ctrl_pdu(reader, (unsigned int)conn, event);
	else if (event->kind == NVC_REPLAY_END)
		take_end(reader, (unsigned int)conn, event);
	else if (event->kind == NVC_REPLAY_UNJUDGED)
		reader->script->conns[conn].unreadable = "the rest of it could not be read";
}

/* ---- the whole ---- */

bool nvc_script_of_host(enum nvc_script_kind kind)
{
	return kind <= NVC_SCRIPT_HOST_END;
}

/* R2T and H2CData of commands whose data went as it should belong to the command. */
static void drop_data_steps(struct nvc_script *script)
{
	for (size_t i = 0; i < script->num_steps; i++) {
		struct nvc_script_step *step = &script->steps[i];
		const bool of_command =
			(step->kind == NVC_SCRIPT_R2T || step->kind == NVC_SCRIPT_PDU) &&
			step->command >= 0;

		if (of_command && !script->steps[step->command].manual)
			step->kind = NVC_SCRIPT_DROPPED;
		if (step->kind == NVC_SCRIPT_R2T && step->command < 0)
			step->kind = NVC_SCRIPT_DROPPED;
	}
}

/* A handshake that brought no data becomes known when its connection is over. */
static enum nvc_result put_in_order(struct nvc_script *script, struct nvc_error *err)
{
	script->order = malloc((script->num_steps + 1) * sizeof(*script->order));
	if (!script->order)
		return nvc_fail(err, NVC_E_NO_MEMORY, "no memory for the script");
	for (size_t i = 0; i < script->num_steps; i++) {
		size_t at = i;

		for (; at > 0 &&
			script->steps[script->order[at - 1]].frame > script->steps[i].frame;
			at--)
			script->order[at] = script->order[at - 1];
		script->order[at] = i;
	}
	return NVC_OK;
}

enum nvc_result nvc_script_read(FILE *in, const struct nvc_replay_options *options,
	struct nvc_script *script, struct nvc_error *err)
{
	struct nvc_script_reader *reader = calloc(1, sizeof(*reader));
	const struct nvc_replay_sink sink = {reader, on_event};
	enum nvc_result result;

	memset(script, 0, sizeof(*script));
	if (!reader) {
		fclose(in);
		return nvc_fail(err, NVC_E_NO_MEMORY, "no memory for the script");
	}
	reader->script = script;
	result = nvc_replay(in, options, &sink, &script->result, err);
	if (result == NVC_OK && reader->result != NVC_OK)
		result = nvc_fail(err, reader->result, "%s", reader->why);
	for (size_t i = 0; i < script->num_conns; i++) {
		while (reader->conns[i].num_pending)
			forget_pending(&reader->conns[i], reader->conns[i].pending);
		free(reader->conns[i].pending);
	}
	free(reader->conns);
	free(reader);
	if (result == NVC_OK)
		result = put_in_order(script, err);
	if (result == NVC_OK) {
		drop_data_steps(script);
		nvc_script_map_psks(script);
	} else {
		nvc_script_free(script);
	}
	return result;
}

void nvc_script_free(struct nvc_script *script)
{
	for (size_t i = 0; i < script->num_steps; i++) {
		free((void *)(uintptr_t)script->steps[i].bytes.data);
		free(script->steps[i].text);
	}
	free(script->steps);
	free(script->order);
	free(script->conns);
	free(script->transactions);
	free(script->hosts);
	*script = (struct nvc_script){0};
}
