/* SPDX-License-Identifier: BSD-3-Clause */
/* Which connections belong together. */
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

/* ---- generated PSKs ---- */

void nvc_check_psk_generated(struct nvc_flow *flow)
{
	struct nvc_association *association =
		nvc_association_get(flow->replay->associations, flow->association);
	const struct nvc_exchange_names names = nvc_check_names(flow);
	char digest[NVC_PSK_DIGEST_SIZE], text[192];
	struct nvc_secret psk = {.len = 0};
	enum nvc_proof proof;

	if (!association || flow->exchange->sc_c == NVC_SC_C_NOSC)
		return;
	proof = nvc_exchange_psk(flow->exchange, &names, &psk, digest);
	nvc_association_add_psk(association, nvc_secret_slice(&psk), digest);
	nvc_secret_wipe(&psk);
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
		nvc_check_offer(flow);
	if (association && !association->num_psks && !flow->qid && flow->hostnqn)
		nvc_association_drop(flow->replay->associations, flow->association);
	free(flow->hostnqn);
	free(flow->subnqn);
}
