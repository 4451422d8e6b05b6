/* SPDX-License-Identifier: BSD-3-Clause */
/* The steps of a script on another target: what the host did is done again, what comes back is held against the capture. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/engine/reenact_state.h"
#include "wire/text.h"

enum {
	MAX_BENDS = 8,
	OFFSET_LENGTH = 44, /* TL of Authentication Send */
	OFFSET_SGL_LEN = 32,
	POLLS = 100, /* for CSTS.RDY, at most so many times 100 ms */
};

static bool is_fabrics(const struct nvc_script_step *step, uint8_t fctype)
{
	return step->sqe[0] == NVC_OPC_FABRICS && step->sqe[4] == fctype;
}

/* ---- commands ---- */

/* What changes nothing on a target beyond the association; anything else only where it was asked for, or in process. */
static bool is_harmless(const struct reenact *re, const struct nvc_script_step *step)
{
	static const uint8_t admin[] = {NVC_ADMIN_GET_LOG_PAGE, NVC_ADMIN_IDENTIFY,
		0x08 /* Abort */, NVC_ADMIN_SET_FEATURES, NVC_ADMIN_GET_FEATURES,
		NVC_ADMIN_ASYNC_EVENT, NVC_ADMIN_KEEP_ALIVE, NVC_OPC_FABRICS};
	static const uint8_t io[] = {NVC_IO_FLUSH, NVC_IO_READ, NVC_OPC_FABRICS};

	if (is_fabrics(step, NVC_FCTYPE_PROPERTY_SET) &&
		nvc_get_le(step->sqe + 44, 4) == NVC_PROP_NSSR)
		return false; /* resets the subsystem for everybody */
	if (step->sqe[0] == NVC_ADMIN_SET_FEATURES && reenact_conn_of(re, step)->qid == 0)
		return !(step->sqe[43] & 0x80); /* SV: it would outlive the association */
	return reenact_conn_of(re, step)->qid ? memchr(io, step->sqe[0], sizeof(io)) != NULL
					      : memchr(admin, step->sqe[0], sizeof(admin)) != NULL;
}

/* The names in the data of Connect become those of the new target; what was refused or malformed stays as it was. */
static void rename_connect(struct reenact *re, const struct nvc_script_step *step, uint8_t *data)
{
	const struct nvc_script_conn *conn = reenact_conn_of(re, step);
	const struct nvc_host *host = &reenact_live_conn(re, step)->actor->host;
	struct nvc_connect_data then;
	char nqn[NVC_NQN_MAX_LEN + 1];

	if (nvc_decode(&nvc_connect_data_layout, step->bytes, &then, NULL, NULL) != NVC_OK)
		return;
	if (conn->host >= 0 && nvc_nqn_get(then.hostnqn, nqn)) {
		nvc_nqn_put(data + 512, host->hostnqn);
		if (memcmp(then.hostid, re->script->hosts[conn->host].hostid, NVC_HOSTID_LEN) ==
				0 &&
			!nvc_slice_is_zero(NVC_SLICE(then.hostid)))
			memcpy(data, host->hostid, NVC_HOSTID_LEN);
	}
	if (strcmp(conn->subnqn, re->script->subnqn) == 0 && conn->subnqn[0])
		nvc_nqn_put(data + 256, host->subnqn);
	else if (conn->subnqn[0])
		reenact_live_conn(re, step)->subnqn = conn->subnqn;
	if (conn->admin >= 0)
		nvc_put_le(data + 16, re->conns[conn->admin].cntlid, 2);
}

/* The data of a command for the new target; the caller frees it. */
static enum nvc_result make_data(struct reenact *re, const struct nvc_script_step *step,
	uint8_t **out, size_t *out_len, struct nvc_error *why)
{
	const size_t asked = nvc_get_le(step->sqe + OFFSET_SGL_LEN, 4);
	const bool h2c = (step->sqe[0] == NVC_OPC_FABRICS ? step->sqe[4] : step->sqe[0]) & 1;
	size_t len = step->bytes.len;
	uint8_t *data;

	if (is_fabrics(step, NVC_FCTYPE_AUTH_SEND))
		return reenact_message(re, step, out, out_len, why);
	/* Data that was never asked for is not in the capture, but the new target may ask. */
	if (h2c && !step->in_capsule && step->sqe[39] == NVC_SGL_TRANSPORT && len < asked &&
		asked <= NVC_QUEUE_MAX_DATA)
		len = asked;
	data = calloc(1, len ? len : 1);
	if (!data)
		return nvc_fail(why, NVC_E_STATE, "no memory for the data of a command");
	if (step->bytes.len)
		memcpy(data, step->bytes.data, step->bytes.len);
	if (is_fabrics(step, NVC_FCTYPE_CONNECT))
		rename_connect(re, step, data);
	*out = data;
	*out_len = len;
	return NVC_OK;
}

static enum nvc_result submit(struct reenact *re, const struct nvc_script_step *step,
	struct nvc_slice data, struct nvc_error *why)
{
	struct live_command *live = &re->commands[reenact_index_of(re, step)];
	struct nvc_cmd_nvme fields;
	struct nvc_bend list[MAX_BENDS];
	struct nvc_bends bends = {list, 0};
	struct nvc_command command = {
		.layout = &nvc_cmd_nvme_layout, .fields = &fields, .bends = &bends};
	const uint8_t kind = step->sqe[0] == NVC_OPC_FABRICS ? step->sqe[4] : step->sqe[0];
	uint8_t sqe[NVC_SQE_LEN];

	memcpy(sqe, step->sqe, sizeof(sqe));
	/* A Reply may be longer or shorter than it was; lengths that were right stay right. */
	if (is_fabrics(step, NVC_FCTYPE_AUTH_SEND) && data.len != step->bytes.len) {
		if (nvc_get_le(sqe + OFFSET_LENGTH, 4) == step->bytes.len)
			nvc_put_le(sqe + OFFSET_LENGTH, data.len, 4);
		if (nvc_get_le(sqe + OFFSET_SGL_LEN, 4) == step->bytes.len)
			nvc_put_le(sqe + OFFSET_SGL_LEN, data.len, 4);
	}
	(void)nvc_decode(&nvc_cmd_nvme_layout, NVC_SLICE(sqe), &fields, NULL, NULL);
	list[bends.num++] = (struct nvc_bend){"flags", NVC_BEND_SET, sqe[1], {NULL, 0}};
	list[bends.num++] =
		(struct nvc_bend){"cid", NVC_BEND_SET, nvc_get_le(sqe + 2, 2), {NULL, 0}};
	list[bends.num++] =
		(struct nvc_bend){"reserved8", NVC_BEND_BYTES, 0, nvc_slice_of(sqe + 8, 16)};
	list[bends.num++] =
		(struct nvc_bend){"sgl_addr", NVC_BEND_SET, nvc_get_le(sqe + 24, 8), {NULL, 0}};
	list[bends.num++] = (struct nvc_bend){
		"sgl_len", NVC_BEND_SET, nvc_get_le(sqe + OFFSET_SGL_LEN, 4), {NULL, 0}};
	list[bends.num++] =
		(struct nvc_bend){"reserved36", NVC_BEND_BYTES, 0, nvc_slice_of(sqe + 36, 3)};
	list[bends.num++] = (struct nvc_bend){"sgl_id", NVC_BEND_SET, sqe[39], {NULL, 0}};
	if (!step->manual)
		command.out = data;
	command.transport_sgl = !step->in_capsule;
	if (kind & 2)
		command.in_len = nvc_get_le(sqe + OFFSET_SGL_LEN, 4);
	if (command.in_len > NVC_QUEUE_MAX_DATA)
		command.in_len = NVC_QUEUE_MAX_DATA;
	live->sent = nvc_queue_submit(reenact_live_conn(re, step)->queue, &command, &live->tag,
			     why) == NVC_OK;
	return why->result;
}

static void do_command(struct reenact *re, const struct nvc_script_step *step)
{
	struct live_conn *live = reenact_live_conn(re, step);
	uint8_t *data = NULL;
	size_t len = 0;
	struct nvc_error why = {0};

	if (!re->reference && !re->all_commands && !is_harmless(re, step)) {
		reenact_cannot(re, step, "%s is not sent to a real target without --all-commands",
			nvc_cmd_name(NVC_SLICE(step->sqe), reenact_conn_of(re, step)->qid != 0));
		reenact_not_reached(re, step, NULL);
		return;
	}
	if (step->message.answers && !live->actor->host.has_host_key) {
		reenact_cannot(
			re, step, "there is no secret for %s (-S)", live->actor->host.hostnqn);
		reenact_not_reached(re, step, NULL);
		return;
	}
	if (make_data(re, step, &data, &len, &why) != NVC_OK) {
		reenact_not_reached(re, step, why.text);
		return;
	}
	if (submit(re, step, nvc_slice_of(data, len), &why) == NVC_OK || !step->answered) {
		reenact_compare(re, step, step->text);
	} else {
		reenact_tell_end(re, step);
		reenact_not_reached(re, step, why.text);
	}
	free(data);
}

/* The host of the capture waited for RDY; so does this one. */
static void wait_for_ready(struct reenact *re, const struct nvc_script_step *answer,
	const struct nvc_script_step *command, uint64_t seen)
{
	struct nvc_queue *queue = reenact_live_conn(re, answer)->queue;
	struct nvc_completion done = {.answered = false};

	if (!is_fabrics(command, NVC_FCTYPE_PROPERTY_GET) ||
		nvc_get_le(command->sqe + 44, 4) != NVC_PROP_CSTS || !answer->has_cqe ||
		!(answer->cqe.result & NVC_CSTS_RDY) || (seen & NVC_CSTS_RDY))
		return;
	for (int i = 0; i < POLLS && !(done.cqe.result & NVC_CSTS_RDY); i++) {
		re->world.wait_until(re->world.self, nvc_env_now(&re->world.env) + NVC_MS(100));
		if (nvc_do_property_get(queue, NVC_PROP_CSTS, &done, NULL) != NVC_OK || done.status)
			return;
	}
}

/* A refusal that the observer alone cannot call wrong: it does not know that the queue's PSK is a generated one. */
static void judge_refusal(struct reenact *re, const struct nvc_script_step *answer,
	const struct nvc_script_step *command, const struct nvc_auth_received *received)
{
	const struct nvc_script_transaction *transaction;
	struct live_transaction *live = &re->transactions[command->transaction];

	if (live->judged || received->kind != NVC_RECEIVED_MESSAGE ||
		received->message != NVC_MSG_FAILURE1)
		return;
	live->judged = true;
	transaction = &re->script->transactions[command->transaction];
	if (received->failure.rcodeex == NVC_RCODEEX_CONCAT_MISMATCH && !transaction->bent &&
		!transaction->has_failure1 && transaction->sc_c == NVC_SC_C_REPLACETLSPSK &&
		re->script->conns[answer->conn].psk == NVC_PSK_OF &&
		re->script->conns[answer->conn].qid == 0)
		reenact_violates(re, answer, REQ_C_204,
			"REPLACETLSPSK on an admin queue over TLS under a generated PSK is taken",
			"AUTH_Failure1 with RCODEEX 03h, concatenation mismatch");
}

static enum nvc_result take_message(struct reenact *re, const struct nvc_script_step *answer,
	const struct nvc_script_step *command, char text[REENACT_TEXT], struct nvc_error *why)
{
	struct live_transaction *live = &re->transactions[command->transaction];
	struct nvc_auth_received received = {0};
	struct nvc_cqe cqe = {0};
	enum nvc_result result;
	bool said;

	live->auth.queue = reenact_live_conn(re, answer)->queue;
	live->auth.al = (uint32_t)nvc_get_le(command->sqe + OFFSET_LENGTH, 4);
	if (live->auth.al > NVC_QUEUE_MAX_DATA)
		live->auth.al = NVC_QUEUE_MAX_DATA;
	live->auth.timeout = re->timeout + re->gap;
	result = nvc_auth_finish_receive(
		&live->auth, re->commands[answer->command].tag, &received, why);
	if (result != NVC_OK)
		return result;
	reenact_received(re, command, &received);
	cqe.status_field = nvc_status_field(received.status, false);
	nvc_outline_answer(&re->outline, command->sqe, received.capsule_lost ? NULL : &cqe,
		received.raw, live->auth.t_id, text, REENACT_TEXT);
	if (received.r2 == NVC_R2_WRONG)
		snprintf(text + strlen(text), REENACT_TEXT - strlen(text), " with a wrong R2");
	said = nvc_observer_violations(re->observer, REQ_C_205) > 0;
	reenact_compare(re, answer, text);
	if (!said)
		judge_refusal(re, answer, command, &received);
	if (strstr(answer->text, "AUTH_Failure1") && received.kind == NVC_RECEIVED_MESSAGE &&
		received.message != NVC_MSG_FAILURE1)
		reenact_go_on(re, answer);
	return NVC_OK;
}

static void do_answer(struct reenact *re, const struct nvc_script_step *step)
{
	const struct nvc_script_step *command = &re->script->steps[step->command];
	struct live_command *live = &re->commands[step->command];
	struct nvc_completion done;
	struct nvc_error why = {0};
	char text[REENACT_TEXT];
	const bool receive = is_fabrics(command, NVC_FCTYPE_AUTH_RECEIVE) &&
			     command->transaction >= 0 &&
			     re->transactions[command->transaction].ready;
	enum nvc_result result;

	if (!live->sent || live->over) {
		reenact_not_reached(re, step, NULL);
		return;
	}
	live->over = true;
	if (receive) {
		result = take_message(re, step, command, text, &why);
	} else {
		result = nvc_queue_wait(reenact_live_conn(re, step)->queue, live->tag,
			re->timeout + re->gap, &done, &why);
		if (result == NVC_OK) {
			reenact_compare(re, step,
				nvc_outline_answer(&re->outline, command->sqe, &done.cqe, done.data,
					-1, text, sizeof(text)));
			reenact_send_answered(re, command, done.status);
			if (is_fabrics(command, NVC_FCTYPE_CONNECT))
				reenact_live_conn(re, step)->cntlid = (uint16_t)done.cqe.result;
			wait_for_ready(re, step, command, done.cqe.result);
		}
	}
	if (result == NVC_OK)
		return;
	re->counts.lost = re->counts.lost || strstr(step->text, "AUTH_Failure1");
	if (nvc_queue_info(reenact_live_conn(re, step)->queue)->end != NVC_END_OPEN) {
		reenact_compare(re, step, NULL);
		reenact_tell_end(re, step);
	} else {
		reenact_compare(re, step, why.text);
	}
}

/* ---- PDUs ---- */

static void do_r2t(struct reenact *re, const struct nvc_script_step *step)
{
	struct nvc_pdu pdu;

	if (nvc_queue_recv_pdu(reenact_live_conn(re, step)->queue, 0, &pdu, NULL) == NVC_OK &&
		pdu.ch.type == NVC_PDU_R2T) {
		re->commands[step->command].ttag = pdu.xfer.ttag;
		reenact_compare(re, step, step->text);
	} else {
		reenact_compare(re, step, "no R2T");
	}
}

static void do_pdu(struct reenact *re, const struct nvc_script_step *step)
{
	enum { OFFSET_TTAG = 10 };
	struct nvc_error why = {0};
	uint8_t *bytes = malloc(step->bytes.len ? step->bytes.len : 1);

	if (!bytes)
		return;
	memcpy(bytes, step->bytes.data, step->bytes.len);
	if (step->command >= 0 && step->bytes.len >= OFFSET_TTAG + 2 &&
		nvc_get_le(bytes + OFFSET_TTAG, 2) == step->ttag)
		nvc_put_le(bytes + OFFSET_TTAG, re->commands[step->command].ttag, 2);
	if (nvc_queue_send_raw(reenact_live_conn(re, step)->queue,
		    nvc_slice_of(bytes, step->bytes.len), &why) == NVC_OK)
		reenact_compare(re, step, step->text);
	else
		reenact_not_reached(re, step, why.text);
	free(bytes);
}

/* ---- all of them ---- */

/* What the host waited for seconds it waits for again; what came at once comes at once. */
static void keep_time(struct reenact *re, const struct nvc_script_step *step)
{
	re->gap = step->time > re->last_time ? step->time - re->last_time : 0;
	re->last_time = step->time > re->last_time ? step->time : re->last_time;
	if (!re->reference && re->gap > re->longest_wait) {
		reenact_note(re, step, "%llu s of waiting become %llu s (--longest-wait)",
			(unsigned long long)(re->gap / NVC_SEC(1)),
			(unsigned long long)(re->longest_wait / NVC_SEC(1)));
		re->gap = re->longest_wait;
	}
	if (nvc_script_of_host(step->kind) && re->gap >= NVC_SEC(1))
		re->world.wait_until(re->world.self, nvc_env_now(&re->world.env) + re->gap);
}

/* A connection begins whatever was before; it ends in any case; all else needs one on which things still happen. */
static bool can_be_done(const struct live_conn *live, enum nvc_script_kind kind)
{
	if (kind == NVC_SCRIPT_OPEN || kind == NVC_SCRIPT_NO_TLS)
		return true;
	if (!live->queue)
		return false;
	return kind == NVC_SCRIPT_HOST_END || kind == NVC_SCRIPT_CTRL_END || !live->unreached;
}

static void do_step(struct reenact *re, const struct nvc_script_step *step)
{
	static void (*const steps[])(struct reenact * re, const struct nvc_script_step *step) = {
		[NVC_SCRIPT_OPEN] = reenact_open,
		[NVC_SCRIPT_IC_REQ] = reenact_ic,
		[NVC_SCRIPT_COMMAND] = do_command,
		[NVC_SCRIPT_PDU] = do_pdu,
		[NVC_SCRIPT_KEY_UPDATE] = reenact_key_update,
		[NVC_SCRIPT_HOST_END] = reenact_host_end,
		[NVC_SCRIPT_IC_RESP] = reenact_ic_resp,
		[NVC_SCRIPT_ANSWER] = do_answer,
		[NVC_SCRIPT_R2T] = do_r2t,
		[NVC_SCRIPT_TERM] = reenact_term,
		[NVC_SCRIPT_CTRL_END] = reenact_ctrl_end,
		[NVC_SCRIPT_NO_TLS] = reenact_no_tls,
	};
	struct live_conn *live = reenact_live_conn(re, step);

	keep_time(re, step);
	re->current = step;
	if (can_be_done(live, step->kind))
		steps[step->kind](re, step);
	else
		reenact_not_reached(re, step, NULL);
}

void reenact_all(struct reenact *re)
{
	const struct nvc_script *script = re->script;

	re->last_time = script->num_steps ? script->steps[script->order[0]].time : 0;
	for (size_t i = 0; i < script->num_steps && re->fatal == NVC_OK; i++) {
		const struct nvc_script_step *step = &script->steps[script->order[i]];

		if (step->kind != NVC_SCRIPT_DROPPED)
			do_step(re, step);
	}
	for (size_t i = 0; i < script->num_conns && re->fatal == NVC_OK; i++)
		if (script->conns[i].unreadable)
			reenact_cannot(re, NULL, "connection %u: %s", script->conns[i].id,
				script->conns[i].unreadable);
}
