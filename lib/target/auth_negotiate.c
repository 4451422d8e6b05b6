/* SPDX-License-Identifier: BSD-3-Clause */
/* AUTH_Negotiate: its checks in their order, the choice of hash and group, the values of the Challenge. */
#include "target/internal.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/dhchap.h"

/* An AUTH_Negotiate under examination. */
struct negotiation {
	struct conn *conn;
	const struct nvc_target *target;
	const struct host *host; /* NULL: nothing known */
	struct transaction *tx;
	size_t len;		 /* of the message as it came */
	struct nvc_slice padded; /* the message and zeros behind it */
	struct nvc_negotiate msg;
	struct nvc_slice descriptor; /* of DH-HMAC-CHAP and all that follows; empty: none */
};

enum {
	AUTHID_DHCHAP = 1,
	HASHES_AT = 4, /* offsets in a descriptor */
	GROUPS_AT = 34,
	PADDING = 512, /* lists of 255 ids stay inside when a defect believes in them */
};

static uint8_t at(const struct negotiation *n, size_t offset)
{
	return offset < n->descriptor.len ? n->descriptor.data[offset] : 0;
}

/* A rule is asked last in each condition, where it makes a difference: then a run shows which rules it went by. */
static size_t halen(const struct negotiation *n)
{
	size_t num = at(n, 2), behind = num;

	while (behind < NVC_MAX_LIST && at(n, HASHES_AT + behind) == 0)
		behind++;
	return behind >= NVC_MAX_LIST || KEPT(n->target, NEG_HALEN) ? num : NVC_MAX_LIST;
}

static size_t list_len(const struct negotiation *n, size_t len)
{
	return len > 16 && !KEPT(n->target, NEG_LIST_FULL) ? 16 : len;
}

/* ---- the checks ---- */

static bool length_ok(struct negotiation *n)
{
	return n->len >= 8 && n->len >= 8u + (size_t)n->msg.napd * NVC_DESCRIPTOR_LEN;
}

static bool reserved_ok(struct negotiation *n)
{
	if (n->padded.data[2] == 0 && n->padded.data[3] == 0 && n->padded.data[9] == 0)
		return true;
	return KEPT(n->target, NEG_RESERVED);
}

static bool tail_ok(struct negotiation *n)
{
	return n->len <= 8u + (size_t)n->msg.napd * NVC_DESCRIPTOR_LEN ||
	       KEPT(n->target, AUTH_TRAILING);
}

static bool sc_c_defined(struct negotiation *n)
{
	return n->msg.sc_c == NVC_SC_C_NOSC || n->msg.sc_c == NVC_SC_C_NEWTLSPSK ||
	       n->msg.sc_c == NVC_SC_C_REPLACETLSPSK;
}

/*
 * Base 2.2 8.3.4.4.1: which SC_C is legal on which channel. The table is asked about the channel as the
 * queue's authentication remembers it, which is what some implementations forget.
 */
enum channel { CLEAR_ADMIN, TLS_ADMIN, CLEAR_IO, TLS_IO, NUM_CHANNELS };

static const struct {
	enum rule newtlspsk, replacetlspsk; /* RULE_NONE: legal */
} illegal_on[NUM_CHANNELS] = {
	[CLEAR_ADMIN] = {RULE_NONE, RULE_NEG_REPLACE_CLEAR},
	[TLS_ADMIN] = {RULE_NEG_NEW_TLS, RULE_NONE},
	[CLEAR_IO] = {RULE_NEG_SC_C_IO, RULE_NEG_SC_C_IO},
	[TLS_IO] = {RULE_NEG_SC_C_IO_TLS, RULE_NEG_SC_C_IO_TLS},
};

static bool channel_ok(struct negotiation *n)
{
	enum channel channel = n->conn->knows_tls ? TLS_ADMIN : CLEAR_ADMIN;
	enum rule broken;

	if (n->conn->qid != 0)
		channel = n->conn->knows_tls ? TLS_IO : CLEAR_IO;
	if (n->msg.sc_c == NVC_SC_C_NOSC)
		return true;
	broken = n->msg.sc_c == NVC_SC_C_REPLACETLSPSK ? illegal_on[channel].replacetlspsk
						       : illegal_on[channel].newtlspsk;
	if (broken == RULE_NONE || !nvc_rule_kept(&n->target->rules, broken))
		return true;
	nvc_target_say(n->target, "SC_C %u on this queue: not true that %s",
		(unsigned int)n->msg.sc_c, nvc_rule_text(broken));
	return false;
}

static bool concat_allowed(struct negotiation *n)
{
	return n->msg.sc_c == NVC_SC_C_NOSC || (n->host && n->host->concat != NVC_POLICY_DISABLED);
}

static bool not_configured(struct negotiation *n)
{
	const char *subnqn = n->conn->controller->subsystem->nqn;

	if (n->msg.sc_c == NVC_SC_C_NOSC || !n->host)
		return true;
	for (size_t i = 0; i < n->host->num_psks; i++)
		if (!*n->host->psks[i].subnqn || strcmp(n->host->psks[i].subnqn, subnqn) == 0)
			return false;
	return true;
}

static bool concat_given(struct negotiation *n)
{
	return n->msg.sc_c != NVC_SC_C_NOSC || n->conn->secured || n->conn->qid != 0 || !n->host ||
	       n->host->concat != NVC_POLICY_REQUIRED;
}

static bool napd_ok(struct negotiation *n)
{
	return n->msg.napd != 0 && (n->msg.napd == 1 || KEPT(n->target, NEG_MANY));
}

static bool descriptor_ok(struct negotiation *n)
{
	return n->descriptor.len != 0;
}

static bool halen_given(struct negotiation *n)
{
	return at(n, 2) != 0;
}

static bool dhlen_given(struct negotiation *n)
{
	return at(n, 3) != 0;
}

static bool lists_ok(struct negotiation *n)
{
	return at(n, 2) <= NVC_MAX_LIST && at(n, 3) <= NVC_MAX_LIST;
}

static bool key_ok(struct negotiation *n)
{
	return n->host && n->host->auth != NVC_POLICY_DISABLED && n->host->host_key.secret.len &&
	       n->host != n->target->locked_out;
}

static bool may_use_hash(const struct negotiation *n, uint8_t id)
{
	if (!nvc_hash_len(id) || (n->host && !(n->host->hashes >> id & 1)))
		return false;
	/* No identity exists for SHA-512. */
	return !n->tx->concat || id != NVC_HASH_SHA512 || !KEPT(n->target, NEG_CONCAT_HASH);
}

static uint8_t own_hash(const struct negotiation *n)
{
	for (uint8_t id = NVC_HASH_SHA256; id <= NVC_HASH_SHA512; id++)
		if (may_use_hash(n, id))
			return id;
	return 0;
}

static bool choose_hash(struct negotiation *n)
{
	size_t num = list_len(n, halen(n));
	uint8_t own = own_hash(n);

	for (size_t i = 0; i < num; i++) {
		uint8_t id = at(n, HASHES_AT + i);

		if (!nvc_hash_len(id) && !KEPT(n->target, NEG_HASH_UNKNOWN))
			return false;
		if (may_use_hash(n, id)) {
			n->tx->hash_id = id;
			break;
		}
	}
	if (own && own != n->tx->hash_id && !KEPT(n->target, NEG_HASH_OFFERED))
		n->tx->hash_id = own;
	if (n->tx->hash_id)
		return true;
	n->tx->hash_id = NVC_HASH_SHA256; /* for a defect that goes on */
	return false;
}

static bool null_left_out(struct negotiation *n)
{
	size_t num = list_len(n, at(n, 3));

	if (!n->tx->concat)
		return true;
	for (size_t i = 0; i < num; i++)
		if (at(n, GROUPS_AT + i) == NVC_DH_NULL)
			return false;
	return true;
}

static bool may_use_group(const struct negotiation *n, uint8_t id)
{
	if (!nvc_dhgroup_known(id) || (n->host && !(n->host->dhgroups >> id & 1)))
		return false;
	return !n->tx->concat || id != NVC_DH_NULL || !KEPT(n->target, NEG_CONCAT_NULL);
}

static bool own_group(const struct negotiation *n, uint8_t *group)
{
	for (uint8_t id = NVC_DH_2048; id <= NVC_NUM_DHGROUPS; id++) {
		*group = id % NVC_NUM_DHGROUPS; /* NULL comes last */
		if (may_use_group(n, *group))
			return true;
	}
	return false;
}

static bool choose_group(struct negotiation *n)
{
	size_t num = list_len(n, at(n, 3));
	uint8_t own = NVC_DH_NULL;
	bool has_own = own_group(n, &own);

	if (num == 1 && at(n, GROUPS_AT) == NVC_DH_NULL && !KEPT(n->target, NEG_NULL_ALONE))
		return false;
	for (size_t i = 0; i < num; i++) {
		uint8_t id = at(n, GROUPS_AT + i);

		if (!nvc_dhgroup_known(id) && !KEPT(n->target, NEG_HASH_UNKNOWN))
			return false;
		if (may_use_group(n, id)) {
			n->tx->dhgid = id;
			if (has_own && own != id && !KEPT(n->target, NEG_GROUP_OFFERED))
				n->tx->dhgid = own;
			return true;
		}
	}
	n->tx->dhgid = own; /* for a defect that goes on */
	return has_own && !KEPT(n->target, NEG_GROUP_OFFERED);
}

/* In this order: the format first, then whether SC_C may be used here, then what can be agreed on. */
static const struct {
	enum rule rule;
	bool (*ok)(struct negotiation *n);
	uint8_t rcodeex;
} checks[] = {
	{RULE_NEG_LENGTH, length_ok, NVC_RCODEEX_PAYLOAD},
	{RULE_NONE, reserved_ok, NVC_RCODEEX_PAYLOAD},
	{RULE_NONE, tail_ok, NVC_RCODEEX_FAILED},
	{RULE_NEG_SC_C, sc_c_defined, NVC_RCODEEX_CONCAT_MISMATCH},
	{RULE_NONE, channel_ok, NVC_RCODEEX_CONCAT_MISMATCH},
	{RULE_NEG_SC_C_POLICY, concat_allowed, NVC_RCODEEX_CONCAT_MISMATCH},
	{RULE_NEG_CONFIGURED, not_configured, NVC_RCODEEX_CONCAT_MISMATCH},
	{RULE_NEG_REQUIRED, concat_given, NVC_RCODEEX_CONCAT_MISMATCH},
	{RULE_NEG_NAPD, napd_ok, NVC_RCODEEX_PROTOCOL},
	{RULE_NEG_AUTHID, descriptor_ok, NVC_RCODEEX_PROTOCOL},
	{RULE_NEG_KEY, key_ok, NVC_RCODEEX_PROTOCOL},
	{RULE_NEG_HALEN_ZERO, halen_given, NVC_RCODEEX_PAYLOAD},
	{RULE_NEG_DHLEN_ZERO, dhlen_given, NVC_RCODEEX_PAYLOAD},
	{RULE_NEG_LIST_MAX, lists_ok, NVC_RCODEEX_PAYLOAD},
	{RULE_NEG_HASH, choose_hash, NVC_RCODEEX_HASH},
	{RULE_NEG_CONCAT_NULL, null_left_out, NVC_RCODEEX_DHGROUP},
	{RULE_NEG_GROUP, choose_group, NVC_RCODEEX_DHGROUP},
};

/* ---- keys and the values of the Challenge ---- */

static enum nvc_result load_key(const struct nvc_target *target, const struct nvc_dhchap_key *from,
	const char *nqn, size_t hl, struct nvc_secret *out)
{
	struct nvc_dhchap_key key = *from;
	enum nvc_result result = NVC_OK;

	if (key.hash_id != NVC_HASH_NONE && !KEPT(target, KEY_TRANSFORM))
		key.hash_id = NVC_HASH_NONE;
	if (key.secret.len && (key.secret.len == hl || KEPT(target, KEY_ANY_LENGTH)))
		result = nvc_dhchap_key_transform(&key, nvc_slice_str(nqn), out);
	nvc_secret_wipe(&key.secret);
	return result;
}

static void log_exponent(
	const struct nvc_target *target, const struct nvc_dh_key *key, struct nvc_slice exponent)
{
	char line[NVC_DHCHAP_EXPONENT_LINE_SIZE];

	if (!target->limits.keylog)
		return;
	if (nvc_dhchap_exponent_line(nvc_dh_key_public(key), exponent, line) == NVC_OK)
		target->limits.keylog(target->limits.keylog_self, line);
	explicit_bzero(line, sizeof(line));
}

/* Draws a private exponent; with defect dhval-strip-zeros it goes on to one whose public value begins with 00h. */
static enum nvc_result draw_key(struct nvc_target *target, uint8_t group, struct nvc_dh_key **key)
{
	uint8_t x[NVC_DH_PRIVATE_LEN];
	enum nvc_result result = NVC_OK;

	nvc_env_random(&target->env, x, sizeof(x));
	x[0] |= 1; /* never 0 */
	if (group == NVC_DH_2048 && !KEPT(target, CHAL_DHVAL_PAD)) {
		x[0] &= 0x7f; /* room to count up */
		result = nvc_dh_leading_zero(group, (struct nvc_slice){NULL, 0}, NVC_SLICE(x), x);
	}
	if (result == NVC_OK)
		result = nvc_dh_key_new(group, NVC_SLICE(x), key);
	if (result == NVC_OK)
		log_exponent(target, *key, NVC_SLICE(x));
	explicit_bzero(x, sizeof(x));
	return result;
}

static enum nvc_result make_dh(struct nvc_target *target, struct transaction *tx)
{
	uint8_t x[NVC_DH_PRIVATE_LEN];

	if (tx->dhgid == NVC_DH_NULL)
		return NVC_OK;
	if (KEPT(target, CHAL_DHVAL_FRESH))
		return draw_key(target, tx->dhgid, &tx->dh);
	/* The defect: the same exponent always. */
	memset(x, 0x5a, sizeof(x));
	return nvc_dh_key_new(tx->dhgid, nvc_slice_of(x, sizeof(x)), &tx->dh);
}

static enum nvc_result make_challenge(
	struct conn *conn, const struct host *host, struct transaction *tx)
{
	struct nvc_target *target = conn->target;
	const struct controller *controller = conn->controller;
	bool load = !conn->secured || KEPT(target, LOAD_KEYS_ON_TLS);
	enum nvc_result result = NVC_OK;

	tx->hl = (uint8_t)nvc_hash_len(tx->hash_id);
	target->shared_hash = tx->hash_id;
	tx->s1 = nvc_target_next_s1(target, host, controller->subsystem);
	if (HOW(target, CHAL_S1) == HOW_ZERO)
		tx->s1 = 0;
	tx->c1.len = tx->hl;
	nvc_env_random(&target->env, tx->c1.data, tx->hl);
	if (!KEPT(target, CHAL_C1_FRESH))
		memset(tx->c1.data, 0x5a, tx->hl);
	if (load && host)
		result = load_key(target, &host->host_key, controller->hostnqn, tx->hl, &tx->kh);
	if (result == NVC_OK && load && host)
		result = load_key(
			target, &host->controller_key, controller->subsystem->nqn, tx->hl, &tx->kc);
	return result == NVC_OK ? make_dh(target, tx) : result;
}

/* ---- the whole ---- */

static void find_descriptor(struct negotiation *n)
{
	size_t num = n->msg.napd;
	size_t pos = 8;

	if (num > 1 && !KEPT(n->target, NEG_ANY_DESCRIPTOR))
		num = 1;
	if (num > 1 && !KEPT(n->target, NEG_LENGTH))
		num = 1;
	for (size_t i = 0; i < num && pos + NVC_DESCRIPTOR_LEN <= n->padded.len; i++) {
		if (n->padded.data[pos] == AUTHID_DHCHAP || !KEPT(n->target, NEG_AUTHID)) {
			n->descriptor = nvc_slice_sub(n->padded, pos, n->padded.len);
			return;
		}
		pos += NVC_DESCRIPTOR_LEN;
	}
	if (n->msg.napd == 0 && !KEPT(n->target, NEG_NAPD))
		n->descriptor = nvc_slice_sub(n->padded, 8, n->padded.len);
}

static uint8_t run_checks(struct negotiation *n)
{
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		if (checks[i].ok(n) || !nvc_rule_kept(&n->target->rules, checks[i].rule))
			continue;
		if (checks[i].rule != RULE_NONE)
			nvc_target_say(n->target, "AUTH_Negotiate: not true that %s",
				nvc_rule_text(checks[i].rule));
		return checks[i].rcodeex;
	}
	return 0;
}

uint8_t nvc_auth_negotiate(struct conn *conn, struct transaction *tx, struct nvc_slice message)
{
	struct nvc_target *target = conn->target;
	struct negotiation n = {.conn = conn, .target = target, .tx = tx, .len = message.len};
	uint8_t *padded = calloc(1, message.len + MAX_AUTH_SEND + PADDING);
	uint8_t rcodeex = 0;

	if (!padded)
		return NVC_RCODEEX_FAILED;
	memcpy(padded, message.data, message.len);
	n.padded = nvc_slice_of(padded, message.len + MAX_AUTH_SEND + PADDING);
	n.msg.t_id = tx->t_id;
	n.msg.sc_c = padded[6];
	n.msg.napd = padded[7];
	n.host = conn->controller->host;
	tx->sc_c = n.msg.sc_c;
	if (tx->sc_c && !KEPT(target, SC_C_PER_TRANSACTION))
		conn->last_sc_c = tx->sc_c;
	tx->concat = tx->sc_c != NVC_SC_C_NOSC || conn->last_sc_c != NVC_SC_C_NOSC;
	find_descriptor(&n);
	rcodeex = run_checks(&n);
	free(padded);
	if (!rcodeex && conn->secured && tx->concat && !KEPT(target, LOAD_KEYS_ON_TLS))
		rcodeex = NVC_RCODEEX_CONCAT_MISMATCH; /* Linux: the group is still NULL */
	if (!rcodeex && make_challenge(conn, n.host, tx) != NVC_OK)
		rcodeex = NVC_RCODEEX_FAILED;
	return rcodeex;
}
