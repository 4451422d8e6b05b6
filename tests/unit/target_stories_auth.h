/* SPDX-License-Identifier: BSD-3-Clause */
/* Stories of authentication and what is allowed before it; for test_target_with_host.c. */
#ifndef TARGET_STORIES_AUTH_H
#define TARGET_STORIES_AUTH_H

#include "target_town.h"

#include <stdio.h>

/* A story returns NULL, or what was not so. */
#define MUST(condition)                                                                            \
	do {                                                                                       \
		if (!(condition))                                                                  \
			return #condition;                                                         \
	} while (0)
#define DONE(call) MUST((call) == NVC_OK)

static struct nvc_queue *fresh_queue(struct town *town)
{
	struct nvc_queue *queue = NULL;

	(void)nvc_queue_establish(&town->host, NULL, &queue, NULL);
	return queue;
}

static uint8_t rcodeex_of(const struct nvc_auth_outcome *outcome)
{
	return outcome->kind == NVC_OUTCOME_FAILURE1 ? outcome->rcodeex : 0;
}

/* Authenticates on `queue`; 0 for success, the RCODEEX of AUTH_Failure1, 255 for anything else. */
static uint8_t authenticate(struct nvc_queue *queue, uint8_t sc_c, enum nvc_auth_mode mode,
	const struct nvc_auth_offer *offer)
{
	struct nvc_auth_outcome outcome = {0};

	if (nvc_auth_authenticate(queue, sc_c, mode, offer, &outcome) == NVC_OUTCOME_SUCCESS)
		return 0;
	return rcodeex_of(&outcome) ? rcodeex_of(&outcome) : 255;
}

static uint16_t identify_status(struct nvc_queue *queue)
{
	struct nvc_completion done;

	if (nvc_do_identify(queue, NVC_CNS_CONTROLLER, 0, &done, NULL) != NVC_OK)
		return 0xffff;
	return done.status;
}

static uint16_t property_status(struct nvc_queue *queue)
{
	struct nvc_completion done;

	if (nvc_do_property_get(queue, NVC_PROP_CSTS, &done, NULL) != NVC_OK)
		return 0xffff;
	return done.status;
}

static bool ends(struct nvc_queue *queue)
{
	enum nvc_end end;

	return nvc_queue_await_end(queue, NVC_SEC(60), &end, NULL) == NVC_OK && end != NVC_END_OPEN;
}

static struct nvc_queue *authenticated(struct town *town)
{
	struct nvc_queue *queue = NULL;

	if (nvc_host_admin(&town->host, NULL, NVC_AUTH_UNIDIRECTIONAL, &queue, NULL, NULL) !=
		NVC_OK)
		return NULL;
	return nvc_do_enable(queue, NULL) == NVC_OK ? queue : NULL;
}

static struct nvc_queue *over_tls(struct town *town, enum nvc_auth_mode mode)
{
	struct nvc_auth_outcome outcome;
	struct nvc_queue *queue = NULL;

	if (nvc_host_concat(&town->host, mode, NULL, &queue, &outcome, NULL) != NVC_OK)
		return NULL;
	return queue;
}

/* ---- authentication ---- */

static const char *both_ways(struct town *town)
{
	for (int mode = NVC_AUTH_UNIDIRECTIONAL; mode <= NVC_AUTH_BIDIRECTIONAL; mode++) {
		struct nvc_queue *queue = fresh_queue(town);

		MUST(queue && nvc_queue_info(queue)->atr && !nvc_queue_info(queue)->ascr);
		MUST(authenticate(queue, 0, (enum nvc_auth_mode)mode, NULL) == 0);
		MUST(nvc_queue_info(queue)->num_violations == 0);
		DONE(nvc_do_enable(queue, NULL));
		MUST(identify_status(queue) == 0);
	}
	return NULL;
}

static const char *what_was_offered(struct town *town)
{
	for (uint8_t hash = NVC_HASH_SHA256; hash <= NVC_HASH_SHA512; hash++) {
		for (uint8_t group = NVC_DH_NULL; group <= NVC_DH_3072; group++) {
			const struct nvc_auth_offer offer = NVC_OFFER(hash, group);
			struct nvc_auth_outcome outcome;
			struct nvc_queue *queue = fresh_queue(town);

			nvc_auth_authenticate(queue, 0, NVC_AUTH_BIDIRECTIONAL, &offer, &outcome);
			MUST(outcome.kind == NVC_OUTCOME_SUCCESS);
			MUST(outcome.hash_id == hash && outcome.dhgid == group);
		}
	}
	return NULL;
}

static const char *fresh_values(struct town *town)
{
	struct nvc_queue *queue = fresh_queue(town);
	struct nvc_auth *auth;
	struct nvc_auth_received got;
	uint8_t c1[32] = {0}, dh[256] = {0};
	uint32_t s1 = 0;

	auth = town_auth(town, queue, 0, NVC_AUTH_UNIDIRECTIONAL);
	for (int i = 0; i < 3; i++) {
		if (i)
			nvc_auth_renew(auth);
		DONE(nvc_auth_send_negotiate(auth, NULL));
		DONE(nvc_auth_receive(auth, &got, NULL));
		MUST(got.message == NVC_MSG_CHALLENGE && !got.t_id_foreign && !got.trailing);
		MUST(got.challenge.seqnum != 0 && (!i || got.challenge.seqnum == s1 + 1));
		MUST(got.challenge.dhval.len == sizeof(dh) && got.challenge.cval.len == sizeof(c1));
		MUST(memcmp(dh, got.challenge.dhval.data, sizeof(dh)) != 0);
		MUST(memcmp(c1, got.challenge.cval.data, sizeof(c1)) != 0);
		s1 = got.challenge.seqnum;
		memcpy(dh, got.challenge.dhval.data, sizeof(dh));
		memcpy(c1, got.challenge.cval.data, sizeof(c1));
		DONE(nvc_auth_send_reply(auth, NULL));
		DONE(nvc_auth_receive(auth, &got, NULL));
		MUST(got.message == NVC_MSG_SUCCESS1 && !got.t_id_foreign);
	}
	return NULL;
}

/* The NULL group has no DH value in the Challenge. */
static const char *null_group(struct town *town)
{
	const struct nvc_auth_offer offer = NVC_OFFER(NVC_HASH_SHA256, NVC_DH_NULL);
	struct nvc_queue *queue = fresh_queue(town);

	MUST(authenticate(queue, 0, NVC_AUTH_UNIDIRECTIONAL, &offer) == 0);
	return NULL;
}

/* ---- refusals ---- */

struct fault {
	uint8_t sc_c, group, rcodeex;
	enum nvc_auth_mode mode;
	const char *message;	      /* "negotiate", "descriptor", "reply" */
	struct nvc_bend bend, second; /* `second` without a kind of its own: none */
	enum nvc_r1_kind r1;
};

static uint8_t with_fault(struct town *town, const struct fault *fault, struct nvc_queue **queue)
{
	const struct nvc_bend list[] = {fault->bend, fault->second};
	const struct nvc_bends bends = {list, fault->second.kind ? 2 : 1};
	struct nvc_auth auth = {0};
	struct nvc_auth_outcome outcome = {0};

	*queue = fresh_queue(town);
	if (!*queue || nvc_auth_init(&auth, *queue, fault->sc_c, fault->mode) != NVC_OK)
		return 254;
	auth.offer = NVC_OFFER(NVC_HASH_SHA256, fault->group);
	auth.mode = fault->mode;
	auth.r1 = fault->r1;
	if (fault->bend.field || fault->bend.kind) {
		if (strcmp(fault->message, "negotiate") == 0)
			auth.negotiate_bends = &bends;
		else if (strcmp(fault->message, "descriptor") == 0)
			auth.descriptor_bends = &bends;
		else
			auth.reply_bends = &bends;
	}
	nvc_auth_run(&auth, &outcome);
	nvc_auth_fini(&auth);
	if (outcome.kind == NVC_OUTCOME_SUCCESS)
		return 0;
	return outcome.kind == NVC_OUTCOME_FAILURE1 && outcome.rcodeex ? outcome.rcodeex : 255;
}

#define SET(name, number)                                                                          \
	{                                                                                          \
		.field = (name), .kind = NVC_BEND_SET, .value = (number)                           \
	}
#define CUT(number)                                                                                \
	{                                                                                          \
		.kind = NVC_BEND_TRUNCATE, .value = (number)                                       \
	}

static const uint8_t four_bytes[4] = {1, 2, 3, 4};

static const struct fault faults[] = {
	{.rcodeex = 1, .group = 1, .r1 = NVC_R1_FLIPPED},
	{.rcodeex = 1, .group = 1, .r1 = NVC_R1_UNTRANSFORMED},
	{.rcodeex = 1, .group = 1, .r1 = NVC_R1_AS_CONTROLLER},
	{.rcodeex = 1, .group = 1, .r1 = NVC_R1_RANDOM_KEY},
	{.rcodeex = 7, .group = 1, .message = "reply", .bend = SET("t_id", 7)},
	{.rcodeex = 6, .group = 1, .message = "reply", .bend = SET("hl", 48)},
	{.rcodeex = 6, .group = 1, .message = "reply", .bend = SET("hl", 0)},
	{.rcodeex = 6, .group = 1, .message = "reply", .bend = SET("dhvlen", 0)},
	{.rcodeex = 6, .group = 1, .message = "reply", .bend = SET("dhvlen", 252)},
	{.rcodeex = 6, .group = 1, .message = "reply", .bend = SET("dhvlen", 0xffff)},
	{.rcodeex = 6,
		.group = 0,
		.message = "reply",
		.bend = SET("dhvlen", 4),
		.second = {.kind = NVC_BEND_APPEND, .bytes = {four_bytes, sizeof(four_bytes)}}},
	{.rcodeex = 6, .group = 1, .message = "reply", .bend = SET("cvalid", 2)},
	{.rcodeex = 6, .group = 1, .message = "reply", .bend = CUT(15)},
	{.rcodeex = 6, .group = 1, .message = "reply", .bend = CUT(200)},
	{.rcodeex = 3, .group = 1, .message = "negotiate", .bend = SET("sc_c", 1)},
	{.rcodeex = 3, .group = 1, .message = "negotiate", .bend = SET("sc_c", 255)},
	{.rcodeex = 2, .group = 1, .message = "negotiate", .bend = SET("napd", 0)},
	{.rcodeex = 6, .group = 1, .message = "negotiate", .bend = SET("napd", 2)},
	{.rcodeex = 6, .group = 1, .message = "negotiate", .bend = CUT(71)},
	{.rcodeex = 6, .group = 1, .message = "negotiate", .bend = CUT(8)},
	{.rcodeex = 2, .group = 1, .message = "descriptor", .bend = SET("authid", 2)},
	{.rcodeex = 6, .group = 1, .message = "descriptor", .bend = SET("halen", 0)},
	{.rcodeex = 6, .group = 1, .message = "descriptor", .bend = SET("halen", 60)},
	{.rcodeex = 6, .group = 1, .message = "descriptor", .bend = SET("dhlen", 31)},
	{.rcodeex = 3, .group = 1, .sc_c = 3, .mode = NVC_AUTH_CONCAT_UNI},
	{.rcodeex = 5, .group = 0, .sc_c = 2, .mode = NVC_AUTH_CONCAT_UNI},
	{.rcodeex = 6, .group = 1, .sc_c = 2, .mode = NVC_AUTH_UNIDIRECTIONAL},
};

/* Every fault gets its code, then the connection ends, and the next one is served. */
static const char *faults_are_refused(struct town *town)
{
	static char text[160];

	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		struct nvc_queue *queue;
		uint8_t rcodeex = with_fault(town, &faults[i], &queue);

		if (rcodeex != faults[i].rcodeex) {
			snprintf(text, sizeof(text), "fault %zu (%s %s %u): %u instead of %u", i,
				faults[i].message ? faults[i].message : "",
				faults[i].bend.field ? faults[i].bend.field : "",
				(unsigned int)faults[i].bend.value, (unsigned int)rcodeex,
				(unsigned int)faults[i].rcodeex);
			return text;
		}
		MUST(ends(queue));
		nvc_host_close_all(&town->host);
	}
	return NULL;
}

/* Public values nobody may send, with the R1 that follows from them. */
static const char *weak_values_are_refused(struct town *town)
{
	for (uint8_t value = 0; value < 2; value++) {
		struct nvc_queue *queue = fresh_queue(town);
		uint8_t dhval[256] = {0}, shared[256] = {0};
		struct nvc_bend bends[] = {{"dhval", NVC_BEND_BYTES, 0, NVC_SLICE(dhval)}};
		struct nvc_bends list = {bends, 1};
		struct nvc_auth *auth;
		struct nvc_auth_received got;
		struct nvc_secret ks, ca, kh, r1;
		struct nvc_dhchap_inputs in = {.hash_id = 1};

		dhval[255] = shared[255] = value;
		auth = town_auth(town, queue, 0, NVC_AUTH_UNIDIRECTIONAL);
		DONE(nvc_auth_send_negotiate(auth, NULL));
		DONE(nvc_auth_receive(auth, &got, NULL));
		DONE(nvc_dhchap_session_key(1, NVC_SLICE(shared), &ks));
		DONE(nvc_dhchap_augment(1, &ks, got.challenge.cval, &ca));
		DONE(nvc_dhchap_key_transform(&town->host.host_key, nvc_slice_str(HOST_NQN), &kh));
		in.t_id = auth->t_id;
		in.seqnum = got.challenge.seqnum;
		in.key = nvc_secret_slice(&kh);
		in.challenge = nvc_secret_slice(&ca);
		in.hostnqn = nvc_slice_str(HOST_NQN);
		in.subnqn = nvc_slice_str(SUB_NQN);
		DONE(nvc_dhchap_r1(&in, &r1));
		auth->r1 = NVC_R1_BYTES;
		auth->r1_bytes = nvc_secret_slice(&r1);
		auth->reply_bends = &list;
		DONE(nvc_auth_send_reply(auth, NULL));
		DONE(nvc_auth_receive(auth, &got, NULL));
		MUST(got.message == NVC_MSG_FAILURE1 && got.failure.rcodeex == 6);
	}
	return NULL;
}

static const char *c2_is_not_c1(struct town *town)
{
	struct nvc_queue *queue = fresh_queue(town);
	struct nvc_auth *auth;
	struct nvc_auth_received got;
	uint8_t c1[32];

	auth = town_auth(town, queue, 0, NVC_AUTH_BIDIRECTIONAL);
	DONE(nvc_auth_send_negotiate(auth, NULL));
	DONE(nvc_auth_receive(auth, &got, NULL));
	memcpy(c1, got.challenge.cval.data, sizeof(c1));
	auth->c2 = NVC_SLICE(c1);
	DONE(nvc_auth_send_reply(auth, NULL));
	DONE(nvc_auth_receive(auth, &got, NULL));
	MUST(got.message == NVC_MSG_FAILURE1 && got.failure.rcodeex == 1);
	return NULL;
}

/* A broken message in the middle of nothing, and messages out of their order. */
static const char *order_is_kept(struct town *town)
{
	static const uint8_t odd[] = {0, 0xf7, 0, 0, 1, 0, 0, 1};
	struct nvc_auth *auth;
	struct nvc_auth_received got;
	struct nvc_queue *queue = fresh_queue(town);

	auth = town_auth(town, queue, 0, NVC_AUTH_UNIDIRECTIONAL);
	DONE(nvc_auth_send_negotiate(auth, NULL));
	MUST(auth->status == 0);
	DONE(nvc_auth_send_negotiate(auth, NULL));
	MUST(auth->status == 0);
	DONE(nvc_auth_receive(auth, &got, NULL));
	MUST(got.message == NVC_MSG_FAILURE1 && got.failure.rcodeex == 7 && !got.t_id_foreign);
	MUST(ends(queue));
	auth->queue = fresh_queue(town);
	DONE(nvc_auth_send_raw(auth, NVC_SLICE(odd), NULL));
	DONE(nvc_auth_receive(auth, &got, NULL));
	MUST(got.message == NVC_MSG_FAILURE1 && got.failure.rcodeex == 7);
	auth->queue = fresh_queue(town);
	DONE(nvc_auth_receive(auth, &got, NULL));
	MUST(got.message == NVC_MSG_FAILURE1 && got.failure.rcodeex == 7);
	return NULL;
}

static const char *failure2_ends(struct town *town)
{
	struct nvc_auth *auth;
	struct nvc_queue *queue = fresh_queue(town);

	auth = town_auth(town, queue, 0, NVC_AUTH_BIDIRECTIONAL);
	DONE(nvc_auth_send_negotiate(auth, NULL));
	DONE(nvc_auth_receive(auth, NULL, NULL));
	DONE(nvc_auth_send_failure2(auth, 1, NULL));
	MUST(ends(queue));
	return NULL;
}

/* ---- before authentication ---- */

static const char *gates(struct town *town)
{
	struct nvc_queue *queue = fresh_queue(town);
	struct nvc_completion done;

	MUST(property_status(queue) == NVC_SC_AUTH_REQUIRED);
	DONE(nvc_do_property_set(queue, NVC_PROP_CC, NVC_CC_ENABLE, &done, NULL));
	MUST(done.status == NVC_SC_AUTH_REQUIRED);
	MUST(identify_status(queue) == NVC_SC_AUTH_REQUIRED);
	DONE(nvc_do_keep_alive(queue, &done, NULL));
	MUST(done.status == NVC_SC_AUTH_REQUIRED);
	return NULL;
}

/* Success1 alone does not open a two-way queue, and Success2 is taken once. */
static const char *two_way_opens_with_success2(struct town *town)
{
	struct nvc_queue *queue = fresh_queue(town);
	struct nvc_auth *auth;
	struct nvc_auth_received got;

	auth = town_auth(town, queue, 0, NVC_AUTH_BIDIRECTIONAL);
	DONE(nvc_auth_send_negotiate(auth, NULL));
	DONE(nvc_auth_receive(auth, NULL, NULL));
	DONE(nvc_auth_send_reply(auth, NULL));
	DONE(nvc_auth_receive(auth, &got, NULL));
	MUST(got.message == NVC_MSG_SUCCESS1 && got.r2 == NVC_R2_RIGHT);
	MUST(property_status(queue) == NVC_SC_AUTH_REQUIRED);
	DONE(nvc_auth_send_success2(auth, NULL));
	MUST(auth->status == 0 && property_status(queue) == 0);
	DONE(nvc_auth_send_success2(auth, NULL));
	MUST(auth->status == NVC_SC_COMMAND_SEQUENCE && property_status(queue) == 0);
	return NULL;
}

static const char *io_queue_authenticates(struct town *town)
{
	struct nvc_queue *admin = authenticated(town), *io = NULL;
	const struct nvc_queue_options options = {.qid = 1, .admin = admin};
	struct nvc_completion done;

	MUST(admin);
	DONE(nvc_queue_establish(&town->host, &options, &io, NULL));
	MUST(nvc_queue_info(io)->atr);
	DONE(nvc_do_read(io, 1, 0, 512, &done, NULL));
	MUST(done.status == NVC_SC_AUTH_REQUIRED);
	MUST(authenticate(io, 0, NVC_AUTH_UNIDIRECTIONAL, NULL) == 0);
	DONE(nvc_do_read(io, 1, 1, 512, &done, NULL));
	MUST(done.status == 0 && done.data.len == 512 && done.data.data[0] == 7);
	MUST(authenticate(io, NVC_SC_C_NEWTLSPSK, NVC_AUTH_CONCAT_UNI, NULL) == 3);
	MUST(ends(io));
	MUST(property_status(admin) == 0);
	return NULL;
}

/* Transactions on two queues do not know of each other. */
static const char *queues_are_apart(struct town *town)
{
	const struct nvc_auth_offer sha384 = NVC_OFFER(NVC_HASH_SHA384, NVC_DH_NULL);
	struct nvc_queue *one = fresh_queue(town), *two = fresh_queue(town);
	struct nvc_auth *a, *b;
	struct nvc_auth_received got;

	a = town_auth(town, one, 0, NVC_AUTH_UNIDIRECTIONAL);
	b = town_auth(town, two, 0, NVC_AUTH_UNIDIRECTIONAL);
	b->offer = sha384;
	DONE(nvc_auth_send_negotiate(a, NULL));
	DONE(nvc_auth_receive(a, NULL, NULL));
	DONE(nvc_auth_send_negotiate(b, NULL));
	DONE(nvc_auth_send_reply(a, NULL));
	DONE(nvc_auth_receive(a, &got, NULL));
	MUST(got.message == NVC_MSG_SUCCESS1);
	return NULL;
}

/* ---- AL ---- */

static const char *al_is_respected(struct town *town)
{
	const uint32_t als[] = {8, 290, 16 + 32 + 256 - 1};
	struct nvc_queue *queue = fresh_queue(town);
	struct nvc_auth *auth;
	struct nvc_auth_received got;

	auth = town_auth(town, queue, 0, NVC_AUTH_UNIDIRECTIONAL);
	DONE(nvc_auth_send_negotiate(auth, NULL));
	for (size_t i = 0; i < 3; i++) {
		auth->al = als[i];
		DONE(nvc_auth_receive(auth, &got, NULL));
		MUST(got.kind == NVC_RECEIVED_STATUS && got.status != 0);
		MUST(nvc_queue_info(queue)->num_violations == 0);
	}
	auth->al = 4096;
	DONE(nvc_auth_receive(auth, &got, NULL));
	MUST(got.message == NVC_MSG_CHALLENGE && !got.trailing);
	return NULL;
}

#endif
