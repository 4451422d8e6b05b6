/* SPDX-License-Identifier: BSD-3-Clause */
/* How the tests of lib/crypto read tests/vectors/vectors.json. Run from the top of the tree, or name the file in
 * NVC_VECTORS. */
#ifndef NVC_TESTS_CRYPTO_VECTORS_H
#define NVC_TESTS_CRYPTO_VECTORS_H

#include <check.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/secret.h"

struct hexed {
	uint8_t data[2048];
	size_t len;
};

#define HEXED(value) nvc_slice_of((value).data, (value).len)

/* The whole file; freed by json_decref. */
static inline json_t *load_vectors(void)
{
	const char *path = getenv("NVC_VECTORS");
	json_error_t why;
	json_t *root = json_load_file(path ? path : "tests/vectors/vectors.json", 0, &why);

	ck_assert_msg(root != NULL, "vectors.json: %s", why.text);
	return root;
}

/* A section, with as many entries as we know it to have: none is lost in silence. */
static inline json_t *section_of(json_t *root, const char *name, size_t num)
{
	json_t *section = json_object_get(root, name);

	ck_assert_msg(json_is_array(section), "no section %s", name);
	ck_assert_uint_eq(json_array_size(section), num);
	return section;
}

static inline const char *text_of(const json_t *entry, const char *field)
{
	const char *text = json_string_value(json_object_get(entry, field));

	ck_assert_msg(text != NULL, "no text in field %s", field);
	return text;
}

static inline unsigned long number_of(const json_t *entry, const char *field)
{
	json_t *value = json_object_get(entry, field);

	ck_assert_msg(json_is_integer(value), "no number in field %s", field);
	return (unsigned long)json_integer_value(value);
}

/* The bytes of a hex field; an odd number of digits (an integer) gets a leading zero. */
static inline struct hexed hex_of(const json_t *entry, const char *field)
{
	const char *text = text_of(entry, field);
	size_t num_digits = strlen(text), odd = num_digits % 2;
	struct hexed out = {.len = (num_digits + odd) / 2};

	ck_assert_uint_le(out.len, sizeof(out.data));
	for (size_t i = 0; i < num_digits; i++) {
		static const char digits[] = "0123456789abcdef";
		const char *digit = strchr(digits, text[i]);
		unsigned int shift = (i + odd) % 2 ? 0 : 4;

		ck_assert_msg(digit != NULL, "field %s is not hex", field);
		out.data[(i + odd) / 2] |= (uint8_t)((digit - digits) << shift);
	}
	return out;
}

/* Fails with both values in hex unless `got` is what `field` of `entry` says. */
static inline void expect_hex(const json_t *entry, const char *field, struct nvc_slice got)
{
	struct hexed want = hex_of(entry, field);
	char want_text[200], got_text[200];

	ck_assert_msg(nvc_slice_equal(HEXED(want), got),
		"%s of %s: expected %s (%zu), got %s (%zu)", field,
		json_is_string(json_object_get(entry, "name")) ? text_of(entry, "name")
							       : "an entry",
		nvc_hex(HEXED(want), want_text, sizeof(want_text)), want.len,
		nvc_hex(got, got_text, sizeof(got_text)), got.len);
}

static inline void expect_hex_secret(
	const json_t *entry, const char *field, const struct nvc_secret *got)
{
	expect_hex(entry, field, nvc_secret_slice(got));
}

/* Fails when any six characters of `text` from `start` on stand in `message`. */
static inline void expect_no_secret(const char *message, const char *text, size_t start)
{
	size_t len = strlen(text);
	char window[7] = "";

	for (size_t i = start; i + 6 <= len; i++) {
		memcpy(window, text + i, 6);
		ck_assert_msg(!strstr(message, window), "\"%s\" shows \"%s\"", message, window);
	}
}

#endif
