/* SPDX-License-Identifier: BSD-3-Clause */
#include "crypto/interchange.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "crypto/base64.h"

enum {
	CRC_LEN = 4,
	MAX_BASE64 = (NVC_MAX_SECRET + CRC_LEN + 2) / 3 * 4,
};

/* CRC-32 of RFC 1952, which neither OpenSSL nor lib/wire (CRC-32C) has. */
static uint32_t crc32_of(struct nvc_slice in)
{
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < in.len; i++) {
		crc ^= in.data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc;
}

static bool length_is_defined(const struct nvc_interchange *form, size_t len)
{
	return (len == 32 || len == 48 || len == 64) && len <= form->max_secret_len;
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Takes "PREFIX:hh:" off the front. Positions in messages count from 1. */
static enum nvc_result parse_head(const struct nvc_interchange *form, struct nvc_slice text,
	uint8_t *hash_id, struct nvc_error *err)
{
	size_t prefix_len = strlen(form->prefix);
	int value = 0;

	for (size_t i = 0; i < prefix_len; i++)
		if (i >= text.len || text.data[i] != (uint8_t)form->prefix[i])
			return nvc_fail(err, NVC_E_INVALID,
				"%s: must begin with \"%s\", but character %zu %s", form->what,
				form->prefix, i + 1, i < text.len ? "differs" : "is missing");
	for (size_t i = prefix_len; i < prefix_len + 2; i++) {
		int digit = i < text.len ? hex_digit(text.data[i]) : -1;

		if (digit < 0)
			return nvc_fail(err, NVC_E_INVALID,
				"%s: character %zu %s; the hash id is two hexadecimal digits",
				form->what, i + 1,
				i < text.len ? "is not a hexadecimal digit" : "is missing");
		value = value * 16 + digit;
	}
	if (prefix_len + 2 >= text.len || text.data[prefix_len + 2] != ':')
		return nvc_fail(err, NVC_E_INVALID,
			"%s: character %zu is not the ':' after the hash id", form->what,
			prefix_len + 3);
	if (value > form->max_hash_id)
		return nvc_fail(err, NVC_E_INVALID,
			"%s: hash id %02Xh is not defined, 00h to %02Xh are", form->what,
			(unsigned int)value, form->max_hash_id);
	*hash_id = (uint8_t)value;
	return NVC_OK;
}

/* Finds the base64 part between `start` and the ':' which ends the text. */
static enum nvc_result find_body(const struct nvc_interchange *form, struct nvc_slice text,
	size_t start, struct nvc_slice *body, struct nvc_error *err)
{
	const uint8_t *end = NULL;
	size_t num_after;

	*body = nvc_slice_sub(text, start, text.len);
	if (body->len)
		end = memchr(body->data, ':', body->len);
	if (!end)
		return nvc_fail(err, NVC_E_INVALID,
			"%s: the ':' at the end (after character %zu) is missing", form->what,
			text.len);
	body->len = (size_t)(end - body->data);
	num_after = text.len - start - body->len - 1;
	if (num_after)
		return nvc_fail(err, NVC_E_INVALID,
			"%s: nothing may follow the ':' at character %zu, but %zu character%s",
			form->what, start + body->len + 1, num_after,
			num_after == 1 ? " does" : "s do");
	return NVC_OK;
}

static enum nvc_result check_crc(const struct nvc_interchange *form, struct nvc_slice secret,
	const uint8_t sent[CRC_LEN], struct nvc_error *err)
{
	uint32_t crc = crc32_of(secret);
	uint8_t reversed[CRC_LEN] = {sent[3], sent[2], sent[1], sent[0]};

	if (nvc_get_le(sent, CRC_LEN) == crc)
		return NVC_OK;
	return nvc_fail(err, NVC_E_INVALID,
		"%s: the CRC-32 of the %zu-byte secret does not match: %s", form->what, secret.len,
		nvc_get_le(reversed, CRC_LEN) == crc
			? "its bytes are in the wrong order, little-endian is right"
			: "a character is mistyped, or the tool that made it computes another CRC");
}

static enum nvc_result parse_body(const struct nvc_interchange *form, struct nvc_slice body,
	size_t start, struct nvc_secret *secret, struct nvc_error *err)
{
	uint8_t data[MAX_BASE64 / 4 * 3];
	struct nvc_writer writer = nvc_writer_over(data, sizeof(data));
	struct nvc_error why = {.result = NVC_OK};
	enum nvc_result result;
	size_t len = 0;

	if (nvc_base64_check(body, start + 1, &len, &why) != NVC_OK)
		return nvc_fail(err, NVC_E_INVALID, "%s: %s", form->what, why.text);
	if (len < CRC_LEN || !length_is_defined(form, len - CRC_LEN))
		return nvc_fail(err, NVC_E_INVALID,
			"%s: the base64 part holds %zu bytes; it must be a secret of %s bytes and "
			"4 of CRC-32",
			form->what, len, form->lengths);
	result = nvc_base64_decode(body, &writer);
	if (result == NVC_OK)
		result = check_crc(
			form, nvc_slice_of(data, len - CRC_LEN), data + len - CRC_LEN, err);
	if (result == NVC_OK)
		result = nvc_secret_set(secret, nvc_slice_of(data, len - CRC_LEN));
	OPENSSL_cleanse(data, sizeof(data));
	return result;
}

enum nvc_result nvc_interchange_parse(const struct nvc_interchange *form, struct nvc_slice text,
	uint8_t *hash_id, struct nvc_secret *secret, struct nvc_error *err)
{
	size_t start = strlen(form->prefix) + 3;
	struct nvc_slice body = {NULL, 0};
	enum nvc_result result;

	nvc_secret_wipe(secret);
	*hash_id = 0;
	result = parse_head(form, text, hash_id, err);
	if (result == NVC_OK)
		result = find_body(form, text, start, &body, err);
	if (result == NVC_OK)
		result = parse_body(form, body, start, secret, err);
	if (result != NVC_OK)
		*hash_id = 0;
	return result;
}

enum nvc_result nvc_interchange_format(const struct nvc_interchange *form, uint8_t hash_id,
	const struct nvc_secret *secret, char *text, size_t size)
{
	uint8_t data[NVC_MAX_SECRET + CRC_LEN];
	char base64[MAX_BASE64 + 1];
	struct nvc_writer writer = nvc_writer_over(data, sizeof(data));
	enum nvc_result result;
	int len;

	if (hash_id > form->max_hash_id || !length_is_defined(form, secret->len))
		return NVC_E_INVALID;
	nvc_write_bytes(&writer, nvc_secret_slice(secret));
	nvc_write_le(&writer, crc32_of(nvc_secret_slice(secret)), CRC_LEN);
	result = nvc_base64_encode(nvc_writer_slice(&writer), base64, sizeof(base64));
	if (result == NVC_OK) {
		len = snprintf(text, size, "%s%02x:%s:", form->prefix, hash_id, base64);
		if (len < 0 || (size_t)len >= size) {
			OPENSSL_cleanse(text, size);
			result = NVC_E_NO_SPACE;
		}
	}
	OPENSSL_cleanse(base64, sizeof(base64));
	OPENSSL_cleanse(data, sizeof(data));
	return result;
}
