/* SPDX-License-Identifier: BSD-3-Clause */
/* The whole exchange (Base 2.2, figure of 8.3.4.5.1) and what became of it. */
#include <stdarg.h>
#include <stdio.h>

#include "host/auth_state.h"
#include "host/host.h"

static const char *const step_names[NVC_NUM_AUTH_STEPS] = {
	[NVC_STEP_NEGOTIATE] = "AUTH_Negotiate",
	[NVC_STEP_CHALLENGE] = "Challenge",
	[NVC_STEP_REPLY] = "Reply",
	[NVC_STEP_SUCCESS1] = "Success1",
	[NVC_STEP_SUCCESS2] = "Success2",
	[NVC_STEP_FAILURE2] = "AUTH_Failure2",
};

static const char *const outcome_names[NVC_NUM_OUTCOMES] = {
	[NVC_OUTCOME_NONE] = "not begun",
	[NVC_OUTCOME_SUCCESS] = "success",
	[NVC_OUTCOME_FAILURE1] = "AUTH_Failure1",
	[NVC_OUTCOME_FAILURE2] = "AUTH_Failure2",
	[NVC_OUTCOME_COMMAND_STATUS] = "error status",
	[NVC_OUTCOME_ENDED] = "connection ended",
	[NVC_OUTCOME_TIMEOUT] = "timeout",
	[NVC_OUTCOME_PROTOCOL] = "protocol violation",
	[NVC_OUTCOME_LOCAL] = "not possible",
};

const char *nvc_auth_step_name(enum nvc_auth_step step)
{
	return (unsigned int)step < NVC_NUM_AUTH_STEPS ? step_names[step] : "?";
}

const char *nvc_auth_outcome_name(enum nvc_auth_outcome_kind kind)
{
	return (unsigned int)kind < NVC_NUM_OUTCOMES ? outcome_names[kind] : "?";
}

/* One run: what it works on, and whether it goes on. */
struct run {
	struct nvc_auth *auth;
	struct nvc_auth_outcome *outcome;
};

__attribute__((format(printf, 3, 4))) static bool stop(
	struct run *run, enum nvc_auth_outcome_kind kind, const char *format, ...)
{
	va_list args;

	run->outcome->kind = kind;
	va_start(args, format);
	vsnprintf(run->outcome->why, sizeof(run->outcome->why), format, args);
	va_end(args);
	return false;
}

/* A call failed: an outcome by the kind of its error. */
static bool stop_for(struct run *run, enum nvc_result result, const struct nvc_error *err)
{
	const struct nvc_queue_info *info = nvc_queue_info(run->auth->queue);
	enum nvc_auth_outcome_kind kind = NVC_OUTCOME_LOCAL;

	run->outcome->result = result;
	run->outcome->end = info->end;
	if (result == NVC_E_TIMEOUT)
		kind = NVC_OUTCOME_TIMEOUT;
	else if (result == NVC_E_MALFORMED)
		kind = NVC_OUTCOME_PROTOCOL;
	else if (result == NVC_E_CLOSED || result == NVC_E_RESET || result == NVC_E_TLS ||
		 info->end != NVC_END_OPEN)
		kind = NVC_OUTCOME_ENDED;
	return stop(run, kind, "%s", err->text);
}

typedef enum nvc_result (*send_step)(struct nvc_auth *auth, struct nvc_error *err);

static bool send_message(struct run *run, enum nvc_auth_step step, send_step send)
{
	struct nvc_error err = {0};
	enum nvc_result result;

	run->outcome->step = step;
	result = send(run->auth, &err);
	if (result != NVC_OK)
		return stop_for(run, result, &err);
	run->outcome->status = run->auth->status;
	if (run->auth->status != NVC_SC_SUCCESS)
		return stop(run, NVC_OUTCOME_COMMAND_STATUS, "Authentication Send");
	return true;
}

/* We must refuse what came: says so to the controller; whether it listens does not change the outcome. */
static bool refuse(struct run *run, uint8_t rcodeex, const char *why)
{
	run->outcome->rcode = NVC_RCODE_FAILURE;
	run->outcome->rcodeex = rcodeex;
	(void)nvc_auth_send_failure2(run->auth, rcodeex, NULL);
	return stop(run, NVC_OUTCOME_FAILURE2, "%s", why);
}

/* A refusal is one without its response capsule too; a command that was never answered is no success. */
static bool stop_without_capsule(struct run *run)
{
	const enum nvc_end end = nvc_queue_info(run->auth->queue)->end;

	run->outcome->end = end;
	return stop(run, end != NVC_END_OPEN ? NVC_OUTCOME_ENDED : NVC_OUTCOME_TIMEOUT,
		"the message came, the response capsule behind it did not");
}

/* Takes the next message, which has to be `expected`. */
static bool receive_message(struct run *run, enum nvc_auth_step step, uint16_t expected)
{
	struct nvc_auth_received received;
	struct nvc_error err = {0};
	char why[224];
	enum nvc_result result;

	run->outcome->step = step;
	result = nvc_auth_receive(run->auth, &received, &err);
	if (result != NVC_OK)
		return stop_for(run, result, &err);
	run->outcome->status = received.status;
	run->outcome->capsule_lost = received.capsule_lost;
	run->outcome->hash_id = run->auth->hash_id;
	run->outcome->dhgid = run->auth->dhgid;
	run->outcome->r2 = run->auth->r2;
	if (received.kind == NVC_RECEIVED_STATUS)
		return stop(run, NVC_OUTCOME_COMMAND_STATUS, "Authentication Receive");
	if (received.kind == NVC_RECEIVED_MESSAGE && received.message == NVC_MSG_FAILURE1) {
		run->outcome->rcode = received.failure.rcode;
		run->outcome->rcodeex = received.failure.rcodeex;
		return stop(run, NVC_OUTCOME_FAILURE1, "%s",
			received.t_id_foreign ? "with a T_ID that is not ours" : "");
	}
	if (received.capsule_lost)
		return stop_without_capsule(run);
	if (received.kind == NVC_RECEIVED_MESSAGE && received.message != expected) {
		const char *name = nvc_name_of(nvc_auth_message_names, received.message);

		snprintf(why, sizeof(why), "%s came instead of %s", name != NULL ? name : "?",
			step_names[step]);
		return refuse(run, NVC_RCODEEX_MESSAGE, why);
	}
	if (received.rcodeex != 0)
		return refuse(run, received.rcodeex, received.complaint);
	return true;
}

/* The generated PSK of a concatenation that succeeded. */
static bool keep_psk(struct run *run)
{
	struct nvc_tls_psk psk;
	struct nvc_error err = {0};
	enum nvc_result result;

	if (run->auth->sc_c == NVC_SC_C_NOSC)
		return true;
	result = nvc_auth_tls_psk(run->auth, NVC_KDF_RFC8446, &psk, &err);
	if (result == NVC_OK) {
		nvc_host_keep_psk(nvc_queue_info(run->auth->queue)->host, &psk);
		run->outcome->has_psk = true;
	}
	nvc_secret_wipe(&psk.psk);
	/* With SHA-512 the authentication is good and there is no PSK: nothing is defined. */
	if (result == NVC_E_INVALID) {
		snprintf(run->outcome->why, sizeof(run->outcome->why), "%.*s",
			(int)sizeof(run->outcome->why) - 1, err.text);
		return true;
	}
	return result == NVC_OK ? true : stop_for(run, result, &err);
}

static bool exchange(struct run *run)
{
	struct nvc_auth *auth = run->auth;

	if (auth->host_key == NULL && nvc_auth_r1_needs_key(auth))
		return stop(run, NVC_OUTCOME_LOCAL, "the host has no secret");
	if (!send_message(run, NVC_STEP_NEGOTIATE, nvc_auth_send_negotiate) ||
		!receive_message(run, NVC_STEP_CHALLENGE, NVC_MSG_CHALLENGE) ||
		!send_message(run, NVC_STEP_REPLY, nvc_auth_send_reply) ||
		!receive_message(run, NVC_STEP_SUCCESS1, NVC_MSG_SUCCESS1))
		return false;
	if (auth->mode == NVC_AUTH_BIDIRECTIONAL &&
		!send_message(run, NVC_STEP_SUCCESS2, nvc_auth_send_success2))
		return false;
	return keep_psk(run);
}

enum nvc_auth_outcome_kind nvc_auth_run(struct nvc_auth *auth, struct nvc_auth_outcome *outcome)
{
	struct run run = {auth, outcome};

	*outcome = (struct nvc_auth_outcome){.sc_c = auth->sc_c, .t_id = auth->t_id};
	if (exchange(&run))
		outcome->kind = NVC_OUTCOME_SUCCESS;
	return outcome->kind;
}

enum nvc_auth_outcome_kind nvc_auth_authenticate(struct nvc_queue *queue, uint8_t sc_c,
	enum nvc_auth_mode mode, const struct nvc_auth_offer *offer,
	struct nvc_auth_outcome *outcome)
{
	struct nvc_auth auth;

	if (nvc_auth_init(&auth, queue, sc_c, mode) != NVC_OK) {
		*outcome = (struct nvc_auth_outcome){.kind = NVC_OUTCOME_LOCAL,
			.result = NVC_E_NO_MEMORY,
			.sc_c = sc_c,
			.why = "no memory"};
		return outcome->kind;
	}
	if (offer != NULL)
		auth.offer = *offer;
	nvc_auth_run(&auth, outcome);
	nvc_auth_fini(&auth);
	return outcome->kind;
}

char *nvc_auth_outcome_text(const struct nvc_auth_outcome *outcome, char *out, size_t size)
{
	const char *kind = nvc_auth_outcome_name(outcome->kind);
	const char *step = nvc_auth_step_name(outcome->step);
	const char *code = nvc_name_of(nvc_rcodeex_names, outcome->rcodeex);
	const char *hash = nvc_name_of(nvc_hash_names, outcome->hash_id);
	const char *group = nvc_name_of(nvc_dhgroup_names, outcome->dhgid);
	const char *lost = outcome->capsule_lost ? " (its response capsule lost)" : "";
	const char *gap = outcome->why[0] != '\0' ? ": " : "";

	switch (outcome->kind) {
	case NVC_OUTCOME_SUCCESS:
		snprintf(out, size, "%s with %s, %s%s%s%s", kind, hash != NULL ? hash : "?",
			group != NULL ? group : "?", lost, gap, outcome->why);
		break;
	case NVC_OUTCOME_FAILURE1:
		snprintf(out, size, "%s RCODEEX %02xh (%s) instead of %s%s%s%s", kind,
			outcome->rcodeex, code != NULL ? code : "reserved", step, lost, gap,
			outcome->why);
		break;
	case NVC_OUTCOME_FAILURE2:
		snprintf(out, size, "we sent %s RCODEEX %02xh at %s%s%s", kind, outcome->rcodeex,
			step, gap, outcome->why);
		break;
	case NVC_OUTCOME_COMMAND_STATUS:
		snprintf(out, size, "%s answered with status %03xh (%s) at %s", outcome->why,
			outcome->status, nvc_status_name(outcome->status), step);
		break;
	case NVC_OUTCOME_NONE:
	case NVC_OUTCOME_ENDED:
	case NVC_OUTCOME_TIMEOUT:
	case NVC_OUTCOME_PROTOCOL:
	case NVC_OUTCOME_LOCAL:
	case NVC_NUM_OUTCOMES:
	default:
		snprintf(out, size, "%s at %s%s%s", kind, step, gap, outcome->why);
		break;
	}
	return out;
}
