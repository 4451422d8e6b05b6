/* SPDX-License-Identifier: BSD-3-Clause */
/* Authentication messages: every one of the vectors byte for byte, and what is said about good and broken ones. */
#include "tests/unit/vectors.h"
#include "wire/auth.h"

enum { NUM_TRANSACTIONS = 17, MAX_TEXT = 512 };

static json_t *root, *transactions;

static void load(void)
{
	root = load_vectors();
	transactions = section_of(root, "dhchap", NUM_TRANSACTIONS);
}

static void unload(void)
{
	json_decref(root);
}

static struct hexed message_of(const json_t *entry, const char *name)
{
	return hex_of(json_object_get(entry, "messages"), name);
}

static bool has(const json_t *entry, const char *field)
{
	return json_object_get(entry, field) != NULL;
}

/* Decodes a message of the vectors into `out`, which must take all of it, give back the same bytes and be refused when
 * cut anywhere. `bytes` keeps what the slices of `out` point to. */
static void round_trip(const json_t *entry, const char *name, const struct nvc_layout *layout,
	struct hexed *bytes, void *out)
{
	uint8_t again[NVC_MAX_AUTH_MESSAGE];
	struct nvc_writer writer = nvc_writer_over(again, sizeof(again));
	struct nvc_error err = {0};
	uint16_t message, t_id;
	size_t num_read;

	*bytes = message_of(entry, name);
	for (size_t cut = 0; cut < bytes->len; cut++) {
		uint8_t *copy = exact_copy(HEXED(*bytes), cut);
		char text[MAX_TEXT];

		ck_assert_int_eq(nvc_decode(layout, nvc_slice_of(copy, cut), out, NULL, NULL),
			NVC_E_TRUNCATED);
		nvc_auth_describe(nvc_slice_of(copy, cut), text, sizeof(text));
		ck_assert_ptr_nonnull(
			strstr(text, cut < 6 ? "no authentication message" : "broken"));
		free(copy);
	}
	ck_assert(nvc_auth_peek(HEXED(*bytes), &message, &t_id));
	ck_assert_uint_eq(t_id, number_of(entry, "t_id"));
	ck_assert_ptr_eq(nvc_auth_layout(message), layout);
	ck_assert_msg(
		nvc_decode(layout, HEXED(*bytes), out, &num_read, &err) == NVC_OK, "%s", err.text);
	ck_assert_uint_eq(num_read, bytes->len);
	ck_assert(nvc_reserved_is_zero(layout, HEXED(*bytes), NULL));
	ck_assert_int_eq(nvc_encode(layout, out, NULL, &writer), NVC_OK);
	expect_bytes(name, HEXED(*bytes), nvc_writer_slice(&writer));
}

static void expect_hex(
	const char *what, const json_t *entry, const char *field, struct nvc_slice got)
{
	struct hexed want = hex_of(entry, field);

	expect_bytes(what, HEXED(want), got);
}

static void expect_dhval(
	const json_t *entry, const char *field, uint16_t dhvlen, struct nvc_slice dhval)
{
	uint8_t dhgid = (uint8_t)number_of(entry, "dhgid");

	ck_assert_uint_eq(dhvlen, nvc_dhgroup_len(dhgid));
	ck_assert_uint_eq(dhval.len, dhvlen);
	if (dhgid == NVC_DH_NULL)
		return;
	ck_assert_uint_eq(dhvlen, number_of(entry, "dhvlen"));
	expect_hex("DH value", entry, field, dhval);
}

START_TEST(negotiate_vectors)
{
	const json_t *entry = json_array_get(transactions, (size_t)_i);
	struct nvc_negotiate negotiate;
	struct nvc_dhchap_descriptor descriptor;
	struct hexed bytes;
	bool offered = false;

	round_trip(entry, "AUTH_Negotiate", &nvc_negotiate_layout, &bytes, &negotiate);
	ck_assert_uint_eq(negotiate.t_id, number_of(entry, "t_id"));
	ck_assert_uint_eq(negotiate.sc_c, number_of(entry, "sc_c"));
	ck_assert_uint_eq(negotiate.napd, 1);
	ck_assert_uint_eq(negotiate.descriptors.len, NVC_DESCRIPTOR_LEN);
	ck_assert_int_eq(nvc_decode(&nvc_dhchap_descriptor_layout, negotiate.descriptors,
				 &descriptor, NULL, NULL),
		NVC_OK);
	ck_assert_uint_eq(descriptor.authid, 1);
	ck_assert_uint_eq(descriptor.halen, 3);
	expect_bytes("hash ids", NVC_SLICE(((const uint8_t[]){1, 2, 3})),
		nvc_slice_of(descriptor.hash_ids, 3));
	ck_assert(descriptor.dhlen == 5 || descriptor.dhlen == 6);
	for (size_t i = 0; i < descriptor.dhlen; i++)
		offered |= descriptor.dh_ids[i] == number_of(entry, "dhgid");
	ck_assert(offered);
}
END_TEST

START_TEST(challenge_vectors)
{
	const json_t *entry = json_array_get(transactions, (size_t)_i);
	struct nvc_challenge message;
	struct hexed bytes;

	round_trip(entry, "Challenge", &nvc_challenge_layout, &bytes, &message);
	ck_assert_uint_eq(message.t_id, number_of(entry, "t_id"));
	ck_assert_uint_eq(message.hash_id, number_of(entry, "hash_id"));
	ck_assert_uint_eq(message.hl, nvc_hash_len(message.hash_id));
	ck_assert_uint_eq(message.dhgid, number_of(entry, "dhgid"));
	ck_assert_uint_eq(message.seqnum, number_of(entry, "s1"));
	expect_hex("C1", entry, "c1", message.cval);
	expect_dhval(entry, "dhv_controller", message.dhvlen, message.dhval);
}
END_TEST

START_TEST(reply_vectors)
{
	const json_t *entry = json_array_get(transactions, (size_t)_i);
	struct nvc_reply message;
	struct hexed bytes;

	round_trip(entry, "Reply", &nvc_reply_layout, &bytes, &message);
	ck_assert_uint_eq(message.t_id, number_of(entry, "t_id"));
	ck_assert_uint_eq(message.hl, nvc_hash_len((uint8_t)number_of(entry, "hash_id")));
	ck_assert_uint_eq(message.cvalid, number_of(entry, "cvalid"));
	ck_assert_uint_eq(message.seqnum, number_of(entry, "s2"));
	expect_hex("R1", entry, "r1", message.rval);
	if (message.cvalid)
		expect_hex("C2", entry, "c2", message.cval);
	else
		ck_assert(nvc_slice_is_zero(message.cval));
	expect_dhval(entry, "dhv_host", message.dhvlen, message.dhval);
}
END_TEST

START_TEST(success1_vectors)
{
	const json_t *entry = json_array_get(transactions, (size_t)_i);
	struct nvc_success1 message;
	struct hexed bytes;

	round_trip(entry, "Success1", &nvc_success1_layout, &bytes, &message);
	ck_assert_uint_eq(message.t_id, number_of(entry, "t_id"));
	ck_assert_uint_eq(message.hl, nvc_hash_len((uint8_t)number_of(entry, "hash_id")));
	ck_assert_uint_eq(message.rval.len, message.hl);
	ck_assert_uint_eq(message.rvalid, has(entry, "r2"));
	if (has(entry, "r2"))
		expect_hex("R2", entry, "r2", message.rval);
	else
		ck_assert(nvc_slice_is_zero(message.rval));
}
END_TEST

START_TEST(success2_vectors)
{
	const json_t *entry = json_array_get(transactions, (size_t)_i);
	struct nvc_success2 message;
	struct hexed bytes;

	ck_assert_int_eq(has(json_object_get(entry, "messages"), "Success2"), has(entry, "r2"));
	if (!has(entry, "r2"))
		return;
	round_trip(entry, "Success2", &nvc_success2_layout, &bytes, &message);
	ck_assert_uint_eq(message.t_id, number_of(entry, "t_id"));
}
END_TEST

START_TEST(failures)
{
	const json_t *capsules = json_object_get(root, "capsules");
	struct hexed one = hex_of(capsules, "failure1_auth_failed_tid_1234h");
	struct hexed two = hex_of(capsules, "failure2_incorrect_payload_tid_1234h");
	uint8_t again[8];
	struct nvc_writer writer = nvc_writer_over(again, sizeof(again));
	struct nvc_failure failure;
	struct nvc_error err = {0};

	ck_assert_int_eq(
		nvc_decode(&nvc_failure1_layout, HEXED(one), &failure, NULL, NULL), NVC_OK);
	ck_assert_uint_eq(failure.t_id, 0x1234);
	ck_assert_uint_eq(failure.rcode, NVC_RCODE_FAILURE);
	ck_assert_uint_eq(failure.rcodeex, NVC_RCODEEX_FAILED);
	ck_assert_int_eq(nvc_encode(&nvc_failure1_layout, &failure, NULL, &writer), NVC_OK);
	expect_bytes("AUTH_Failure1", HEXED(one), nvc_writer_slice(&writer));

	ck_assert_int_eq(
		nvc_decode(&nvc_failure2_layout, HEXED(two), &failure, NULL, NULL), NVC_OK);
	ck_assert_uint_eq(failure.rcodeex, NVC_RCODEEX_PAYLOAD);
	writer = nvc_writer_over(again, sizeof(again));
	ck_assert_int_eq(nvc_encode(&nvc_failure2_layout, &failure, NULL, &writer), NVC_OK);
	expect_bytes("AUTH_Failure2", HEXED(two), nvc_writer_slice(&writer));

	/* F0h and F1h are easily swapped; the layouts do not let that pass. */
	ck_assert_int_eq(nvc_decode(&nvc_failure1_layout, HEXED(two), &failure, NULL, &err),
		NVC_E_MALFORMED);
	ck_assert_str_eq(err.text, "AUTH_Failure1: auth_id is f0h, not f1h");
}
END_TEST

START_TEST(lists_that_overrun)
{
	struct hexed negotiate = unhex("0000000034120001");
	struct hexed reply = unhex("01020000341220000100ffff00000000");
	struct nvc_negotiate n;
	struct nvc_reply r;
	struct nvc_error err = {0};
	uint8_t *copy;

	negotiate.data[7] = 255;
	copy = exact_copy(HEXED(negotiate), negotiate.len);
	ck_assert_int_eq(nvc_decode(&nvc_negotiate_layout, nvc_slice_of(copy, negotiate.len), &n,
				 NULL, &err),
		NVC_E_TRUNCATED);
	ck_assert_str_eq(err.text, "AUTH_Negotiate: descriptors takes 16320 bytes and 0 are left");
	free(copy);
	reply.len = 16 + 64 + 1; /* room for R1 and C2, not for 65535 bytes of DH value */
	copy = exact_copy(HEXED(reply), reply.len);
	err = (struct nvc_error){0};
	ck_assert_int_eq(
		nvc_decode(&nvc_reply_layout, nvc_slice_of(copy, reply.len), &r, NULL, &err),
		NVC_E_TRUNCATED);
	ck_assert_str_eq(err.text, "DH-HMAC-CHAP_Reply: dhval takes 65535 bytes and 1 are left");
	free(copy);
}
END_TEST

static void expect_text(const char *hex, const char *want)
{
	struct hexed bytes = unhex(hex);
	char text[MAX_TEXT];

	ck_assert_str_eq(nvc_auth_describe(HEXED(bytes), text, sizeof(text)), want);
}

#define ZEROS_27 "000000000000000000000000000000000000000000000000000000"
#define ZEROS_25 "00000000000000000000000000000000000000000000000000"

START_TEST(descriptions)
{
	expect_text("0000000034120301"
		    "01000302"
		    "010203" ZEROS_27 "0001" ZEROS_25 "000000",
		"AUTH_Negotiate t_id=4660 sc_c=3 REPLACETLSPSK napd=1 [authid=1 hash=1,2,3 "
		"dh=0,1]");
	expect_text("0000000034120301"
		    "0200001f" ZEROS_27 "000000" ZEROS_25 "00000000ff",
		"AUTH_Negotiate t_id=4660 sc_c=3 REPLACETLSPSK napd=1 [authid=2 hash=- "
		"dh=0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,255.. (31)]");
	expect_text("0000000034120100", "AUTH_Negotiate t_id=4660 sc_c=1 napd=0");
	expect_text("00f1000001000103", "AUTH_Failure1 t_id=1 rcode=1 authentication failure "
					"rcodeex=3 secure channel concatenation mismatch");
	expect_text("00f0000001000209", "AUTH_Failure2 t_id=1 rcode=2 rcodeex=9");
	expect_text("01010000341202000200000004030201aabb",
		"DH-HMAC-CHAP_Challenge t_id=4660 hl=2 hash_id=2 SHA-384 dhgid=0 NULL dhvlen=0 "
		"seqnum=16909060 cval=aabb "
		"dhval=-");
	expect_text("0102000034120200010001000000000011112222ff",
		"DH-HMAC-CHAP_Reply t_id=4660 hl=2 cvalid=1 dhvlen=1 seqnum=0 rval=1111 cval=2222 "
		"dhval=ff");
	expect_text("0103000034120900010000000000000001020304050607080900000000",
		"DH-HMAC-CHAP_Success1 t_id=4660 hl=9 rvalid=1 rval=0102030405060708.. + 4 zero "
		"bytes");
	expect_text("0104000034120000000000000000000001",
		"DH-HMAC-CHAP_Success2 t_id=4660 + 1 bytes more");
	expect_text("0105000034120000", "unknown authentication message 0105h t_id=4660, 8 bytes");
	expect_text("0104000034120000", "DH-HMAC-CHAP_Success2 t_id=4660 broken "
					"(DH-HMAC-CHAP_Success2: 8 bytes, it takes at least 16)");
	expect_text("010400", "3 bytes, no authentication message: 010400");
	expect_text("", "0 bytes, no authentication message: -");
}
END_TEST

START_TEST(numbers)
{
	ck_assert_uint_eq(nvc_hash_len(0), 0);
	ck_assert_uint_eq(nvc_hash_len(1), 32);
	ck_assert_uint_eq(nvc_hash_len(2), 48);
	ck_assert_uint_eq(nvc_hash_len(3), 64);
	ck_assert_uint_eq(nvc_hash_len(4), 0);
	ck_assert_uint_eq(nvc_hash_len(255), 0);
	ck_assert_uint_eq(nvc_dhgroup_len(0), 0);
	ck_assert_uint_eq(nvc_dhgroup_len(4), 768);
	ck_assert_uint_eq(nvc_dhgroup_len(5), 1024);
	ck_assert_uint_eq(nvc_dhgroup_len(6), 0);
	ck_assert(nvc_dhgroup_known(0) && nvc_dhgroup_known(5) && !nvc_dhgroup_known(6) &&
		  !nvc_dhgroup_known(255));
	ck_assert_ptr_null(nvc_auth_layout(0x0100));
	ck_assert_ptr_null(nvc_auth_layout(0x00ff));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wire auth");
	TCase *tcase = tcase_create("messages");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, load, unload);
	tcase_add_loop_test(tcase, negotiate_vectors, 0, NUM_TRANSACTIONS);
	tcase_add_loop_test(tcase, challenge_vectors, 0, NUM_TRANSACTIONS);
	tcase_add_loop_test(tcase, reply_vectors, 0, NUM_TRANSACTIONS);
	tcase_add_loop_test(tcase, success1_vectors, 0, NUM_TRANSACTIONS);
	tcase_add_loop_test(tcase, success2_vectors, 0, NUM_TRANSACTIONS);
	tcase_add_test(tcase, failures);
	tcase_add_test(tcase, lists_that_overrun);
	tcase_add_test(tcase, descriptions);
	tcase_add_test(tcase, numbers);
	tcase_set_timeout(tcase, 30);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
