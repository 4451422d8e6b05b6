/* SPDX-License-Identifier: BSD-3-Clause */
/* How unit tests read tests/vectors/vectors.json. They run from the top of the tree, or NVC_SRCDIR names it. */
#ifndef NVC_TESTS_VECTORS_H
#define NVC_TESTS_VECTORS_H

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/bytes.h"

#ifndef NVC_VECTORS
#define NVC_VECTORS "tests/vectors/vectors.json"
#endif

struct hexed {
	uint8_t data[4096];
	size_t len;
};

#define HEXED(value) nvc_slice_of((value).data, (value).len)

/* The whole file; freed by json_decref. */
static inline json_t *load_vectors(void)
{
	const char *top = getenv("NVC_SRCDIR");
	char path[4096];
	json_error_t why;
	json_t *root;

	snprintf(path, sizeof(path), "%s/%s", top ? top : ".", NVC_VECTORS);
	root = json_load_file(path, 0, &why);
	ck_assert_msg(root != NULL, "%s: %s", path, why.text);
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

static inline struct hexed unhex(const char *text)
{
	static const char digits[] = "0123456789abcdef";
	struct hexed out = {.len = strlen(text) / 2};

	ck_assert_uint_eq(strlen(text) % 2, 0);
	ck_assert_uint_le(out.len, sizeof(out.data));
	for (size_t i = 0; text[i]; i++) {
		const char *digit = strchr(digits, text[i]);

		ck_assert_msg(digit != NULL, "'%c' is not a hex digit", text[i]);
		out.data[i / 2] |= (uint8_t)((digit - digits) << (i % 2 ? 0 : 4));
	}
	return out;
}

static inline struct hexed hex_of(const json_t *entry, const char *field)
{
	return unhex(text_of(entry, field));
}

/* Fails with both values in hex unless they are the same bytes. */
static inline void expect_bytes(const char *what, struct nvc_slice want, struct nvc_slice got)
{
	char want_text[400], got_text[400];

	ck_assert_msg(nvc_slice_equal(want, got), "%s: expected %s (%zu bytes), got %s (%zu)", what,
		nvc_hex(want, want_text, sizeof(want_text)), want.len,
		nvc_hex(got, got_text, sizeof(got_text)), got.len);
}

/* A copy that ends where its memory ends, so that the sanitizers see a read past it. */
static inline uint8_t *exact_copy(struct nvc_slice in, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	ck_assert_ptr_nonnull(copy);
	if (len)
		memcpy(copy, in.data, len);
	return copy;
}

#endif
