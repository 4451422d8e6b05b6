/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The TLS record layer behind its encryption, where a mutated capture does not come: the input is sealed with the keys that the
 * reader has. Input: a byte for the suite, then chunks of one byte (bit 0 the side, bits 1 to 3 what it is), two bytes of
 * length and the bytes. As long as nothing is broken, application data comes out as it went in.
 */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>

#include "capture/tls13.h"
#include "crypto/hash.h"
#include "fuzz_main.h"
#include "wire/auth.h"

enum {
	CHUNK_HEAD = 3,
	RECORD_HEAD = 5,
	LONGEST = 16384,
	TAG_LEN = 16,
	IV_LEN = 12,
	MAX_SECRET = 48,
	ALERT = 21,
	HANDSHAKE = 22,
	APPLICATION_DATA = 23,
	RANDOM_BYTE = 'r',
	SECRET_BYTE = 's',
};

enum what { DATA, MESSAGES, AN_ALERT, KEY_UPDATE, ANY_TYPE, EMPTY, IN_CLEAR, GARBLED };

struct suite {
	uint8_t id, hash_id;
	const EVP_CIPHER *(*cipher)(void);
	size_t key_len, secret_len;
};

static const struct suite suites[] = {{1, NVC_HASH_SHA256, EVP_aes_128_gcm, 16, 32},
	{2, NVC_HASH_SHA384, EVP_aes_256_gcm, 32, 48}};

struct side {
	struct nvc_secret secret;
	uint8_t key[32], iv[IV_LEN];
	uint64_t number;
};

struct world {
	const struct suite *suite;
	struct side sides[2];
	struct nvc_tls13 *tls;
	enum nvc_tls13_state state;
	struct nvc_slice due; /* what comes out next */
	bool tampered;	      /* the reader may see it otherwise from here on */
};

/* HKDF-Expand-Label as OpenSSL has it: the reader has its own. */
static void expand(const struct suite *suite, const struct nvc_secret *secret, const char *label,
	uint8_t *out, size_t len)
{
	static EVP_KDF *kdf;
	int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
			(char *)(uintptr_t)nvc_hash_ossl_name(suite->hash_id), 0),
		OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)secret->data, secret->len),
		OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_PREFIX, (void *)(uintptr_t) "tls13 ", 6),
		OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_LABEL, (void *)(uintptr_t)label, strlen(label)),
		OSSL_PARAM_construct_end(),
	};
	EVP_KDF_CTX *ctx;

	if (!kdf)
		kdf = EVP_KDF_fetch(NULL, "TLS13-KDF", NULL);
	ctx = EVP_KDF_CTX_new(kdf);
	FUZZ_CHECK(ctx && EVP_KDF_derive(ctx, out, len, params) == 1);
	EVP_KDF_CTX_free(ctx);
}

static void set_keys(const struct suite *suite, struct side *side)
{
	expand(suite, &side->secret, "key", side->key, suite->key_len);
	expand(suite, &side->secret, "iv", side->iv, IV_LEN);
	side->number = 0;
}

static void update_keys(const struct suite *suite, struct side *side)
{
	uint8_t next[MAX_SECRET];

	expand(suite, &side->secret, "traffic upd", next, suite->secret_len);
	FUZZ_CHECK(nvc_secret_set(&side->secret, nvc_slice_of(next, suite->secret_len)) == NVC_OK);
	set_keys(suite, side);
}

/* Writes the record that seals `plain` into `out` and returns its length. */
static size_t seal(struct world *world, int index, struct nvc_slice plain, uint8_t *out)
{
	struct side *side = &world->sides[index];
	const size_t len = plain.len + TAG_LEN;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t nonce[IV_LEN];
	int num;

	memcpy(nonce, side->iv, IV_LEN);
	for (int i = 0; i < 8; i++)
		nonce[IV_LEN - 1 - i] ^= (uint8_t)(side->number >> 8 * i);
	out[0] = APPLICATION_DATA;
	out[1] = out[2] = 3;
	out[3] = (uint8_t)(len >> 8);
	out[4] = (uint8_t)len;
	FUZZ_CHECK(
		ctx &&
		EVP_EncryptInit_ex(ctx, world->suite->cipher(), NULL, side->key, nonce) == 1 &&
		EVP_EncryptUpdate(ctx, NULL, &num, out, RECORD_HEAD) == 1 &&
		EVP_EncryptUpdate(ctx, out + RECORD_HEAD, &num, plain.data, (int)plain.len) == 1 &&
		EVP_EncryptFinal_ex(ctx, out + RECORD_HEAD + num, &num) == 1 &&
		EVP_CIPHER_CTX_ctrl(
			ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, out + RECORD_HEAD + plain.len) == 1);
	EVP_CIPHER_CTX_free(ctx);
	side->number++;
	return RECORD_HEAD + len;
}

static void on_bytes(void *self, int side, struct nvc_slice bytes)
{
	struct world *world = self;

	FUZZ_CHECK((side == 0 || side == 1) && bytes.len > 0 && bytes.len <= LONGEST);
	if (!world->tampered)
		FUZZ_CHECK(nvc_slice_equal(bytes, world->due));
	world->due.len = 0;
}

static void on_alert(void *self, int side, uint8_t description)
{
	(void)self;
	(void)description;
	FUZZ_CHECK(side == 0 || side == 1);
}

static void feed(struct world *world, int side, struct nvc_slice bytes)
{
	world->state = nvc_tls13_feed(world->tls, side, bytes);
}

/* The smallest hellos that a reader takes for those of TLS 1.3. */
static void greet(struct world *world)
{
	uint8_t client[RECORD_HEAD + 4 + 34] = {22, 3, 1, 0, 38, 1, 0, 0, 34, 3, 3};
	uint8_t server[RECORD_HEAD + 4 + 46] = {22, 3, 3, 0, 50, 2, 0, 0, 46, 3, 3};
	const uint8_t rest[] = {0, 0x13, world->suite->id, 0, 0, 6, 0, 43, 0, 2, 3, 4};

	memset(client + 11, RANDOM_BYTE, NVC_TLS_RANDOM_LEN);
	memset(server + 11, 'x', NVC_TLS_RANDOM_LEN);
	memcpy(server + 43, rest, sizeof(rest) - 1);
	server[sizeof(server) - 1] = rest[sizeof(rest) - 1];
	feed(world, 0, nvc_slice_of(client, sizeof(client)));
	feed(world, 1, nvc_slice_of(server, sizeof(server)));
	FUZZ_CHECK(world->state == NVC_TLS13_OPEN);
}

static void step(struct world *world, uint8_t what, struct nvc_slice bytes)
{
	static const uint8_t update[] = {24, 0, 0, 1, 0, HANDSHAKE},
			     types[] = {APPLICATION_DATA, HANDSHAKE, ALERT};
	static uint8_t plain[LONGEST + 1], record[RECORD_HEAD + LONGEST + 1 + TAG_LEN];
	const int side = what & 1;
	const enum what kind = (enum what)(what >> 1 & 7);
	size_t len;

	bytes = nvc_slice_sub(bytes, 0, LONGEST);
	if (kind == IN_CLEAR) {
		world->tampered = true;
		feed(world, side, bytes);
		return;
	}
	if (bytes.len)
		memcpy(plain, bytes.data, bytes.len);
	len = kind == EMPTY ? 0 : bytes.len;
	if (kind == KEY_UPDATE)
		memcpy(plain, update, len = sizeof(update));
	else if (kind <= AN_ALERT || kind == EMPTY)
		plain[len++] = types[kind == EMPTY ? 0 : kind];
	/* What may hold a KeyUpdate, or anything at all, is not followed here. */
	world->tampered =
		world->tampered || kind == MESSAGES || kind == ANY_TYPE || kind == GARBLED;
	world->due = kind == DATA ? bytes : nvc_slice_of(NULL, 0);
	len = seal(world, side, nvc_slice_of(plain, len), record);
	if (kind == GARBLED)
		record[len / 2] ^= 1;
	for (size_t at = 0; at < len; at += 1 + (what & 0x70u) * 16)
		feed(world, side,
			nvc_slice_sub(nvc_slice_of(record, len), at, 1 + (what & 0x70u) * 16));
	if (!world->tampered)
		FUZZ_CHECK(world->state == NVC_TLS13_OPEN && !world->due.len);
	if (kind == KEY_UPDATE)
		update_keys(world->suite, &world->sides[side]);
}

static void add_secrets(struct nvc_keylog *keylog, const struct suite *suite)
{
	static const char *const labels[] = {"CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"};
	char line[512];

	for (size_t i = 0; i < 2; i++) {
		int len = snprintf(line, sizeof(line), "%s ", labels[i]);

		for (size_t at = 0; at < NVC_TLS_RANDOM_LEN; at++)
			len += snprintf(
				line + len, sizeof(line) - (size_t)len, "%02x", RANDOM_BYTE);
		len += snprintf(line + len, sizeof(line) - (size_t)len, " ");
		for (size_t at = 0; at < suite->secret_len; at++)
			len += snprintf(
				line + len, sizeof(line) - (size_t)len, "%02x", SECRET_BYTE);
		FUZZ_CHECK(nvc_keylog_add(keylog, nvc_slice_str(line)) == 1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t secret[MAX_SECRET];
	struct nvc_reader in = nvc_reader_of(nvc_slice_of(data, size));
	struct world world = {.suite = &suites[nvc_read_le(&in, 1) & 1]};
	const struct nvc_tls13_sink sink = {.self = &world, .bytes = on_bytes, .alert = on_alert};
	struct nvc_keylog *keylog = nvc_keylog_new();

	memset(secret, SECRET_BYTE, sizeof(secret));
	world.tls = keylog ? nvc_tls13_new(keylog, &sink) : NULL;
	if (world.tls) {
		add_secrets(keylog, world.suite);
		for (int i = 0; i < 2; i++) {
			FUZZ_CHECK(
				nvc_secret_set(&world.sides[i].secret,
					nvc_slice_of(secret, world.suite->secret_len)) == NVC_OK);
			set_keys(world.suite, &world.sides[i]);
		}
		greet(&world);
		while (nvc_read_left(&in) > CHUNK_HEAD) {
			const uint8_t what = (uint8_t)nvc_read_le(&in, 1);
			size_t len = (size_t)nvc_read_le(&in, 2);

			if (len > nvc_read_left(&in))
				len = nvc_read_left(&in);
			step(&world, what, nvc_read_bytes(&in, len));
		}
		nvc_tls13_finish(world.tls);
	}
	nvc_tls13_free(world.tls);
	nvc_keylog_free(keylog);
	return 0;
}
