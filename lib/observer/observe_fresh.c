/* SPDX-License-Identifier: BSD-3-Clause */
/* What nobody may use twice in a run: C1, S1 and C2, S2; and the public values of controllers (Base 2.2, 8.3.4.5). */
#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"
#include "observer/observer_state.h"

static bool remember(struct nvc_obs_memory *memory, const struct nvc_obs_values *values)
{
	if (memory->num < NVC_OBSERVER_MAX_CHALLENGES && memory->num == memory->cap) {
		size_t cap = memory->cap ? 2 * memory->cap : 16;
		struct nvc_obs_values *grown = realloc(memory->values, cap * sizeof(*grown));

		if (!grown)
			return false;
		memory->values = grown;
		memory->cap = cap;
	}
	if (memory->num < NVC_OBSERVER_MAX_CHALLENGES) {
		memory->values[memory->num++] = *values;
		return true;
	}
	memory->values[memory->next] = *values;
	memory->next = (memory->next + 1) % NVC_OBSERVER_MAX_CHALLENGES;
	return true;
}

/* What of some values came before. A sequence number must move on with each transaction of a pair; one that came before
 * cannot have. */
struct again {
	bool challenge, seqnum, public;
};

static struct again compare(
	const struct nvc_obs_memory *memory, const struct nvc_obs_values *values)
{
	struct again again = {false, false, false};

	for (size_t i = 0; i < memory->num; i++) {
		const struct nvc_obs_values *before = &memory->values[i];

		again.challenge |= memcmp(before->challenge, values->challenge,
					   sizeof(values->challenge)) == 0;
		again.seqnum |= values->seqnum != 0 && before->pair == values->pair &&
				before->seqnum == values->seqnum;
		again.public |= values->has_public && before->has_public &&
				memcmp(before->public, values->public, sizeof(values->public)) == 0;
	}
	return again;
}

static struct nvc_obs_values take(const struct nvc_obs_conn *conn, uint32_t seqnum,
	struct nvc_slice challenge, struct nvc_slice public)
{
	struct nvc_obs_values values = {.pair = conn->pair,
		.seqnum = seqnum,
		.has_public = public.len >= sizeof(values.public)};

	memcpy(values.challenge, challenge.data, sizeof(values.challenge));
	if (values.has_public)
		memcpy(values.public, public.data + public.len - sizeof(values.public),
			sizeof(values.public));
	return values;
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

/* What of `values` came before; from now on they have. */
static struct again compare_and_remember(struct nvc_obs_conn *conn, struct nvc_obs_memory *memory,
	const struct nvc_obs_values *values)
{
	const struct again again = compare(memory, values);

	if (!remember(memory, values))
		nvc_obs_host_is_bent(conn, "out of memory");
	return again;
}

void nvc_obs_fresh_challenge(struct nvc_obs_conn *conn, const struct nvc_challenge *challenge)
{
	const struct nvc_obs_values values =
		take(conn, challenge->seqnum, challenge->cval, challenge->dhval);
	const struct again again = compare_and_remember(conn, &conn->observer->challenges, &values);

	if (again.challenge)
		nvc_obs_violated(conn, REQ_C_124, "a C1 that was not used before",
			"the C1 of an earlier Challenge");
	if (again.seqnum)
		nvc_obs_violated(conn, REQ_C_123, "an S1 that moves on",
			"S1 %u of an earlier Challenge to this host", values.seqnum);
	if (again.public)
		nvc_obs_violated(conn, REQ_C_127, "a public value that was not used before",
			"the public value of an earlier Challenge");
	tell_values(conn, challenge);
}

void nvc_obs_fresh_reply(struct nvc_obs_conn *conn, const struct nvc_reply *reply)
{
	const struct nvc_obs_values values =
		take(conn, reply->seqnum, reply->cval, nvc_slice_of(NULL, 0));
	const struct again again = compare_and_remember(conn, &conn->observer->replies, &values);

	if (again.challenge)
		nvc_obs_violated(conn, REQ_H_32, "a C2 that was not used before",
			"the C2 of an earlier Reply");
	if (again.seqnum)
		nvc_obs_violated(conn, REQ_H_32, "an S2 that was not used before",
			"S2 %u of an earlier Reply of this host", values.seqnum);
}
