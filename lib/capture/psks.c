/* SPDX-License-Identifier: BSD-3-Clause */
/* What the hellos of TLS say about PSKs: whether identities and binders are those of the PSKs that are known. */
#include <stdio.h>
#include <string.h>

#include "capture/replay_state.h"

/* ---- configured PSKs ---- */

static bool is_meant_by(const char *given, struct nvc_slice name)
{
	return !given || !given[0] || nvc_slice_equal(nvc_slice_str(given), name);
}

static bool is_digest_of(struct nvc_slice psk, const struct nvc_psk_identity *offered)
{
	char digest[NVC_PSK_DIGEST_SIZE];

	return nvc_psk_digest(offered->hash_id, psk, offered->hostnqn, offered->subnqn, digest) ==
		       NVC_OK &&
	       nvc_slice_equal(nvc_slice_str(digest), offered->digest);
}

/* Hosts derive the retained PSK in more than one way; whichever it was, it is made of this PSK. */
static bool psk_is(const struct nvc_replay_identity *known, const struct nvc_psk_identity *offered)
{
	struct nvc_secret retained = {.len = 0};
	bool same = false;

	for (int variant = 0; !same && variant < NVC_NUM_KDF_VARIANTS; variant++)
		same = nvc_psk_retained(known->psk, offered->hostnqn, (enum nvc_kdf_variant)variant,
			       &retained) == NVC_OK &&
		       is_digest_of(nvc_secret_slice(&retained), offered);
	nvc_secret_wipe(&retained);
	return same;
}

static bool is_of(const struct nvc_replay_identity *known, const struct nvc_psk_identity *offered)
{
	return known->psk && is_meant_by(known->hostnqn, offered->hostnqn) &&
	       is_meant_by(known->subnqn, offered->subnqn);
}

/* The digest of a configured PSK's identity, where one is given for these names. */
static enum nvc_proof prove_configured(
	const struct nvc_flow *flow, const struct nvc_psk_identity *offered)
{
	const struct nvc_replay_state *replay = flow->replay;
	enum nvc_proof proof = NVC_PROOF_NO_SECRET;

	if (offered->version == 0)
		return NVC_PROOF_NO_SECRET; /* there is no digest in it */
	for (size_t i = 0; i < replay->num_identities; i++) {
		if (!is_of(&replay->identities[i], offered))
			continue;
		if (psk_is(&replay->identities[i], offered))
			return NVC_PROOF_RIGHT;
		proof = NVC_PROOF_WRONG;
	}
	return proof;
}

/* ---- binders ---- */

/* What is found out about a binder. */
struct binding {
	enum nvc_proof proof;
	bool certain; /* the identity is that of the PSK: only the binder can be wrong */
	enum nvc_kdf_variant variant; /* of the derivation, where that is what is wrong */
};

/* Compares with what `psk` gives, derived as it should be and as it was derived wrongly. */
static void bind(const struct nvc_flow *flow, const struct nvc_psk_identity *offered,
	struct nvc_slice psk, struct binding *found)
{
	const struct nvc_psk_params params = {.version = offered->version,
		.type = offered->type,
		.hash_id = offered->hash_id,
		.psk = psk,
		.hostnqn = offered->hostnqn,
		.subnqn = offered->subnqn};
	struct nvc_secret tls_psk = {.len = 0};

	found->proof = NVC_PROOF_WRONG;
	for (int variant = 0; variant < NVC_NUM_KDF_VARIANTS; variant++) {
		enum nvc_result result =
			nvc_tls_psk_derive(&params, (enum nvc_kdf_variant)variant, &tls_psk);

		if (result == NVC_OK)
			result = nvc_tls13_bound(
				flow->tls, offered->hash_id, nvc_secret_slice(&tls_psk));
		if (result == NVC_OK && variant == NVC_KDF_RFC8446)
			found->proof = NVC_PROOF_RIGHT;
		else if (result == NVC_OK)
			found->variant = (enum nvc_kdf_variant)variant;
		else if (result == NVC_E_TRUNCATED)
			found->proof = NVC_PROOF_NO_HELLO;
		if (result == NVC_OK || result == NVC_E_TRUNCATED)
			break;
	}
	nvc_secret_wipe(&tls_psk);
}

/* An identity of version 0 does not say whether it is that of the PSK given: then its binder alone does. */
static void bind_configured(const struct nvc_flow *flow, const struct nvc_replay_identity *known,
	const struct nvc_psk_identity *offered, struct binding *found)
{
	struct nvc_secret retained = {.len = 0};

	for (int variant = 0; variant < NVC_NUM_KDF_VARIANTS; variant++) {
		if (nvc_psk_retained(known->psk, offered->hostnqn, (enum nvc_kdf_variant)variant,
			    &retained) != NVC_OK ||
			(offered->version && !is_digest_of(nvc_secret_slice(&retained), offered)))
			continue;
		bind(flow, offered, nvc_secret_slice(&retained), found);
		found->certain = offered->version != 0;
		if (found->proof != NVC_PROOF_WRONG || found->certain)
			break;
	}
	nvc_secret_wipe(&retained);
}

static struct binding find_binding(
	const struct nvc_flow *flow, const struct nvc_psk_identity *offered)
{
	const struct nvc_replay_state *replay = flow->replay;
	const struct nvc_association *association =
		nvc_association_get(replay->associations, flow->association);
	struct binding found = {.proof = NVC_PROOF_NO_SECRET};
	struct nvc_slice psk = {0};

	if (offered->type == NVC_PSK_GENERATED) {
		if (association && flow->psk)
			psk = nvc_association_psk(association, flow->psk);
		found.proof = flow->psk ? NVC_PROOF_NO_EXPONENT : NVC_PROOF_UNKNOWN_PSK;
		found.certain = psk.len > 0;
		if (psk.len)
			bind(flow, offered, psk, &found);
		return found;
	}
	for (size_t i = 0; i < replay->num_identities; i++) {
		if (is_of(&replay->identities[i], offered))
			bind_configured(flow, &replay->identities[i], offered, &found);
		if (found.proof == NVC_PROOF_RIGHT || found.proof == NVC_PROOF_NO_HELLO)
			break;
	}
	return found;
}

static void report_wrong(const struct nvc_flow *flow, const struct binding *found, bool accepted)
{
	char seen[160];

	snprintf(seen, sizeof(seen),
		"a binder that is not the one of the PSK its identity names%s%s",
		found->variant ? ": the PSK is derived as " : "",
		found->variant ? nvc_kdf_variant_name(found->variant) : "");
	nvc_observer_report(
		flow->replay->observer, flow->id, REQ_H_59, 0, "the binder of the PSK", seen);
	if (accepted)
		nvc_observer_report(flow->replay->observer, flow->id, REQ_C_223, 0,
			"no handshake under a wrong binder", seen);
}

/* Whether the host has shown that it has the PSK (RFC 8446, 4.2.11.2). */
static void check_binder(
	const struct nvc_flow *flow, const struct nvc_psk_identity *offered, bool accepted)
{
	const struct binding found = find_binding(flow, offered);
	struct nvc_replay_state *replay = flow->replay;
	char text[160];

	replay->result->binders[found.proof]++;
	snprintf(text, sizeof(text), "PSK binder %s%s",
		nvc_proof_found(found.proof) ? "" : "not verified: ", nvc_proof_text(found.proof));
	if (replay->num_identities || found.proof != NVC_PROOF_NO_SECRET)
		nvc_check_say(flow, NVC_REPLAY_CHECK, text);
	if (found.proof == NVC_PROOF_WRONG && found.certain)
		report_wrong(flow, &found, accepted);
	else if (found.proof == NVC_PROOF_WRONG && accepted)
		nvc_replay_cannot_judge(replay, flow->id,
			"the PSK binder is not that of the PSK given, yet both sides use it: wrong "
			"PSK?");
}

/* ---- identities ---- */

static void take_identity(struct nvc_flow *flow, struct nvc_slice bytes, bool accepted)
{
	struct nvc_replay_state *replay = flow->replay;
	struct nvc_association *association = NULL;
	struct nvc_psk_identity identity;
	struct nvc_error why = {0};
	enum nvc_proof proof;
	char text[600];

	if (!bytes.len)
		return;
	if (nvc_tls_psk_identity_parse(bytes, &identity, &why) != NVC_OK) {
		nvc_observer_report(replay->observer, flow->id, REQ_H_59, 0,
			"exactly the identity of a PSK of NVMe/TCP", why.text);
		replay->result->identities[NVC_PROOF_WRONG]++;
		return;
	}
	flow->generated = accepted && identity.type == NVC_PSK_GENERATED;
	if (identity.type == NVC_PSK_GENERATED)
		association = nvc_association_by_psk(replay->associations, &identity, &flow->psk);
	if (association) {
		flow->association = association->number;
		flow->psks_before = association->num_psks;
		proof = nvc_association_psk(association, flow->psk).len ? NVC_PROOF_RIGHT
									: NVC_PROOF_NO_EXPONENT;
		snprintf(text, sizeof(text),
			"association %u: TLS offers the identity of its PSK %u, %s",
			association->number, flow->psk,
			proof == NVC_PROOF_RIGHT ? "by its digest" : "by its names");
		nvc_check_say(flow, NVC_REPLAY_ASSOCIATION, text);
	} else if (identity.type == NVC_PSK_GENERATED) {
		proof = NVC_PROOF_UNKNOWN_PSK;
	} else {
		proof = prove_configured(flow, &identity);
	}
	replay->result->identities[proof]++;
	snprintf(text, sizeof(text), "PSK identity %s%s",
		nvc_proof_found(proof) ? "is not that of the PSK given: " : "not verified: ",
		nvc_proof_text(proof));
	if (proof != NVC_PROOF_RIGHT && (replay->num_identities || proof != NVC_PROOF_NO_SECRET))
		nvc_check_say(flow, NVC_REPLAY_CHECK, text);
	check_binder(flow, &identity, accepted);
}

/* The server's choice. */
static void take_choice(struct nvc_flow *flow, const struct nvc_tls13_hellos *hellos)
{
	struct nvc_psk_identity identity;

	if (nvc_tls_psk_identity_parse(hellos->identity, &identity, NULL) != NVC_OK)
		return;
	if (identity.hash_id != hellos->hash_id)
		nvc_observer_report(flow->replay->observer, flow->id, REQ_C_224, 0,
			"a cipher suite with the hash of the PSK",
			"a PSK of another hash than that of the cipher suite");
	if (identity.type == NVC_PSK_RETAINED && flow->replay->num_identities &&
		prove_configured(flow, &identity) == NVC_PROOF_WRONG)
		nvc_replay_cannot_judge(flow->replay, flow->id,
			"the PSK identity is not that of the PSK given, yet both sides use it: "
			"wrong PSK?");
}

void nvc_check_hellos(struct nvc_flow *flow)
{
	struct nvc_tls13_hellos hellos;

	if (flow->choice_taken)
		return;
	hellos = nvc_tls13_hellos(flow->tls);
	if (!hellos.chosen)
		return;
	flow->choice_taken = true;
	take_identity(flow, hellos.identity, true);
	take_choice(flow, &hellos);
}

void nvc_check_offer(struct nvc_flow *flow)
{
	take_identity(flow, nvc_tls13_hellos(flow->tls).identity, false);
}
