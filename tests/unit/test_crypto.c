/* SPDX-License-Identifier: BSD-3-Clause */
/* DH-HMAC-CHAP: secrets, keys, groups and responses, against every vector of their sections. */
#include <stdio.h>

#include <openssl/evp.h>

#include "crypto/base64.h"
#include "crypto/dh.h"
#include "crypto/dhchap.h"
#include "crypto/dhchap_key.h"
#include "crypto/hash.h"
#include "tests/unit/crypto_vectors.h"

/* What the diagnosis of an invalid vector must name, from the vector's reason and its text. */
static const struct {
	const char *vector, *names;
} diagnoses[] = {
	{"bad_crc", "CRC-32 of the 32-byte secret does not match"},
	{"crc_big_endian", "wrong order"},
	{"crc_not_inverted", "CRC-32 of the 32-byte secret does not match"},
	{"no_crc", "holds 32 bytes"},
	{"bad_len_0", "holds 4 bytes"},
	{"bad_len_16", "holds 20 bytes"},
	{"bad_len_31", "holds 35 bytes"},
	{"bad_len_33", "holds 37 bytes"},
	{"bad_len_40", "holds 44 bytes"},
	{"bad_len_47", "holds 51 bytes"},
	{"bad_len_63", "holds 67 bytes"},
	{"bad_len_65", "holds 69 bytes"},
	{"bad_len_128", "holds 132 bytes"},
	{"bad_version", "character 6 differs"},
	{"bad_prefix", "character 1 differs"},
	{"hash_04_reserved", "04h is not defined"},
	{"hash_ff_reserved", "FFh is not defined"},
	{"hash_one_digit", "character 9 is not a hexadecimal digit"},
	{"hash_not_hex", "character 8 is not a hexadecimal digit"},
	{"no_trailing_colon", "(after character 58) is missing"},
	{"trailing_garbage", "nothing may follow the ':' at character 59"},
	{"bad_base64_char", "is not base64"},
	{"base64url_alphabet", "URL alphabet"},
};

static void expect_diagnosis(const char *vector, const struct nvc_error *err)
{
	ck_assert_int_eq(err->result, NVC_E_INVALID);
	for (size_t i = 0; i < sizeof(diagnoses) / sizeof(diagnoses[0]); i++) {
		if (strcmp(diagnoses[i].vector, vector) != 0)
			continue;
		ck_assert_msg(strstr(err->text, diagnoses[i].names) != NULL,
			"%s: \"%s\" does not say \"%s\"", vector, err->text, diagnoses[i].names);
		return;
	}
	ck_abort_msg("no diagnosis is expected for %s", vector);
}

START_TEST(secrets_parse)
{
	json_t *root = load_vectors();
	json_t *section = section_of(root, "dhchap_secret_parse", 35), *entry;
	size_t i, num_valid = 0;

	json_array_foreach(section, i, entry)
	{
		const char *text = text_of(entry, "secret");
		struct nvc_dhchap_key key;
		struct nvc_error err = {.result = NVC_OK};
		char formatted[NVC_DHCHAP_KEY_TEXT_SIZE];
		enum nvc_result result = nvc_dhchap_key_parse(nvc_slice_str(text), &key, &err);

		if (json_is_true(json_object_get(entry, "spec_valid"))) {
			num_valid++;
			ck_assert_msg(result == NVC_OK, "%s: %s", text_of(entry, "name"), err.text);
			ck_assert_uint_eq(key.hash_id, number_of(entry, "hash_id"));
			expect_hex_secret(entry, "key", &key.secret);
			ck_assert_int_eq(
				nvc_dhchap_key_format(&key, formatted, sizeof(formatted)), NVC_OK);
			ck_assert_str_eq(formatted, text);
		} else {
			ck_assert_msg(
				result == NVC_E_INVALID, "%s was taken", text_of(entry, "name"));
			ck_assert_uint_eq(key.secret.len, 0);
			ck_assert(nvc_slice_is_zero(NVC_SLICE(key.secret.data)));
			expect_diagnosis(text_of(entry, "name"), &err);
			expect_no_secret(err.text, text, 10);
		}
		ck_assert_int_eq(nvc_dhchap_key_parse(nvc_slice_str(text), &key, NULL), result);
	}
	ck_assert_uint_eq(num_valid, 12);
	ck_assert_uint_eq(35 - num_valid, sizeof(diagnoses) / sizeof(diagnoses[0]));
	json_decref(root);
}
END_TEST

START_TEST(secrets_positions)
{
	static const char good[] = "DHHC-1:01:xgJHmLpQn7mE1bHcPLyk93sXVrrF4ThIZ2TGbCAZWx3GpmKK:";
	struct nvc_dhchap_key key;
	char text[sizeof(good)], says[40];

	/* Every character is needed: whichever is cut off or spoilt, the text is refused. */
	for (size_t i = 0; i < sizeof(good) - 1; i++) {
		struct nvc_error err = {.result = NVC_OK};

		ck_assert_int_eq(
			nvc_dhchap_key_parse(nvc_slice_of(good, i), &key, NULL), NVC_E_INVALID);
		memcpy(text, good, sizeof(good));
		text[i] = '*';
		ck_assert_int_eq(
			nvc_dhchap_key_parse(nvc_slice_str(text), &key, &err), NVC_E_INVALID);
		/* The spoilt terminator is a missing one: nothing says that '*' was meant to be
		 * it. */
		if (i < sizeof(good) - 2)
			snprintf(says, sizeof(says), "character %zu ", i + 1);
		else
			snprintf(says, sizeof(says), "is missing");
		ck_assert_msg(strstr(err.text, says) != NULL, "\"%s\" does not say \"%s\"",
			err.text, says);
	}
	/* Two secrets that differ in unused bits of the base64 only are not both the secret. */
	static const char loose[] =
		"DHHC-1:00:pblzTLf8dJ0xttdAOm0tL8X49l2rRrlQSXL2LOHGvqtjOCQiFizu2LW77tVsuS/"
		"KQNZ3tR==:";
	struct nvc_error err = {.result = NVC_OK};
	ck_assert_int_eq(nvc_dhchap_key_parse(nvc_slice_str(loose), &key, &err), NVC_E_INVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "not canonical"));
	ck_assert_int_eq(nvc_dhchap_key_parse(nvc_slice_of(NULL, 0), &key, NULL), NVC_E_INVALID);
}
END_TEST

START_TEST(base64_vectors)
{
	/* RFC 4648 clause 10 */
	static const char *const pairs[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="},
		{"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="},
		{"foobar", "Zm9vYmFy"}};
	static const char *const refused[] = {"Z", "Zg", "Zg=", "Zg===", "Z===", "====", "=",
		"Zh==", "Zm9=", "Zg==Zg==", "Zm 9v", "Zm9v\n"};
	char text[16];
	uint8_t data[16];
	size_t len;

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct nvc_slice encoded = nvc_slice_str(pairs[i][1]);
		struct nvc_writer writer = nvc_writer_over(data, sizeof(data));

		ck_assert_int_eq(
			nvc_base64_encode(nvc_slice_str(pairs[i][0]), text, encoded.len + 1),
			NVC_OK);
		ck_assert_str_eq(text, pairs[i][1]);
		ck_assert_int_eq(nvc_base64_encode(nvc_slice_str(pairs[i][0]), text, encoded.len),
			NVC_E_NO_SPACE);
		ck_assert_int_eq(nvc_base64_check(encoded, 1, &len, NULL), NVC_OK);
		ck_assert_uint_eq(len, strlen(pairs[i][0]));
		ck_assert_int_eq(nvc_base64_decode(encoded, &writer), NVC_OK);
		ck_assert(nvc_slice_equal(nvc_writer_slice(&writer), nvc_slice_str(pairs[i][0])));
	}
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		ck_assert_msg(nvc_base64_check(nvc_slice_str(refused[i]), 1, &len, NULL) ==
				      NVC_E_MALFORMED,
			"\"%s\" was taken", refused[i]);
}
END_TEST

START_TEST(secrets_format_refuses)
{
	struct nvc_dhchap_key key = {.hash_id = 4, .secret.len = 32};
	char text[NVC_DHCHAP_KEY_TEXT_SIZE];

	ck_assert_int_eq(nvc_dhchap_key_format(&key, text, sizeof(text)), NVC_E_INVALID);
	key.hash_id = 3;
	for (size_t len = 0; len <= NVC_MAX_SECRET; len++) {
		bool defined = len == 32 || len == 48 || len == 64;

		key.secret.len = len;
		ck_assert_int_eq(nvc_dhchap_key_format(&key, text, sizeof(text)),
			defined ? NVC_OK : NVC_E_INVALID);
	}
	ck_assert_uint_eq(
		strlen(text) + 1, sizeof(text)); /* 64 bytes are the longest, and just fit */
	ck_assert_int_eq(nvc_dhchap_key_format(&key, text, sizeof(text) - 1), NVC_E_NO_SPACE);
	ck_assert(nvc_slice_is_zero(nvc_slice_of(text, sizeof(text) - 1)));
}
END_TEST

START_TEST(keys_transform)
{
	json_t *root = load_vectors();
	json_t *section = section_of(root, "transformed_keys", 18), *entry;
	size_t i;

	json_array_foreach(section, i, entry)
	{
		struct hexed secret = hex_of(entry, "secret");
		struct nvc_dhchap_key key = {.hash_id = (uint8_t)number_of(entry, "hash_id")};
		struct nvc_secret out;

		ck_assert_int_eq(nvc_secret_set(&key.secret, HEXED(secret)), NVC_OK);
		ck_assert_int_eq(
			nvc_dhchap_key_transform(&key, nvc_slice_str(text_of(entry, "nqn")), &out),
			NVC_OK);
		expect_hex_secret(entry, "key", &out);
	}
	json_decref(root);
}
END_TEST

/* Computes one side: its public value must be `own`, the secret it shares with `peer`
 * "shared_secret". */
static void expect_exchange(
	const json_t *entry, const char *exponent, const char *own, const char *peer)
{
	uint8_t dhgid = (uint8_t)number_of(entry, "dhgid");
	struct hexed x = hex_of(entry, exponent), peer_value = hex_of(entry, peer);
	struct nvc_dh_key *key;
	uint8_t shared[2 * NVC_MAX_DH_LEN];
	struct nvc_writer writer = nvc_writer_over(shared, sizeof(shared));

	ck_assert_int_eq(nvc_dh_key_new(dhgid, HEXED(x), &key), NVC_OK);
	ck_assert_uint_eq(nvc_dh_key_group(key), dhgid);
	expect_hex(entry, own, nvc_dh_key_public(key));
	ck_assert_int_eq(nvc_dh_check_public(dhgid, nvc_dh_key_public(key)), NVC_DH_CHECK_OK);
	ck_assert(nvc_dh_has_order_q(dhgid, nvc_dh_key_public(key)));
	ck_assert_int_eq(nvc_dh_derive(key, HEXED(peer_value), &writer), NVC_OK);
	ck_assert_uint_eq(writer.len, number_of(entry, "dhvlen"));
	expect_hex(entry, "shared_secret", nvc_writer_slice(&writer));

	ck_assert_int_eq(nvc_dh_derive_unchecked(key, HEXED(peer_value), &writer), NVC_OK);
	expect_hex(entry, "shared_secret",
		nvc_slice_sub(
			nvc_writer_slice(&writer), number_of(entry, "dhvlen"), sizeof(shared)));
	nvc_dh_key_free(key);
}

/* Derives the key of one side from its secret, given as text and as bytes. */
static void make_key(const json_t *entry, const char *text, const char *bytes, const char *hash,
	struct nvc_slice nqn, const char *field, struct nvc_secret *out)
{
	struct nvc_dhchap_key key;

	ck_assert_int_eq(
		nvc_dhchap_key_parse(nvc_slice_str(text_of(entry, text)), &key, NULL), NVC_OK);
	expect_hex_secret(entry, bytes, &key.secret);
	ck_assert_uint_eq(key.hash_id, number_of(entry, hash));
	ck_assert_int_eq(nvc_dhchap_key_transform(&key, nqn, out), NVC_OK);
	expect_hex_secret(entry, field, out);
}

/* A shared secret without its leading zeros gives the wrong Ks and R1 which the vector holds,
 * too. */
static void expect_wrong_if_stripped(const json_t *entry, struct nvc_dhchap_inputs in)
{
	json_t *wrong = json_object_get(entry, "wrong_if_leading_zero_stripped");
	struct hexed shared = hex_of(entry, "shared_secret"), c1 = hex_of(entry, "c1");
	struct nvc_slice rest = HEXED(shared);
	struct nvc_secret ks, ca, r1;

	ck_assert_uint_eq(rest.data[0], 0);
	while (rest.data[0] == 0)
		rest = nvc_slice_sub(rest, 1, rest.len);
	ck_assert_int_eq(nvc_dhchap_session_key(in.hash_id, rest, &ks), NVC_OK);
	expect_hex_secret(wrong, "ks", &ks);
	ck_assert_int_eq(nvc_dhchap_augment(in.hash_id, &ks, HEXED(c1), &ca), NVC_OK);
	in.challenge = nvc_secret_slice(&ca);
	ck_assert_int_eq(nvc_dhchap_r1(&in, &r1), NVC_OK);
	expect_hex_secret(wrong, "r1", &r1);
}

static void expect_transaction(const json_t *entry)
{
	uint8_t hash_id = (uint8_t)number_of(entry, "hash_id");
	bool dh = number_of(entry, "dhgid") != NVC_DH_NULL, bidirectional;
	struct hexed c1 = hex_of(entry, "c1"), c2 = hex_of(entry, "c2"), shared;
	struct nvc_secret ks, ca, kh, kc, response;
	struct nvc_dhchap_inputs in = {
		.hash_id = hash_id,
		.sc_c = (uint8_t)number_of(entry, "sc_c"),
		.t_id = (uint16_t)number_of(entry, "t_id"),
		.hostnqn = nvc_slice_str(text_of(entry, "hostnqn")),
		.subnqn = nvc_slice_str(text_of(entry, "subnqn")),
	};

	make_key(entry, "host_secret_text", "host_secret", "host_secret_hash", in.hostnqn, "kh",
		&kh);
	make_key(
		entry, "ctrl_secret_text", "ctrl_secret", "ctrl_secret_hash", in.subnqn, "kc", &kc);
	if (dh) {
		expect_exchange(entry, "x_controller", "dhv_controller", "dhv_host");
		expect_exchange(entry, "y_host", "dhv_host", "dhv_controller");
		shared = hex_of(entry, "shared_secret");
		ck_assert_int_eq(nvc_dhchap_session_key(hash_id, HEXED(shared), &ks), NVC_OK);
		expect_hex_secret(entry, "ks", &ks);
	}
	ck_assert_int_eq(nvc_dhchap_augment(hash_id, dh ? &ks : NULL, HEXED(c1), &ca), NVC_OK);
	expect_hex_secret(entry, "ca1", &ca);
	in.key = nvc_secret_slice(&kh);
	in.seqnum = (uint32_t)number_of(entry, "s1");
	in.challenge = nvc_secret_slice(&ca);
	ck_assert_int_eq(nvc_dhchap_r1(&in, &response), NVC_OK);
	expect_hex_secret(entry, "r1", &response);
	if (json_object_get(entry, "wrong_if_leading_zero_stripped"))
		expect_wrong_if_stripped(entry, in);

	/* The controller answers a challenge (CVALID) whose S2 is not 0. */
	bidirectional = number_of(entry, "cvalid") == 1 && number_of(entry, "s2") != 0;
	ck_assert_int_eq(json_object_get(entry, "r2") != NULL, bidirectional);
	if (!bidirectional)
		return;
	ck_assert_int_eq(nvc_dhchap_augment(hash_id, dh ? &ks : NULL, HEXED(c2), &ca), NVC_OK);
	expect_hex_secret(entry, "ca2", &ca);
	in.key = nvc_secret_slice(&kc);
	in.seqnum = (uint32_t)number_of(entry, "s2");
	in.challenge = nvc_secret_slice(&ca);
	ck_assert_int_eq(nvc_dhchap_r2(&in, &response), NVC_OK);
	expect_hex_secret(entry, "r2", &response);
}

START_TEST(transactions)
{
	json_t *root = load_vectors();
	json_t *section = section_of(root, "dhchap", 17);

	expect_transaction(json_array_get(section, (size_t)_i));
	json_decref(root);
}
END_TEST

START_TEST(hmac_empty_key)
{
	/* Published value of HMAC-SHA256("", ""). */
	static const uint8_t want[] = {0xb6, 0x13, 0x67, 0x9a, 0x08, 0x14, 0xd9, 0xec, 0x77, 0x2f,
		0x95, 0xd7, 0x78, 0xc3, 0x5f, 0xc5, 0xff, 0x16, 0x97, 0xc4, 0x93, 0x71, 0x56, 0x53,
		0xc6, 0xc7, 0x12, 0x14, 0x42, 0x92, 0xc5, 0xad};
	static const uint8_t challenge[32] = {1, 2, 3};
	static const uint8_t zeros[64] = {0};
	const struct nvc_slice none = {NULL, 0};
	struct nvc_secret mac, empty = {.len = 0};

	ck_assert_int_eq(nvc_hmac(NVC_HASH_SHA256, none, NULL, 0, &mac), NVC_OK);
	ck_assert(nvc_slice_equal(nvc_secret_slice(&mac), NVC_SLICE(want)));
	ck_assert_int_eq(nvc_dhchap_augment(NVC_HASH_SHA256, &empty, none, &mac), NVC_OK);
	ck_assert(nvc_slice_equal(nvc_secret_slice(&mac), NVC_SLICE(want)));

	/* HMAC pads a key with zeros to the block: the empty one and a block of zeros are the
	 * same. */
	struct nvc_secret padded = {.len = 64};
	memcpy(padded.data, zeros, sizeof(zeros));
	struct nvc_secret other;
	ck_assert_int_eq(
		nvc_dhchap_augment(NVC_HASH_SHA256, &empty, NVC_SLICE(challenge), &mac), NVC_OK);
	ck_assert_int_eq(
		nvc_dhchap_augment(NVC_HASH_SHA256, &padded, NVC_SLICE(challenge), &other), NVC_OK);
	ck_assert(nvc_secret_equal(nvc_secret_slice(&mac), nvc_secret_slice(&other)));
	ck_assert_int_eq(
		nvc_dhchap_augment(NVC_HASH_SHA256, NULL, NVC_SLICE(challenge), &other), NVC_OK);
	ck_assert(nvc_slice_equal(nvc_secret_slice(&other), NVC_SLICE(challenge)));
	ck_assert(!nvc_secret_equal(nvc_secret_slice(&mac), nvc_secret_slice(&other)));
}
END_TEST

START_TEST(hashes_unknown)
{
	static const uint8_t unknown[] = {0, 4, 255};
	const struct nvc_slice data = nvc_slice_str("data");
	struct nvc_secret out = {.len = 7};

	for (size_t i = 0; i < sizeof(unknown); i++) {
		ck_assert_ptr_null(nvc_hash_ossl_name(unknown[i]));
		ck_assert_int_eq(nvc_hash(unknown[i], data, &out), NVC_E_INVALID);
		ck_assert_int_eq(nvc_hmac(unknown[i], data, &data, 1, &out), NVC_E_INVALID);
	}
	ck_assert_uint_eq(out.len, 7);
}
END_TEST

START_TEST(secrets_as_values)
{
	static const uint8_t long_value[NVC_MAX_SECRET + 1] = {0};
	static const char domain[] = "nvme-conform fingerprint\0hunter2";
	struct nvc_secret a, b;
	char shown[NVC_FINGERPRINT_SIZE], want[NVC_FINGERPRINT_SIZE];
	uint8_t digest[EVP_MAX_MD_SIZE];

	ck_assert_int_eq(nvc_secret_set(&a, nvc_slice_str("hunter2")), NVC_OK);
	ck_assert_int_eq(nvc_secret_set(&b, nvc_slice_str("hunter3")), NVC_OK);
	ck_assert(nvc_secret_equal(nvc_secret_slice(&a), nvc_slice_str("hunter2")));
	ck_assert(!nvc_secret_equal(nvc_secret_slice(&a), nvc_secret_slice(&b)));
	ck_assert(!nvc_secret_equal(nvc_secret_slice(&a), nvc_slice_str("hunter")));

	ck_assert_int_eq(
		EVP_Digest(domain, sizeof(domain) - 1, digest, NULL, EVP_sha256(), NULL), 1);
	snprintf(want, sizeof(want), "sha256:%02x%02x%02x%02x", digest[0], digest[1], digest[2],
		digest[3]);
	ck_assert_str_eq(nvc_secret_fingerprint(nvc_secret_slice(&a), shown), want);
	ck_assert_str_ne(nvc_secret_fingerprint(nvc_secret_slice(&b), shown), want);
	ck_assert_str_eq(nvc_secret_fingerprint(nvc_slice_of(NULL, 0), shown), "empty");

	/* The value may lie inside the secret; what lay behind the new end is gone. */
	ck_assert_int_eq(nvc_secret_set(&a, nvc_slice_sub(nvc_secret_slice(&a), 3, 4)), NVC_OK);
	ck_assert(nvc_slice_equal(nvc_secret_slice(&a), nvc_slice_str("ter2")));
	ck_assert(nvc_slice_is_zero(nvc_slice_of(a.data + 4, sizeof(a.data) - 4)));

	ck_assert_int_eq(nvc_secret_set(&b, NVC_SLICE(long_value)), NVC_E_NO_SPACE);
	ck_assert_uint_eq(b.len, 0);
	nvc_secret_wipe(&a);
	nvc_secret_wipe(NULL);
	ck_assert(nvc_slice_is_zero(NVC_SLICE(a.data)));
	ck_assert_uint_eq(a.len, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("crypto");
	TCase *tcase = tcase_create("dhchap");
	SRunner *runner;
	int num_failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, secrets_parse);
	tcase_add_test(tcase, secrets_positions);
	tcase_add_test(tcase, base64_vectors);
	tcase_add_test(tcase, secrets_format_refuses);
	tcase_add_test(tcase, keys_transform);
	tcase_add_loop_test(tcase, transactions, 0, 17);
	tcase_add_test(tcase, hmac_empty_key);
	tcase_add_test(tcase, hashes_unknown);
	tcase_add_test(tcase, secrets_as_values);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	num_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return num_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
