/* SPDX-License-Identifier: BSD-3-Clause */
#include "target/teardown.h"

#include <string.h>

/*
 * The columns. Every cell of the table is a rule, so that a defect can leave out exactly one step of one event;
 * ALWAYS is a step that no defect touches, an empty cell a step that the event does not have.
 */
enum step {
	PUBLISH,  /* the generated PSK becomes usable and that of the association */
	RETIRE,	  /* REPLACETLSPSK: the PSK which it replaces is not accepted any more */
	DROP_PSK, /* the generated PSK is thrown away */
	FORGET,	  /* C1, C2, Ks, x are wiped and freed: the transaction is over */
	KEEP_TLS, /* the queue goes on knowing that it is a TLS queue. Nothing to do: see below */
	OPEN,	  /* the queue is authenticated */
	SHUT,	  /* the queue is not authenticated any more, its commands are denied */
	ABORT,	  /* outstanding commands end with Operation Denied */
	CLOSE,	  /* the connection ends once what waits for the host is drained */
	STAY,	  /* the connection does not end */
	CLOSE_IO, /* on the admin queue: the I/O queues end */
	ASSOCIATION, /* on the admin queue: the association ends with all its queues */
	NUM_STEPS
};

#define ALWAYS	  ((uint16_t)NUM_RULES)
#define R(symbol) ((uint16_t)RULE_##symbol)

static const struct {
	const char *name;
	uint16_t cell[NUM_STEPS];
} table[NUM_TEARDOWN_EVENTS] = {
	[TD_SUCCESS1] = {"Success1 given", {[RETIRE] = R(SUCC1_RETIRE),
						   [PUBLISH] = R(SUCC1_PUBLISH),
						   [FORGET] = R(SUCC1_FORGET),
						   [KEEP_TLS] = R(SUCC1_KEEP_TLS),
						   [OPEN] = R(SUCC1_OPEN)}},
	[TD_SUCCESS2] = {"Success2 accepted", {[RETIRE] = R(SUCC2_RETIRE),
						      [PUBLISH] = R(SUCC2_PUBLISH),
						      [FORGET] = R(SUCC2_FORGET),
						      [KEEP_TLS] = R(SUCC2_KEEP_TLS),
						      [OPEN] = R(SUCC2_OPEN)}},
	[TD_FAILED] = {"authentication failed",
		{[DROP_PSK] = R(FAIL1_DROP_PSK), [SHUT] = R(FAIL1_SHUT), [ABORT] = R(FAIL1_ABORT)}},
	[TD_FAILURE1] = {"AUTH_Failure1 given", {[FORGET] = ALWAYS,
							[CLOSE] = R(FAIL1_CLOSE),
							[ASSOCIATION] = R(FAIL1_ASSOCIATION)}},
	[TD_FAILURE2] = {"AUTH_Failure2 received", {[DROP_PSK] = R(FAIL2_DROP_PSK),
							   [FORGET] = ALWAYS,
							   [SHUT] = ALWAYS,
							   [ABORT] = ALWAYS,
							   [CLOSE] = R(FAIL2_CLOSE),
							   [ASSOCIATION] = R(FAIL2_ASSOCIATION)}},
	[TD_INITIAL_TIMEOUT] = {"authentication not finished in time",
		{[DROP_PSK] = ALWAYS,
			[FORGET] = ALWAYS,
			[SHUT] = ALWAYS,
			[CLOSE] = R(TIMEOUT_CLOSE),
			[ASSOCIATION] = R(TIMEOUT_CLOSE)}},
	[TD_REAUTH_TIMEOUT] = {"re-authentication not finished in time",
		{[DROP_PSK] = ALWAYS,
			[FORGET] = R(REAUTH_TIMEOUT_DROP),
			[KEEP_TLS] = R(REAUTH_TIMEOUT_KEEP_TLS),
			[STAY] = R(REAUTH_TIMEOUT_STAY)}},
	[TD_DISCONNECT] = {"Disconnect",
		{[DROP_PSK] = ALWAYS, [FORGET] = ALWAYS, [CLOSE] = R(DISCONNECT_CLOSE)}},
	[TD_RESET] = {"controller reset", {[DROP_PSK] = ALWAYS,
						  [FORGET] = R(RESET_DROP),
						  [KEEP_TLS] = ALWAYS,
						  [STAY] = R(RESET_STAY),
						  [CLOSE_IO] = R(RESET_IO)}},
	[TD_SHUTDOWN] = {"controller shutdown", {[KEEP_TLS] = ALWAYS, [STAY] = ALWAYS}},
	[TD_FATAL] = {"fatal transport error",
		{[DROP_PSK] = ALWAYS, [FORGET] = ALWAYS, [ASSOCIATION] = R(LOSS_ASSOCIATION)}},
	[TD_LOST] = {"connection lost", {[DROP_PSK] = ALWAYS,
						[FORGET] = R(LOSS_FORGET),
						[CLOSE] = ALWAYS,
						[ASSOCIATION] = R(LOSS_ASSOCIATION)}},
	[TD_KATO] = {"KATO expired", {[DROP_PSK] = ALWAYS,
					     [FORGET] = ALWAYS,
					     [CLOSE] = R(KATO_ASSOCIATION),
					     [ASSOCIATION] = R(KATO_ASSOCIATION)}},
};

static void publish(struct conn *conn)
{
	struct transaction *tx = conn->tx_auth;
	struct controller *controller = conn->controller;

	if (!tx || !tx->psk)
		return;
	nvc_target_say(conn->target, "the generated PSK is usable from now on");
	if (tx->sc_c == NVC_SC_C_REPLACETLSPSK && controller)
		memcpy(controller->psk_identity, tx->psk->identity,
			sizeof(controller->psk_identity));
	nvc_psk_publish(conn->target, tx->psk);
	tx->psk = NULL;
}

static void retire(struct conn *conn)
{
	struct transaction *tx = conn->tx_auth;
	struct controller *controller = conn->controller;

	if (!tx || !tx->psk || tx->sc_c != NVC_SC_C_REPLACETLSPSK || !controller)
		return;
	if (strcmp(controller->psk_identity, tx->psk->identity) != 0)
		nvc_psk_retire(conn->target, controller->psk_identity);
}

static void drop_psk(struct conn *conn)
{
	if (!conn->tx_auth)
		return;
	nvc_psk_free(conn->tx_auth->psk);
	conn->tx_auth->psk = NULL;
}

static void forget(struct conn *conn)
{
	nvc_auth_free(conn->tx_auth);
	conn->tx_auth = NULL;
}

/* What happens to the values when FORGET is left out: the transaction goes on, or stays as memory nobody uses. */
static void forget_to_forget(struct conn *conn, enum teardown_event event)
{
	struct transaction *tx = conn->tx_auth;

	if (!tx || event == TD_REAUTH_TIMEOUT || event == TD_RESET)
		return;
	if (event == TD_LOST && HOW(conn->target, LOSS_FORGET) == HOW_LOCKOUT) {
		if (conn->auth == AUTH_WAIT_SUCC2)
			conn->target->locked_out = conn->controller->host;
		return;
	}
	nvc_auth_leave(conn->target, tx);
	conn->tx_auth = NULL;
}

static void shut(struct conn *conn)
{
	conn->denied = nvc_policy_open(conn);
	conn->authenticated = false;
}

static void close_io(struct conn *conn)
{
	if (!conn->controller || conn->qid != 0)
		return;
	for (struct conn *c = conn->target->conns; c; c = c->next)
		if (c != conn && c->controller == conn->controller)
			nvc_conn_close(c, NVC_END_FIN);
}

static void end_association(struct conn *conn)
{
	if (!conn->controller || conn->qid != 0 || conn->controller->ended ||
		conn->keeps_association)
		return;
	conn->controller->ended = true;
	nvc_target_say(conn->target, "the association ends");
	for (struct conn *c = conn->target->conns; c; c = c->next) {
		if (c == conn || c->controller != conn->controller)
			continue;
		nvc_command_abort_all(c, NVC_SC_OPERATION_DENIED);
		nvc_conn_close(c, NVC_END_FIN);
	}
}

static void do_step(struct conn *conn, enum step step)
{
	switch (step) {
	case PUBLISH:
		publish(conn);
		break;
	case RETIRE:
		retire(conn);
		break;
	case DROP_PSK:
		drop_psk(conn);
		break;
	case FORGET:
		forget(conn);
		break;
	case OPEN:
		conn->authenticated = true;
		break;
	case SHUT:
		shut(conn);
		break;
	case ABORT:
		nvc_command_abort_all(conn, NVC_SC_OPERATION_DENIED);
		break;
	case CLOSE:
		nvc_conn_close(conn, NVC_END_FIN);
		break;
	case CLOSE_IO:
		close_io(conn);
		break;
	case ASSOCIATION:
		end_association(conn);
		break;
	case KEEP_TLS: /* keeping is doing nothing; only the defects below do something */
	case STAY:
	case NUM_STEPS:
		break;
	}
}

/* Whether leaving the step out would leave anything different. */
static bool matters(const struct conn *conn, enum step step)
{
	switch (step) {
	case PUBLISH:
	case RETIRE:
	case DROP_PSK:
		return conn->tx_auth && conn->tx_auth->psk;
	case FORGET:
		return conn->tx_auth;
	case KEEP_TLS:
		return conn->knows_tls;
	case OPEN:
		return !conn->authenticated;
	default:
		return true;
	}
}

/* A step left out mostly means that nothing happens; where it means keeping something, that is lost. */
static void leave_out(struct conn *conn, enum step step, enum teardown_event event)
{
	switch (step) {
	case KEEP_TLS:
		conn->knows_tls = false;
		break;
	case FORGET:
		forget_to_forget(conn, event);
		break;
	case STAY:
		nvc_conn_close(conn, NVC_END_FIN);
		end_association(conn);
		break;
	case PUBLISH:
		if (HOW(conn->target, SUCC1_PUBLISH) == HOW_REPLACED && conn->tx_auth &&
			conn->tx_auth->sc_c != NVC_SC_C_REPLACETLSPSK)
			publish(conn);
		drop_psk(conn);
		break;
	case DROP_PSK:
		publish(conn);
		break;
	case ASSOCIATION:
		conn->keeps_association = true;
		break;
	default:
		break;
	}
}

static void drop_psk_of_association(struct conn *conn)
{
	if (conn->controller && *conn->controller->psk_identity)
		nvc_psk_retire(conn->target, conn->controller->psk_identity);
}

/* The newest connection but `conn`, as that whose descriptor is the number closed a moment ago. */
static struct conn *newest_other(const struct conn *conn)
{
	struct conn *other = conn->target->conns;

	while (other && (other == conn || other->want_end != NVC_END_OPEN))
		other = other->next;
	return other;
}

static void forget_another(struct conn *conn)
{
	for (struct conn *c = conn->target->conns; c; c = c->next) {
		if (c == conn || !c->tx_auth)
			continue;
		forget(c);
		c->auth = c->authenticated ? AUTH_DONE : AUTH_IDLE;
		return;
	}
}

/*
 * What a step that has been done hits when it is done once more: what is freed twice by then belongs to somebody else. Steps that are
 * not here set a flag or empty a list, which makes no difference the second time.
 */
static void do_again(struct conn *conn, enum step step)
{
	struct conn *other;

	switch (step) {
	case PUBLISH:
		nvc_psk_publish_twin(conn->target);
		break;
	case RETIRE:
		nvc_psk_retire_another(conn->target, conn->controller->hostnqn);
		break;
	case DROP_PSK:
		drop_psk_of_association(conn);
		break;
	case FORGET:
		forget_another(conn);
		break;
	case CLOSE:
		other = newest_other(conn);
		if (other)
			nvc_conn_close(other, NVC_END_FIN);
		break;
	default:
		break;
	}
}

const char *nvc_teardown_event_name(enum teardown_event event)
{
	return (unsigned int)event < NUM_TEARDOWN_EVENTS ? table[event].name : "unknown";
}

void nvc_teardown(struct conn *conn, enum teardown_event event)
{
	const struct rules *rules = &conn->target->rules;

	/* Retiring comes before publishing: both look at the PSK of the association. */
	static const enum step order[NUM_STEPS] = {RETIRE, PUBLISH, DROP_PSK, SHUT, FORGET,
		KEEP_TLS, OPEN, ABORT, CLOSE, STAY, CLOSE_IO, ASSOCIATION};

	if (event == TD_FAILURE2 && nvc_rule_how(rules, RULE_FAIL2_CLOSE) == HOW_IGNORED)
		return;
	nvc_target_say(conn->target, "queue %u: %s", (unsigned int)conn->qid, table[event].name);
	for (size_t i = 0; i < NUM_STEPS; i++) {
		uint16_t cell = table[event].cell[order[i]];
		enum how how = HOW_KEPT;

		if (cell == RULE_NONE)
			continue;
		if (cell != ALWAYS && matters(conn, order[i]))
			how = nvc_rule_how(rules, (enum rule)cell);
		if (how == HOW_KEPT || how == HOW_TWICE)
			do_step(conn, order[i]);
		else
			leave_out(conn, order[i], event);
		if (how == HOW_TWICE)
			do_again(conn, order[i]);
	}
}
