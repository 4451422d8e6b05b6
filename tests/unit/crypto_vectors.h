/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of lib/crypto expect of an entry of vectors.json. */
#ifndef NVC_TESTS_CRYPTO_VECTORS_H
#define NVC_TESTS_CRYPTO_VECTORS_H

#include "crypto/secret.h"
#include "tests/unit/vectors.h"

/* Fails with both values in hex unless `got` is what `field` of `entry` says. */
static inline void expect_hex(const json_t *entry, const char *field, struct nvc_slice got)
{
	const json_t *name = json_object_get(entry, "name");
	struct hexed want = hex_of(entry, field);
	char what[100];

	snprintf(
		what, sizeof(what), "%s of %s", field, name ? json_string_value(name) : "an entry");
	expect_bytes(what, HEXED(want), got);
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
