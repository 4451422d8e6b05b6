/* SPDX-License-Identifier: BSD-3-Clause */
/* DH-HMAC-CHAP_Challenge (Base 2.2, 8.3.4.5; docs/protocol.md 3.3). */
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

static void judge_values(struct nvc_obs_conn *conn, const struct nvc_challenge *challenge)
{
	enum nvc_dh_check check;

	if (challenge->seqnum == 0)
		nvc_obs_violated(conn, REQ_C_122, "S1 other than 0", "S1 0");
	nvc_obs_fresh_challenge(conn, challenge);
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
