/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What secrets prove about the responses.
 *
 * A response that does not verify may be wrong, or the secret given may be another than theirs. Only where the same secret verifies
 * another response between the same names is it a violation; else it is a doubt, and what was not judged.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture/replay_state.h"

enum { HOST_KEY, CTRL_KEY, NOBODY = NVC_REPLAY_MAX_KEYS };

void nvc_check_say(const struct nvc_flow *flow, enum nvc_replay_kind kind, const char *text)
{
	nvc_replay_tell(flow->replay, (struct nvc_replay_event){.kind = kind,
					      .conn = flow->id,
					      .association = flow->association,
					      .text = text});
}

struct nvc_exchange_names nvc_check_names(const struct nvc_flow *flow)
{
	return (struct nvc_exchange_names){
		flow->hostnqn ? flow->hostnqn : "", flow->subnqn ? flow->subnqn : ""};
}

/* ---- secrets ---- */

static bool is_meant(const char *given, const char *name)
{
	return !given || !given[0] || strcmp(given, name) == 0;
}

/* The first identity given for these names that has what `member` asks for. */
static const struct nvc_replay_identity *identity_of(
	const struct nvc_flow *flow, bool (*has)(const struct nvc_replay_identity *))
{
	const struct nvc_replay_state *replay = flow->replay;
	const struct nvc_exchange_names names = nvc_check_names(flow);

	for (size_t i = 0; i < replay->num_identities; i++) {
		const struct nvc_replay_identity *identity = &replay->identities[i];

		if (has(identity) && is_meant(identity->hostnqn, names.hostnqn) &&
			is_meant(identity->subnqn, names.subnqn))
			return identity;
	}
	return NULL;
}

static bool has_host_key(const struct nvc_replay_identity *identity)
{
	return identity->host_key != NULL;
}

static bool has_ctrl_key(const struct nvc_replay_identity *identity)
{
	return identity->ctrl_key != NULL;
}

static uint64_t hash_names(const struct nvc_flow *flow)
{
	const struct nvc_exchange_names names = nvc_check_names(flow);
	uint64_t hash = 0xcbf29ce484222325u;

	for (const char *at = names.hostnqn; *at; at++)
		hash = (hash ^ (uint8_t)*at) * 0x100000001b3u;
	hash = (hash ^ ' ') * 0x100000001b3u;
	for (const char *at = names.subnqn; *at; at++)
		hash = (hash ^ (uint8_t)*at) * 0x100000001b3u;
	return hash;
}

/* What is remembered of `key` between the names of `flow`; NOBODY when there are too many. */
static size_t place_of(const struct nvc_flow *flow, const struct nvc_dhchap_key *key)
{
	struct nvc_replay_state *replay = flow->replay;
	const uint64_t names = hash_names(flow);

	for (size_t i = 0; i < replay->num_keys; i++)
		if (replay->keys[i].key == key && replay->keys[i].names == names)
			return i;
	if (replay->num_keys == NVC_REPLAY_MAX_KEYS)
		return NOBODY;
	replay->keys[replay->num_keys] = (struct nvc_replay_key){.key = key, .names = names};
	return replay->num_keys++;
}

/* ---- doubts ---- */

static void report_doubt(struct nvc_replay_state *replay, const struct nvc_replay_doubt *doubt)
{
	const unsigned int proof = replay->keys[doubt->key].proven;
	char seen[200];

	snprintf(seen, sizeof(seen), "%s, under the secret that verifies packet %llu", doubt->seen,
		(unsigned long long)nvc_replay_frame(replay, proof));
	for (int i = 0; i < 2 && doubt->reqs[i] != REQ_NONE; i++)
		nvc_observer_report(replay->observer, doubt->conn, doubt->reqs[i], doubt->packet,
			doubt->expected, seen);
}

static bool is_shown(const struct nvc_replay_state *replay, const struct nvc_replay_doubt *doubt)
{
	const struct nvc_replay_key *key = &replay->keys[doubt->key];

	return key->proven && (key->accepted || !doubt->needs_accepted);
}

static void doubt(struct nvc_flow *flow, const struct nvc_replay_doubt *what)
{
	struct nvc_replay_state *replay = flow->replay;

	if (what->key != NOBODY && is_shown(replay, what))
		report_doubt(replay, what);
	else if (what->key == NOBODY || replay->num_doubts == NVC_REPLAY_MAX_DOUBTS)
		nvc_replay_cannot_judge(replay, flow->id, what->otherwise);
	else
		replay->doubts[replay->num_doubts++] = *what;
}

/* A response verified: what hung on that is no doubt any more. */
static void prove(struct nvc_flow *flow, size_t key, unsigned int packet, bool accepted)
{
	struct nvc_replay_state *replay = flow->replay;
	size_t left = 0;

	if (key == NOBODY)
		return;
	if (!replay->keys[key].proven)
		replay->keys[key].proven = packet;
	replay->keys[key].accepted |= accepted;
	for (size_t i = 0; i < replay->num_doubts; i++) {
		if (is_shown(replay, &replay->doubts[i]))
			report_doubt(replay, &replay->doubts[i]);
		else
			replay->doubts[left++] = replay->doubts[i];
	}
	replay->num_doubts = left;
}

void nvc_check_settle(struct nvc_replay_state *replay)
{
	for (size_t i = 0; i < replay->num_doubts; i++)
		nvc_replay_cannot_judge(
			replay, replay->doubts[i].conn, replay->doubts[i].otherwise);
	replay->num_doubts = 0;
}

/* ---- responses ---- */

/* Says what became of R1 or R2; only where secrets were given is there anything to say about each. */
static void say_proof(
	struct nvc_flow *flow, const char *what, enum nvc_proof proof, unsigned int pdu)
{
	struct nvc_replay_state *replay = flow->replay;
	char text[160];

	replay->result->responses[proof]++;
	if (!replay->num_identities)
		return;
	snprintf(text, sizeof(text), "%s %s%s", what,
		nvc_proof_found(proof) ? "" : "not verified: ", nvc_proof_text(proof));
	nvc_replay_tell(replay, (struct nvc_replay_event){.kind = NVC_REPLAY_CHECK,
					.conn = flow->id,
					.association = flow->association,
					.pdu = pdu,
					.proof = proof,
					.text = text});
}

static void check_r1(struct nvc_flow *flow, bool accepted)
{
	struct nvc_exchange *exchange = flow->exchange;
	const struct nvc_replay_identity *identity = identity_of(flow, has_host_key);
	const struct nvc_dhchap_key *key = identity ? identity->host_key : NULL;
	const struct nvc_exchange_names names = nvc_check_names(flow);
	const enum nvc_proof proof = nvc_exchange_r1(exchange, &names, key);
	struct nvc_observer *observer = flow->replay->observer;
	const unsigned int packet = exchange->packets[0];
	size_t place;

	exchange->proofs[0] = proof;
	say_proof(flow, "R1 of the host:", proof, packet);
	if (!nvc_proof_found(proof))
		return;
	place = place_of(flow, key);
	if (proof == NVC_PROOF_RIGHT) {
		prove(flow, place, packet, accepted);
	} else if (proof == NVC_PROOF_UNTRANSFORMED) {
		nvc_observer_report(observer, flow->id, REQ_H_27, packet,
			"an R1 under the transformed secret", "one under the secret itself");
		if (accepted)
			nvc_observer_report(observer, flow->id, REQ_C_136, exchange->packets[1],
				"AUTH_Failure1", "Success1 to an R1 under the secret itself");
	} else if (accepted) {
		doubt(flow,
			&(struct nvc_replay_doubt){.key = place,
				.conn = flow->id,
				.packet = packet,
				.reqs = {REQ_C_135, REQ_H_27},
				.expected = "the right R1, and AUTH_Failure1 to any other",
				.seen = "an R1 that does not verify, and Success1",
				.otherwise = "R1 does not verify with the secret given, yet the "
					     "controller accepted it: wrong secret?"});
	}
}

/* A controller may refuse what comes when the time of the transaction is over, but what comes when is not known where the clock
 * jumps. */
static void refused_late(struct nvc_flow *flow)
{
	if (flow->replay->result->clock_jumped)
		nvc_replay_cannot_judge(flow->replay, flow->id,
			"R1 verifies, yet the controller refused it: whether the time of the "
			"transaction was over the clock of the capture does not tell");
	else
		nvc_check_say(flow, NVC_REPLAY_NOTE,
			"R1 was refused when the time of the transaction was over");
}

/* A right R1 that was refused for no other reason that can be seen. */
static void check_refusal(struct nvc_flow *flow, const struct nvc_observed_message *message)
{
	const struct nvc_exchange *exchange = flow->exchange;
	const struct nvc_replay_identity *identity = identity_of(flow, has_host_key);
	const bool two_way = exchange->cvalid == 1 && exchange->s2 != 0;
	struct nvc_failure failure;

	if (nvc_decode(&nvc_failure1_layout, message->bytes, &failure, NULL, NULL) != NVC_OK ||
		failure.rcodeex != NVC_RCODEEX_FAILED || exchange->cvalid > 1 ||
		exchange->proofs[0] != NVC_PROOF_RIGHT || !identity ||
		(exchange->sc_c != NVC_SC_C_NOSC && !exchange->cvalid) ||
		nvc_slice_equal(nvc_secret_slice(&exchange->c1), nvc_secret_slice(&exchange->c2)))
		return;
	if (message->late) {
		refused_late(flow);
		return;
	}
	doubt(flow, &(struct nvc_replay_doubt){.key = place_of(flow, identity->host_key),
			    .conn = flow->id,
			    .packet = exchange->packets[0],
			    .needs_accepted = true,
			    .reqs = {two_way ? REQ_C_132 : REQ_C_130},
			    .expected = "Success1 to a right R1",
			    .seen = "AUTH_Failure1 to an R1 that verifies",
			    .otherwise = "R1 verifies with the secret given, yet the controller "
					 "refused it: has it another secret?"});
}

static void check_r2(struct nvc_flow *flow)
{
	struct nvc_exchange *exchange = flow->exchange;
	const struct nvc_replay_identity *identity = identity_of(flow, has_ctrl_key);
	const struct nvc_exchange_names names = nvc_check_names(flow);

	exchange->proofs[1] =
		nvc_exchange_r2(exchange, &names, identity ? identity->ctrl_key : NULL);
	say_proof(flow, "R2 of the controller:", exchange->proofs[1], exchange->packets[1]);
}

/* What the host made of R2. */
enum host_verdict { TAKEN, REFUSED, UNHEARD };

static void check_verdict_on_r2(struct nvc_flow *flow, enum host_verdict verdict)
{
	struct nvc_exchange *exchange = flow->exchange;
	const struct nvc_replay_identity *identity = identity_of(flow, has_ctrl_key);
	const enum nvc_proof proof = exchange->proofs[1];
	struct nvc_replay_doubt what = {.conn = flow->id, .packet = exchange->packets[1]};

	if (!exchange->rvalid || !nvc_proof_found(proof) || !identity)
		return;
	what.key = place_of(flow, identity->ctrl_key);
	if (proof == NVC_PROOF_RIGHT && verdict != REFUSED) {
		prove(flow, what.key, exchange->packets[1], verdict == TAKEN);
	} else if (proof == NVC_PROOF_RIGHT) {
		what.needs_accepted = true;
		what.reqs[0] = REQ_H_52;
		what.expected = "Success2 to a right R2";
		what.seen = "no Success2 to an R2 that verifies";
		what.otherwise = "R2 verifies with the secret given, yet the host refused it: has "
				 "it another secret?";
		prove(flow, what.key, exchange->packets[1], false);
		doubt(flow, &what);
	} else if (verdict == TAKEN) {
		what.reqs[0] = REQ_C_132;
		what.reqs[1] = REQ_H_49;
		what.expected = "the right R2, and AUTH_Failure2 to any other";
		what.seen = "an R2 that does not verify, and Success2";
		what.otherwise = "R2 does not verify with the secret given, yet the host accepted "
				 "it: wrong secret?";
		doubt(flow, &what);
	} else if (what.key != NOBODY && flow->replay->keys[what.key].proven) {
		what.reqs[0] = REQ_C_132;
		what.expected = "the right R2";
		what.seen = "an R2 that does not verify";
		doubt(flow, &what);
	}
}

/* ---- what the observer tells ---- */

static void end_exchange(struct nvc_flow *flow)
{
	if (flow->exchange)
		nvc_exchange_wipe(flow->exchange);
	free(flow->exchange);
	flow->exchange = NULL;
}

static bool awaits_success2(const struct nvc_exchange *exchange)
{
	return exchange->succeeded && exchange->rvalid == 1;
}

static void take_host_message(struct nvc_flow *flow, const struct nvc_observed_message *message)
{
	switch (message->id) {
	case NVC_MSG_NEGOTIATE:
		if (!flow->exchange)
			flow->exchange = calloc(1, sizeof(*flow->exchange));
		if (flow->exchange && !nvc_exchange_negotiate(flow->exchange, message->bytes))
			end_exchange(flow);
		break;
	case NVC_MSG_REPLY:
		flow->exchange->packets[0] = message->packet;
		nvc_exchange_reply(flow->exchange, message->bytes);
		break;
	case NVC_MSG_SUCCESS2:
		if (awaits_success2(flow->exchange)) {
			check_verdict_on_r2(flow, TAKEN);
			nvc_check_psk_generated(flow);
		}
		end_exchange(flow);
		break;
	case NVC_MSG_FAILURE2:
		if (awaits_success2(flow->exchange))
			check_verdict_on_r2(flow, REFUSED);
		end_exchange(flow);
		break;
	default:
		break;
	}
}

static void take_success1(struct nvc_flow *flow, const struct nvc_observed_message *message)
{
	struct nvc_exchange *exchange = flow->exchange;

	exchange->packets[1] = message->packet;
	if (!nvc_exchange_success1(exchange, message->bytes)) {
		end_exchange(flow);
		return;
	}
	if (flow->replay->num_identities || exchange->sc_c != NVC_SC_C_NOSC)
		nvc_exchange_session_key(exchange, flow->replay->keylog);
	check_r1(flow, true);
	if (awaits_success2(exchange)) {
		check_r2(flow);
		return;
	}
	nvc_check_psk_generated(flow);
	end_exchange(flow);
}

static void take_controller_message(
	struct nvc_flow *flow, const struct nvc_observed_message *message)
{
	switch (message->id) {
	case NVC_MSG_CHALLENGE:
		nvc_exchange_challenge(flow->exchange, message->bytes);
		break;
	case NVC_MSG_SUCCESS1:
		take_success1(flow, message);
		break;
	case NVC_MSG_FAILURE1:
		if (flow->exchange->replied && flow->replay->num_identities) {
			nvc_exchange_session_key(flow->exchange, flow->replay->keylog);
			check_r1(flow, false);
			check_refusal(flow, message);
		}
		end_exchange(flow);
		break;
	default:
		break;
	}
}

void nvc_check_message(void *self, const struct nvc_observed_message *message)
{
	struct nvc_replay_state *replay = self;
	struct nvc_flow *flow = replay->current;

	if (!flow || flow->id != message->conn)
		return;
	if (!message->due) {
		end_exchange(flow); /* what it would prove is not clear any more */
		return;
	}
	if (!flow->exchange && message->id != NVC_MSG_NEGOTIATE)
		return;
	if (message->direction == NVC_H2C)
		take_host_message(flow, message);
	else
		take_controller_message(flow, message);
}

void nvc_check_exchange_over(struct nvc_flow *flow)
{
	if (flow->exchange && awaits_success2(flow->exchange))
		check_verdict_on_r2(flow, UNHEARD);
	end_exchange(flow);
}
