/* SPDX-License-Identifier: BSD-3-Clause */
/* DH-HMAC-CHAP_Reply: its checks in their order, the proof of the host, and what Success1 will hold. */
#include "crypto/dhchap.h"
#include "target/internal.h"

#include <stdlib.h>
#include <string.h>

enum { REPLY_HEADER = 16 };

/* A Reply under examination. */
struct reply {
	struct conn *conn;
	struct nvc_target *target;
	const struct transaction *tx;
	size_t len; /* of the message as it came */
	struct nvc_reply msg;
	uint16_t t_id;
};

/* ---- the format ---- */

static bool header_ok(const struct reply *r)
{
	return r->len >= REPLY_HEADER;
}

static bool hl_ok(const struct reply *r)
{
	return r->msg.hl == r->tx->hl;
}

static bool dhvlen_given(const struct reply *r)
{
	return r->tx->dhgid == NVC_DH_NULL || r->msg.dhvlen != 0;
}

static bool dhvlen_null(const struct reply *r)
{
	return r->tx->dhgid != NVC_DH_NULL || r->msg.dhvlen == 0;
}

static bool dhvlen_ok(const struct reply *r)
{
	return r->tx->dhgid == NVC_DH_NULL || r->msg.dhvlen == 0 ||
	       r->msg.dhvlen == nvc_dhgroup_len(r->tx->dhgid);
}

static bool length_ok(const struct reply *r)
{
	return r->len >= REPLY_HEADER + 2u * r->msg.hl + r->msg.dhvlen;
}

static bool cvalid_ok(const struct reply *r)
{
	return r->msg.cvalid <= 1;
}

static bool concat_c2_ok(const struct reply *r)
{
	return !r->tx->concat || r->msg.cvalid != 0;
}

static enum nvc_dh_check dh_check(const struct reply *r)
{
	if (r->tx->dhgid == NVC_DH_NULL || r->msg.dhvlen != nvc_dhgroup_len(r->tx->dhgid))
		return NVC_DH_CHECK_OK; /* the checks of the length have their own rules */
	return nvc_dh_check_public(r->tx->dhgid, r->msg.dhval);
}

static bool dhv_not_zero(const struct reply *r)
{
	return dh_check(r) != NVC_DH_CHECK_ZERO;
}

static bool dhv_not_one(const struct reply *r)
{
	return dh_check(r) != NVC_DH_CHECK_ONE;
}

static bool dhv_not_p1(const struct reply *r)
{
	return dh_check(r) != NVC_DH_CHECK_P_MINUS_ONE;
}

static bool dhv_below_p(const struct reply *r)
{
	return dh_check(r) != NVC_DH_CHECK_NOT_BELOW_P;
}

static bool c2_not_c1(const struct reply *r)
{
	return !r->msg.cvalid || !nvc_slice_equal(r->msg.cval, nvc_secret_slice(&r->tx->c1));
}

static bool two_way(const struct reply *r)
{
	if (!r->msg.cvalid || r->msg.seqnum != 0)
		return r->msg.cvalid;
	return !r->tx->concat && !KEPT(r->target, REPLY_S2_ZERO);
}

static bool tail_ok(const struct reply *r)
{
	return r->len <= REPLY_HEADER + 2u * r->msg.hl + r->msg.dhvlen ||
	       KEPT(r->target, AUTH_TRAILING);
}

static bool controller_key_ok(const struct reply *r)
{
	return !two_way(r) || r->tx->kc.len != 0;
}

/* The format as a whole comes before any cryptography (Base 2.2 8.3.4.5.4). */
static const struct {
	enum rule rule;
	bool (*ok)(const struct reply *r);
	uint8_t rcodeex;
} checks[] = {
	{RULE_REPLY_LENGTH, header_ok, NVC_RCODEEX_PAYLOAD},
	{RULE_REPLY_HL, hl_ok, NVC_RCODEEX_PAYLOAD},
	{RULE_REPLY_DHVLEN_ZERO, dhvlen_given, NVC_RCODEEX_PAYLOAD},
	{RULE_REPLY_DHVLEN_NULL, dhvlen_null, NVC_RCODEEX_PAYLOAD},
	{RULE_REPLY_DHVLEN, dhvlen_ok, NVC_RCODEEX_PAYLOAD},
	{RULE_REPLY_LENGTH, length_ok, NVC_RCODEEX_PAYLOAD},
	{RULE_NONE, tail_ok, NVC_RCODEEX_FAILED},
	{RULE_REPLY_CVALID, cvalid_ok, NVC_RCODEEX_PAYLOAD},
	{RULE_REPLY_CONCAT_C2, concat_c2_ok, NVC_RCODEEX_PAYLOAD},
	{RULE_REPLY_DHV_ZERO, dhv_not_zero, NVC_RCODEEX_PAYLOAD},
	{RULE_REPLY_DHV_ONE, dhv_not_one, NVC_RCODEEX_PAYLOAD},
	{RULE_REPLY_DHV_P1, dhv_not_p1, NVC_RCODEEX_PAYLOAD},
	{RULE_REPLY_DHV_P, dhv_below_p, NVC_RCODEEX_PAYLOAD},
	{RULE_REPLY_C2, c2_not_c1, NVC_RCODEEX_FAILED},
	{RULE_REPLY_CONTROLLER_KEY, controller_key_ok, NVC_RCODEEX_FAILED},
};

/* ---- the proof ---- */

static enum nvc_result session_key(const struct reply *r, struct transaction *tx)
{
	uint8_t shared[NVC_MAX_DH_LEN];
	struct nvc_writer writer = nvc_writer_over(shared, sizeof(shared));
	struct nvc_slice value;
	enum nvc_result result;

	tx->has_ks = tx->dhgid != NVC_DH_NULL;
	if (!tx->has_ks && r->conn->last_ks_len && !KEPT(r->target, KS_FRESH)) {
		tx->has_ks = true;
		tx->ks.len = r->conn->last_ks_len;
		return NVC_OK;
	}
	if (!tx->has_ks || r->msg.dhvlen == 0) /* an empty Ks with a group: defect dhvlen-zero-ok */
		return NVC_OK;
	/* What the checks have let through is what this target takes, be it for a defect. */
	result = nvc_dh_derive_unchecked(tx->dh, r->msg.dhval, &writer);
	value = nvc_writer_slice(&writer);
	while (value.len > 1 && value.data[0] == 0 && !KEPT(r->target, KS_PAD))
		value = nvc_slice_sub(value, 1, value.len);
	if (result == NVC_OK)
		result = nvc_dhchap_session_key(tx->hash_id, value, &tx->ks);
	r->conn->last_ks_len = tx->ks.len;
	tx->psk_key = tx->ks;
	if (result == NVC_OK && tx->concat && !KEPT(r->target, KS_HASHED))
		result = nvc_secret_set(&tx->psk_key, nvc_slice_sub(value, 0, tx->hl));
	memset(shared, 0, sizeof(shared));
	return result;
}

/* The inputs of a response; `controller` for R2. */
static struct nvc_dhchap_inputs inputs(
	const struct reply *r, bool controller, const struct nvc_secret *ca, uint16_t t_id)
{
	const struct nvc_target *target = r->target;
	const struct transaction *tx = r->tx;
	struct nvc_dhchap_inputs in = {.hash_id = tx->hash_id,
		.t_id = t_id,
		.challenge = nvc_secret_slice(ca),
		.hostnqn = nvc_slice_str(r->conn->controller->hostnqn),
		.subnqn = nvc_slice_str(r->conn->controller->subsystem->nqn)};

	if (controller) {
		in.key = nvc_secret_slice(&tx->kc);
		in.seqnum = (uint32_t)FIELD(target, R2_S2, tx->s2);
		in.sc_c = (uint8_t)FIELD(target, R2_SC_C, tx->sc_c);
	} else {
		in.key = nvc_secret_slice(&tx->kh);
		in.seqnum = (uint32_t)FIELD(target, R1_S1, tx->s1);
		in.sc_c = (uint8_t)FIELD(target, R1_SC_C, tx->sc_c);
		in.t_id = (uint16_t)FIELD(target, R1_T_ID, t_id);
	}
	return in;
}

static enum nvc_result response(const struct nvc_target *target, const struct nvc_dhchap_inputs *in,
	bool r2, struct nvc_secret *out)
{
	if (!KEPT(target, LABELS))
		r2 = !r2;
	return r2 ? nvc_dhchap_r2(in, out) : nvc_dhchap_r1(in, out);
}

static bool r1_equals(const struct reply *r, const struct nvc_secret *ca1, uint16_t t_id)
{
	struct nvc_dhchap_inputs in = inputs(r, false, ca1, t_id);
	struct nvc_slice expected, got = r->msg.rval;
	struct nvc_secret r1 = {.len = 0};
	bool equal = false;

	if (response(r->target, &in, false, &r1) == NVC_OK) {
		expected = nvc_secret_slice(&r1);
		if (got.len != expected.len &&
			!KEPT(r->target,
				REPLY_HL)) { /* the defect: as many bytes as the Reply says */
			size_t len = got.len < expected.len ? got.len : expected.len;

			expected = nvc_slice_sub(expected, 0, len);
			got = nvc_slice_sub(got, 0, len);
		}
		equal = nvc_secret_equal(expected, got);
	}
	nvc_secret_wipe(&r1);
	return equal;
}

static bool r1_ok(const struct reply *r)
{
	struct nvc_secret ca1 = {.len = 0};
	bool ok = false;

	if (r->tx->kh.len && nvc_dhchap_augment(r->tx->hash_id, r->tx->has_ks ? &r->tx->ks : NULL,
				     nvc_secret_slice(&r->tx->c1), &ca1) == NVC_OK) {
		ok = r1_equals(r, &ca1, r->tx->t_id);
		if (!ok && !KEPT(r->target, REPLY_T_ID))
			ok = r1_equals(r, &ca1, r->t_id);
	}
	nvc_secret_wipe(&ca1);
	return ok || !KEPT(r->target, REPLY_R1);
}

static enum nvc_result make_r2(const struct reply *r, struct transaction *tx)
{
	struct nvc_secret ca2 = {.len = 0};
	struct nvc_dhchap_inputs in;
	enum nvc_result result = nvc_dhchap_augment(
		tx->hash_id, tx->has_ks ? &tx->ks : NULL, nvc_secret_slice(&tx->c2), &ca2);

	if (result == NVC_OK) {
		in = inputs(r, true, &ca2, tx->t_id);
		result = response(r->target, &in, true, &tx->r2);
	}
	nvc_secret_wipe(&ca2);
	return result;
}

/* What the checked Reply means for the rest of the transaction. */
static uint8_t conclude(const struct reply *r, struct transaction *tx)
{
	enum nvc_result result = session_key(r, tx);

	tx->s2 = r->msg.seqnum;
	tx->two_way = two_way(r) && (tx->kc.len || KEPT(r->target, REPLY_CONTROLLER_KEY));
	if (result == NVC_OK)
		result = nvc_secret_set(&tx->c2, nvc_slice_sub(r->msg.cval, 0, NVC_MAX_SECRET));
	if (result == NVC_OK && tx->concat)
		tx->psk = nvc_psk_make(r->conn, tx);
	if (result != NVC_OK || !r1_ok(r)) {
		nvc_target_say(r->target, "R1 does not verify");
		return NVC_RCODEEX_FAILED;
	}
	if (tx->two_way && make_r2(r, tx) != NVC_OK)
		return NVC_RCODEEX_FAILED;
	if (!tx->two_way && r->conn->was_two_way && !KEPT(r->target, SUCC1_RVALID)) {
		tx->two_way = true;
		tx->r2 = tx->c1;
	}
	return 0;
}

uint8_t nvc_auth_reply(struct conn *conn, struct transaction *tx, struct nvc_slice message)
{
	struct reply r = {.conn = conn, .target = conn->target, .tx = tx, .len = message.len};
	size_t size = message.len + REPLY_HEADER + 2 * UINT8_MAX + UINT16_MAX;
	uint8_t *padded = calloc(1, size); /* a defect that believes in the lengths reads zeros */
	uint8_t rcodeex = NVC_RCODEEX_PAYLOAD;

	if (!padded)
		return NVC_RCODEEX_FAILED;
	memcpy(padded, message.data, message.len);
	if (conn->target->shared_hash != tx->hash_id && !KEPT(conn->target, STATE_PER_QUEUE))
		tx->hash_id = conn->target->shared_hash;
	if (nvc_decode(&nvc_reply_layout, nvc_slice_of(padded, size), &r.msg, NULL, NULL) ==
		NVC_OK) {
		r.t_id = r.msg.t_id;
		rcodeex = 0;
		for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]) && !rcodeex; i++) {
			if (checks[i].ok(&r) ||
				!nvc_rule_kept(&conn->target->rules, checks[i].rule))
				continue;
			nvc_target_say(conn->target, "Reply: not true that %s",
				nvc_rule_text(checks[i].rule));
			rcodeex = checks[i].rcodeex;
		}
	}
	if (!rcodeex)
		rcodeex = conclude(&r, tx);
	free(padded);
	return rcodeex;
}
