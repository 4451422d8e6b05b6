/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture/verify.h"

#include <openssl/crypto.h>
#include <string.h>

#include "crypto/dh.h"

const char *nvc_proof_text(enum nvc_proof proof)
{
	static const char *const texts[NVC_NUM_PROOFS] = {
		[NVC_PROOF_RIGHT] = "verified",
		[NVC_PROOF_WRONG] = "wrong",
		[NVC_PROOF_UNTRANSFORMED] = "made with the untransformed secret",
		[NVC_PROOF_NO_SECRET] = "no secret is given for it",
		[NVC_PROOF_NO_EXPONENT] = "no ephemeral key of Diffie-Hellman is at hand",
		[NVC_PROOF_NO_NAMES] = "the NQNs of its Connect are not known",
		[NVC_PROOF_UNKNOWN_PSK] = "its PSK is none that was generated in the capture",
		[NVC_PROOF_NO_HELLO] = "not all that it covers is in the capture",
	};

	return (unsigned int)proof < NVC_NUM_PROOFS ? texts[proof] : "?";
}

bool nvc_proof_found(enum nvc_proof proof)
{
	return proof <= NVC_PROOF_UNTRANSFORMED;
}

/* ---- messages ---- */

void nvc_exchange_wipe(struct nvc_exchange *exchange)
{
	nvc_secret_wipe(&exchange->ks);
}

bool nvc_exchange_negotiate(struct nvc_exchange *exchange, struct nvc_slice message)
{
	struct nvc_negotiate negotiate;

	nvc_exchange_wipe(exchange);
	memset(exchange, 0, sizeof(*exchange));
	exchange->session_key = NVC_PROOF_NO_EXPONENT;
	if (nvc_decode(&nvc_negotiate_layout, message, &negotiate, NULL, NULL) != NVC_OK)
		return false;
	exchange->t_id = negotiate.t_id;
	exchange->sc_c = negotiate.sc_c;
	return true;
}

static bool keep_public(struct nvc_exchange *exchange, int side, struct nvc_slice value)
{
	if (value.len > NVC_MAX_DH_LEN)
		return false;
	if (value.len)
		memcpy(exchange->dh[side], value.data, value.len);
	exchange->dh_len[side] = value.len;
	return true;
}

bool nvc_exchange_challenge(struct nvc_exchange *exchange, struct nvc_slice message)
{
	struct nvc_challenge challenge;

	exchange->challenged =
		nvc_decode(&nvc_challenge_layout, message, &challenge, NULL, NULL) == NVC_OK &&
		nvc_secret_set(&exchange->c1, challenge.cval) == NVC_OK &&
		keep_public(exchange, 0, challenge.dhval);
	if (!exchange->challenged)
		return false;
	exchange->hash_id = challenge.hash_id;
	exchange->dhgid = challenge.dhgid;
	exchange->s1 = challenge.seqnum;
	if (challenge.dhgid == NVC_DH_NULL)
		exchange->session_key = NVC_PROOF_RIGHT;
	return true;
}

bool nvc_exchange_reply(struct nvc_exchange *exchange, struct nvc_slice message)
{
	struct nvc_reply reply;

	exchange->replied = exchange->challenged &&
			    nvc_decode(&nvc_reply_layout, message, &reply, NULL, NULL) == NVC_OK &&
			    nvc_secret_set(&exchange->r1, reply.rval) == NVC_OK &&
			    nvc_secret_set(&exchange->c2, reply.cval) == NVC_OK &&
			    keep_public(exchange, 1, reply.dhval);
	if (!exchange->replied)
		return false;
	exchange->cvalid = reply.cvalid;
	exchange->s2 = reply.seqnum;
	return true;
}

bool nvc_exchange_success1(struct nvc_exchange *exchange, struct nvc_slice message)
{
	struct nvc_success1 success;

	exchange->succeeded =
		exchange->replied &&
		nvc_decode(&nvc_success1_layout, message, &success, NULL, NULL) == NVC_OK &&
		nvc_secret_set(&exchange->r2, success.rval) == NVC_OK;
	if (exchange->succeeded)
		exchange->rvalid = success.rvalid;
	return exchange->succeeded;
}

/* ---- proofs ---- */

static struct nvc_slice public_of(const struct nvc_exchange *exchange, int side)
{
	return nvc_slice_of(exchange->dh[side], exchange->dh_len[side]);
}

static enum nvc_result derive(struct nvc_exchange *exchange, struct nvc_slice exponent, int peer)
{
	uint8_t shared[NVC_MAX_DH_LEN];
	struct nvc_writer writer = nvc_writer_over(shared, sizeof(shared));
	struct nvc_dh_key *key = NULL;
	enum nvc_result result = nvc_dh_key_new(exchange->dhgid, exponent, &key);

	if (result == NVC_OK &&
		!nvc_slice_equal(nvc_dh_key_public(key), public_of(exchange, !peer)))
		result = NVC_E_INVALID;
	if (result == NVC_OK)
		result = nvc_dh_derive(key, public_of(exchange, peer), &writer);
	if (result == NVC_OK)
		result = nvc_dhchap_session_key(
			exchange->hash_id, nvc_writer_slice(&writer), &exchange->ks);
	nvc_dh_key_free(key);
	OPENSSL_cleanse(shared, sizeof(shared));
	return result;
}

void nvc_exchange_session_key(struct nvc_exchange *exchange, const struct nvc_keylog *keylog)
{
	for (int side = 0; side < 2 && exchange->session_key == NVC_PROOF_NO_EXPONENT; side++) {
		const struct nvc_secret *exponent =
			nvc_keylog_exponent(keylog, public_of(exchange, side));

		if (exponent && derive(exchange, nvc_secret_slice(exponent), !side) == NVC_OK)
			exchange->session_key = NVC_PROOF_RIGHT;
	}
}

static bool known(const struct nvc_exchange_names *names)
{
	return names->hostnqn[0] && names->subnqn[0];
}

/* Computes what side `of_host` has to answer under `key` and compares. */
static bool matches(const struct nvc_exchange *exchange, const struct nvc_exchange_names *names,
	const struct nvc_secret *key, bool of_host)
{
	const struct nvc_secret *raw = of_host ? &exchange->c1 : &exchange->c2;
	struct nvc_secret ca = {.len = 0}, wanted = {.len = 0};
	struct nvc_dhchap_inputs in = {.hash_id = exchange->hash_id,
		.sc_c = exchange->sc_c,
		.t_id = exchange->t_id,
		.seqnum = of_host ? exchange->s1 : exchange->s2,
		.key = nvc_secret_slice(key),
		.hostnqn = nvc_slice_str(names->hostnqn),
		.subnqn = nvc_slice_str(names->subnqn)};
	enum nvc_result result = nvc_dhchap_augment(exchange->hash_id,
		exchange->dhgid == NVC_DH_NULL ? NULL : &exchange->ks, nvc_secret_slice(raw), &ca);
	bool same;

	in.challenge = nvc_secret_slice(&ca);
	if (result == NVC_OK)
		result = of_host ? nvc_dhchap_r1(&in, &wanted) : nvc_dhchap_r2(&in, &wanted);
	same = result == NVC_OK &&
	       nvc_secret_equal(nvc_secret_slice(&wanted),
		       nvc_secret_slice(of_host ? &exchange->r1 : &exchange->r2));
	nvc_secret_wipe(&ca);
	nvc_secret_wipe(&wanted);
	return same;
}

static enum nvc_proof prove(const struct nvc_exchange *exchange,
	const struct nvc_exchange_names *names, const struct nvc_dhchap_key *key, bool of_host)
{
	struct nvc_secret transformed = {.len = 0};
	enum nvc_proof proof = NVC_PROOF_WRONG;

	if (!key)
		return NVC_PROOF_NO_SECRET;
	if (!known(names))
		return NVC_PROOF_NO_NAMES;
	if (exchange->session_key != NVC_PROOF_RIGHT)
		return exchange->session_key;
	if (nvc_dhchap_key_transform(key, nvc_slice_str(of_host ? names->hostnqn : names->subnqn),
		    &transformed) == NVC_OK &&
		matches(exchange, names, &transformed, of_host))
		proof = NVC_PROOF_RIGHT;
	else if (key->hash_id != NVC_HASH_NONE && matches(exchange, names, &key->secret, of_host))
		proof = NVC_PROOF_UNTRANSFORMED;
	nvc_secret_wipe(&transformed);
	return proof;
}

enum nvc_proof nvc_exchange_r1(const struct nvc_exchange *exchange,
	const struct nvc_exchange_names *names, const struct nvc_dhchap_key *key)
{
	return prove(exchange, names, key, true);
}

enum nvc_proof nvc_exchange_r2(const struct nvc_exchange *exchange,
	const struct nvc_exchange_names *names, const struct nvc_dhchap_key *key)
{
	return prove(exchange, names, key, false);
}

enum nvc_proof nvc_exchange_psk(const struct nvc_exchange *exchange,
	const struct nvc_exchange_names *names, struct nvc_secret *psk,
	char digest[NVC_PSK_DIGEST_SIZE])
{
	enum nvc_result result;

	nvc_secret_wipe(psk);
	digest[0] = '\0';
	if (!known(names))
		return NVC_PROOF_NO_NAMES;
	if (exchange->session_key != NVC_PROOF_RIGHT || !exchange->ks.len)
		return NVC_PROOF_NO_EXPONENT;
	result = nvc_psk_generated(exchange->hash_id, nvc_secret_slice(&exchange->ks),
		nvc_secret_slice(&exchange->c1), nvc_secret_slice(&exchange->c2), psk);
	if (result == NVC_OK)
		result = nvc_psk_digest(exchange->hash_id, nvc_secret_slice(psk),
			nvc_slice_str(names->hostnqn), nvc_slice_str(names->subnqn), digest);
	if (result == NVC_OK)
		return NVC_PROOF_RIGHT;
	nvc_secret_wipe(psk);
	digest[0] = '\0'; /* SHA-512 has no identity */
	return NVC_PROOF_UNKNOWN_PSK;
}
