/* SPDX-License-Identifier: BSD-3-Clause */
/* DH-HMAC-CHAP_Challenge (Base 2.2, 8.3.4.5; docs/protocol.md 3.3). */
#include <stdlib.h>
#include <string.h>

#include "crypto/dh.h"
#include "crypto/hash.h"
#include "observer/observer_state.h"

enum { CHALLENGE_HEAD_LEN = 16 };

/* An AUTH_Negotiate whose SC_C allows no answer but AUTH_Failure1. */
static void judge_sc_c(struct nvc_obs_conn *conn)
{
	const struct nvc_obs_transaction *transaction = &conn->transaction;
	enum req_id req = REQ_NONE;
	bool io = conn->qid != 0;

	if (!transaction->offer_known || !conn->connected)
		return;
	switch (transaction->sc_c) {
	case NVC_SC_C_NOSC:
		return;
	case NVC_SC_C_NEWTLSPSK:
		req = io ? REQ_C_112 : conn->tls ? REQ_C_114 : REQ_NONE;
		break;
	case NVC_SC_C_REPLACETLSPSK:
		req = io ? REQ_C_210 : !conn->tls ? REQ_C_113 : REQ_NONE;
		break;
	default:
		req = REQ_C_110;
	}
	if (req != REQ_NONE)
		nvc_obs_violated(conn, req, "AUTH_Failure1 with RCODEEX 03h",
			"Challenge to SC_C %02xh on an %s queue %s", transaction->sc_c,
			io ? "I/O" : "admin", conn->tls ? "over TLS" : "without TLS");
	else if (transaction->dh_offered[NVC_DH_NULL])
		nvc_obs_violated(conn, REQ_C_115, "AUTH_Failure1 with RCODEEX 05h",
			"Challenge to SC_C %02xh with the NULL group offered", transaction->sc_c);
}

/* Returns false when the choice is wrong, so that what follows from it is not judged as well. */
static bool judge_choice(struct nvc_obs_conn *conn, uint8_t hash_id, uint8_t dhgid)
{
	const struct nvc_obs_transaction *transaction = &conn->transaction;
	enum req_id req = REQ_NONE;

	if (!transaction->offer_known)
		return nvc_hash_len(hash_id) && nvc_dhgroup_known(dhgid);
	if (transaction->sc_c != NVC_SC_C_NOSC && dhgid == NVC_DH_NULL)
		req = REQ_C_195;
	else if (!transaction->hash_offered[hash_id])
		req = REQ_C_092;
	else if (!transaction->dh_offered[dhgid])
		req = REQ_C_093;
	else if (nvc_hash_len(hash_id) == 0 || !nvc_dhgroup_known(dhgid))
		req = REQ_C_094;
	if (req == REQ_NONE)
		return true;
	nvc_obs_violated(conn, req, "a hash and a group which the host offered",
		"HashID %02xh, DHgID %02xh", hash_id, dhgid);
	return false;
}

static bool remember(struct nvc_observer *observer, const struct nvc_obs_challenge *challenge)
{
	if (observer->num_challenges < NVC_OBSERVER_MAX_CHALLENGES &&
		observer->num_challenges == observer->cap_challenges) {
		size_t cap = observer->cap_challenges ? 2 * observer->cap_challenges : 16;
		struct nvc_obs_challenge *grown =
			realloc(observer->challenges, cap * sizeof(*grown));

		if (!grown)
			return false;
		observer->challenges = grown;
		observer->cap_challenges = cap;
	}
	if (observer->num_challenges < NVC_OBSERVER_MAX_CHALLENGES) {
		observer->challenges[observer->num_challenges++] = *challenge;
		return true;
	}
	observer->challenges[observer->next_challenge] = *challenge;
	observer->next_challenge = (observer->next_challenge + 1) % NVC_OBSERVER_MAX_CHALLENGES;
	return true;
}

/* Tells the sink of a value by a digest of its kind and its bytes. */
static void tell_fresh(const struct nvc_obs_conn *conn, enum req_id req, struct nvc_slice whose,
	struct nvc_slice value)
{
	const struct nvc_observer *observer = conn->observer;
	const struct nvc_slice parts[] = {nvc_slice_str(nvc_requirement(req)->id), whose, value};
	struct nvc_secret digest = {.len = 0};

	if (observer->sink.fresh && nvc_hash_parts(NVC_HASH_SHA256, parts, 3, &digest) == NVC_OK)
		observer->sink.fresh(
			observer->sink.self, req, digest.data, observer->packets, conn->id);
}

static void tell_values(const struct nvc_obs_conn *conn, const struct nvc_challenge *challenge)
{
	const struct nvc_slice nobody = {NULL, 0};
	uint8_t pair[8], s1[4];

	nvc_put_le(pair, conn->pair, sizeof(pair));
	nvc_put_le(s1, challenge->seqnum, sizeof(s1));
	tell_fresh(conn, REQ_C_124, nobody, challenge->cval);
	if (challenge->seqnum)
		tell_fresh(conn, REQ_C_123, NVC_SLICE(pair), NVC_SLICE(s1));
	if (challenge->dhval.len)
		tell_fresh(conn, REQ_C_127, nobody, challenge->dhval);
}

/* S1 must move on with each transaction of a pair; a value that came before cannot have. */
static void judge_freshness(struct nvc_obs_conn *conn, const struct nvc_challenge *challenge)
{
	struct nvc_observer *observer = conn->observer;
	struct nvc_obs_challenge now = {.pair = conn->pair, .s1 = challenge->seqnum};
	bool c1_again = false, s1_again = false;

	memcpy(now.c1, challenge->cval.data, NVC_OBS_CHALLENGE_KEY);
	for (size_t i = 0; i < observer->num_challenges; i++) {
		const struct nvc_obs_challenge *before = &observer->challenges[i];

		c1_again |= memcmp(before->c1, now.c1, sizeof(now.c1)) == 0;
		s1_again |= before->pair == now.pair && before->s1 == now.s1;
	}
	if (c1_again)
		nvc_obs_violated(conn, REQ_C_124, "a C1 that was not used before",
			"the C1 of an earlier Challenge");
	if (s1_again && now.s1 != 0)
		nvc_obs_violated(conn, REQ_C_123, "an S1 that moves on",
			"S1 %u of an earlier Challenge to this host", now.s1);
	if (!remember(observer, &now))
		nvc_obs_host_is_bent(conn, "out of memory");
}

static void judge_values(struct nvc_obs_conn *conn, const struct nvc_challenge *challenge)
{
	enum nvc_dh_check check;

	if (challenge->seqnum == 0)
		nvc_obs_violated(conn, REQ_C_122, "S1 other than 0", "S1 0");
	judge_freshness(conn, challenge);
	tell_values(conn, challenge);
	if (challenge->dhgid == NVC_DH_NULL)
		return;
	check = nvc_dh_check_public(challenge->dhgid, challenge->dhval);
	if (check != NVC_DH_CHECK_OK)
		nvc_obs_violated(conn, REQ_C_125, "a public value in 2 to p - 2",
			"a public value that is %s", nvc_dh_check_name(check));
}

static void keep_challenge(struct nvc_obs_conn *conn, const struct nvc_challenge *challenge)
{
	struct nvc_obs_transaction *transaction = &conn->transaction;

	transaction->challenge_known = true;
	transaction->hash_id = challenge->hash_id;
	transaction->dhgid = challenge->dhgid;
	memcpy(transaction->c1, challenge->cval.data, challenge->cval.len);
}

size_t nvc_obs_challenge(struct nvc_obs_conn *conn, struct nvc_slice message, size_t room)
{
	struct nvc_challenge challenge;
	uint8_t hash_id, dhgid;
	size_t dhvlen, len;

	judge_sc_c(conn);
	if (message.len < CHALLENGE_HEAD_LEN) {
		nvc_obs_violated(conn, message.len < room ? REQ_C_120 : REQ_C_080,
			"a whole Challenge", "%zu bytes", message.len);
		return 0;
	}
	hash_id = message.data[8];
	dhgid = message.data[9];
	dhvlen = (size_t)nvc_get_le(message.data + 10, 2);
	if (!judge_choice(conn, hash_id, dhgid))
		return 0;
	if (message.data[6] != nvc_hash_len(hash_id)) {
		nvc_obs_violated(conn, REQ_C_120, "the HL of the HashID", "HL %u for hash %02xh",
			message.data[6], hash_id);
		return 0;
	}
	if (dhvlen != nvc_dhgroup_len(dhgid)) {
		nvc_obs_violated(conn, REQ_C_121, "the size of the group",
			"DHVLEN %zu for group %02xh", dhvlen, dhgid);
		return 0;
	}
	if (nvc_decode(&nvc_challenge_layout, message, &challenge, &len, NULL) != NVC_OK) {
		nvc_obs_violated(conn, message.len < room ? REQ_C_120 : REQ_C_080,
			"16 + HL + DHVLEN bytes", "%zu bytes", message.len);
		return 0;
	}
	if (!nvc_reserved_is_zero(&nvc_challenge_layout, message, NULL))
		nvc_obs_violated(conn, REQ_C_120, "reserved bytes zero",
			"a reserved byte of Challenge is set");
	if (conn->transaction.offer_known && challenge.t_id != conn->transaction.t_id &&
		!conn->transaction.negotiated_twice)
		nvc_obs_violated(conn, REQ_C_120, "the T_ID of AUTH_Negotiate", "T_ID %04xh",
			challenge.t_id);
	judge_values(conn, &challenge);
	keep_challenge(conn, &challenge);
	return len;
}
