/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture/hellos.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"
#include "crypto/tls_psk.h"
#include "wire/auth.h"

enum {
	MESSAGE_HEAD = 4,
	BEFORE_SESSION = MESSAGE_HEAD + 2 + NVC_TLS_RANDOM_LEN, /* legacy_version, random */
	AES_128_GCM_SHA256 = 0x1301,
	AES_256_GCM_SHA384 = 0x1302,
	PRE_SHARED_KEY = 41, /* the extension */
	SUPPORTED_VERSIONS = 43,
	MESSAGE_HASH = 254,
};

void nvc_hellos_init(struct nvc_hellos *hellos)
{
	memset(hellos, 0, sizeof(*hellos));
	hellos->chosen = NVC_HELLOS_NOBODY;
}

void nvc_hellos_fini(struct nvc_hellos *hellos)
{
	free(hellos->hello);
	hellos->hello = NULL;
}

/* ---- reading ---- */

static size_t get_be(const uint8_t *in, size_t size)
{
	size_t value = 0;

	for (size_t i = 0; i < size; i++)
		value = value << 8 | in[i];
	return value;
}

/* Takes a vector with a length of `size` bytes off the front of `in`; what is cut off is empty. */
static struct nvc_slice take_vector(struct nvc_slice *in, size_t size)
{
	const size_t len = in->len < size ? 0 : get_be(in->data, size);
	const struct nvc_slice vector = nvc_slice_sub(*in, size, len);

	*in = nvc_slice_sub(*in, size + len, in->len);
	return vector;
}

/* The body of extension `type` among `extensions`; empty where there is none. */
static struct nvc_slice find_extension(struct nvc_slice extensions, size_t type)
{
	while (extensions.len >= 4) {
		const size_t found = get_be(extensions.data, 2);
		struct nvc_slice rest = nvc_slice_sub(extensions, 2, extensions.len);
		const struct nvc_slice body = take_vector(&rest, 2);

		if (found == type)
			return body;
		extensions = rest;
	}
	return nvc_slice_of(NULL, 0);
}

/* An identity of NVMe/TCP begins with "NVMe", a version, "R" or "G", a hash, a space. */
static bool is_nvme_identity(struct nvc_slice identity)
{
	const uint8_t *text = identity.data;

	return identity.len >= 9 && memcmp(text, "NVMe", 4) == 0 &&
	       (text[4] == '0' || text[4] == '1') && (text[5] == 'R' || text[5] == 'G') &&
	       text[6] == '0' && text[8] == ' ';
}

/* Which identity counts: its number, and itself. */
static int pick_identity(const struct nvc_hellos *hellos, struct nvc_slice *picked)
{
	struct nvc_slice rest = hellos->identities;

	for (int i = 0; rest.len; i++) {
		*picked = take_vector(&rest, 2);
		rest = nvc_slice_sub(rest, 4, rest.len);
		if (hellos->chosen == NVC_HELLOS_NOBODY ? is_nvme_identity(*picked)
							: i == hellos->chosen)
			return i;
	}
	*picked = nvc_slice_of(NULL, 0);
	return NVC_HELLOS_NOBODY;
}

struct nvc_slice nvc_hellos_identity(const struct nvc_hellos *hellos)
{
	struct nvc_slice identity;

	pick_identity(hellos, &identity);
	return identity;
}

/* ---- taking ---- */

void nvc_hellos_client(struct nvc_hellos *hellos, struct nvc_slice message)
{
	struct nvc_slice rest, psks;
	uint8_t *copy;

	/* A second one comes after HelloRetryRequest only; it has the same random. */
	if (message.len < BEFORE_SESSION ||
		(hellos->client_seen && (!hellos->retry_len || hellos->chosen >= 0)))
		return;
	copy = malloc(message.len);
	if (!copy)
		return;
	memcpy(copy, message.data, message.len);
	free(hellos->hello);
	hellos->hello = copy;
	hellos->hello_len = message.len;
	hellos->whole = get_be(copy + 1, 3) == message.len - MESSAGE_HEAD;
	if (!hellos->client_seen)
		memcpy(hellos->random, copy + MESSAGE_HEAD + 2, NVC_TLS_RANDOM_LEN);
	hellos->client_seen = true;
	rest = nvc_slice_of(copy + BEFORE_SESSION, message.len - BEFORE_SESSION);
	take_vector(&rest, 1); /* session */
	take_vector(&rest, 2); /* suites */
	take_vector(&rest, 1); /* compression */
	psks = find_extension(take_vector(&rest, 2), PRE_SHARED_KEY);
	hellos->identities = take_vector(&psks, 2);
	hellos->binders = take_vector(&psks, 2);
	hellos->names_nvme = nvc_hellos_identity(hellos).len > 0;
}

static bool is_retry(struct nvc_slice message)
{
	/* SHA-256 of "HelloRetryRequest" (RFC 8446, 4.1.3): the first bytes of it are enough. */
	static const uint8_t retry[] = {0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11};

	return message.len >= BEFORE_SESSION &&
	       memcmp(message.data + MESSAGE_HEAD + 2, retry, sizeof(retry)) == 0;
}

/* From here on the transcript begins with the digest of the first hello (RFC 8446, 4.4.1). */
static void take_retry(struct nvc_hellos *hellos, struct nvc_slice message, uint8_t hash_id)
{
	if (hellos->retry_len || message.len > sizeof(hellos->retry))
		return;
	memcpy(hellos->retry, message.data, message.len);
	hellos->retry_len = message.len;
	if (hellos->whole && hash_id != NVC_HASH_NONE)
		nvc_hash(hash_id, nvc_slice_of(hellos->hello, hellos->hello_len), &hellos->first);
}

enum nvc_hellos_answer nvc_hellos_server(
	struct nvc_hellos *hellos, struct nvc_slice message, uint8_t *hash_id)
{
	struct nvc_slice rest = nvc_slice_sub(message, BEFORE_SESSION, message.len), version, psk;
	size_t suite;

	*hash_id = NVC_HASH_NONE;
	take_vector(&rest, 1); /* session */
	if (rest.len < 5)
		return is_retry(message) ? NVC_HELLOS_RETRY : NVC_HELLOS_OTHER;
	suite = get_be(rest.data, 2);
	rest = nvc_slice_sub(rest, 3, rest.len);
	rest = take_vector(&rest, 2);
	version = find_extension(rest, SUPPORTED_VERSIONS);
	if (version.len == 2 && version.data[0] == 3 && version.data[1] == 4)
		*hash_id = suite == AES_128_GCM_SHA256	 ? NVC_HASH_SHA256
			   : suite == AES_256_GCM_SHA384 ? NVC_HASH_SHA384
							 : NVC_HASH_NONE;
	if (is_retry(message)) {
		take_retry(hellos, message, *hash_id);
		return NVC_HELLOS_RETRY;
	}
	psk = find_extension(rest, PRE_SHARED_KEY);
	if (psk.len == 2)
		hellos->chosen = (int)get_be(psk.data, 2);
	return *hash_id == NVC_HASH_NONE ? NVC_HELLOS_OTHER : NVC_HELLOS_SUITE;
}

/* ---- the binder ---- */

/* The binder of identity `index`; empty where there is none. */
static struct nvc_slice binder_of(const struct nvc_hellos *hellos, int index)
{
	struct nvc_slice rest = hellos->binders, binder = {0};

	for (int i = 0; i <= index; i++)
		binder = take_vector(&rest, 1);
	return binder;
}

/* What a binder covers: all of the hello up to the list of binders, and what came before (RFC 8446, 4.2.11.2). */
static enum nvc_result transcript(
	const struct nvc_hellos *hellos, uint8_t hash_id, struct nvc_secret *digest)
{
	const size_t binders_at = (size_t)(hellos->binders.data - hellos->hello) - 2;
	const size_t len = nvc_hash_len(hash_id);
	const uint8_t head[MESSAGE_HEAD] = {MESSAGE_HASH, 0, 0, (uint8_t)len};
	const struct nvc_slice parts[] = {NVC_SLICE(head), nvc_secret_slice(&hellos->first),
		nvc_slice_of(hellos->retry, hellos->retry_len),
		nvc_slice_of(hellos->hello, binders_at)};

	if (!hellos->retry_len)
		return nvc_hash_parts(hash_id, &parts[3], 1, digest);
	return hellos->first.len == len ? nvc_hash_parts(hash_id, parts, 4, digest)
					: NVC_E_TRUNCATED;
}

enum nvc_result nvc_hellos_bound(
	const struct nvc_hellos *hellos, uint8_t hash_id, struct nvc_slice tls_psk)
{
	struct nvc_secret digest = {.len = 0}, wanted = {.len = 0};
	struct nvc_slice identity;
	const int index = pick_identity(hellos, &identity);
	enum nvc_result result;

	if (index == NVC_HELLOS_NOBODY || !hellos->whole || !hellos->binders.len)
		return NVC_E_TRUNCATED;
	result = transcript(hellos, hash_id, &digest);
	if (result == NVC_OK)
		result = nvc_tls_psk_binder(hash_id, tls_psk, nvc_secret_slice(&digest), &wanted);
	if (result == NVC_OK &&
		!nvc_secret_equal(nvc_secret_slice(&wanted), binder_of(hellos, index)))
		result = NVC_E_MALFORMED;
	nvc_secret_wipe(&wanted);
	return result;
}
