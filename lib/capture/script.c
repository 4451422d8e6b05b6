/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture/script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture/script_state.h"
#include "crypto/tls_psk.h"

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

void nvc_script_keep(
	struct nvc_script_reader *reader, struct nvc_script_step *step, struct nvc_slice in)
{
	reader->script->bytes += in.len;
	if (reader->script->bytes > NVC_SCRIPT_MAX_BYTES)
		nvc_script_stop(reader, NVC_E_NO_SPACE,
			"the conversation is too long to be re-enacted; cut a part out");
	if (reader->result != NVC_OK || !in.len)
		return;
	step->kept = malloc(in.len);
	if (!step->kept) {
		nvc_script_stop(reader, NVC_E_NO_MEMORY, "no memory for the script");
		return;
	}
	memcpy(step->kept, in.data, in.len);
	step->bytes = nvc_slice_of(step->kept, in.len);
}

struct nvc_script_step *nvc_script_add_step(struct nvc_script_reader *reader,
	enum nvc_script_kind kind, unsigned int conn, const struct nvc_replay_event *event)
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

void nvc_script_set_text(
	struct nvc_script_reader *reader, struct nvc_script_step *step, const char *text)
{
	step->text = strdup(text);
	if (!step->text)
		nvc_script_stop(reader, NVC_E_NO_MEMORY, "no memory for the script");
}

int nvc_script_last_step(const struct nvc_script_reader *reader)
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

/* ---- events ---- */

static void take_open(
	struct nvc_script_reader *reader, const struct nvc_replay_event *event, bool no_tls)
{
	const int conn = add_conn(reader, event);
	struct nvc_script_step *step;

	if (conn < 0)
		return;
	reader->script->conns[conn].no_tls = no_tls;
	step = nvc_script_add_step(reader, NVC_SCRIPT_OPEN, (unsigned int)conn, event);
	if (step)
		nvc_script_set_text(reader, step, event->tls ? "(connects, TLS)" : "(connects)");
	if (!no_tls || !step)
		return;
	step = nvc_script_add_step(reader, NVC_SCRIPT_NO_TLS, (unsigned int)conn, event);
	if (step)
		nvc_script_set_text(reader, step, "(the TLS handshake does not complete)");
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
			nvc_script_take_answer(reader, conn, &reading->pending[i--], NULL, event);
	/* The controller's end after the host's is but an answer to it. */
	if (!reading->host_ended && !(of_host ? reading->host_ended : reading->ctrl_ended))
		step = nvc_script_add_step(
			reader, of_host ? NVC_SCRIPT_HOST_END : NVC_SCRIPT_CTRL_END, conn, event);
	if (of_host)
		reading->host_ended = true;
	else
		reading->ctrl_ended = true;
	snprintf(text, sizeof(text), "(%s ends: %s)", of_host ? "host" : "controller", event->text);
	if (step)
		nvc_script_set_text(reader, step, text);
}

static struct nvc_script_step *find_pdu(struct nvc_script *script, unsigned int pdu)
{
	for (size_t i = script->num_steps; i > 0; i--)
		if (script->steps[i - 1].pdu == pdu)
			return &script->steps[i - 1];
	return NULL;
}

static void take_key_update(
	struct nvc_script_reader *reader, unsigned int conn, const struct nvc_replay_event *event)
{
	struct nvc_script_step *step =
		nvc_script_add_step(reader, NVC_SCRIPT_KEY_UPDATE, conn, event);

	if (step)
		nvc_script_set_text(reader, step, "(KeyUpdate)");
}

static void take_violation(
	struct nvc_script_reader *reader, int conn, const struct nvc_replay_event *event)
{
	struct nvc_script *script = reader->script;
	struct nvc_script_step *step = find_pdu(script, event->pdu);

	if (event->req == REQ_H_59 && conn >= 0)
		script->conns[conn].psk_wrong = true;
	if (nvc_requirement(event->req)->area == NVC_AREA_HOST)
		return;
	script->violated[event->req] = true;
	if (step && event->req == REQ_C_135)
		nvc_script_proven(reader, step, false);
	if (step)
		step->violated = event->req;
	else if (conn >= 0)
		reader->conns[conn].violated = event->req;
}

static void take_check(struct nvc_script_reader *reader, const struct nvc_replay_event *event)
{
	const struct nvc_script_step *step =
		event->pdu ? find_pdu(reader->script, event->pdu) : NULL;

	/* A wrong one may be that of another secret. */
	if (step && event->proof == NVC_PROOF_RIGHT)
		nvc_script_proven(reader, step, true);
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
		nvc_script_take_host_pdu(reader, (unsigned int)conn, event);
	else if (event->kind == NVC_REPLAY_PDU)
		nvc_script_take_ctrl_pdu(reader, (unsigned int)conn, event);
	else if (event->kind == NVC_REPLAY_KEY_UPDATE && event->direction == NVC_H2C)
		take_key_update(reader, (unsigned int)conn, event);
	else if (event->kind == NVC_REPLAY_CHECK)
		take_check(reader, event);
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
			nvc_script_forget_pending(&reader->conns[i], reader->conns[i].pending);
		free(reader->conns[i].pending);
	}
	free(reader->conns);
	free(reader);
	if (result == NVC_OK)
		result = put_in_order(script, err);
	if (result == NVC_OK) {
		drop_data_steps(script);
		for (size_t i = 0; i < script->num_transactions; i++)
			script->transactions[i].bent |= script->transactions[i].refused;
		nvc_script_map_psks(script);
	} else {
		nvc_script_free(script);
	}
	return result;
}

void nvc_script_free(struct nvc_script *script)
{
	for (size_t i = 0; i < script->num_steps; i++) {
		free(script->steps[i].kept);
		free(script->steps[i].text);
	}
	free(script->steps);
	free(script->order);
	free(script->conns);
	free(script->transactions);
	free(script->hosts);
	*script = (struct nvc_script){0};
}
