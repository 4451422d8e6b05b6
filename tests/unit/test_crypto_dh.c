/* SPDX-License-Identifier: BSD-3-Clause */
/* The groups of RFC 7919: primes, public values nobody should send, exponents out of range. */
#include "crypto/dh.h"
#include "crypto/hash.h"
#include "tests/unit/crypto_vectors.h"

enum { FIRST_GROUP = NVC_DH_2048, AFTER_LAST_GROUP = NVC_NUM_DHGROUPS };

/* p of the group plus `difference`, which borrows or carries no further than the last byte. */
static struct nvc_slice near_p(uint8_t dhgid, int difference, uint8_t out[NVC_MAX_DH_LEN])
{
	struct nvc_slice p = nvc_dh_prime(dhgid);

	ck_assert_uint_eq(p.data[p.len - 1], 0xff);
	ck_assert_int_le(difference, 0);
	memcpy(out, p.data, p.len);
	out[p.len - 1] = (uint8_t)(0xff + difference);
	return nvc_slice_of(out, p.len);
}

static struct nvc_slice small(uint8_t dhgid, uint8_t value, uint8_t out[NVC_MAX_DH_LEN])
{
	size_t len = nvc_dh_prime(dhgid).len;

	memset(out, 0, len);
	out[len - 1] = value;
	return nvc_slice_of(out, len);
}

START_TEST(primes)
{
	json_t *root = load_vectors();
	json_t *section = section_of(root, "dh_groups", 5), *entry;
	size_t i;

	json_array_foreach(section, i, entry)
	{
		uint8_t dhgid = (uint8_t)number_of(entry, "dhgid");
		struct nvc_slice p = nvc_dh_prime(dhgid);
		struct nvc_secret digest;

		ck_assert_uint_eq(dhgid, FIRST_GROUP + i);
		ck_assert_uint_eq(p.len, number_of(entry, "dhvlen"));
		ck_assert_uint_eq(p.len * 8, number_of(entry, "bits"));
		ck_assert_uint_eq(number_of(entry, "g"), 2);
		expect_hex(entry, "p", p);
		ck_assert_int_eq(nvc_hash(NVC_HASH_SHA256, p, &digest), NVC_OK);
		expect_hex_secret(entry, "sha256_of_p_bytes", &digest);
	}
	ck_assert_uint_eq(nvc_dh_prime(NVC_DH_NULL).len, 0);
	ck_assert_uint_eq(nvc_dh_prime(NVC_NUM_DHGROUPS).len, 0);
	ck_assert_uint_eq(nvc_dh_prime(255).len, 0);
	json_decref(root);
}
END_TEST

START_TEST(public_values)
{
	uint8_t dhgid = (uint8_t)_i, buf[NVC_MAX_DH_LEN + 1] = {0};
	size_t len = nvc_dh_prime(dhgid).len;

	ck_assert_int_eq(nvc_dh_check_public(dhgid, small(dhgid, 0, buf)), NVC_DH_CHECK_ZERO);
	ck_assert_int_eq(nvc_dh_check_public(dhgid, small(dhgid, 1, buf)), NVC_DH_CHECK_ONE);
	ck_assert_int_eq(nvc_dh_check_public(dhgid, small(dhgid, 2, buf)), NVC_DH_CHECK_OK);
	ck_assert_int_eq(nvc_dh_check_public(dhgid, near_p(dhgid, -2, buf)), NVC_DH_CHECK_OK);
	ck_assert_int_eq(
		nvc_dh_check_public(dhgid, near_p(dhgid, -1, buf)), NVC_DH_CHECK_P_MINUS_ONE);
	ck_assert_int_eq(
		nvc_dh_check_public(dhgid, near_p(dhgid, 0, buf)), NVC_DH_CHECK_NOT_BELOW_P);
	memset(buf, 0xff, len);
	ck_assert_int_eq(
		nvc_dh_check_public(dhgid, nvc_slice_of(buf, len)), NVC_DH_CHECK_NOT_BELOW_P);

	small(dhgid, 2, buf);
	ck_assert_int_eq(
		nvc_dh_check_public(dhgid, nvc_slice_of(NULL, 0)), NVC_DH_CHECK_WRONG_LENGTH);
	ck_assert_int_eq(
		nvc_dh_check_public(dhgid, nvc_slice_of(buf, len - 1)), NVC_DH_CHECK_WRONG_LENGTH);
	ck_assert_int_eq(
		nvc_dh_check_public(dhgid, nvc_slice_of(buf, len + 1)), NVC_DH_CHECK_WRONG_LENGTH);
	ck_assert_int_eq(
		nvc_dh_check_public(NVC_DH_NULL, nvc_slice_of(NULL, 0)), NVC_DH_CHECK_WRONG_LENGTH);
}
END_TEST

/* p is 7 mod 8 in every group: squares have order q, -1 and so minus a square have not. */
START_TEST(order)
{
	uint8_t dhgid = (uint8_t)_i, buf[NVC_MAX_DH_LEN];

	ck_assert(nvc_dh_has_order_q(dhgid, small(dhgid, 2, buf)));
	ck_assert(nvc_dh_has_order_q(dhgid, small(dhgid, 4, buf)));
	ck_assert(nvc_dh_has_order_q(dhgid, small(dhgid, 9, buf)));
	ck_assert(!nvc_dh_has_order_q(dhgid, near_p(dhgid, -1, buf)));
	ck_assert(!nvc_dh_has_order_q(dhgid, near_p(dhgid, -2, buf)));
	ck_assert(!nvc_dh_has_order_q(dhgid, near_p(dhgid, -4, buf)));
	ck_assert(!nvc_dh_has_order_q(dhgid, near_p(dhgid, -9, buf)));
	ck_assert(!nvc_dh_has_order_q(dhgid, small(dhgid, 0, buf)));
	ck_assert(!nvc_dh_has_order_q(dhgid, near_p(dhgid, 0, buf)));
	ck_assert(!nvc_dh_has_order_q(dhgid, nvc_slice_of(buf, 16)));
}
END_TEST

/* The checked derivation refuses `peer`; the unchecked one gives `want`. */
static void expect_illegal(
	const struct nvc_dh_key *key, struct nvc_slice peer, struct nvc_slice want)
{
	uint8_t shared[NVC_MAX_DH_LEN];
	struct nvc_writer writer = nvc_writer_over(shared, sizeof(shared));

	ck_assert_int_eq(nvc_dh_derive(key, peer, &writer), NVC_E_INVALID);
	ck_assert_uint_eq(writer.len, 0);
	ck_assert_int_eq(nvc_dh_derive_unchecked(key, peer, &writer), NVC_OK);
	ck_assert(nvc_slice_equal(nvc_writer_slice(&writer), want));
}

START_TEST(illegal_values)
{
	uint8_t dhgid = (uint8_t)_i, peer[NVC_MAX_DH_LEN], result[NVC_MAX_DH_LEN];
	static const uint8_t exponents[][2] = {{0x12, 0x34}, {0x12, 0x35}}; /* even, odd */

	for (size_t i = 0; i < 2; i++) {
		struct nvc_dh_key *key;
		struct nvc_slice p_minus_one = near_p(dhgid, -1, peer);

		ck_assert_int_eq(nvc_dh_key_new(dhgid, NVC_SLICE(exponents[i]), &key), NVC_OK);
		expect_illegal(key, p_minus_one,
			i == 0 ? small(dhgid, 1, result) : near_p(dhgid, -1, result));
		expect_illegal(key, small(dhgid, 0, peer), small(dhgid, 0, result));
		expect_illegal(key, small(dhgid, 1, peer), small(dhgid, 1, result));
		expect_illegal(key, near_p(dhgid, 0, peer), small(dhgid, 0, result));
		expect_illegal(key, nvc_slice_of(NULL, 0), small(dhgid, 0, result));
		/* A value without its leading zeros: g itself in one byte. */
		peer[0] = 2;
		expect_illegal(key, nvc_slice_of(peer, 1), nvc_dh_key_public(key));
		nvc_dh_key_free(key);
	}
}
END_TEST

START_TEST(exponents)
{
	uint8_t dhgid = (uint8_t)_i, x[NVC_MAX_DH_LEN + 1] = {0}, want[NVC_MAX_DH_LEN];
	size_t len = nvc_dh_prime(dhgid).len;
	struct nvc_dh_key *key;

	ck_assert_int_eq(nvc_dh_key_new(dhgid, nvc_slice_of(NULL, 0), &key), NVC_E_INVALID);
	ck_assert_ptr_null(key);
	ck_assert_int_eq(nvc_dh_key_new(dhgid, small(dhgid, 0, x), &key), NVC_E_INVALID);
	ck_assert_int_eq(nvc_dh_key_new(dhgid, near_p(dhgid, 0, x), &key), NVC_E_INVALID);
	ck_assert_int_eq(nvc_dh_key_new(dhgid, near_p(dhgid, -1, x), &key), NVC_E_INVALID);
	ck_assert_ptr_null(key);
	memset(x, 0, sizeof(x));
	x[len] = 1;
	ck_assert_int_eq(nvc_dh_key_new(dhgid, nvc_slice_of(x, len + 1), &key), NVC_E_INVALID);

	/* x = 1, then x = 3 with leading zeros: g and g^3. */
	ck_assert_int_eq(nvc_dh_key_new(dhgid, nvc_slice_of("\1", 1), &key), NVC_OK);
	ck_assert(nvc_slice_equal(nvc_dh_key_public(key), small(dhgid, 2, want)));
	nvc_dh_key_free(key);
	ck_assert_int_eq(nvc_dh_key_new(dhgid, small(dhgid, 3, x), &key), NVC_OK);
	ck_assert(nvc_slice_equal(nvc_dh_key_public(key), small(dhgid, 8, want)));
	nvc_dh_key_free(key);
	nvc_dh_key_free(NULL);
}
END_TEST

START_TEST(leading_zero)
{
	static const uint8_t from[NVC_DH_PRIVATE_LEN] = {0x12, 0x34, [NVC_DH_PRIVATE_LEN - 1] = 7};
	static const uint8_t y[NVC_DH_PRIVATE_LEN] = {0x55, [NVC_DH_PRIVATE_LEN - 1] = 9};
	const struct nvc_slice generator = {NULL, 0};
	uint8_t x[NVC_DH_PRIVATE_LEN], shared[NVC_MAX_DH_LEN];
	struct nvc_writer writer = nvc_writer_over(shared, sizeof(shared));
	struct nvc_dh_key *key = NULL, *peer = NULL;

	/* What was found is computed again by the ordinary road. */
	ck_assert_int_eq(nvc_dh_leading_zero(NVC_DH_2048, generator, NVC_SLICE(from), x), NVC_OK);
	ck_assert_int_eq(nvc_dh_key_new(NVC_DH_2048, NVC_SLICE(x), &key), NVC_OK);
	ck_assert_uint_eq(nvc_dh_key_public(key).data[0], 0);
	nvc_dh_key_free(key);
	ck_assert_int_eq(nvc_dh_key_new(NVC_DH_2048, NVC_SLICE(y), &peer), NVC_OK);
	ck_assert_int_eq(
		nvc_dh_leading_zero(NVC_DH_2048, nvc_dh_key_public(peer), NVC_SLICE(from), x),
		NVC_OK);
	ck_assert_int_eq(nvc_dh_key_new(NVC_DH_2048, NVC_SLICE(x), &key), NVC_OK);
	ck_assert_int_eq(nvc_dh_derive(key, nvc_dh_key_public(peer), &writer), NVC_OK);
	ck_assert_uint_eq(shared[0], 0);
	ck_assert_int_eq(
		nvc_dh_leading_zero(NVC_DH_NULL, generator, NVC_SLICE(from), x), NVC_E_INVALID);
	ck_assert_int_eq(
		nvc_dh_leading_zero(NVC_DH_2048, nvc_slice_of(from, 1), NVC_SLICE(from), x),
		NVC_E_INVALID);
	nvc_dh_key_free(key);
	nvc_dh_key_free(peer);
}
END_TEST

START_TEST(no_room)
{
	uint8_t shared[256], peer[NVC_MAX_DH_LEN];
	struct nvc_writer writer = nvc_writer_over(shared, sizeof(shared) - 1);
	struct nvc_dh_key *key;

	ck_assert_int_eq(nvc_dh_key_new(NVC_DH_NULL, nvc_slice_of("\5", 1), &key), NVC_E_INVALID);
	ck_assert_int_eq(nvc_dh_key_new(99, nvc_slice_of("\5", 1), &key), NVC_E_INVALID);
	ck_assert_int_eq(nvc_dh_key_new(NVC_DH_2048, nvc_slice_of("\5", 1), &key), NVC_OK);
	ck_assert_int_eq(nvc_dh_derive(key, small(NVC_DH_2048, 2, peer), &writer), NVC_E_NO_SPACE);
	ck_assert(writer.failed);
	writer = nvc_writer_over(shared, sizeof(shared) - 1);
	ck_assert_int_eq(
		nvc_dh_derive_unchecked(key, small(NVC_DH_2048, 1, peer), &writer), NVC_E_NO_SPACE);
	ck_assert(writer.failed);
	nvc_dh_key_free(key);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("crypto dh");
	TCase *tcase = tcase_create("dh");
	SRunner *runner;
	int num_failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, primes);
	tcase_add_loop_test(tcase, public_values, FIRST_GROUP, AFTER_LAST_GROUP);
	tcase_add_loop_test(tcase, order, FIRST_GROUP, AFTER_LAST_GROUP);
	tcase_add_loop_test(tcase, illegal_values, FIRST_GROUP, AFTER_LAST_GROUP);
	tcase_add_loop_test(tcase, exponents, FIRST_GROUP, AFTER_LAST_GROUP);
	tcase_add_test(tcase, leading_zero);
	tcase_add_test(tcase, no_room);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	num_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return num_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
