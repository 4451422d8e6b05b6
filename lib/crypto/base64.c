/* SPDX-License-Identifier: BSD-3-Clause */
#include "crypto/base64.h"

#include <limits.h>

#include <openssl/evp.h>

/* The 6 bits of a character, or -1. Without a table, so that no secret chooses a cache line. */
static int value_of(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static size_t padding_of(struct nvc_slice text)
{
	size_t num = 0;

	while (num < 2 && num < text.len && text.data[text.len - 1 - num] == '=')
		num++;
	return num;
}

enum nvc_result nvc_base64_check(
	struct nvc_slice text, size_t first, size_t *len, struct nvc_error *err)
{
	size_t num_padding = padding_of(text);
	size_t num_digits = text.len - num_padding;
	int loose_bits = num_padding == 2 ? 15 : num_padding == 1 ? 3 : 0;

	for (size_t i = 0; i < num_digits; i++) {
		uint8_t c = text.data[i];

		if (value_of(c) >= 0)
			continue;
		return nvc_fail(err, NVC_E_MALFORMED,
			"character %zu is not base64 (RFC 4648 clause 4)%s", first + i,
			c == '='	       ? ": padding before the end"
			: c == '-' || c == '_' ? " but its URL alphabet"
					       : "");
	}
	if (text.len % 4 != 0)
		return nvc_fail(err, NVC_E_MALFORMED,
			"the base64 part has %zu characters, which is not a multiple of 4",
			text.len);
	if (num_digits && (value_of(text.data[num_digits - 1]) & loose_bits))
		return nvc_fail(err, NVC_E_MALFORMED,
			"character %zu is not canonical base64: its unused bits are not zero",
			first + num_digits - 1);
	*len = text.len / 4 * 3 - num_padding;
	return NVC_OK;
}

enum nvc_result nvc_base64_decode(struct nvc_slice text, struct nvc_writer *out)
{
	size_t room = text.len / 4 * 3;

	if (out->failed || out->cap - out->len < room || text.len > INT_MAX) {
		out->failed = true;
		return NVC_E_NO_SPACE;
	}
	if (EVP_DecodeBlock(out->data + out->len, text.data, (int)text.len) != (int)room)
		return NVC_E_CRYPTO;
	out->len += room - padding_of(text);
	return NVC_OK;
}

enum nvc_result nvc_base64_encode(struct nvc_slice in, char *text, size_t size)
{
	if (in.len > INT_MAX / 2 || size < (in.len + 2) / 3 * 4 + 1)
		return NVC_E_NO_SPACE;
	EVP_EncodeBlock((unsigned char *)text, in.data, (int)in.len);
	return NVC_OK;
}
