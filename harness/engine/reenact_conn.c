/* SPDX-License-Identifier: BSD-3-Clause */
/* The connections of a script on another target: how they begin and how they end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/engine/reenact_state.h"

struct live_conn *reenact_live_conn(struct reenact *re, const struct nvc_script_step *step)
{
	return &re->conns[step->conn];
}

const struct nvc_script_conn *reenact_conn_of(
	const struct reenact *re, const struct nvc_script_step *step)
{
	return &re->script->conns[step->conn];
}

size_t reenact_index_of(const struct reenact *re, const struct nvc_script_step *step)
{
	return (size_t)(step - re->script->steps);
}

/* How long a controller may take to end a connection, beyond what it took in the capture; see test_end_bound. */
static uint64_t end_bound(const struct reenact *re)
{
	return re->gap + (re->reference ? NVC_SEC(35) : NVC_SEC(8));
}

/* Takes what still comes until the connection ends. */
static enum nvc_end await_end(struct reenact *re, struct nvc_queue *queue)
{
	enum { MOST = 1000 };
	const uint64_t until = nvc_env_now(&re->world.env) + end_bound(re);
	struct nvc_pdu pdu;

	for (int i = 0; i < MOST && nvc_queue_info(queue)->end == NVC_END_OPEN; i++) {
		const uint64_t now = nvc_env_now(&re->world.env);

		if (now >= until || nvc_queue_recv_pdu(queue, until - now, &pdu, NULL) != NVC_OK)
			break;
	}
	return nvc_queue_info(queue)->end;
}

/* Tells, once, that the new target ended a connection. */
void reenact_tell_end(struct reenact *re, const struct nvc_script_step *step)
{
	struct live_conn *live = reenact_live_conn(re, step);
	enum nvc_end end = live->queue ? nvc_queue_info(live->queue)->end : NVC_END_OPEN;
	char text[64];

	if (live->told_end || end == NVC_END_OPEN)
		return;
	live->told_end = live->unreached = true;
	snprintf(text, sizeof(text), "(controller ends: %s)", nvc_end_name(end));
	reenact_line(re, "new", step, false, text);
}

/* What was in the capture and could not be done here. */
void reenact_not_reached(struct reenact *re, const struct nvc_script_step *step, const char *why)
{
	reenact_compare(re, step, NULL);
	if (why && nvc_script_of_host(step->kind) && !reenact_live_conn(re, step)->unreached)
		reenact_note(re, step, "not done here: %s", why);
}

/* ---- connections ---- */

static enum nvc_port_kind port_of(
	const struct reenact *re, const struct nvc_script_conn *conn, const struct nvc_host *host)
{
	const char *const ports[NVC_NUM_PORT_KINDS] = {
		[NVC_PORT_MAIN] = re->profile->port_concat,
		[NVC_PORT_PLAIN_ONLY] = re->profile->port_plain,
		[NVC_PORT_TLS_ONLY] = re->profile->port_tls,
	};

	for (int kind = 0; kind < NVC_NUM_PORT_KINDS; kind++)
		if (host->addresses[kind].port && strtoul(ports[kind], NULL, 10) == conn->port)
			return (enum nvc_port_kind)kind;
	if (!host->addresses[NVC_PORT_MAIN].port && host->addresses[NVC_PORT_TLS_ONLY].port)
		return NVC_PORT_TLS_ONLY;
	return NVC_PORT_MAIN;
}

static void compare_open(
	struct reenact *re, const struct nvc_script_step *step, const char *failure)
{
	const struct nvc_script_conn *conn = reenact_conn_of(re, step);
	struct live_conn *live = reenact_live_conn(re, step);
	enum req_id req;

	if (conn->no_tls || live->opened == NVC_OK) {
		reenact_compare(re, step, step->text);
		return;
	}
	reenact_compare(re, step, failure);
	live->unreached = true;
	req = reenact_psk_requirement(re, conn, true);
	if (req != REQ_NONE && live->opened != NVC_E_TIMEOUT)
		reenact_violates(re, step, req, "the TLS handshake completes", failure);
}

void reenact_open(struct reenact *re, const struct nvc_script_step *step)
{
	static const struct nvc_tls_options no_psk;
	const struct nvc_script_conn *conn = reenact_conn_of(re, step);
	struct live_conn *live = reenact_live_conn(re, step);
	struct nvc_tls_psk psk = {.hash_id = 0};
	struct nvc_queue_options options = {.label = "re-enacted"};
	struct nvc_error why = {0};
	bool have_psk = true;

	if (conn->tls)
		have_psk = reenact_psk(re, conn, &psk, &why);
	options.port = port_of(re, conn, &live->actor->host);
	if (psk.identity[0])
		options.tls = &psk;
	else if (conn->tls)
		options.tls_options = &no_psk;
	if (!have_psk) {
		if (conn->psk == NVC_PSK_CONFIGURED)
			reenact_cannot(re, step, "%s", why.text);
		reenact_not_reached(re, step, why.text);
		live->unreached = true;
		return;
	}
	re->opening = step->conn;
	live->opened = nvc_queue_open(&live->actor->host, &options, &live->queue, &why);
	nvc_secret_wipe(&psk.psk);
	if (live->opened != NVC_OK && live->opened != NVC_E_TLS && !re->counts.same &&
		!re->counts.now) {
		re->fatal = nvc_fail(re->err, live->opened, "%s", why.text);
		return;
	}
	compare_open(re, step, why.text);
}

void reenact_no_tls(struct reenact *re, const struct nvc_script_step *step)
{
	static const char completes[] = "(the TLS handshake completes)";
	struct live_conn *live = reenact_live_conn(re, step);
	enum req_id req = reenact_psk_requirement(re, reenact_conn_of(re, step), false);

	if (live->unreached) {
		reenact_not_reached(re, step, NULL);
		return;
	}
	reenact_compare(re, step, live->opened == NVC_OK ? completes : step->text);
	if (live->opened == NVC_OK && req != REQ_NONE)
		reenact_violates(re, step, req, "the TLS handshake does not complete", completes);
	nvc_queue_free(live->queue);
	live->queue = NULL;
}

void reenact_ic(struct reenact *re, const struct nvc_script_step *step)
{
	struct live_conn *live = reenact_live_conn(re, step);
	const struct nvc_queue_options options = {.ic = &step->ic};

	reenact_compare(re, step, step->text);
	(void)nvc_queue_ic(live->queue, &options, NULL);
}

void reenact_ic_resp(struct reenact *re, const struct nvc_script_step *step)
{
	const struct nvc_queue_info *info = nvc_queue_info(reenact_live_conn(re, step)->queue);
	char text[REENACT_TEXT];

	reenact_compare(re, step,
		info->initialised     ? nvc_outline_ic_resp(&info->icresp, text, sizeof(text))
		: info->term_received ? nvc_outline_term(&info->term, text, sizeof(text))
				      : NULL);
	reenact_tell_end(re, step);
}

/* The host's; the controller's follows from it, as both directions are asked for. */
void reenact_key_update(struct reenact *re, const struct nvc_script_step *step)
{
	struct nvc_stream *tls = nvc_queue_tls_stream(reenact_live_conn(re, step)->queue);

	if (tls && nvc_tls_key_update(tls) == NVC_OK)
		reenact_compare(re, step, step->text);
	else
		reenact_not_reached(re, step, "there is no TLS on which keys could be updated");
}

/* What the capture shows unanswered may be answered here. */
static void look_for_answers(struct reenact *re, const struct nvc_script_step *step)
{
	struct live_conn *live = reenact_live_conn(re, step);
	struct nvc_completion done;
	char text[REENACT_TEXT];

	for (size_t i = 0; live->queue && i < reenact_index_of(re, step); i++) {
		const struct nvc_script_step *command = &re->script->steps[i];

		if (command->conn != step->conn || command->kind != NVC_SCRIPT_COMMAND ||
			command->answered || !re->commands[i].sent || re->commands[i].over)
			continue;
		re->commands[i].over = true;
		if (nvc_queue_wait(live->queue, re->commands[i].tag, NVC_MS(200), &done, NULL) ==
			NVC_OK)
			reenact_line(re, "new", step, false,
				nvc_outline_answer(&re->outline, command->sqe, &done.cqe, done.data,
					-1, text, sizeof(text)));
	}
}

void reenact_host_end(struct reenact *re, const struct nvc_script_step *step)
{
	struct live_conn *live = reenact_live_conn(re, step);
	const bool reset = strstr(step->text, "RST") != NULL;
	enum nvc_end end;

	look_for_answers(re, step);
	reenact_tell_end(re, step);
	reenact_compare(re, step, step->text);
	nvc_queue_close(live->queue, reset ? NVC_END_RST : NVC_END_FIN);
	if (!reset)
		(void)nvc_queue_await_end(live->queue, NVC_SEC(1), &end, NULL);
}

void reenact_ctrl_end(struct reenact *re, const struct nvc_script_step *step)
{
	struct live_conn *live = reenact_live_conn(re, step);
	const enum nvc_end end = await_end(re, live->queue);

	/* In which way it ends differs between honest controllers, and from run to run. */
	reenact_compare(re, step, end == NVC_END_OPEN || live->told_end ? NULL : step->text);
	live->told_end = live->told_end || end != NVC_END_OPEN;
}

void reenact_term(struct reenact *re, const struct nvc_script_step *step)
{
	const struct nvc_queue_info *info = nvc_queue_info(reenact_live_conn(re, step)->queue);
	enum nvc_end end;
	char text[REENACT_TEXT];

	if (!info->term_received && info->end == NVC_END_OPEN)
		(void)nvc_queue_await_end(
			reenact_live_conn(re, step)->queue, end_bound(re), &end, NULL);
	reenact_compare(re, step,
		info->term_received ? nvc_outline_term(&info->term, text, sizeof(text)) : NULL);
	reenact_tell_end(re, step);
}
