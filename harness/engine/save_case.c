/* SPDX-License-Identifier: BSD-3-Clause */
#include "harness/engine/save_case.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/engine/save_case_text.h"

/* A transaction that one verb can say: from AUTH_Negotiate to its end without anything between. */
struct whole {
	size_t end; /* place in the order behind it */
	bool found, success;
	uint8_t rcodeex;
	enum req_id violated;
};

static const struct nvc_script_step *at(const struct saving *saving, size_t place)
{
	return place < saving->num ? &saving->re->script->steps[saving->order[place]] : NULL;
}

/* ---- requirements ---- */

static bool is_replacement(const struct saving *saving, int transaction)
{
	return saving->re->script->transactions[transaction].sc_c == NVC_SC_C_REPLACETLSPSK;
}

/* The requirement that an ordinary authentication succeeds. */
static enum req_id success_requirement(const struct saving *saving, int transaction)
{
	const struct nvc_script *script = saving->re->script;
	const struct nvc_script_transaction *this = &script->transactions[transaction];
	const bool two_way = this->mode == NVC_MODE_TWO_WAY;

	if (this->sc_c == NVC_SC_C_NOSC)
		return two_way ? REQ_C_134 : REQ_C_130;
	if (this->sc_c == NVC_SC_C_NEWTLSPSK)
		return two_way ? REQ_C_191 : REQ_C_190;
	for (int i = 0; i < transaction; i++)
		if (script->transactions[i].conn == this->conn && is_replacement(saving, i))
			return REQ_C_205;
	return two_way ? REQ_C_207 : REQ_C_204;
}

static enum req_id refusal_requirement(
	const struct saving *saving, int transaction, uint8_t rcodeex)
{
	if (rcodeex != NVC_RCODEEX_FAILED)
		return REQ_C_171;
	return is_replacement(saving, transaction) ? REQ_C_208 : REQ_C_135;
}

static enum req_id status_requirement(
	const struct saving *saving, const struct nvc_script_step *command, uint16_t status)
{
	if (status == NVC_SC_AUTH_REQUIRED)
		return command->sqe[0] != NVC_OPC_FABRICS
			       ? (saving->re->script->conns[command->conn].qid ? REQ_C_074
									       : REQ_C_071)
		       : command->sqe[4] == NVC_FCTYPE_PROPERTY_SET ? REQ_C_072
								    : REQ_C_073;
	if (status != NVC_SC_SUCCESS)
		return status == NVC_SC_OPERATION_DENIED ? REQ_C_174 : REQ_C_068;
	/* That a queue serves commands is what the authentication on it was for. */
	for (size_t i = saving->re->script->num_transactions; i > 0; i--)
		if (saving->re->script->transactions[i - 1].conn == command->conn &&
			saving->re->script->transactions[i - 1].complete)
			return success_requirement(saving, (int)i - 1);
	return REQ_C_075;
}

/* ---- whole authentications ---- */

static bool is_command(const struct nvc_script_step *step, unsigned int conn, uint8_t fctype)
{
	return step && step->kind == NVC_SCRIPT_COMMAND && step->conn == conn &&
	       step->sqe[0] == NVC_OPC_FABRICS && step->sqe[4] == fctype && !step->manual;
}

/* Steps over an Authentication Send of `message` and its good answer. */
static bool step_send(const struct saving *saving, size_t *place, unsigned int conn,
	int transaction, uint16_t message)
{
	const struct nvc_script_step *step = at(saving, *place), *answer = at(saving, *place + 1);

	if (!is_command(step, conn, NVC_FCTYPE_AUTH_SEND) || !step->is_message ||
		step->message.id != message || step->message.transaction != transaction ||
		step->message.t_id != NVC_T_ID_OWN || !answer ||
		answer->kind != NVC_SCRIPT_ANSWER || answer->command < 0 ||
		&saving->re->script->steps[answer->command] != step ||
		nvc_cqe_status(answer->cqe.status_field) != 0 || !sqe_is_ordinary(saving, step))
		return false;
	*place += 2;
	return true;
}

/* Steps over an Authentication Receive, and returns its answer; NULL: something else comes next. */
static const struct nvc_script_step *step_receive(
	const struct saving *saving, size_t *place, unsigned int conn)
{
	const struct nvc_script_step *step = at(saving, *place), *answer = at(saving, *place + 1);

	if (!is_command(step, conn, NVC_FCTYPE_AUTH_RECEIVE) || !answer ||
		answer->kind != NVC_SCRIPT_ANSWER || answer->command < 0 ||
		&saving->re->script->steps[answer->command] != step ||
		!sqe_is_ordinary(saving, step))
		return NULL;
	*place += 2;
	return answer;
}

static bool end_in(struct whole *whole, const struct nvc_script_step *answer, uint16_t *message)
{
	uint16_t t_id;
	struct nvc_failure failure;

	if (!answer || !nvc_auth_peek(answer->bytes, message, &t_id))
		return false;
	if (answer->violated != REQ_NONE && whole->violated == REQ_NONE)
		whole->violated = answer->violated;
	if (*message != NVC_MSG_FAILURE1)
		return true;
	whole->found =
		nvc_decode(&nvc_failure1_layout, answer->bytes, &failure, NULL, NULL) == NVC_OK;
	whole->rcodeex = failure.rcodeex;
	return false;
}

static struct whole find_whole(const struct saving *saving, size_t place)
{
	const struct nvc_script_step *first = at(saving, place);
	const unsigned int conn = first->conn;
	const int transaction = first->message.transaction;
	struct whole whole = {.violated = REQ_NONE};
	uint16_t message = 0;

	whole.end = place;
	if (transaction < 0 || !offer_is_ordinary(first) ||
		!step_send(saving, &whole.end, conn, transaction, NVC_MSG_NEGOTIATE) ||
		!end_in(&whole, step_receive(saving, &whole.end, conn), &message) ||
		message != NVC_MSG_CHALLENGE ||
		!step_send(saving, &whole.end, conn, transaction, NVC_MSG_REPLY) ||
		!end_in(&whole, step_receive(saving, &whole.end, conn), &message) ||
		message != NVC_MSG_SUCCESS1)
		return whole;
	whole.success = saving->re->script->transactions[transaction].mode != NVC_MODE_TWO_WAY ||
			step_send(saving, &whole.end, conn, transaction, NVC_MSG_SUCCESS2);
	whole.found = whole.success;
	return whole;
}

static void declare(struct saving *saving, int transaction, unsigned int conn)
{
	static const char *const modes[] = {
		"NVC_AUTH_UNIDIRECTIONAL", "NVC_AUTH_BIDIRECTIONAL", "NVC_AUTH_CONCAT_UNI"};
	const struct nvc_script_transaction *this = &saving->re->script->transactions[transaction];
	const enum nvc_script_mode mode =
		this->sc_c != NVC_SC_C_NOSC && !this->has_reply ? NVC_MODE_CONCAT : this->mode;

	if (saving->declared[transaction])
		return;
	saving->declared[transaction] = true;
	saving->used[conn] = true;
	fprintf(saving->out, "\tstruct nvc_auth *a%d = transaction(t, q%u, ", transaction, conn);
	write_sc_c(saving->out, this->sc_c);
	fprintf(saving->out, ", %s);\n", modes[mode]);
}

static void save_whole(struct saving *saving, const struct nvc_script_step *negotiate,
	const struct whole *whole, size_t place)
{
	const int transaction = negotiate->message.transaction;
	const struct live_transaction *now = &saving->re->transactions[transaction];
	const int host = saving->re->script->conns[negotiate->conn].host;
	const bool success = whole->violated != REQ_NONE ? now->complete : whole->success;
	enum req_id req = whole->violated;

	declare(saving, transaction, negotiate->conn);
	write_offer(saving, negotiate);
	for (; place < whole->end; place++)
		write_reply(saving, at(saving, place));
	if (req == REQ_NONE)
		req = success ? success_requirement(saving, transaction)
			      : refusal_requirement(saving, transaction, whole->rcodeex);
	if (success && (saving->judge_all || whole->violated != REQ_NONE))
		judged(saving, req, "expect_success", "a%d", transaction);
	else if (success)
		fprintf(saving->out, "\tauthenticate(t, a%d);\n", transaction);
	else
		judged(saving, req, "expect_refused", "a%d, CODES(0x%02x)", transaction,
			whole->rcodeex);
	if (success && host >= 0 && saving->re->script->transactions[transaction].sc_c) {
		saving->previous[host] = saving->newest[host];
		saving->newest[host] = transaction;
	}
}

/* ---- connections ---- */

static const char *psk_text(const struct saving *saving, const struct nvc_script_conn *conn)
{
	static char text[48];
	const int host = conn->host >= 0 ? conn->host : 0;

	text[0] = '\0';
	if (conn->psk == NVC_PSK_CONFIGURED)
		snprintf(text, sizeof(text), "&configured%u",
			(unsigned int)(conn - saving->re->script->conns));
	if (conn->psk == NVC_PSK_OF && conn->psk_of == saving->newest[host])
		snprintf(text, sizeof(text), "&host%d->psk", host);
	else if (conn->psk == NVC_PSK_OF && conn->psk_of == saving->previous[host])
		snprintf(text, sizeof(text), "&host%d->previous_psk", host);
	return text[0] ? text : NULL;
}

static void save_configured(struct saving *saving, const struct nvc_script_conn *conn)
{
	const unsigned int index = (unsigned int)(conn - saving->re->script->conns);
	const int host = conn->host >= 0 ? conn->host : 0;

	if (conn->psk != NVC_PSK_CONFIGURED)
		return;
	fprintf(saving->out, "\tstruct nvc_tls_psk configured%u;\n\n", index);
	fprintf(saving->out, "\ttest_configured_psk(t, host%d, %u, %u, %s, &configured%u);\n", host,
		conn->psk_version, conn->psk_hash,
		saving->re->script->hosts[host].authenticates ? "true" : "false", index);
}

/* The place behind OPEN, ICReq, ICResp, Connect and its answer, when these are all there; 0: they are not. */
static size_t behind_connect(const struct saving *saving, size_t place, uint16_t *status)
{
	const unsigned int conn = at(saving, place)->conn;
	static const enum nvc_script_kind kinds[] = {NVC_SCRIPT_OPEN, NVC_SCRIPT_IC_REQ,
		NVC_SCRIPT_IC_RESP, NVC_SCRIPT_COMMAND, NVC_SCRIPT_ANSWER};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const struct nvc_script_step *step = at(saving, place + i);

		if (!step || step->kind != kinds[i] || step->conn != conn ||
			(i == 3 && !is_command(step, conn, NVC_FCTYPE_CONNECT)))
			return 0;
		if (i == 4)
			*status = nvc_cqe_status(step->cqe.status_field);
	}
	return place + 5;
}

static size_t save_open(struct saving *saving, size_t place)
{
	const struct nvc_script_step *step = at(saving, place);
	const struct nvc_script_conn *conn = &saving->re->script->conns[step->conn];
	const int host = conn->host >= 0 ? conn->host : 0;
	uint16_t status = 0;
	const size_t behind = behind_connect(saving, place, &status);
	const char *psk;

	if (conn->no_tls) {
		const enum req_id req = reenact_psk_requirement(saving->re, conn, false);

		save_configured(saving, conn);
		psk = psk_text(saving, conn);
		if (!psk)
			left_out(saving, step);
		else
			judged(saving, req == REQ_NONE ? REQ_C_193 : req, "expect_no_tls",
				"host%d, %s", host, psk);
		return place + 2;
	}
	save_configured(saving, conn);
	psk = conn->tls ? psk_text(saving, conn) : NULL;
	if (!behind || (conn->tls && !psk)) {
		saving->unsaid[step->conn] = true;
		left_out(saving, step);
		return place + 1;
	}
	write_connect(saving, at(saving, place + 1), at(saving, place + 3), psk, status);
	saving->open[step->conn] = status == NVC_SC_SUCCESS;
	saving->unsaid[step->conn] = status != NVC_SC_SUCCESS;
	return behind;
}

/* ---- the rest, step by step ---- */

static void save_message(struct saving *saving, const struct nvc_script_step *step)
{
	const struct nvc_script_message *message = &step->message;
	const int transaction = message->transaction;

	if (!step->is_message || transaction < 0) {
		left_out(saving, step);
		return;
	}
	declare(saving, transaction, step->conn);
	if (message->id == NVC_MSG_NEGOTIATE && offer_is_ordinary(step) &&
		message->t_id == NVC_T_ID_OWN) {
		write_offer(saving, step);
		fprintf(saving->out, "\tsend_negotiate(t, a%d);\n", transaction);
	} else if (message->answers) {
		write_reply(saving, step);
		fprintf(saving->out, "\tsend_reply(t, a%d);\n", transaction);
	} else if (message->id == NVC_MSG_SUCCESS2 && step->bytes.len == 16) {
		fprintf(saving->out, "\tsend_success2(t, a%d);\n", transaction);
	} else if (message->id == NVC_MSG_FAILURE2 && step->bytes.len == 8) {
		fprintf(saving->out, "\tsend_failure2(t, a%d, 0x%02x);\n", transaction,
			step->bytes.data[7]);
	} else {
		write_literal(saving, step);
	}
}

static void save_received(
	struct saving *saving, const struct nvc_script_step *answer, int transaction)
{
	uint16_t message = 0, t_id = 0;
	const uint16_t status = nvc_cqe_status(answer->cqe.status_field);
	const struct nvc_script_step *command = &saving->re->script->steps[answer->command];

	declare(saving, transaction, answer->conn);
	if (status) {
		judged(saving, status_requirement(saving, command, status), "receive_answer",
			"a%d, \"a status\", &(struct nvc_auth_received){0}", transaction);
		judged(saving, status_requirement(saving, command, status), "expect_auth_status",
			"a%d, CODES(0x%03x)", transaction, status);
		return;
	}
	(void)nvc_auth_peek(answer->bytes, &message, &t_id);
	if (message == NVC_MSG_CHALLENGE && answer->violated == REQ_C_122)
		write_s1_check(saving, transaction);
	else if (message == NVC_MSG_CHALLENGE && saving->judge_all)
		judged(saving, REQ_C_120, "expect_challenge", "a%d", transaction);
	else if (message == NVC_MSG_CHALLENGE)
		fprintf(saving->out, "\treceive_challenge(t, a%d);\n", transaction);
	else if (message == NVC_MSG_SUCCESS1)
		judged(saving, success_requirement(saving, transaction), "expect_success1", "a%d",
			transaction);
	else if (message == NVC_MSG_FAILURE1)
		judged(saving, refusal_requirement(saving, transaction, answer->bytes.data[7]),
			"expect_failure1", "a%d, CODES(0x%02x)", transaction,
			answer->bytes.data[7]);
	else
		left_out(saving, answer);
}

static void save_answer(struct saving *saving, const struct nvc_script_step *step)
{
	const struct nvc_script_step *command = &saving->re->script->steps[step->command];
	const uint16_t status = nvc_cqe_status(step->cqe.status_field);

	if (is_command(command, step->conn, NVC_FCTYPE_AUTH_RECEIVE) && command->transaction >= 0)
		save_received(saving, step, command->transaction);
	else if (is_command(command, step->conn, NVC_FCTYPE_AUTH_SEND)) {
		if (status && command->message.transaction >= 0)
			judged(saving, status_requirement(saving, command, status),
				"expect_auth_status", "a%d, CODES(0x%03x)",
				command->message.transaction, status);
	} else {
		write_command(saving, command, status, status_requirement(saving, command, status));
	}
}

static size_t save_step(struct saving *saving, size_t place)
{
	const struct nvc_script_step *step = at(saving, place);
	struct whole whole;

	if (step->kind == NVC_SCRIPT_OPEN)
		return save_open(saving, place);
	if (saving->unsaid[step->conn]) {
		if (step->kind == NVC_SCRIPT_COMMAND)
			left_out(saving, step);
		return place + 1;
	}
	if (is_command(step, step->conn, NVC_FCTYPE_AUTH_SEND) && step->is_message &&
		step->message.id == NVC_MSG_NEGOTIATE) {
		whole = find_whole(saving, place);
		if (whole.found) {
			save_whole(saving, step, &whole, place);
			return whole.end;
		}
	}
	switch (step->kind) {
	case NVC_SCRIPT_COMMAND:
		if (is_command(step, step->conn, NVC_FCTYPE_AUTH_SEND))
			save_message(saving, step);
		else if (!step->answered)
			left_out(saving, step);
		break;
	case NVC_SCRIPT_ANSWER:
		save_answer(saving, step);
		break;
	case NVC_SCRIPT_HOST_END:
		fprintf(saving->out, "\tleave(t, q%u);\n", step->conn);
		saving->used[step->conn] = true;
		break;
	case NVC_SCRIPT_CTRL_END:
		/* Where the captured target was wrong, its end is a consequence. */
		if (saving->judge_all)
			judged(saving, REQ_C_172, "expect_closed", "q%u", step->conn);
		break;
	default:
		left_out(saving, step);
		break;
	}
	return place + 1;
}

/* ---- the whole ---- */

static enum req_id find_primary(const struct nvc_script *script)
{
	for (size_t i = 0; i < script->num_steps; i++)
		if (script->steps[script->order[i]].violated != REQ_NONE)
			return script->steps[script->order[i]].violated;
	for (int req = REQ_NONE + 1; req < NUM_REQS; req++)
		if (script->violated[req])
			return (enum req_id)req;
	return REQ_NONE;
}

static bool make_room(struct saving *saving)
{
	const struct nvc_script *script = saving->re->script;

	saving->declared = calloc(script->num_transactions + 1, sizeof(bool));
	saving->open = calloc(script->num_conns + 1, sizeof(bool));
	saving->used = calloc(script->num_conns + 1, sizeof(bool));
	saving->unsaid = calloc(script->num_conns + 1, sizeof(bool));
	saving->order = malloc((script->num_steps + 1) * sizeof(size_t));
	saving->newest = malloc((script->num_hosts + 1) * sizeof(int));
	saving->previous = malloc((script->num_hosts + 1) * sizeof(int));
	saving->out = open_memstream(&saving->body, &saving->body_len);
	if (!saving->declared || !saving->open || !saving->used || !saving->unsaid ||
		!saving->order || !saving->newest || !saving->previous || !saving->out)
		return false;
	for (size_t i = 0; i < script->num_steps; i++)
		if (script->steps[script->order[i]].kind != NVC_SCRIPT_DROPPED)
			saving->order[saving->num++] = script->order[i];
	for (size_t i = 0; i <= script->num_hosts; i++)
		saving->newest[i] = saving->previous[i] = -1;
	return true;
}

enum nvc_result save_case(const struct reenact *re, const char *path, const char *capture,
	unsigned int *num_left_out, struct nvc_error *err)
{
	struct saving saving = {.re = re, .primary = find_primary(re->script)};
	FILE *file = NULL;
	enum nvc_result result = NVC_OK;

	saving.judge_all = saving.primary == REQ_NONE;
	if (!make_room(&saving)) {
		result = nvc_fail(err, NVC_E_NO_MEMORY, "no memory for the case");
		goto out;
	}
	if (saving.judge_all)
		saving.primary =
			re->script->num_transactions ? success_requirement(&saving, 0) : REQ_C_068;
	for (size_t place = 0; place < saving.num;)
		place = save_step(&saving, place);
	leave_the_rest(&saving);
	fclose(saving.out);
	saving.out = NULL;
	file = fopen(path, "wx");
	if (!file) {
		result = nvc_fail(err, NVC_E_INVALID, "--save-case %s: %s", path, strerror(errno));
		goto out;
	}
	write_case(&saving, file, path, capture);
	if (fclose(file) != 0)
		result = nvc_fail(err, NVC_E_INVALID, "--save-case %s: %s", path, strerror(errno));
	*num_left_out = saving.num_left_out;
out:
	if (saving.out)
		fclose(saving.out);
	free(saving.body);
	free(saving.declared);
	free(saving.open);
	free(saving.used);
	free(saving.unsaid);
	free(saving.order);
	free(saving.newest);
	free(saving.previous);
	return result;
}
