/* SPDX-License-Identifier: BSD-3-Clause */
/* The computations of the host side: Reply, verification of R2, the generated PSK. */
#include <string.h>

#include <openssl/crypto.h>

#include "host/auth_state.h"
#include "host/host.h"

enum { MAX_HL = 255 }; /* what the field can say */

static const struct nvc_env *env_of(const struct nvc_auth *auth)
{
	return &nvc_queue_info(auth->queue)->host->world->env;
}

static struct nvc_slice text_of(const char *text)
{
	return nvc_slice_str(text != NULL ? text : "");
}

bool nvc_auth_r1_needs_key(const struct nvc_auth *auth)
{
	return auth->r1 != NVC_R1_ZERO && auth->r1 != NVC_R1_BYTES &&
	       auth->r1 != NVC_R1_RANDOM_KEY && auth->r1 != NVC_R1_CTRL_KEY;
}

/* Lets the readers of the key log verify the responses. */
static void log_exponent(const struct nvc_auth *auth, struct nvc_slice exponent)
{
	const struct nvc_host *host = nvc_queue_info(auth->queue)->host;
	char line[NVC_DHCHAP_EXPONENT_LINE_SIZE];

	if (!host->keylog)
		return;
	if (nvc_dhchap_exponent_line(nvc_dh_key_public(auth->state->dh_key), exponent, line) ==
		NVC_OK)
		host->keylog(host->keylog_self, line);
	OPENSSL_cleanse(line, sizeof(line));
}

/* Makes y and g^y for the group of the Challenge. */
static enum nvc_result make_dh_key(struct nvc_auth *auth, struct nvc_error *err)
{
	struct nvc_auth_state *state = auth->state;
	const uint8_t group = state->challenge.dhgid;
	uint8_t random[NVC_DH_PRIVATE_LEN];
	struct nvc_slice exponent = auth->private_exponent;
	enum nvc_result result;

	if (auth->reuse_exponent && state->dh_key != NULL &&
		nvc_dh_key_group(state->dh_key) == group)
		return NVC_OK;
	nvc_dh_key_free(state->dh_key);
	state->dh_key = NULL;
	if (exponent.len == 0) {
		nvc_env_random(env_of(auth), random, sizeof(random));
		random[0] |= 0x80; /* never shorter than it looks, never 0 */
		exponent = NVC_SLICE(random);
	}
	result = nvc_dh_key_new(group, exponent, &state->dh_key);
	if (result == NVC_OK)
		log_exponent(auth, exponent);
	OPENSSL_cleanse(random, sizeof(random));
	if (result != NVC_OK)
		return nvc_fail(err, result, "no DH key for DHgID %02xh: %s", group,
			nvc_result_name(result));
	return NVC_OK;
}

/* Computes Ks for the DH value of the Challenge; leaves it empty for the NULL group. */
static enum nvc_result make_session_key(struct nvc_auth *auth, struct nvc_error *err)
{
	struct nvc_auth_state *state = auth->state;
	uint8_t shared[NVC_MAX_DH_LEN];
	struct nvc_writer writer = nvc_writer_over(shared, sizeof(shared));
	enum nvc_result result;

	nvc_secret_wipe(&state->ks);
	if (state->challenge.dhgid == NVC_DH_NULL)
		return NVC_OK;
	result = make_dh_key(auth, err);
	if (result != NVC_OK)
		return result;
	result = nvc_dh_derive(state->dh_key, state->challenge.dhval, &writer);
	if (result == NVC_OK)
		result = nvc_dhchap_session_key(
			state->challenge.hash_id, nvc_writer_slice(&writer), &state->ks);
	OPENSSL_cleanse(shared, sizeof(shared));
	if (result != NVC_OK)
		return nvc_fail(err, result, "no session key with DHgID %02xh, DHVLEN %u: %s",
			state->challenge.dhgid, state->challenge.dhvlen, nvc_result_name(result));
	return NVC_OK;
}

static enum nvc_result pick_key(const struct nvc_auth *auth, struct nvc_secret *key)
{
	switch (auth->r1) {
	case NVC_R1_RANDOM_KEY:
		key->len = 32;
		nvc_env_random(env_of(auth), key->data, key->len);
		return NVC_OK;
	case NVC_R1_CTRL_KEY:
		if (auth->ctrl_key == NULL)
			return NVC_E_STATE;
		return nvc_dhchap_key_transform(auth->ctrl_key, text_of(auth->subnqn), key);
	case NVC_R1_UNTRANSFORMED:
		return nvc_secret_set(key, nvc_secret_slice(&auth->host_key->secret));
	case NVC_R1_RIGHT:
	case NVC_R1_FLIPPED:
	case NVC_R1_ZERO:
	case NVC_R1_BYTES:
	case NVC_R1_OTHER_SC_C:
	case NVC_R1_NOT_AUGMENTED:
	case NVC_R1_AS_CONTROLLER:
	case NVC_R1_OTHER_T_ID:
	case NVC_R1_OTHER_S1:
	default:
		return nvc_dhchap_key_transform(auth->host_key, text_of(auth->hostnqn), key);
	}
}

static enum nvc_result augment(
	const struct nvc_auth *auth, struct nvc_slice challenge, struct nvc_secret *ca)
{
	const struct nvc_auth_state *state = auth->state;

	return nvc_dhchap_augment(state->challenge.hash_id,
		state->challenge.dhgid == NVC_DH_NULL ? NULL : &state->ks, challenge, ca);
}

/* R1 from the keys and the Challenge, with what auth->r1 makes of it. */
static enum nvc_result compute_r1(const struct nvc_auth *auth, struct nvc_secret *r1)
{
	const struct nvc_challenge *challenge = &auth->state->challenge;
	struct nvc_secret key = {.len = 0}, ca1 = {.len = 0};
	struct nvc_dhchap_inputs in = {.hash_id = challenge->hash_id,
		.sc_c = auth->r1 == NVC_R1_OTHER_SC_C ? auth->r1_sc_c : auth->sc_c,
		.t_id = auth->t_id,
		.seqnum = challenge->seqnum,
		.hostnqn = text_of(auth->hostnqn),
		.subnqn = text_of(auth->subnqn)};
	enum nvc_result result = pick_key(auth, &key);

	if (result == NVC_OK && auth->r1 == NVC_R1_NOT_AUGMENTED)
		result = nvc_secret_set(&ca1, challenge->cval);
	else if (result == NVC_OK)
		result = augment(auth, challenge->cval, &ca1);
	if (auth->r1 == NVC_R1_OTHER_T_ID)
		in.t_id++;
	if (auth->r1 == NVC_R1_OTHER_S1)
		in.seqnum++;
	in.key = nvc_secret_slice(&key);
	in.challenge = nvc_secret_slice(&ca1);
	if (result == NVC_OK)
		result = auth->r1 == NVC_R1_AS_CONTROLLER ? nvc_dhchap_r2(&in, r1)
							  : nvc_dhchap_r1(&in, r1);
	if (result == NVC_OK && auth->r1 == NVC_R1_FLIPPED)
		r1->data[r1->len - 1] ^= 1;
	nvc_secret_wipe(&key);
	nvc_secret_wipe(&ca1);
	return result;
}

/* C2 as the mode wants it: zeros, the caller's, or random and not C1 (Base 2.2, 8.3.4.5.4). */
static struct nvc_slice make_c2(const struct nvc_auth *auth, uint8_t room[MAX_HL], size_t hl)
{
	const struct nvc_slice c1 = auth->state->challenge.cval;

	memset(room, 0, MAX_HL);
	if (auth->mode == NVC_AUTH_UNIDIRECTIONAL)
		return nvc_slice_of(room, hl);
	if (auth->c2.len > 0)
		return auth->c2;
	do {
		nvc_env_random(env_of(auth), room, hl);
	} while (hl > 1 && nvc_slice_equal(nvc_slice_of(room, hl), c1));
	return nvc_slice_of(room, hl);
}

/* Remembers S2 and C2 as they stand in the message, bends included. */
static void remember_sent(struct nvc_auth *auth, struct nvc_slice message)
{
	struct nvc_auth_state *state = auth->state;
	struct nvc_reply sent;

	nvc_secret_wipe(&state->sent_c2);
	state->sent_s2 = 0;
	state->sent_cvalid = false;
	auth->has_reply = true;
	if (nvc_decode(&nvc_reply_layout, message, &sent, NULL, NULL) != NVC_OK)
		return;
	state->sent_s2 = sent.seqnum;
	state->sent_cvalid = sent.cvalid != 0;
	if (sent.cval.len <= NVC_MAX_SECRET)
		(void)nvc_secret_set(&state->sent_c2, sent.cval);
}

static enum nvc_result make_r1(
	const struct nvc_auth *auth, struct nvc_secret *r1, struct nvc_error *err)
{
	enum nvc_result result;

	if (auth->host_key == NULL && nvc_auth_r1_needs_key(auth))
		return nvc_fail(err, NVC_E_STATE, "there is no host secret to make R1 with");
	result = compute_r1(auth, r1);
	if (result != NVC_OK)
		return nvc_fail(err, result, "R1 cannot be computed with HashID %02xh: %s",
			auth->state->challenge.hash_id, nvc_result_name(result));
	return NVC_OK;
}

enum nvc_result nvc_auth_encode_reply(
	struct nvc_auth *auth, struct nvc_writer *out, struct nvc_error *err)
{
	static const uint8_t zeros[MAX_HL];
	struct nvc_auth_state *state = auth->state;
	const struct nvc_challenge *challenge = &state->challenge;
	const size_t before = out->len;
	uint8_t c2[MAX_HL];
	struct nvc_secret r1 = {.len = 0};
	struct nvc_reply reply;
	enum nvc_result result;

	if (!auth->has_challenge)
		return nvc_fail(err, NVC_E_STATE, "there is no Challenge to reply to");
	result = make_session_key(auth, err);
	if (result != NVC_OK)
		return result;
	if (auth->mode == NVC_AUTH_BIDIRECTIONAL && auth->s2 == 0)
		auth->s2 = nvc_host_new_s2(nvc_queue_info(auth->queue)->host);
	reply = (struct nvc_reply){.t_id = auth->t_id,
		.hl = challenge->hl,
		.cvalid = auth->mode != NVC_AUTH_UNIDIRECTIONAL,
		.seqnum = auth->mode == NVC_AUTH_BIDIRECTIONAL ? auth->s2 : 0,
		.cval = make_c2(auth, c2, challenge->hl),
		.rval = nvc_slice_of(zeros, challenge->hl)};
	if (auth->r1 == NVC_R1_BYTES) {
		reply.rval = auth->r1_bytes;
	} else if (auth->r1 != NVC_R1_ZERO) {
		result = make_r1(auth, &r1, err);
		if (result != NVC_OK)
			return result;
		reply.rval = nvc_secret_slice(&r1);
	}
	if (challenge->dhgid != NVC_DH_NULL)
		reply.dhval = nvc_dh_key_public(state->dh_key);
	reply.dhvlen = (uint16_t)reply.dhval.len;
	result = nvc_encode(&nvc_reply_layout, &reply, auth->reply_bends, out);
	nvc_secret_wipe(&r1);
	if (result != NVC_OK)
		return nvc_fail(err, result, "DH-HMAC-CHAP_Reply cannot be encoded as asked");
	remember_sent(auth, nvc_slice_sub(nvc_writer_slice(out), before, SIZE_MAX));
	return NVC_OK;
}

enum nvc_r2 nvc_auth_verify_r2(const struct nvc_auth *auth, const struct nvc_success1 *success1)
{
	const struct nvc_auth_state *state = auth->state;
	const bool asked = auth->has_reply && state->sent_cvalid && state->sent_s2 != 0;
	struct nvc_secret key = {.len = 0}, ca2 = {.len = 0}, r2 = {.len = 0};
	struct nvc_dhchap_inputs in = {.hash_id = auth->hash_id,
		.sc_c = auth->sc_c,
		.t_id = auth->t_id,
		.seqnum = state->sent_s2,
		.hostnqn = text_of(auth->hostnqn),
		.subnqn = text_of(auth->subnqn)};
	enum nvc_r2 verdict = NVC_R2_UNVERIFIABLE;

	if (!asked)
		return success1->rvalid == 0 ? NVC_R2_NOT_ASKED : NVC_R2_UNASKED;
	if (success1->rvalid == 0)
		return NVC_R2_MISSING;
	if (!auth->has_challenge || auth->ctrl_key == NULL)
		return NVC_R2_UNVERIFIABLE;
	if (nvc_dhchap_key_transform(auth->ctrl_key, text_of(auth->subnqn), &key) != NVC_OK ||
		augment(auth, nvc_secret_slice(&state->sent_c2), &ca2) != NVC_OK)
		goto out;
	in.key = nvc_secret_slice(&key);
	in.challenge = nvc_secret_slice(&ca2);
	if (nvc_dhchap_r2(&in, &r2) != NVC_OK)
		goto out;
	verdict = nvc_secret_equal(nvc_secret_slice(&r2), success1->rval) ? NVC_R2_RIGHT
									  : NVC_R2_WRONG;
out:
	nvc_secret_wipe(&key);
	nvc_secret_wipe(&ca2);
	nvc_secret_wipe(&r2);
	return verdict;
}

enum nvc_result nvc_auth_tls_psk(const struct nvc_auth *auth, enum nvc_kdf_variant variant,
	struct nvc_tls_psk *psk, struct nvc_error *err)
{
	const struct nvc_auth_state *state = auth->state;
	struct nvc_secret generated = {.len = 0};
	struct nvc_psk_params params = {.version = 1,
		.type = NVC_PSK_GENERATED,
		.hash_id = auth->hash_id,
		.hostnqn = text_of(auth->hostnqn),
		.subnqn = text_of(auth->subnqn)};
	enum nvc_result result;

	*psk = (struct nvc_tls_psk){.hash_id = auth->hash_id};
	if (!auth->has_challenge || !auth->has_reply)
		return nvc_fail(err, NVC_E_STATE, "no PSK is generated before the Reply");
	if (state->ks.len == 0)
		return nvc_fail(err, NVC_E_INVALID, "no PSK is generated with the NULL group");
	result = nvc_psk_generated(auth->hash_id, nvc_secret_slice(&state->ks),
		state->challenge.cval, nvc_secret_slice(&state->sent_c2), &generated);
	params.psk = nvc_secret_slice(&generated);
	if (result == NVC_OK)
		result = nvc_tls_psk_identity(&params, psk->identity, sizeof(psk->identity));
	if (result == NVC_OK)
		result = nvc_tls_psk_derive(&params, variant, &psk->psk);
	nvc_secret_wipe(&generated);
	if (result != NVC_OK)
		return nvc_fail(err, result, "no TLS PSK from HashID %02xh: %s", auth->hash_id,
			nvc_result_name(result));
	return NVC_OK;
}
