/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream/tls_hello.h"

#include <string.h>

#include "crypto/dh.h"
#include "crypto/hash.h"
#include "crypto/tls_psk.h"
#include "stream/tls_ossl.h"

/* RFC 8446: 5.1, 4, 4.2, 4.2.9, and RFC 7919. */
enum {
	RECORD_ALERT = 21,
	RECORD_HANDSHAKE = 22,
	RECORD_HEADER = 5,
	CLIENT_HELLO = 1,
	SERVER_HELLO = 2,
	HANDSHAKE_HEADER = 4,
	RANDOM_LEN = 32,
	EXT_SUPPORTED_GROUPS = 10,
	EXT_PRE_SHARED_KEY = 41,
	EXT_SUPPORTED_VERSIONS = 43,
	EXT_PSK_MODES = 45,
	EXT_KEY_SHARE = 51,
	MODE_PSK_KE = 0,
	MODE_PSK_DHE_KE = 1,
	GROUP_FFDHE3072 = 0x0101,
	MAX_HELLO = 4096,
};

/* TLS integers are big-endian, those of NVMe little-endian: so they are not for the cursors of wire/bytes.h. */
static void write_be(struct nvc_writer *writer, size_t value, size_t size)
{
	while (size--)
		nvc_write_le(writer, value >> (8 * size), 1);
}

static size_t get_be(const uint8_t *in, size_t size)
{
	size_t value = 0;

	while (size--)
		value = value << 8 | *in++;
	return value;
}

/* Room for a length of `size` bytes, filled by `end` with the number of bytes behind it. */
static size_t begin(struct nvc_writer *writer, size_t size)
{
	nvc_write_zeros(writer, size);
	return writer->len;
}

static void end(struct nvc_writer *writer, size_t from, size_t size)
{
	struct nvc_writer length = nvc_writer_over(writer->data + from - size, size);

	if (!writer->failed)
		write_be(&length, writer->len - from, size);
}

static void write_key_share(struct nvc_writer *writer, const struct nvc_dh_key *key)
{
	struct nvc_slice share = nvc_dh_key_public(key);
	size_t extension, list;

	write_be(writer, EXT_SUPPORTED_GROUPS, 2);
	extension = begin(writer, 2);
	list = begin(writer, 2);
	write_be(writer, GROUP_FFDHE3072, 2);
	end(writer, list, 2);
	end(writer, extension, 2);
	write_be(writer, EXT_KEY_SHARE, 2);
	extension = begin(writer, 2);
	list = begin(writer, 2);
	write_be(writer, GROUP_FFDHE3072, 2);
	write_be(writer, share.len, 2);
	nvc_write_bytes(writer, share);
	end(writer, list, 2);
	end(writer, extension, 2);
}

static void write_modes(struct nvc_writer *writer, const struct nvc_tls_hello *hello)
{
	size_t extension, list;

	write_be(writer, EXT_PSK_MODES, 2);
	extension = begin(writer, 2);
	list = begin(writer, 1);
	if (hello->psk_ke)
		write_be(writer, MODE_PSK_KE, 1);
	if (hello->psk_dhe_ke)
		write_be(writer, MODE_PSK_DHE_KE, 1);
	end(writer, list, 1);
	end(writer, extension, 2);
}

/* The binder over the hello up to the list of binders (RFC 8446, 4.2.11.2). */
static enum nvc_result bind(
	const struct nvc_tls_psk *psk, struct nvc_slice truncated, struct nvc_secret *binder)
{
	enum nvc_result result = nvc_hash(psk->hash_id, truncated, binder);

	return result == NVC_OK ? nvc_tls_psk_binder(psk->hash_id, nvc_secret_slice(&psk->psk),
					  nvc_secret_slice(binder), binder)
				: result;
}

/* pre_shared_key with zeros for binders; returns where their list begins. */
static size_t write_psks(struct nvc_writer *writer, const struct nvc_tls_hello *hello)
{
	size_t extension, list, binders_at;

	write_be(writer, EXT_PRE_SHARED_KEY, 2);
	extension = begin(writer, 2);
	list = begin(writer, 2);
	for (size_t i = 0; i < hello->num_psks; i++) {
		struct nvc_slice identity = nvc_slice_str(hello->psks[i]->identity);

		write_be(writer, identity.len, 2);
		nvc_write_bytes(writer, identity);
		nvc_write_zeros(writer, 4); /* obfuscated_ticket_age of an external PSK */
	}
	end(writer, list, 2);
	binders_at = writer->len;
	list = begin(writer, 2);
	for (size_t i = 0; i < hello->num_psks; i++) {
		write_be(writer, hello->psks[i]->psk.len, 1);
		nvc_write_zeros(writer, hello->psks[i]->psk.len);
	}
	end(writer, list, 2);
	end(writer, extension, 2);
	return binders_at;
}

/* Writes the record that holds the hello. The binders come last, when all they cover is known. */
static enum nvc_result write_hello(struct nvc_writer *writer, const struct nvc_env *env,
	const struct nvc_tls_hello *hello, const struct nvc_dh_key *key)
{
	uint8_t random[RANDOM_LEN];
	size_t record, message, extensions, binders, at;
	enum nvc_result result = NVC_OK;

	nvc_env_random(env, random, sizeof(random));
	write_be(writer, RECORD_HANDSHAKE, 1);
	write_be(writer, 0x0301, 2);
	record = begin(writer, 2);
	write_be(writer, CLIENT_HELLO, 1);
	message = begin(writer, 3);
	write_be(writer, 0x0303, 2);
	nvc_write_bytes(writer, NVC_SLICE(random));
	write_be(writer, 0, 1); /* no session id */
	write_be(writer, 4, 2);
	write_be(writer, nvc_ossl_suite_id(1), 2);
	write_be(writer, nvc_ossl_suite_id(2), 2);
	write_be(writer, 0x0100, 2); /* no compression */
	extensions = begin(writer, 2);
	write_be(writer, EXT_SUPPORTED_VERSIONS, 2);
	write_be(writer, 3, 2);
	write_be(writer, 2, 1);
	write_be(writer, 0x0304, 2);
	if (key)
		write_key_share(writer, key);
	write_modes(writer, hello);
	binders = write_psks(writer, hello);
	end(writer, extensions, 2);
	end(writer, message, 3);
	end(writer, record, 2);
	if (writer->failed)
		return NVC_E_NO_SPACE;
	at = binders + 2;
	for (size_t i = 0; result == NVC_OK && i < hello->num_psks; i++) {
		struct nvc_secret binder = {.len = 0};

		result = bind(hello->psks[i], nvc_slice_of(writer->data + record, binders - record),
			&binder);
		if (result == NVC_OK)
			memcpy(writer->data + at + 1, binder.data, binder.len);
		at += 1 + hello->psks[i]->psk.len;
	}
	return result;
}

/* ---- the answer ---- */

/* The random of a HelloRetryRequest: SHA-256 of "HelloRetryRequest" (RFC 8446, 4.1.3). */
static bool is_retry(const uint8_t *random)
{
	struct nvc_secret digest = {.len = 0};

	return nvc_hash(1, nvc_slice_str("HelloRetryRequest"), &digest) == NVC_OK &&
	       memcmp(random, digest.data, digest.len) == 0;
}

static bool read_server_hello(struct nvc_slice message, struct nvc_tls_hello_answer *answer)
{
	struct nvc_reader reader = nvc_reader_of(message);
	struct nvc_slice random, extensions;

	nvc_read_bytes(&reader, HANDSHAKE_HEADER + 2);
	random = nvc_read_bytes(&reader, RANDOM_LEN);
	nvc_read_bytes(&reader, (size_t)nvc_read_le(&reader, 1));
	answer->suite = (uint16_t)get_be(nvc_read_bytes(&reader, 3).data, 2);
	if (reader.failed)
		return false;
	answer->retry = is_retry(random.data);
	nvc_read_bytes(&reader, 2);
	extensions = nvc_read_bytes(&reader, nvc_read_left(&reader));
	reader = nvc_reader_of(extensions);
	while (nvc_read_left(&reader) >= 4) {
		const uint8_t *head = nvc_read_bytes(&reader, 4).data;
		struct nvc_slice value = nvc_read_bytes(&reader, get_be(head + 2, 2));

		if (reader.failed)
			return false;
		if (get_be(head, 2) == EXT_KEY_SHARE)
			answer->key_share = true;
		if (get_be(head, 2) == EXT_PRE_SHARED_KEY && value.len == 2) {
			answer->accepted = !answer->retry;
			answer->selected = (uint16_t)get_be(value.data, 2);
		}
	}
	return true;
}

static enum nvc_result read_record(
	struct nvc_slice record, struct nvc_tls_hello_answer *answer, struct nvc_error *err)
{
	struct nvc_slice body = nvc_slice_sub(record, RECORD_HEADER, SIZE_MAX);

	if (record.data[0] == RECORD_ALERT && body.len == 2) {
		answer->end = NVC_END_TLS_ALERT;
		answer->alert = body.data[1];
		return NVC_OK;
	}
	if (record.data[0] == RECORD_HANDSHAKE && body.len > HANDSHAKE_HEADER &&
		body.data[0] == SERVER_HELLO &&
		read_server_hello(
			nvc_slice_sub(body, 0, HANDSHAKE_HEADER + get_be(body.data + 1, 3)),
			answer))
		return NVC_OK;
	return nvc_fail(err, NVC_E_TLS, "the answer to the ClientHello is no ServerHello");
}

static enum nvc_result await_answer(struct nvc_stream *lower, uint64_t deadline,
	struct nvc_tls_hello_answer *answer, struct nvc_error *err)
{
	uint8_t record[MAX_HELLO];
	size_t len = 0;

	for (;;) {
		size_t num = 0;
		enum nvc_result result =
			nvc_stream_recv(lower, record + len, sizeof(record) - len, deadline, &num);

		if (result == NVC_E_CLOSED || result == NVC_E_RESET) {
			answer->end = lower->end;
			return NVC_OK;
		}
		if (result != NVC_OK)
			return nvc_fail(err, result, "the ClientHello was not answered: %s",
				nvc_result_name(result));
		len += num;
		if (len >= RECORD_HEADER && len - RECORD_HEADER >= get_be(record + 3, 2))
			return read_record(
				nvc_slice_of(record, RECORD_HEADER + get_be(record + 3, 2)), answer,
				err);
		if (len == sizeof(record))
			return nvc_fail(
				err, NVC_E_TLS, "the answer to the ClientHello is no TLS record");
	}
}

static bool can_be_offered(const struct nvc_tls_hello *hello)
{
	for (size_t i = 0; i < hello->num_psks; i++)
		if (!nvc_ossl_suite(hello->psks[i]->hash_id))
			return false;
	return hello->num_psks >= 1 && hello->num_psks <= NVC_HELLO_MAX_PSKS;
}

enum nvc_result nvc_tls_hello(struct nvc_stream *lower, const struct nvc_env *env,
	const struct nvc_tls_hello *hello, uint64_t deadline, struct nvc_tls_hello_answer *answer,
	struct nvc_error *err)
{
	uint8_t bytes[MAX_HELLO], exponent[NVC_DH_PRIVATE_LEN];
	struct nvc_writer writer = nvc_writer_over(bytes, sizeof(bytes));
	struct nvc_dh_key *key = NULL;
	enum nvc_result result = NVC_OK;

	*answer = (struct nvc_tls_hello_answer){.end = NVC_END_OPEN};
	if (!can_be_offered(hello))
		return nvc_fail(err, NVC_E_INVALID, "1 to %d TLS PSKs with hash id 1 or 2",
			NVC_HELLO_MAX_PSKS);
	if (hello->psk_dhe_ke) {
		nvc_env_random(env, exponent, sizeof(exponent));
		result = nvc_dh_key_new(NVC_DH_3072, NVC_SLICE(exponent), &key);
	}
	if (result == NVC_OK)
		result = write_hello(&writer, env, hello, key);
	nvc_dh_key_free(key);
	if (result != NVC_OK)
		return nvc_fail(
			err, result, "no ClientHello could be made: %s", nvc_result_name(result));
	result = nvc_stream_send(lower, nvc_writer_slice(&writer), deadline);
	if (result != NVC_OK)
		return nvc_fail(err, result, "the ClientHello could not be sent: %s",
			nvc_result_name(result));
	return await_answer(lower, deadline, answer, err);
}
