/* SPDX-License-Identifier: BSD-3-Clause */
/* Which connections belong together, and what their PSK identities say. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture/replay_state.h"

/* ---- associations ---- */

static struct nvc_association *new_association(struct nvc_flow *flow, uint16_t cntlid)
{
	struct nvc_association *added =
		nvc_association_add(flow->replay->associations, flow->hostnqn, flow->subnqn);

	if (!added)
		return NULL;
	added->has_cntlid = true;
	added->cntlid = cntlid;
	flow->association = added->number;
	flow->replay->result->associations++;
	return added;
}

/* How the connection is secured, in words. */
static void put_channel(const struct nvc_flow *flow, char *out, size_t size)
{
	if (!flow->tls)
		snprintf(out, size, "in clear");
	else if (flow->psk)
		snprintf(out, size, "over TLS under its PSK %u", flow->psk);
	else
		snprintf(out, size, "over TLS under %s",
			flow->choice_taken ? "a PSK not made in this capture" : "an unknown PSK");
}

static void pair(struct nvc_flow *flow, uint16_t cntlid)
{
	struct nvc_replay_state *replay = flow->replay;
	struct nvc_association *association =
		nvc_association_get(replay->associations, flow->association);
	char channel[64], text[600];

	if (flow->qid && (!association || association->cntlid != cntlid))
		association = nvc_association_by_cntlid(
			replay->associations, flow->hostnqn, flow->subnqn, cntlid);
	else if (!flow->qid && !association)
		association = new_association(flow, cntlid);
	if (!association && !flow->qid)
		return;
	flow->association = association ? association->number : 0;
	if (association && !flow->qid) {
		association->cntlid = cntlid;
		association->has_cntlid = true;
	}
	put_channel(flow, channel, sizeof(channel));
	if (!association)
		snprintf(text, sizeof(text),
			"I/O queue %u %s, CNTLID %u: its admin queue is not in the capture",
			flow->qid, channel, cntlid);
	else if (flow->qid)
		snprintf(text, sizeof(text), "association %u: I/O queue %u %s, CNTLID %u",
			association->number, flow->qid, channel, cntlid);
	else
		snprintf(text, sizeof(text),
			"association %u: admin queue %s, CNTLID %u, %s with %s",
			association->number, channel, cntlid, flow->hostnqn, flow->subnqn);
	nvc_check_say(flow, NVC_REPLAY_ASSOCIATION, text);
}

/* The names of the identity are those of Connect, and its PSK is the newest there is (TCP Transport 1.0 3.6.1; Base 2.2
 * 8.3.4.4.1). */
static void check_channel(struct nvc_flow *flow)
{
	const struct nvc_tls13_hellos hellos = nvc_tls13_hellos(flow->tls);
	struct nvc_observer *observer = flow->replay->observer;
	struct nvc_psk_identity identity;
	char seen[160];

	if (nvc_tls_psk_identity_parse(hellos.identity, &identity, NULL) != NVC_OK)
		return;
	if (!nvc_slice_equal(identity.hostnqn, nvc_slice_str(flow->hostnqn)) ||
		!nvc_slice_equal(identity.subnqn, nvc_slice_str(flow->subnqn)))
		nvc_observer_report(observer, flow->id, REQ_C_200, 0, "an error status",
			"Connect with other NQNs than those of the TLS PSK identity");
	if (!flow->psk || flow->psk >= flow->psks_before)
		return;
	snprintf(seen, sizeof(seen),
		"TLS with PSK %u of the association, which PSK %u had replaced", flow->psk,
		flow->psks_before);
	nvc_observer_report(observer, flow->id, REQ_C_206, 0, "no TLS with a replaced PSK", seen);
	nvc_observer_report(observer, flow->id, REQ_H_64, 0, "the newest PSK", seen);
}

void nvc_check_connected(void *self, const struct nvc_observed_connect *connect)
{
	struct nvc_replay_state *replay = self;
	struct nvc_flow *flow = replay->current;

	if (!flow || flow->id != connect->conn)
		return;
	free(flow->hostnqn);
	free(flow->subnqn);
	flow->hostnqn = strdup(connect->hostnqn);
	flow->subnqn = strdup(connect->subnqn);
	flow->qid = connect->qid;
	if (!flow->hostnqn || !flow->subnqn)
		return;
	pair(flow, connect->cntlid);
	if (flow->tls)
		check_channel(flow);
}

/* ---- TLS ---- */

static bool is_meant_by(const char *given, struct nvc_slice name)
{
	return !given || !given[0] || nvc_slice_equal(nvc_slice_str(given), name);
}

/* Hosts derive the retained PSK in more than one way; whichever it was, it is made of this PSK. */
static bool psk_is(const struct nvc_replay_identity *known, const struct nvc_psk_identity *offered)
{
	char digest[NVC_PSK_DIGEST_SIZE];
	struct nvc_secret retained = {.len = 0};
	bool same = false;

	for (int variant = 0; !same && variant < NVC_NUM_KDF_VARIANTS; variant++)
		same = nvc_psk_retained(known->psk, offered->hostnqn, (enum nvc_kdf_variant)variant,
			       &retained) == NVC_OK &&
		       nvc_psk_digest(offered->hash_id, nvc_secret_slice(&retained),
			       offered->hostnqn, offered->subnqn, digest) == NVC_OK &&
		       nvc_slice_equal(nvc_slice_str(digest), offered->digest);
	nvc_secret_wipe(&retained);
	return same;
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
		const struct nvc_replay_identity *known = &replay->identities[i];

		if (!known->psk || !is_meant_by(known->hostnqn, offered->hostnqn) ||
			!is_meant_by(known->subnqn, offered->subnqn))
			continue;
		if (psk_is(known, offered))
			return NVC_PROOF_RIGHT;
		proof = NVC_PROOF_WRONG;
	}
	return proof;
}

static void take_identity(struct nvc_flow *flow, struct nvc_slice bytes)
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
	if (identity.type == NVC_PSK_GENERATED)
		association = nvc_association_by_psk(replay->associations, &identity, &flow->psk);
	if (association) {
		flow->association = association->number;
		flow->psks_before = association->num_psks;
		proof = nvc_association_psk_computed(association, flow->psk)
				? NVC_PROOF_RIGHT
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
	if (proof == NVC_PROOF_RIGHT)
		return;
	snprintf(text, sizeof(text), "PSK identity %s%s",
		nvc_proof_found(proof) ? "is not that of the PSK given: " : "not verified: ",
		nvc_proof_text(proof));
	if (replay->num_identities || proof != NVC_PROOF_NO_SECRET)
		nvc_check_say(flow, NVC_REPLAY_CHECK, text);
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
	take_identity(flow, hellos.identity);
	take_choice(flow, &hellos);
}

/* ---- generated PSKs ---- */

void nvc_check_psk_generated(struct nvc_flow *flow)
{
	struct nvc_association *association =
		nvc_association_get(flow->replay->associations, flow->association);
	const struct nvc_exchange_names names = nvc_check_names(flow);
	char digest[NVC_PSK_DIGEST_SIZE], text[192];
	enum nvc_proof proof;

	if (!association || flow->exchange->sc_c == NVC_SC_C_NOSC)
		return;
	proof = nvc_exchange_psk_digest(flow->exchange, &names, digest);
	nvc_association_add_psk(association, digest);
	snprintf(text, sizeof(text), "association %u: %s generated its PSK %u%s%s",
		association->number,
		flow->exchange->sc_c == NVC_SC_C_NEWTLSPSK ? "NEWTLSPSK" : "REPLACETLSPSK",
		association->num_psks, digest[0] ? ", digest " : "; its digest is not known: ",
		digest[0] ? digest : nvc_proof_text(proof));
	nvc_check_say(flow, NVC_REPLAY_ASSOCIATION, text);
}

void nvc_check_closed(struct nvc_flow *flow)
{
	struct nvc_association *association =
		nvc_association_get(flow->replay->associations, flow->association);

	nvc_check_exchange_over(flow);
	if (flow->tls && !flow->choice_taken)
		take_identity(flow, nvc_tls13_hellos(flow->tls).identity);
	if (association && !association->num_psks && !flow->qid && flow->hostnqn)
		nvc_association_drop(flow->replay->associations, flow->association);
	free(flow->hostnqn);
	free(flow->subnqn);
}
