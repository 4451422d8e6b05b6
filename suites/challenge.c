/* SPDX-License-Identifier: BSD-3-Clause */
/* What the controller puts into its Challenge. Layout, lengths and freshness are also the observer's, on every connection. */
#include <string.h>

#include "suites/steps.h"

static const struct case_param groups[] = {
	{"ffdhe2048", {NVC_DH_2048}},
	{"ffdhe3072", {NVC_DH_3072}},
	{"ffdhe4096", {NVC_DH_4096}},
	{"ffdhe6144", {NVC_DH_6144}},
	{"ffdhe8192", {NVC_DH_8192}},
	{NULL, {0}},
};

CASE(value, .id = "challenge.public-value",
	.title = "The public value has the size of its group, lies between 1 and p-1, and in the "
		 "subgroup of order q",
	.checks = {REQ_C_125, REQ_C_121, REQ_C_126}, .needs = NEED_AUTH, .params = groups)
{
	struct nvc_host *host = host_as(t, want_pair(NVC_HASH_SHA256, param[0]));
	struct nvc_auth *auth =
		transaction(t, connect_admin(t, host), NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);
	struct nvc_auth_received received = {0};
	struct nvc_challenge challenge;
	enum nvc_dh_check check;
	char text[256];

	offer(auth, NVC_HASH_SHA256, param[0]);
	send_negotiate(t, auth);
	if (!receive_answer(t, REQ_C_125, auth, "Challenge", &received))
		return;
	expect_true(t, REQ_C_125,
		received.kind == NVC_RECEIVED_MESSAGE && received.message == NVC_MSG_CHALLENGE,
		"Challenge", "%s", nvc_auth_received_text(&received, text, sizeof(text)));
	challenge = received.challenge; /* be it one that cannot be answered */
	expect_true(t, REQ_C_121, challenge.dhvlen == nvc_dhgroup_len(challenge.dhgid),
		"DHVLEN is the size of the group", "DHVLEN %u with DHgID %02Xh", challenge.dhvlen,
		challenge.dhgid);
	check = nvc_dh_check_public(challenge.dhgid, challenge.dhval);
	expect_true(t, REQ_C_125, check == NVC_DH_CHECK_OK, "a value from 2 to p-2", "%s",
		check == NVC_DH_CHECK_OK ? "a value from 2 to p-2" : nvc_dh_check_name(check));
	expect_true(t, REQ_C_126, nvc_dh_has_order_q(challenge.dhgid, challenge.dhval),
		"DHV^q mod p = 1", "DHgID %02Xh", challenge.dhgid);
}

CASE(reuse, .id = "challenge.public-value-reuse",
	.title = "Whether the public value comes again in a second transaction is on record",
	.checks = {REQ_C_127, REQ_C_130}, .needs = NEED_AUTH)
{
	struct nvc_queue *admin = connect_admin(t, host_as(t, ORDINARY));
	uint8_t first[NVC_MAX_DH_LEN] = {0};
	struct nvc_challenge challenge = {0};
	size_t len = 0;

	for (int round = 0; round < 2; round++) {
		struct nvc_auth *auth =
			transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);

		offer(auth, NVC_HASH_SHA256, NVC_DH_2048);
		send_negotiate(t, auth);
		if (!take_challenge(t, auth, &challenge))
			return;
		if (round)
			test_observed(t, REQ_C_127, "the second Challenge carries %s public value",
				nvc_slice_equal(nvc_slice_of(first, len), challenge.dhval)
					? "the same"
					: "another");
		len = challenge.dhval.len < sizeof(first) ? challenge.dhval.len : sizeof(first);
		memcpy(first, challenge.dhval.data, len);
		send_reply(t, auth);
		expect_success1(t, REQ_C_130, auth);
	}
}

/* Which of the offers below. */
static const struct case_param orders[] = {
	{"weakest-first", {0}}, {"strongest-first", {1}}, {"null-last", {2}}, {NULL, {0}}};

CASE(preference, .id = "challenge.preference",
	.title = "Whole lists end in success whatever is chosen; whose order decides is on record",
	.checks = {REQ_C_130, REQ_C_128}, .needs = NEED_AUTH, .teardown = TEARDOWN_USABLE,
	.params = orders)
{
	static const struct nvc_auth_offer offers[] = {
		{3, 3, {NVC_HASH_SHA256, NVC_HASH_SHA384, NVC_HASH_SHA512},
			{NVC_DH_NULL, NVC_DH_2048, NVC_DH_3072}},
		{3, 3, {NVC_HASH_SHA512, NVC_HASH_SHA384, NVC_HASH_SHA256},
			{NVC_DH_3072, NVC_DH_2048, NVC_DH_NULL}},
		{3, 3, {NVC_HASH_SHA384, NVC_HASH_SHA256, NVC_HASH_SHA512},
			{NVC_DH_2048, NVC_DH_3072, NVC_DH_NULL}},
	};
	struct nvc_host *host = host_as(t, want_secret(NVC_HASH_SHA256, 32));
	struct nvc_auth *auth =
		transaction(t, connect_admin(t, host), NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);

	auth->offer = offers[param[0]];
	expect_success(t, REQ_C_130, auth);
	test_observed(t, REQ_C_128,
		"offered HashID %02Xh and DHgID %02Xh first, chosen were %02Xh and %02Xh",
		auth->offer.hash_ids[0], auth->offer.dh_ids[0], auth->hash_id, auth->dhgid);
}
