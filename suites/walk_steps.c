/* SPDX-License-Identifier: BSD-3-Clause */
/* The steps of a walk, taken, and what each of them must not bring about. */
#include "suites/walk_steps.h"

#include <stdio.h>
#include <string.h>

enum {
	WALK_TIMEOUT_S = 12,   /* real time of a walk; what is left of it is not walked */
	MAX_REAL_WAIT_MS = 30, /* no KATO and no timer of a real target is waited for */
};

void walk_found(struct walker *w, enum req_id req, enum walk_proof proof, const char *expected,
	const char *seen)
{
	if (w->req != REQ_NONE)
		return;
	w->req = req;
	w->proof = proof;
	w->expected = expected;
	snprintf(w->seen, sizeof(w->seen), "%s", seen);
}

/* A queue that did not answer in time would cost the same time again with each step. */
static void took(struct place *place, enum nvc_result result)
{
	place->gave_up = place->gave_up || result == NVC_E_TIMEOUT;
}

static void leave_place(struct place *place)
{
	nvc_auth_fini(&place->auth);
	nvc_queue_free(place->queue);
	*place = (struct place){.queue = NULL};
}

/* ---- connections ---- */

static struct nvc_queue_options options_of(const struct walker *w, enum walk_slot slot)
{
	if (slot == WALK_TLS)
		return (struct nvc_queue_options){.tls = &w->host->psk};
	if (slot == WALK_IO)
		return (struct nvc_queue_options){.qid = 1, .admin = w->at[WALK_ADMIN].queue};
	return (struct nvc_queue_options){0};
}

static void start_transaction(
	struct walker *w, struct place *place, uint8_t sc_c, enum nvc_auth_mode mode)
{
	nvc_auth_fini(&place->auth);
	/* The next Success1 may still be for the Reply of a transaction that this one cut short. */
	place->right = place->right && !place->settled;
	place->failed = place->settled = false;
	place->wrong = REQ_NONE;
	if (nvc_auth_init(&place->auth, place->queue, sc_c, mode) != NVC_OK)
		test_error(w->t, "no memory for a transaction");
}

static void do_open(struct walker *w, const struct walk_step *step)
{
	const struct nvc_queue_options options = options_of(w, step->slot);
	struct place *place = &w->at[step->slot];

	leave_place(place);
	if (step->kind == WALK_OPEN)
		(void)nvc_queue_establish(w->host, &options, &place->queue, NULL);
	else
		(void)nvc_queue_open(w->host, &options, &place->queue, NULL);
	if (place->queue)
		start_transaction(w, place, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);
}

static void do_open_undue(struct walker *w, const struct walk_step *step)
{
	struct place *place = &w->at[step->slot];
	struct nvc_queue *queue = NULL;
	struct nvc_tls_psk psk = {.hash_id = 0};
	const struct nvc_queue_options options = {.tls = &psk, .label = "undue PSK"};
	enum nvc_result result;

	if (nvc_auth_tls_psk(&place->auth, NVC_KDF_RFC8446, &psk, NULL) != NVC_OK)
		return;
	result = nvc_queue_open(w->host, &options, &queue, NULL);
	w->num_undue += result != NVC_E_TIMEOUT;
	if (result == NVC_OK)
		walk_found(w, REQ_C_193, WALK_BY_TLS,
			"no TLS session under the PSK of a failed transaction",
			"the TLS handshake completed");
	nvc_queue_free(queue);
	nvc_secret_wipe(&psk.psk);
}

static void do_connect(struct walker *w, const struct walk_step *step)
{
	struct nvc_queue_options options = options_of(w, step->slot);
	const struct nvc_bends bends = {&step->bend, 1};
	struct place *place = &w->at[step->slot];

	if (walk_bends(step))
		options.sqe_bends = &bends;
	took(place, nvc_queue_connect(place->queue, &options, NULL, NULL));
}

static void do_ic(struct walker *w, const struct walk_step *step)
{
	took(&w->at[step->slot], nvc_queue_ic(w->at[step->slot].queue, NULL, NULL));
}

static void do_pdu(struct walker *w, const struct walk_step *step)
{
	uint8_t room[WALK_MAX_BYTES];

	(void)nvc_queue_send_raw(
		w->at[step->slot].queue, walk_pdu(step->seed, step->len, step->value, room), NULL);
}

static void do_close(struct walker *w, const struct walk_step *step)
{
	nvc_queue_close(w->at[step->slot].queue, (enum nvc_end)step->value);
}

static void do_wait(struct walker *w, const struct walk_step *step)
{
	const struct nvc_world *world = w->host->world;
	uint32_t ms = test_is_virtual(w->t) || step->value < MAX_REAL_WAIT_MS ? step->value
									      : MAX_REAL_WAIT_MS;

	world->wait_until(world->self, nvc_env_now(&world->env) + NVC_MS(ms));
}

/* ---- messages ---- */

static void do_negotiate(struct walker *w, const struct walk_step *step)
{
	const struct nvc_bends bends = {&step->bend, 1};
	struct place *place = &w->at[step->slot];

	start_transaction(w, place, (uint8_t)step->value, step->mode);
	place->auth.offer = step->offer;
	if (walk_bends(step) && step->of_descriptor)
		place->auth.descriptor_bends = &bends;
	else if (walk_bends(step))
		place->auth.negotiate_bends = &bends;
	took(place, nvc_auth_send_negotiate(&place->auth, NULL));
	place->auth.descriptor_bends = place->auth.negotiate_bends = NULL;
}

/* Which requirement `sent` breaks where it differs from the right Reply; REQ_NONE: nothing R1 or the road to it hangs on. */
static enum req_id what_is_wrong(struct nvc_slice right, struct nvc_slice sent)
{
	static const struct {
		size_t offset, len;
		enum req_id req;
	} fixed[] = {{0, 2, REQ_C_162}, {4, 2, REQ_N_004}, {6, 1, REQ_C_139}, {10, 2, REQ_C_142}};
	const size_t hl = right.data[6];

	for (size_t i = 0; i < sizeof(fixed) / sizeof(*fixed); i++)
		if (!nvc_slice_equal(nvc_slice_sub(right, fixed[i].offset, fixed[i].len),
			    nvc_slice_sub(sent, fixed[i].offset, fixed[i].len)))
			return fixed[i].req;
	if (sent.len < right.len)
		return REQ_C_148;
	if (!nvc_slice_equal(nvc_slice_sub(right, 16, hl), nvc_slice_sub(sent, 16, hl)) ||
		!nvc_slice_equal(nvc_slice_sub(right, 16 + 2 * hl, right.len),
			nvc_slice_sub(sent, 16 + 2 * hl, right.len - 16 - 2 * hl)))
		return REQ_C_135;
	return REQ_NONE;
}

/* Encodes the Reply as `step` wants it; what a right one would have been goes to `right`. False when there is nothing to answer. */
static bool make_reply(struct nvc_auth *auth, const struct walk_step *step,
	struct nvc_writer *right, struct nvc_writer *out)
{
	struct nvc_reply fields;

	auth->r1 = NVC_R1_RIGHT;
	auth->reuse_exponent = false;
	if (nvc_auth_encode_reply(auth, right, NULL) != NVC_OK)
		return false;
	if (step->r1 == NVC_R1_RIGHT) {
		nvc_write_bytes(out, nvc_writer_slice(right));
	} else {
		auth->r1 = step->r1;
		auth->r1_sc_c = auth->sc_c ^ 1u;
		auth->reuse_exponent = true;
		if (nvc_auth_encode_reply(auth, out, NULL) != NVC_OK)
			return false;
	}
	if (walk_bends(step) &&
		nvc_decode(&nvc_reply_layout, nvc_writer_slice(out), &fields, NULL, NULL) == NVC_OK)
		(void)nvc_bend_apply(&nvc_reply_layout, &fields, &step->bend, out, 0);
	return true;
}

static void do_reply(struct walker *w, const struct walk_step *step)
{
	uint8_t right_room[NVC_MAX_AUTH_MESSAGE], room[NVC_MAX_AUTH_MESSAGE];
	struct nvc_writer right = nvc_writer_over(right_room, sizeof(right_room));
	struct nvc_writer sent = nvc_writer_over(room, sizeof(room));
	struct place *place = &w->at[step->slot];
	enum req_id wrong;

	if (!make_reply(&place->auth, step, &right, &sent))
		return;
	wrong = what_is_wrong(nvc_writer_slice(&right), nvc_writer_slice(&sent));
	if (wrong == REQ_NONE)
		place->right = place->proved = true;
	else
		place->wrong = wrong;
	took(place, nvc_auth_send_raw(&place->auth, nvc_writer_slice(&sent), NULL));
}

static void do_reply_bytes(struct walker *w, const struct walk_step *step)
{
	uint8_t room[WALK_MAX_BYTES];
	struct place *place = &w->at[step->slot];

	took(place, nvc_auth_send_raw(&place->auth,
			    walk_message(step->seed, step->len, place->auth.t_id, room), NULL));
}

static void do_receive(struct walker *w, const struct walk_step *step)
{
	struct place *place = &w->at[step->slot];
	struct nvc_auth_received received = {0};
	struct nvc_tls_psk psk = {.hash_id = 0};
	char seen[160];

	place->auth.al = step->value;
	took(place, nvc_auth_receive(&place->auth, &received, NULL));
	if (received.kind != NVC_RECEIVED_MESSAGE) {
		/* What came may have been meant as Success1: a target that cuts its message to AL has said it. */
		place->settled = true;
		return;
	}
	if (received.message == NVC_MSG_FAILURE1) {
		place->failed = !place->settled;
		place->settled = true;
		w->num_wrong += place->wrong != REQ_NONE && !place->right;
	}
	if (received.message != NVC_MSG_SUCCESS1)
		return;
	place->settled = true;
	if (!place->right) {
		snprintf(seen, sizeof(seen), "Success1 after %s",
			place->wrong == REQ_NONE ? "no Reply that a Challenge asked for"
						 : "a Reply that was not right");
		walk_found(w, place->wrong == REQ_NONE ? REQ_C_135 : place->wrong, WALK_BY_SUCCESS1,
			"no Success1 but for a right Reply", seen);
	} else if (place->auth.sc_c != NVC_SC_C_NOSC &&
		   nvc_auth_tls_psk(&place->auth, NVC_KDF_RFC8446, &psk, NULL) == NVC_OK) {
		nvc_host_keep_psk(w->host, &psk);
		nvc_secret_wipe(&psk.psk);
	}
}

static void do_success2(struct walker *w, const struct walk_step *step)
{
	took(&w->at[step->slot], nvc_auth_send_success2(&w->at[step->slot].auth, NULL));
}

static void do_failure2(struct walker *w, const struct walk_step *step)
{
	took(&w->at[step->slot],
		nvc_auth_send_failure2(&w->at[step->slot].auth, (uint8_t)step->value, NULL));
}

/* ---- commands ---- */

static enum nvc_result run_command(struct walker *w, struct nvc_queue *queue,
	const struct walk_step *step, struct nvc_completion *done)
{
	switch (step->kind) {
	case WALK_PROPERTY_GET:
		return nvc_do_property_get(queue, NVC_PROP_CSTS, done, NULL);
	case WALK_PROPERTY_SET:
		return nvc_do_property_set(queue, NVC_PROP_CC, step->value, done, NULL);
	case WALK_IDENTIFY:
		return nvc_do_identify(queue, NVC_CNS_CONTROLLER, 0, done, NULL);
	case WALK_KEEP_ALIVE:
		return nvc_do_keep_alive(queue, done, NULL);
	default:
		return nvc_do_read(queue, 1, 0, w->host->block_len, done, NULL);
	}
}

/* Which requirement the success of a command violates on a queue that asked for authentication and got none. */
static enum req_id gate_of(const struct walker *w, const struct walk_step *step)
{
	const struct place *place = &w->at[step->slot];

	if (!nvc_queue_info(place->queue)->connected || step->slot == WALK_TLS || place->proved)
		return REQ_NONE;
	if (step->slot == WALK_IO && step->kind == WALK_READ) {
		if (nvc_queue_info(place->queue)->atr)
			return REQ_C_074;
		return w->at[WALK_ADMIN].proved ? REQ_NONE : REQ_C_072;
	}
	if (step->slot != WALK_ADMIN || !nvc_queue_info(place->queue)->atr)
		return REQ_NONE;
	if (step->kind == WALK_PROPERTY_SET)
		return REQ_C_072;
	return step->kind == WALK_IDENTIFY ? REQ_C_071 : REQ_NONE;
}

static void do_command(struct walker *w, const struct walk_step *step)
{
	struct place *place = &w->at[step->slot];
	struct nvc_completion done = {.answered = false};
	enum req_id gate = gate_of(w, step);
	enum nvc_result result;

	result = run_command(w, place->queue, step, &done);
	took(place, result);
	if (gate == REQ_NONE)
		return;
	w->num_gated += result != NVC_E_TIMEOUT;
	if (result == NVC_OK && done.status == NVC_SC_SUCCESS)
		walk_found(w, gate, WALK_BY_COMMAND, "nothing is served before authentication",
			step->kind == WALK_READ		  ? "a Read succeeded"
			: step->kind == WALK_PROPERTY_SET ? "a Property Set succeeded"
							  : "an Identify succeeded");
}

/* ---- walks ---- */

static const struct {
	void (*run)(struct walker *w, const struct walk_step *step);
	bool needs_queue;
} verbs[NUM_WALK_KINDS] = {
	[WALK_OPEN] = {do_open, false},
	[WALK_OPEN_BARE] = {do_open, false},
	[WALK_OPEN_UNDUE] = {do_open_undue, true},
	[WALK_IC] = {do_ic, true},
	[WALK_CONNECT] = {do_connect, true},
	[WALK_NEGOTIATE] = {do_negotiate, true},
	[WALK_RECEIVE] = {do_receive, true},
	[WALK_REPLY] = {do_reply, true},
	[WALK_REPLY_BYTES] = {do_reply_bytes, true},
	[WALK_SUCCESS2] = {do_success2, true},
	[WALK_FAILURE2] = {do_failure2, true},
	[WALK_PDU] = {do_pdu, true},
	[WALK_PROPERTY_GET] = {do_command, true},
	[WALK_PROPERTY_SET] = {do_command, true},
	[WALK_IDENTIFY] = {do_command, true},
	[WALK_KEEP_ALIVE] = {do_command, true},
	[WALK_READ] = {do_command, true},
	[WALK_CLOSE] = {do_close, true},
	[WALK_WAIT] = {do_wait, false},
};

/* Whether the walk is where the step can be taken; what shrinking left without its ground is passed over. */
static bool possible(const struct walker *w, const struct walk_step *step)
{
	const struct place *place = &w->at[step->slot];
	const struct place *admin = &w->at[WALK_ADMIN];

	if (verbs[step->kind].needs_queue && !place->queue)
		return false;
	switch (step->kind) {
	case WALK_OPEN:
	case WALK_OPEN_BARE:
		if (step->slot == WALK_IO)
			return admin->queue && nvc_queue_info(admin->queue)->connected;
		return step->slot == WALK_ADMIN || w->host->has_psk;
	case WALK_OPEN_UNDUE:
		return place->failed && place->auth.sc_c != NVC_SC_C_NOSC;
	case WALK_WAIT:
		return true;
	case WALK_REPLY:
		return place->auth.has_challenge && !place->gave_up;
	case WALK_READ:
		/* The opcode of Read is Get Log Page on an admin queue, and no data of anybody. */
		return step->slot == WALK_IO && !place->gave_up;
	default:
		return !place->gave_up;
	}
}

static void print_step(struct test *t, const struct walk_step *step)
{
	char text[WALK_MAX_TEXT], *line = walk_text(step, text, sizeof(text)), *rest = NULL;

	for (line = strtok_r(line, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		test_step(t, "%s", line);
}

void walk_take(struct walker *w, const struct walk_step *steps, size_t num)
{
	const struct nvc_env *env = &w->host->world->env;
	const uint64_t until = nvc_env_now(env) + NVC_SEC(WALK_TIMEOUT_S);

	w->host->has_psk = w->host->has_previous_psk = false;
	for (size_t i = 0; i < num && w->req == REQ_NONE && (w->quiet || test_running(w->t)); i++) {
		if (!test_is_virtual(w->t) && nvc_env_now(env) > until)
			break;
		if (!possible(w, &steps[i]))
			continue;
		if (!w->quiet)
			print_step(w->t, &steps[i]);
		verbs[steps[i].kind].run(w, &steps[i]);
		w->found_at = i;
	}
	for (int slot = NUM_WALK_SLOTS - 1; slot >= 0; slot--)
		leave_place(&w->at[slot]);
}
