/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The authentication of a queue as a state machine (Base 2.2, 8.3.4.4; docs/protocol.md 4.2). What is illegal is in the
 * table too. The checks of the messages are in auth_negotiate.c and auth_reply.c, what ends with a transaction is
 * in teardown.c.
 */
#include "target/teardown.h"

#include <stdlib.h>
#include <string.h>

enum action {
	A_NEGOTIATE,
	A_REPLY,
	A_SUCCESS2,
	A_FAILURE2,
	A_CHALLENGE, /* gives it */
	A_SUCCESS1,  /* gives it */
	A_FAILURE1,  /* gives it */
	A_REFUSE,    /* AUTH_Failure1 07h: incorrect protocol message */
	A_SEQUENCE,  /* status Command Sequence Error, nothing changes */
	A_IGNORE,    /* success, nothing changes: AUTH_Failure1 is ready already */
};

static const struct {
	const char *name;
	struct {
		enum action action;
		enum rule rule; /* of a refusal; broken, the message is ignored */
	} on[EV_RECEIVE + 1];
} machine[NUM_AUTH_STATES] = {
	[AUTH_IDLE] = {"idle", {[EV_NEGOTIATE] = {A_NEGOTIATE, RULE_NONE},
				       [EV_REPLY] = {A_REFUSE, RULE_EARLY_REPLY},
				       [EV_SUCCESS2] = {A_REFUSE, RULE_EARLY_SUCCESS2},
				       [EV_FAILURE2] = {A_FAILURE2, RULE_NONE},
				       [EV_FOREIGN] = {A_REFUSE, RULE_FOREIGN_MESSAGE},
				       [EV_RECEIVE] = {A_REFUSE, RULE_RECEIVE_FIRST}}},
	[AUTH_CHAL_READY] = {"Challenge ready",
		{[EV_NEGOTIATE] = {A_REFUSE, RULE_NEGOTIATE_TWICE},
			[EV_REPLY] = {A_REFUSE, RULE_EARLY_REPLY},
			[EV_SUCCESS2] = {A_REFUSE, RULE_EARLY_SUCCESS2},
			[EV_FAILURE2] = {A_FAILURE2, RULE_NONE},
			[EV_FOREIGN] = {A_REFUSE, RULE_FOREIGN_MESSAGE},
			[EV_RECEIVE] = {A_CHALLENGE, RULE_NONE}}},
	[AUTH_WAIT_REPLY] = {"waiting for Reply",
		{[EV_NEGOTIATE] = {A_REFUSE, RULE_NEGOTIATE_TWICE},
			[EV_REPLY] = {A_REPLY, RULE_NONE},
			[EV_SUCCESS2] = {A_REFUSE, RULE_EARLY_SUCCESS2},
			[EV_FAILURE2] = {A_FAILURE2, RULE_NONE},
			[EV_FOREIGN] = {A_REFUSE, RULE_FOREIGN_MESSAGE},
			[EV_RECEIVE] = {A_REFUSE, RULE_CHAL_ONCE}}},
	[AUTH_SUCC1_READY] = {"Success1 ready",
		{[EV_NEGOTIATE] = {A_REFUSE, RULE_NEGOTIATE_TWICE},
			[EV_REPLY] = {A_REFUSE, RULE_REPLY_TWICE},
			[EV_SUCCESS2] = {A_REFUSE, RULE_EARLY_SUCCESS2},
			[EV_FAILURE2] = {A_FAILURE2, RULE_NONE},
			[EV_FOREIGN] = {A_REFUSE, RULE_FOREIGN_MESSAGE},
			[EV_RECEIVE] = {A_SUCCESS1, RULE_NONE}}},
	[AUTH_WAIT_SUCC2] = {"waiting for Success2",
		{[EV_NEGOTIATE] = {A_REFUSE, RULE_NEGOTIATE_TWICE},
			[EV_REPLY] = {A_REFUSE, RULE_REPLY_TWICE},
			[EV_SUCCESS2] = {A_SUCCESS2, RULE_NONE},
			[EV_FAILURE2] = {A_FAILURE2, RULE_NONE},
			[EV_FOREIGN] = {A_REFUSE, RULE_FOREIGN_MESSAGE},
			[EV_RECEIVE] = {A_REFUSE, RULE_CHAL_ONCE}}},
	[AUTH_FAIL] = {"AUTH_Failure1 ready", {[EV_NEGOTIATE] = {A_IGNORE, RULE_NEGOTIATE_TWICE},
						      [EV_REPLY] = {A_IGNORE, RULE_NONE},
						      [EV_SUCCESS2] = {A_IGNORE, RULE_NONE},
						      [EV_FAILURE2] = {A_FAILURE2, RULE_NONE},
						      [EV_FOREIGN] = {A_IGNORE, RULE_NONE},
						      [EV_RECEIVE] = {A_FAILURE1, RULE_NONE}}},
	[AUTH_DONE] = {"between transactions",
		{[EV_NEGOTIATE] = {A_NEGOTIATE, RULE_NONE},
			[EV_REPLY] = {A_SEQUENCE, RULE_LATE_MESSAGE},
			[EV_SUCCESS2] = {A_SEQUENCE, RULE_STRAY_SUCCESS2},
			[EV_FAILURE2] = {A_FAILURE2, RULE_NONE},
			[EV_FOREIGN] = {A_REFUSE, RULE_FOREIGN_MESSAGE},
			[EV_RECEIVE] = {A_SEQUENCE, RULE_RECEIVE_AFTERWARDS}}},
};

const char *nvc_auth_state_name(enum auth_state state)
{
	return (unsigned int)state < NUM_AUTH_STATES ? machine[state].name : "unknown";
}

bool nvc_auth_illegal(enum auth_state state, enum auth_event event)
{
	enum action action = machine[state].on[event].action;

	return action == A_REFUSE || action == A_SEQUENCE || action == A_IGNORE;
}

void nvc_auth_free(struct transaction *tx)
{
	if (!tx)
		return;
	nvc_dh_key_free(tx->dh);
	nvc_psk_free(tx->psk);
	nvc_secret_wipe(&tx->kh);
	nvc_secret_wipe(&tx->kc);
	nvc_secret_wipe(&tx->c1);
	nvc_secret_wipe(&tx->c2);
	nvc_secret_wipe(&tx->ks);
	nvc_secret_wipe(&tx->psk_key);
	nvc_secret_wipe(&tx->r2);
	free(tx);
}

void nvc_auth_leave(struct nvc_target *target, struct transaction *tx)
{
	if (!tx)
		return;
	tx->next = target->forgotten;
	target->forgotten = tx;
}

/* ---- time ---- */

void nvc_auth_start_timer(struct conn *conn)
{
	const struct nvc_target *target = conn->target;
	uint64_t wait = conn->controller ? conn->controller->kato : 0;

	if (wait > INT32_MAX / 1000 && HOW(target, TIMER_KATO) == HOW_OVERFLOWED) {
		conn->auth_deadline = nvc_env_now(&target->env);
		return;
	}
	if (!wait)
		wait = DEFAULT_TIMEOUT_MS;
	if (conn->auth == AUTH_IDLE && target->limits.auth_start_wait)
		wait = target->limits.auth_start_wait;
	if (HOW(target, TIMER_KATO) == HOW_EARLY)
		wait /= 2;
	conn->auth_deadline = nvc_env_now(&target->env) + NVC_MS(wait);
}

void nvc_auth_timeout(struct conn *conn)
{
	conn->auth_deadline = NVC_NEVER;
	if (HOW(conn->target, TIMER_KATO) == HOW_BROKEN)
		return;
	nvc_target_say(conn->target, "authentication timer expired while %s",
		nvc_auth_state_name(conn->auth));
	if (!nvc_policy_open(conn)) {
		nvc_teardown(conn, TD_INITIAL_TIMEOUT);
		return;
	}
	nvc_teardown(conn, TD_REAUTH_TIMEOUT);
	if (!conn->tx_auth)
		conn->auth = AUTH_DONE;
}

/* ---- failure ---- */

static void fail(struct conn *conn, uint16_t t_id, uint8_t rcodeex)
{
	struct nvc_target *target = conn->target;
	struct transaction *tx = conn->tx_auth;

	nvc_target_say(target, "authentication refused with RCODEEX %02xh (%s)",
		(unsigned int)rcodeex,
		nvc_name_of(nvc_rcodeex_names, rcodeex) ? nvc_name_of(nvc_rcodeex_names, rcodeex)
							: "?");
	if (!tx) {
		tx = calloc(1, sizeof(*tx));
		if (!tx) {
			nvc_conn_close(conn, NVC_END_RST);
			return;
		}
		tx->t_id = t_id;
		tx->initial = !nvc_policy_open(conn);
		conn->tx_auth = tx;
	}
	tx->rcodeex = rcodeex;
	nvc_teardown(conn, TD_FAILED);
	conn->auth = AUTH_FAIL;
	nvc_auth_start_timer(conn);
	if (!KEPT(target, FAIL1_READABLE))
		nvc_teardown(conn, TD_FAILURE1);
}

/* ---- messages of the host ---- */

static enum auth_event event_of(const struct nvc_target *target, uint16_t message)
{
	switch (message) {
	case NVC_MSG_NEGOTIATE:
		return EV_NEGOTIATE;
	case NVC_MSG_REPLY:
		return EV_REPLY;
	case NVC_MSG_SUCCESS2:
		return EV_SUCCESS2;
	case NVC_MSG_FAILURE2:
		return EV_FAILURE2;
	default:
		if (message >> 8 == NVC_AUTH_COMMON && HOW(target, FOREIGN_MESSAGE) == HOW_CONFUSED)
			return EV_NEGOTIATE;
		return EV_FOREIGN;
	}
}

static void negotiate(struct conn *conn, uint16_t t_id, struct nvc_slice message)
{
	struct transaction *tx = calloc(1, sizeof(*tx));
	uint8_t rcodeex;

	if (!tx) {
		nvc_conn_close(conn, NVC_END_RST);
		return;
	}
	tx->t_id = t_id;
	tx->initial = !nvc_policy_open(conn);
	nvc_auth_free(conn->tx_auth);
	conn->tx_auth = tx;
	conn->auth = AUTH_CHAL_READY;
	nvc_auth_start_timer(conn);
	rcodeex = nvc_auth_negotiate(conn, tx, message);
	if (rcodeex)
		fail(conn, t_id, rcodeex);
}

static void reply(struct conn *conn, uint16_t t_id, struct nvc_slice message)
{
	struct nvc_target *target = conn->target;
	uint8_t rcodeex = 0;

	if (t_id != conn->tx_auth->t_id && KEPT(target, REPLY_T_ID))
		rcodeex = NVC_RCODEEX_MESSAGE;
	if (!rcodeex)
		rcodeex = nvc_auth_reply(conn, conn->tx_auth, message);
	if (rcodeex) {
		fail(conn, t_id, rcodeex);
		return;
	}
	conn->auth = AUTH_SUCC1_READY;
	if (conn->tx_auth->psk && !KEPT(target, PSK_TIME)) {
		nvc_psk_publish(target, conn->tx_auth->psk);
		conn->tx_auth->psk = NULL;
	}
}

static void finish(struct conn *conn, enum teardown_event event)
{
	conn->was_two_way = conn->tx_auth->two_way;
	conn->target->num_authenticated++;
	nvc_teardown(conn, event);
	conn->auth = AUTH_DONE;
	conn->auth_deadline = NVC_NEVER;
}

static void success2(struct conn *conn, uint16_t t_id)
{
	if (t_id != conn->tx_auth->t_id && KEPT(conn->target, SUCC2_T_ID))
		fail(conn, t_id, NVC_RCODEEX_MESSAGE);
	else
		finish(conn, TD_SUCCESS2);
}

static void failure2(struct conn *conn)
{
	nvc_teardown(conn, TD_FAILURE2);
	if (conn->phase != CONN_OVER && !conn->tx_auth)
		conn->auth = AUTH_DONE;
}

/* Does `action` for a message of the host and returns the status of its Authentication Send. */
static uint16_t act_on_send(
	struct conn *conn, enum action action, uint16_t t_id, struct nvc_slice message)
{
	const struct nvc_target *target = conn->target;

	switch (action) {
	case A_NEGOTIATE:
		if (conn->auth == AUTH_DONE && conn->authenticated && !KEPT(target, REAUTH))
			return NVC_SC_COMMAND_SEQUENCE;
		negotiate(conn, t_id, message);
		break;
	case A_REPLY:
		reply(conn, t_id, message);
		break;
	case A_SUCCESS2:
		success2(conn, t_id);
		break;
	case A_FAILURE2:
		failure2(conn);
		break;
	case A_REFUSE:
		fail(conn, t_id, NVC_RCODEEX_MESSAGE);
		break;
	case A_SEQUENCE:
		return NVC_SC_COMMAND_SEQUENCE;
	default:
		break;
	}
	if (conn->auth == AUTH_FAIL)
		return (uint16_t)FIELD(target, AUTH_SEND_STATUS, NVC_SC_SUCCESS);
	return NVC_SC_SUCCESS;
}

/* The fields of an Authentication command that are alike in both directions; 0 when in order. */
static uint16_t check_command(const struct nvc_target *target, const struct nvc_cmd_auth *cmd)
{
	if (cmd->secp != NVC_SECP && KEPT(target, AUTH_SECP))
		return NVC_SC_INVALID_FIELD;
	if ((cmd->spsp0 != NVC_SPSP0 || cmd->spsp1 != NVC_SPSP1) && KEPT(target, AUTH_SPSP))
		return NVC_SC_INVALID_FIELD;
	if (cmd->length == 0 && KEPT(target, AUTH_TL_ZERO))
		return NVC_SC_INVALID_FIELD;
	return 0;
}

/* The outcome of a command whose fields are wrong, or that came too late (status 0). */
static struct outcome refuse_command(struct conn *conn, uint16_t status)
{
	if (status && conn->tx_auth && !KEPT(conn->target, AUTH_FIELDS_HARMLESS))
		fail(conn, conn->tx_auth->t_id, NVC_RCODEEX_FAILED);
	return (struct outcome){.status = status ? status : NVC_SC_OPERATION_DENIED};
}

struct outcome nvc_exec_auth_send(const struct request *req)
{
	struct conn *conn = req->conn;
	struct nvc_target *target = conn->target;
	struct nvc_cmd_auth cmd;
	enum auth_event event;
	enum action action;
	uint16_t message = 0, t_id = 0, status;

	if (nvc_decode(&nvc_cmd_auth_send_layout, req->sqe, &cmd, NULL, NULL) != NVC_OK)
		return (struct outcome){.status = NVC_SC_INTERNAL};
	status = check_command(target, &cmd);
	if (!status && cmd.length > MAX_AUTH_SEND)
		status = NVC_SC_DATA_SGL_LENGTH;
	if (status || conn->phase == CONN_OVER)
		return refuse_command(conn, status);
	if (!nvc_auth_peek(req->data, &message, &t_id)) {
		if (conn->auth != AUTH_FAIL)
			fail(conn, conn->tx_auth ? conn->tx_auth->t_id : 0, NVC_RCODEEX_PAYLOAD);
		return (struct outcome){0};
	}
	event = event_of(target, message);
	action = machine[conn->auth].on[event].action;
	if (!nvc_rule_kept(&target->rules, machine[conn->auth].on[event].rule)) {
		action = A_IGNORE;
		if (HOW(target, NEGOTIATE_TWICE) == HOW_RESTART && event == EV_NEGOTIATE)
			action = A_NEGOTIATE;
	}
	if (action == A_REFUSE)
		nvc_target_say(target, "unexpected message %04xh while %s", (unsigned int)message,
			nvc_auth_state_name(conn->auth));
	return (struct outcome){.status = act_on_send(conn, action, t_id, req->data)};
}

/* ---- messages for the host ---- */

static enum nvc_result build_challenge(
	const struct conn *conn, const struct transaction *tx, struct nvc_writer *writer)
{
	const struct nvc_target *target = conn->target;
	static const uint8_t zeros[NVC_MAX_DH_LEN];
	uint8_t one[NVC_MAX_DH_LEN] = {0};
	struct nvc_challenge msg = {.t_id = (uint16_t)FIELD(target, CHAL_T_ID, tx->t_id),
		.hl = (uint8_t)FIELD(target, CHAL_HL, tx->hl),
		.hash_id = (uint8_t)FIELD(target, CHAL_HASH, tx->hash_id),
		.dhgid = (uint8_t)FIELD(target, CHAL_DHGID, tx->dhgid),
		.seqnum = (uint32_t)FIELD(target, CHAL_S1, tx->s1),
		.cval = nvc_secret_slice(&tx->c1)};
	enum nvc_result result;
	size_t start = writer->len;

	if (tx->dh)
		msg.dhval = nvc_dh_key_public(tx->dh);
	if (tx->dh && !KEPT(target, CHAL_DHVAL)) {
		one[msg.dhval.len - 1] = 1;
		msg.dhval.data = one;
	}
	while (msg.dhval.len && msg.dhval.data[0] == 0 && !KEPT(target, CHAL_DHVAL_PAD))
		msg.dhval = nvc_slice_sub(msg.dhval, 1, msg.dhval.len);
	if (!tx->dh && HOW(target, CHAL_DHVLEN) == HOW_NULL_GROUP)
		msg.dhval = nvc_slice_of(zeros, 256);
	msg.dhvlen = (uint16_t)msg.dhval.len;
	result = nvc_encode(&nvc_challenge_layout, &msg, NULL, writer);
	if (HOW(target, CHAL_DHVLEN) == HOW_BROKEN)
		nvc_put_le(writer->data + start + 10, (uint16_t)(msg.dhvlen + 4u), 2);
	if (!KEPT(target, CHAL_RESERVED))
		writer->data[start + 2] = 1;
	return result;
}

static enum nvc_result build_success1(
	const struct conn *conn, const struct transaction *tx, struct nvc_writer *writer)
{
	const struct nvc_target *target = conn->target;
	struct nvc_secret r2 = tx->r2;
	struct nvc_success1 msg = {.t_id = (uint16_t)FIELD(target, SUCC1_T_ID, tx->t_id),
		.hl = tx->hl,
		.rvalid = tx->two_way};
	enum nvc_result result;
	size_t start = writer->len;

	if (tx->two_way && !KEPT(target, SUCC1_OMIT_R2)) {
		msg.rvalid = 0;
		memset(r2.data, 0, sizeof(r2.data));
	}
	if (tx->two_way)
		r2.data[0] = (uint8_t)FIELD(target, R2_VALUE, r2.data[0]);
	r2.len = tx->hl;
	if (!tx->two_way && !KEPT(target, SUCC1_LENGTH))
		r2.len = 0;
	msg.rval = nvc_secret_slice(&r2);
	result = nvc_encode(&nvc_success1_layout, &msg, NULL, writer);
	nvc_secret_wipe(&r2);
	writer->data[start + 6] = (uint8_t)FIELD(target, SUCC1_HL, tx->hl);
	return result;
}

static enum nvc_result build_failure1(
	const struct conn *conn, const struct transaction *tx, struct nvc_writer *writer)
{
	const struct nvc_target *target = conn->target;
	struct nvc_failure msg = {.t_id = (uint16_t)FIELD(target, FAIL1_T_ID, tx->t_id),
		.rcode = (uint8_t)FIELD(target, FAIL1_RCODE, NVC_RCODE_FAILURE),
		.rcodeex = (uint8_t)FIELD(target, FAIL1_RCODEEX, tx->rcodeex)};

	return nvc_encode(&nvc_failure1_layout, &msg, NULL, writer);
}

/* Sends `message` to the host in answer to `req`; 0, or the status of a buffer that is too small for it. */
static uint16_t deliver(const struct request *req, uint32_t al, struct nvc_slice message)
{
	struct conn *conn = req->conn;
	const struct nvc_target *target = conn->target;
	uint8_t buffer[NVC_AUTH_RECEIVE_LEN] = {0};

	if (al < message.len) {
		switch (HOW(target, AUTH_AL)) {
		case HOW_KEPT:
			return NVC_SC_INVALID_FIELD;
		case HOW_OFF_BY_HEADER:
			if (al + 16u < message.len)
				return NVC_SC_INVALID_FIELD;
			message = nvc_slice_sub(message, 0, al);
			break;
		case HOW_EMPTY:
			message = nvc_slice_of(buffer, al);
			break;
		default:
			break;
		}
	} else if (!KEPT(target, AUTH_TAIL)) {
		size_t len = al < sizeof(buffer) ? al : sizeof(buffer);

		memset(buffer, 0xa5, sizeof(buffer)); /* stands for whatever lay there */
		memcpy(buffer, message.data, message.len);
		message = nvc_slice_of(buffer, len);
	}
	nvc_command_return(conn, &req->head, message);
	return 0;
}

static struct outcome give(const struct request *req, uint32_t al, enum action action)
{
	struct conn *conn = req->conn;
	uint8_t buffer[NVC_MAX_AUTH_MESSAGE] = {0};
	struct nvc_writer writer = nvc_writer_over(buffer, sizeof(buffer));
	enum nvc_result result = NVC_OK;
	uint16_t status;

	if (action == A_CHALLENGE)
		result = build_challenge(conn, conn->tx_auth, &writer);
	else if (action == A_SUCCESS1)
		result = build_success1(conn, conn->tx_auth, &writer);
	else
		result = build_failure1(conn, conn->tx_auth, &writer);
	if (result != NVC_OK)
		return (struct outcome){.status = NVC_SC_INTERNAL};
	status = deliver(req, al, nvc_writer_slice(&writer));
	if (status)
		return (struct outcome){.status = status};
	if (action == A_CHALLENGE) {
		conn->auth = AUTH_WAIT_REPLY;
	} else if (action == A_FAILURE1) {
		conn->target->num_failed++;
		nvc_teardown(conn, TD_FAILURE1);
		conn->auth = AUTH_DONE;
		conn->auth_deadline = NVC_NEVER;
	} else if (conn->tx_auth->two_way) {
		conn->auth = AUTH_WAIT_SUCC2;
		if (!KEPT(conn->target, SUCC2_NEEDED))
			conn->authenticated = true;
	} else {
		finish(conn, TD_SUCCESS1);
	}
	return (struct outcome){.done = true};
}

struct outcome nvc_exec_auth_receive(const struct request *req)
{
	struct conn *conn = req->conn;
	struct nvc_target *target = conn->target;
	struct nvc_cmd_auth cmd;
	enum action action = machine[conn->auth].on[EV_RECEIVE].action;
	uint16_t status;

	if (nvc_decode(&nvc_cmd_auth_receive_layout, req->sqe, &cmd, NULL, NULL) != NVC_OK)
		return (struct outcome){.status = NVC_SC_INTERNAL};
	status = check_command(target, &cmd);
	if (status || conn->phase == CONN_OVER)
		return refuse_command(conn, status);
	if (!nvc_rule_kept(&target->rules, machine[conn->auth].on[EV_RECEIVE].rule))
		return (struct outcome){0};
	if (action == A_SEQUENCE)
		return (struct outcome){.status = NVC_SC_COMMAND_SEQUENCE};
	if (action == A_REFUSE) {
		nvc_target_say(target, "unexpected Authentication Receive while %s",
			nvc_auth_state_name(conn->auth));
		fail(conn, 0, NVC_RCODEEX_MESSAGE);
		action = A_FAILURE1;
		if (!conn->tx_auth)
			return (struct outcome){.status = NVC_SC_INTERNAL};
	}
	return give(req, cmd.length, action);
}
