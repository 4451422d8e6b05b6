/* SPDX-License-Identifier: BSD-3-Clause */
/* AUTH_Negotiate: its lists, lengths and descriptors, and what the controller may choose (docs/protocol.md 3.1 and 4.2). */
#include <string.h>

#include "suites/steps.h"

/* An ordinary one-way authentication that offers SHA-256 and ffdhe2048 alone, ready to be spoilt. */
static struct nvc_auth *negotiation(struct test *t)
{
	struct nvc_host *host = host_as(t, ORDINARY);
	struct nvc_auth *auth =
		transaction(t, connect_admin(t, host), NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);

	offer(auth, NVC_HASH_SHA256, NVC_DH_2048);
	return auth;
}

/* ---- the choice ---- */

static bool among(uint8_t id, const uint8_t *ids, size_t num)
{
	for (size_t i = 0; i < num; i++)
		if (ids[i] == id)
			return true;
	return false;
}

/* Judges that the answer is a Challenge with a hash and a group of the offer, or AUTH_Failure1 with `rcodeex`. */
static void expect_choice(struct test *t, enum req_id req, struct nvc_auth *auth, uint8_t rcodeex)
{
	const struct nvc_auth_offer *offered = &auth->offer;
	static const char expected[] = "a Challenge with a hash and a group that were offered, or "
				       "AUTH_Failure1 for want of them";
	struct nvc_auth_received received = {0};
	char text[256];
	bool chosen, refused;

	send_negotiate(t, auth);
	if (!receive_answer(t, req, auth, expected, &received))
		return;
	chosen = received.kind == NVC_RECEIVED_MESSAGE && received.message == NVC_MSG_CHALLENGE &&
		 among(received.challenge.hash_id, offered->hash_ids, offered->num_hashes) &&
		 among(received.challenge.dhgid, offered->dh_ids, offered->num_dhgroups);
	refused = received.kind == NVC_RECEIVED_MESSAGE && received.message == NVC_MSG_FAILURE1 &&
		  received.failure.rcodeex == rcodeex;
	expect_true(t, req, chosen || refused, expected, "%s",
		nvc_auth_received_text(&received, text, sizeof(text)));
}

/* {group offered, group the identity is set to} */
static const struct case_param groups_alone[] = {
	{"null-to-ffdhe2048", {NVC_DH_NULL, NVC_DH_2048}},
	{"ffdhe2048-to-null", {NVC_DH_2048, NVC_DH_NULL}},
	{"ffdhe2048-to-ffdhe3072", {NVC_DH_2048, NVC_DH_3072}},
	{"ffdhe3072-to-ffdhe2048", {NVC_DH_3072, NVC_DH_2048}},
	{"ffdhe4096-to-ffdhe2048", {NVC_DH_4096, NVC_DH_2048}},
	{"ffdhe6144-to-ffdhe2048", {NVC_DH_6144, NVC_DH_2048}},
	{"ffdhe8192-to-ffdhe2048", {NVC_DH_8192, NVC_DH_2048}},
	{NULL, {0}},
};

CASE(group_alone, .id = "negotiate.group-alone",
	.title = "A group offered alone is chosen, or refused as not usable: no other one comes in "
		 "its place",
	.checks = {REQ_C_093, REQ_C_090}, .needs = NEED_AUTH, .params = groups_alone)
{
	struct nvc_host *host = host_as(t, want_pair(NVC_HASH_SHA256, param[1]));
	struct nvc_auth *auth =
		transaction(t, connect_admin(t, host), NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);

	offer(auth, NVC_HASH_SHA256, param[0]);
	expect_choice(
		t, param[0] == NVC_DH_NULL ? REQ_C_090 : REQ_C_093, auth, NVC_RCODEEX_DHGROUP);
}

static const struct case_param groups_left_out[] = {
	{"null", {NVC_DH_NULL}},
	{"ffdhe2048", {NVC_DH_2048}},
	{"ffdhe3072", {NVC_DH_3072}},
	{"ffdhe8192", {NVC_DH_8192}},
	{NULL, {0}},
};

CASE(group_left_out, .id = "negotiate.group-left-out",
	.title = "A group that is missing in the list is not chosen, whatever the target prefers",
	.checks = {REQ_C_093}, .needs = NEED_AUTH, .params = groups_left_out)
{
	struct nvc_host *host = host_as(t, want_pair(NVC_HASH_SHA256, param[0]));
	struct nvc_auth *auth =
		transaction(t, connect_admin(t, host), NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);

	auth->offer = (struct nvc_auth_offer){.num_hashes = 1, .hash_ids = {NVC_HASH_SHA256}};
	for (uint8_t id = NVC_DH_NULL; id <= NVC_DH_8192; id++)
		if (id != param[0])
			auth->offer.dh_ids[auth->offer.num_dhgroups++] = id;
	expect_choice(t, REQ_C_093, auth, NVC_RCODEEX_DHGROUP);
}

/* {hash offered, hash the identity is set to} */
static const struct case_param hashes_alone[] = {
	{"sha256-to-sha384", {NVC_HASH_SHA256, NVC_HASH_SHA384}},
	{"sha256-to-sha512", {NVC_HASH_SHA256, NVC_HASH_SHA512}},
	{"sha384-to-sha256", {NVC_HASH_SHA384, NVC_HASH_SHA256}},
	{"sha512-to-sha256", {NVC_HASH_SHA512, NVC_HASH_SHA256}},
	{NULL, {0}},
};

CASE(hash_alone, .id = "negotiate.hash-alone",
	.title = "A hash offered alone is chosen, or refused as not usable: no other one comes in "
		 "its place",
	.checks = {REQ_C_092}, .needs = NEED_AUTH, .params = hashes_alone)
{
	struct nvc_host *host = host_as(t, want_pair(param[1], NVC_DH_2048));
	struct nvc_auth *auth =
		transaction(t, connect_admin(t, host), NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);

	offer(auth, param[0], NVC_DH_2048);
	expect_choice(t, REQ_C_092, auth, NVC_RCODEEX_HASH);
}

CASE(null_concat, .id = "negotiate.null-with-concatenation",
	.title = "NEWTLSPSK with the NULL group alone is refused even where the host is to use the "
		 "NULL group",
	.checks = {REQ_C_115}, .needs = NEED_CONCAT, .teardown = TEARDOWN_CLOSED)
{
	struct nvc_host *host = host_as(t, want_pair(NVC_HASH_SHA256, NVC_DH_NULL));
	struct nvc_auth *auth =
		transaction(t, connect_admin(t, host), NVC_SC_C_NEWTLSPSK, NVC_AUTH_CONCAT_UNI);

	offer(auth, NVC_HASH_SHA256, NVC_DH_NULL);
	send_negotiate(t, auth);
	expect_failure1(t, REQ_C_115, auth, CODES(NVC_RCODEEX_DHGROUP));
}

/* {group of the re-authentication} */
static const struct case_param later_groups[] = {
	{"ffdhe2048", {NVC_DH_2048}}, {"null", {NVC_DH_NULL}}, {NULL, {0}}};

CASE(sc_c_dies, .id = "negotiate.nosc-after-concatenation",
	.title = "An AUTH_Negotiate with NOSC is judged by its own SC_C after a REPLACETLSPSK on "
		 "the same queue",
	.checks = {REQ_C_211}, .needs = NEED_CONCAT, .teardown = TEARDOWN_USABLE,
	.params = later_groups)
{
	struct nvc_host *host =
		host_as(t, param[0] == NVC_DH_NULL ? want_secret(NVC_HASH_SHA256, 32) : ORDINARY);
	struct nvc_queue *admin = admin_from_newtlspsk(t, host, NULL);
	struct nvc_auth *auth;

	authenticate(t, transaction(t, admin, NVC_SC_C_REPLACETLSPSK, NVC_AUTH_CONCAT_UNI));
	auth = transaction(t, admin, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL);
	offer(auth, NVC_HASH_SHA256, param[0]);
	expect_success(t, REQ_C_211, auth);
}

/* ---- the lists ---- */

/* 10h to 31h are key exchanges of a later revision; E0h is a vendor's. */
static const struct case_param foreign_ids[] = {
	{"hashes", {1, 0, 0x09, 0x7f}},
	{"groups", {0, 1, 0x09, 0x7f}},
	{"both", {1, 1, 0x09, 0x7f}},
	{"later-key-exchanges", {0, 1, 0x10, 0x31}},
	{"vendor", {1, 1, 0xe0, 0xff}},
	{NULL, {0}},
};

CASE(foreign, .id = "negotiate.unknown-ids-skipped",
	.title = "Identifiers nobody knows are skipped, and the known one behind them is chosen",
	.checks = {REQ_C_094}, .needs = NEED_AUTH, .teardown = TEARDOWN_USABLE,
	.params = foreign_ids)
{
	struct nvc_auth *auth = negotiation(t);
	const uint8_t first = (uint8_t)param[2], second = (uint8_t)param[3];

	if (param[0])
		auth->offer = (struct nvc_auth_offer){
			3, 1, {first, second, NVC_HASH_SHA256}, {NVC_DH_2048}};
	if (param[1]) {
		auth->offer.num_dhgroups = 3;
		memcpy(auth->offer.dh_ids, (const uint8_t[]){first, second, NVC_DH_2048}, 3);
	}
	expect_success(t, REQ_C_094, auth);
}

static const struct case_param unknown_hashes[] = {
	{"00h", {0x00}}, {"04h", {0x04}}, {"7fh", {0x7f}}, {"ffh", {0xff}}, {NULL, {0}}};

CASE(unknown_hash, .id = "negotiate.unknown-hash-alone",
	.title = "A list without any known hash is refused for its hashes", .checks = {REQ_C_095},
	.needs = NEED_AUTH, .teardown = TEARDOWN_CLOSED, .params = unknown_hashes)
{
	struct nvc_auth *auth = negotiation(t);

	offer(auth, param[0], NVC_DH_2048);
	expect_refused(t, REQ_C_095, auth, CODES(NVC_RCODEEX_HASH));
}

static const struct case_param unknown_groups[] = {
	{"06h", {0x06}}, {"7fh", {0x7f}}, {"ffh", {0xff}}, {NULL, {0}}};

CASE(unknown_group, .id = "negotiate.unknown-group-alone",
	.title = "A list without any known group is refused for its groups", .checks = {REQ_C_096},
	.needs = NEED_AUTH, .teardown = TEARDOWN_CLOSED, .params = unknown_groups)
{
	struct nvc_auth *auth = negotiation(t);

	offer(auth, NVC_HASH_SHA256, param[0]);
	expect_refused(t, REQ_C_096, auth, CODES(NVC_RCODEEX_DHGROUP));
}

static const struct case_param empty_lists[] = {{"hashes", {0}}, {"groups", {1}}, {NULL, {0}}};

CASE(empty_list, .id = "negotiate.empty-list",
	.title = "An empty list of hashes or groups is refused", .checks = {REQ_C_097, REQ_C_098},
	.needs = NEED_AUTH, .teardown = TEARDOWN_CLOSED, .params = empty_lists)
{
	struct nvc_auth *auth = negotiation(t);

	/* The identifier itself stays in its place: it is not to be read. */
	auth->descriptor_bends = NVC_BENDS(
		{.field = param[0] ? "dhlen" : "halen", .kind = NVC_BEND_SET, .value = 0});
	if (param[0])
		expect_refused(t, REQ_C_098, auth, CODES(NVC_RCODEEX_PAYLOAD, NVC_RCODEEX_DHGROUP));
	else
		expect_refused(t, REQ_C_097, auth, CODES(NVC_RCODEEX_PAYLOAD, NVC_RCODEEX_HASH));
}

/* 60 hashes would reach to the end of the descriptor, 255 far behind the message. */
static const struct case_param long_lists[] = {
	{"31-hashes", {0, 31}},
	{"60-hashes", {0, 60}},
	{"255-hashes", {0, 255}},
	{"31-groups", {1, 31}},
	{"60-groups", {1, 60}},
	{"255-groups", {1, 255}},
	{NULL, {0}},
};

CASE(long_list, .id = "negotiate.list-too-long",
	.title = "A list of more than 30 identifiers is an incorrect payload",
	.checks = {REQ_C_099}, .needs = NEED_AUTH, .teardown = TEARDOWN_CLOSED,
	.params = long_lists)
{
	struct nvc_auth *auth = negotiation(t);

	auth->descriptor_bends = NVC_BENDS({.field = param[0] ? "dhlen" : "halen",
		.kind = NVC_BEND_SET,
		.value = (uint64_t)param[1]});
	expect_refused(t, REQ_C_099, auth, CODES(NVC_RCODEEX_PAYLOAD));
}

CASE(full_list, .id = "negotiate.full-lists",
	.title = "Lists of 30 identifiers are read to their last one", .checks = {REQ_C_100},
	.needs = NEED_AUTH, .teardown = TEARDOWN_USABLE)
{
	struct nvc_auth *auth = negotiation(t);

	auth->offer =
		(struct nvc_auth_offer){.num_hashes = NVC_MAX_LIST, .num_dhgroups = NVC_MAX_LIST};
	memset(auth->offer.hash_ids, 0x7f, NVC_MAX_LIST);
	memset(auth->offer.dh_ids, 0x7f, NVC_MAX_LIST);
	auth->offer.hash_ids[NVC_MAX_LIST - 1] = NVC_HASH_SHA256;
	auth->offer.dh_ids[NVC_MAX_LIST - 1] = NVC_DH_2048;
	expect_success(t, REQ_C_100, auth);
}

static const struct case_param beyond[] = {{"hashes", {0}}, {"groups", {1}}, {NULL, {0}}};

CASE(behind_list, .id = "negotiate.ids-behind-the-list",
	.title = "Identifiers behind the end of a list are not part of the offer",
	.checks = {REQ_C_101, REQ_C_096}, .needs = NEED_AUTH, .teardown = TEARDOWN_CLOSED,
	.params = beyond)
{
	static const uint8_t hashes[] = {0x7f, NVC_HASH_SHA256}, groups[] = {0x7f, NVC_DH_2048};
	struct nvc_auth *auth = negotiation(t);

	auth->descriptor_bends = NVC_BENDS({.field = param[0] ? "dh_ids" : "hash_ids",
		.kind = NVC_BEND_BYTES,
		.bytes = param[0] ? NVC_SLICE(groups) : NVC_SLICE(hashes)});
	if (param[0])
		expect_refused(t, REQ_C_096, auth, CODES(NVC_RCODEEX_DHGROUP));
	else
		expect_refused(t, REQ_C_101, auth, CODES(NVC_RCODEEX_HASH));
}

/* ---- descriptors ---- */

static const struct case_param without_descriptor[] = {
	{"no-descriptor", {0}}, {"uncounted-descriptor", {1}}, {NULL, {0}}};

CASE(no_descriptor, .id = "negotiate.napd-0",
	.title = "An AUTH_Negotiate that counts no descriptor is refused", .checks = {REQ_C_102},
	.needs = NEED_AUTH, .teardown = TEARDOWN_CLOSED, .params = without_descriptor)
{
	struct nvc_auth *auth = negotiation(t);

	auth->no_descriptor = !param[0];
	auth->negotiate_bends = NVC_BENDS({.field = "napd", .kind = NVC_BEND_SET, .value = 0});
	expect_refused(t, REQ_C_102, auth, CODES(NVC_RCODEEX_PROTOCOL, NVC_RCODEEX_PAYLOAD));
}

/* A descriptor of a protocol nobody knows, full of identifiers that would do for DH-HMAC-CHAP. */
static const uint8_t foreign_descriptor[NVC_DESCRIPTOR_LEN] = {
	0x7e, 0, 1, 1, NVC_HASH_SHA256, [34] = NVC_DH_2048};

CASE(first_of_two, .id = "negotiate.two-descriptors.first",
	.title = "DH-HMAC-CHAP is found as the first of two descriptors", .checks = {REQ_C_103},
	.needs = NEED_AUTH, .teardown = TEARDOWN_USABLE)
{
	struct nvc_auth *auth = negotiation(t);

	auth->extra_descriptors = NVC_SLICE(foreign_descriptor);
	expect_success(t, REQ_C_103, auth);
}

CASE(second_of_two, .id = "negotiate.two-descriptors.second",
	.title = "DH-HMAC-CHAP is found as the second of two descriptors", .checks = {REQ_C_104},
	.needs = NEED_AUTH, .teardown = TEARDOWN_USABLE)
{
	struct nvc_auth *auth = negotiation(t);
	uint8_t both[2 * NVC_DESCRIPTOR_LEN];

	memcpy(both, foreign_descriptor, NVC_DESCRIPTOR_LEN);
	memcpy(both + NVC_DESCRIPTOR_LEN, foreign_descriptor, NVC_DESCRIPTOR_LEN);
	both[NVC_DESCRIPTOR_LEN] = NVC_AUTH_DHCHAP;
	auth->no_descriptor = true;
	auth->extra_descriptors = NVC_SLICE(both);
	expect_success(t, REQ_C_104, auth);
}

static const struct case_param unknown_protocols[] = {
	{"00h", {0x00}}, {"02h", {0x02}}, {"ffh", {0xff}}, {"two", {0x02, 1}}, {NULL, {0}}};

CASE(unknown_protocol, .id = "negotiate.unknown-protocol",
	.title = "An AUTH_Negotiate that offers no known protocol is refused for its protocol",
	.checks = {REQ_C_105}, .needs = NEED_AUTH, .teardown = TEARDOWN_CLOSED,
	.params = unknown_protocols)
{
	struct nvc_auth *auth = negotiation(t);

	auth->descriptor_bends =
		NVC_BENDS({.field = "authid", .kind = NVC_BEND_SET, .value = (uint64_t)param[0]});
	if (param[1])
		auth->extra_descriptors = NVC_SLICE(foreign_descriptor);
	expect_refused(t, REQ_C_105, auth, CODES(NVC_RCODEEX_PROTOCOL));
}

/* ---- lengths and reserved bytes ---- */

/* {bytes sent, NAPD} */
static const struct case_param short_messages[] = {
	{"71-bytes", {71, 1}},
	{"8-bytes", {8, 1}},
	{"6-bytes", {6, 1}},
	{"4-bytes", {4, 1}},
	{"2-bytes", {2, 1}},
	{"1-byte", {1, 1}},
	{"napd-2", {0, 2}},
	{"napd-255", {0, 255}},
	{NULL, {0}},
};

CASE(short_message, .id = "negotiate.short",
	.title = "An AUTH_Negotiate that is shorter than its descriptors is an incorrect payload",
	.checks = {REQ_C_106}, .needs = NEED_AUTH, .teardown = TEARDOWN_CLOSED,
	.params = short_messages)
{
	struct nvc_auth *auth = negotiation(t);

	auth->negotiate_bends =
		param[0] ? NVC_BENDS({.kind = NVC_BEND_TRUNCATE, .value = (uint64_t)param[0]})
			 : NULL;
	auth->napd = (uint8_t)param[1];
	expect_refused(t, REQ_C_106, auth, CODES(NVC_RCODEEX_PAYLOAD));
}

CASE(trailing, .id = "negotiate.trailing-bytes",
	.title = "What becomes of bytes behind an AUTH_Negotiate is on record",
	.checks = {REQ_C_087}, .needs = NEED_AUTH)
{
	static const uint8_t four[4] = {1, 2, 3, 4};
	struct nvc_auth *auth = negotiation(t);
	struct nvc_auth_outcome outcome = {0};
	char text[320];

	auth->negotiate_bends = NVC_BENDS({.kind = NVC_BEND_APPEND, .bytes = NVC_SLICE(four)});
	if (test_running(t))
		nvc_auth_run(auth, &outcome);
	expect_true(t, REQ_C_087,
		outcome.kind == NVC_OUTCOME_SUCCESS ||
			(outcome.kind == NVC_OUTCOME_FAILURE1 &&
				outcome.rcodeex == NVC_RCODEEX_PAYLOAD),
		"success, or AUTH_Failure1 06h", "%s",
		nvc_auth_outcome_text(&outcome, text, sizeof(text)));
}

static const struct case_param reserved_places[] = {
	{"message", {0}}, {"descriptor", {1}}, {NULL, {0}}};

CASE(reserved, .id = "negotiate.reserved-bytes",
	.title = "Reserved bytes that are not zero do no harm", .checks = {REQ_C_108},
	.needs = NEED_AUTH, .teardown = TEARDOWN_USABLE, .params = reserved_places)
{
	struct nvc_auth *auth = negotiation(t);
	const struct nvc_bends *in_message =
		NVC_BENDS({.field = "reserved2", .kind = NVC_BEND_SET, .value = 0xffff});
	const struct nvc_bends *in_descriptor =
		NVC_BENDS({.field = "reserved1", .kind = NVC_BEND_SET, .value = 0xff});

	auth->negotiate_bends = param[0] ? NULL : in_message;
	auth->descriptor_bends = param[0] ? in_descriptor : NULL;
	expect_success(t, REQ_C_108, auth);
}

/* ---- AUTH_Negotiate under another id: {AUTH_ID, after an AUTH_Negotiate} ---- */

static const struct case_param other_ids[] = {
	{"01h", {0x01, 0}}, {"f1h", {0xf1, 0}}, {"01h-after-negotiate", {0x01, 1}}, {NULL, {0}}};

CASE(other_id, .id = "negotiate.other-auth-id",
	.title = "A common message with another AUTH_ID is not taken for AUTH_Negotiate, whatever "
		 "it contains",
	.checks = {REQ_N_005, REQ_C_162}, .needs = NEED_AUTH, .teardown = TEARDOWN_CLOSED,
	.params = other_ids)
{
	struct nvc_auth *auth = negotiation(t);

	if (param[1])
		send_negotiate(t, auth);
	auth->negotiate_bends =
		NVC_BENDS({.field = "auth_id", .kind = NVC_BEND_SET, .value = (uint64_t)param[0]});
	send_negotiate(t, auth);
	expect_failure1(
		t, param[0] == 0xf1 ? REQ_C_162 : REQ_N_005, auth, CODES(NVC_RCODEEX_MESSAGE));
}
