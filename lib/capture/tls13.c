/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture/tls13.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "capture/hellos.h"
#include "crypto/hkdf.h"
#include "wire/auth.h"

enum {
	RECORD_HEAD = 5,
	RECORD_MAX = 16384 + 256,
	TAG_LEN = 16,
	IV_LEN = 12,
	CHANGE_CIPHER_SPEC = 20,
	ALERT = 21,
	HANDSHAKE = 22,
	APPLICATION_DATA = 23,
	CLIENT_HELLO = 1,
	SERVER_HELLO = 2,
	KEY_UPDATE = 24,
	/* Encrypted records of a handshake with a PSK: Finished of the client; EncryptedExtensions and Finished of the
	 * server, which may cut them up. */
	HANDSHAKE_RECORDS_CLIENT = 1,
	HANDSHAKE_RECORDS_SERVER = 16,
};

struct side {
	uint8_t *data; /* of a record that is not whole */
	size_t len;
	bool opened;	       /* a record was decrypted */
	unsigned int unopened; /* encrypted records before that */
	struct nvc_secret secret;
	EVP_CIPHER_CTX *cipher;
	uint8_t iv[IV_LEN];
	uint64_t number; /* of the next record */
	/* post-handshake messages, which may span records */
	uint8_t head[4];
	size_t head_len, message_left;
};

struct nvc_tls13 {
	const struct nvc_keylog *keylog;
	struct nvc_tls13_sink sink;
	enum nvc_tls13_state state;
	bool began;
	uint8_t hash_id;
	struct nvc_hellos hellos;
	const EVP_CIPHER *algorithm;
	struct side sides[2];
};

struct nvc_tls13 *nvc_tls13_new(const struct nvc_keylog *keylog, const struct nvc_tls13_sink *sink)
{
	struct nvc_tls13 *tls = calloc(1, sizeof(*tls));

	if (!tls)
		return NULL;
	tls->keylog = keylog;
	tls->sink = *sink;
	nvc_hellos_init(&tls->hellos);
	return tls;
}

void nvc_tls13_free(struct nvc_tls13 *tls)
{
	if (!tls)
		return;
	for (int side = 0; side < 2; side++) {
		EVP_CIPHER_CTX_free(tls->sides[side].cipher);
		free(tls->sides[side].data);
	}
	nvc_hellos_fini(&tls->hellos);
	explicit_bzero(tls, sizeof(*tls));
	free(tls);
}

/* ---- keys ---- */

/* What the side's secret gives under `label` (RFC 8446, 7.1 to 7.3). */
static enum nvc_result derive(const struct nvc_tls13 *tls, const struct side *side,
	const char *label, size_t len, struct nvc_secret *out)
{
	return nvc_hkdf_expand_label(tls->hash_id, nvc_secret_slice(&side->secret), label,
		nvc_slice_of(NULL, 0), len, NVC_KDF_RFC8446, out);
}

/* Makes key and IV of the side's secret and begins to count records anew. */
static bool set_keys(struct nvc_tls13 *tls, struct side *side)
{
	const size_t key_len = (size_t)EVP_CIPHER_get_key_length(tls->algorithm);
	struct nvc_secret key = {0}, iv = {0};
	bool done;

	if (!side->cipher)
		side->cipher = EVP_CIPHER_CTX_new();
	done = side->cipher && derive(tls, side, "key", key_len, &key) == NVC_OK &&
	       derive(tls, side, "iv", IV_LEN, &iv) == NVC_OK &&
	       EVP_DecryptInit_ex(side->cipher, tls->algorithm, NULL, key.data, NULL) == 1;
	memcpy(side->iv, iv.data, IV_LEN);
	side->number = 0;
	nvc_secret_wipe(&key);
	nvc_secret_wipe(&iv);
	return done;
}

static bool update_keys(struct nvc_tls13 *tls, struct side *side)
{
	struct nvc_secret next = {0};
	bool done;

	done = derive(tls, side, "traffic upd", side->secret.len, &next) == NVC_OK;
	side->secret = next;
	nvc_secret_wipe(&next);
	return done && set_keys(tls, side);
}

/* Decrypts a record into `out`; false when its tag does not fit. */
static bool open_record(
	struct side *side, struct nvc_slice record, uint8_t out[RECORD_MAX], size_t *len)
{
	const struct nvc_slice body = nvc_slice_sub(record, RECORD_HEAD, record.len);
	const size_t cipher_len = body.len - TAG_LEN;
	uint8_t nonce[IV_LEN], tag[TAG_LEN];
	int num = 0, last = 0;

	memcpy(nonce, side->iv, IV_LEN);
	for (int i = 0; i < 8; i++)
		nonce[IV_LEN - 1 - i] ^= (uint8_t)(side->number >> 8 * i);
	memcpy(tag, body.data + cipher_len, TAG_LEN);
	if (EVP_DecryptInit_ex(side->cipher, NULL, NULL, NULL, nonce) != 1 ||
		EVP_DecryptUpdate(side->cipher, NULL, &num, record.data, RECORD_HEAD) != 1 ||
		EVP_DecryptUpdate(side->cipher, out, &num, body.data, (int)cipher_len) != 1 ||
		EVP_CIPHER_CTX_ctrl(side->cipher, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) != 1 ||
		EVP_DecryptFinal_ex(side->cipher, out + num, &last) != 1)
		return false;
	*len = (size_t)num;
	side->number++;
	return true;
}

/* ---- hellos ---- */

static void take_server_hello(struct nvc_tls13 *tls, struct nvc_slice message)
{
	const struct nvc_keylog_entry *keys = nvc_keylog_find(tls->keylog, tls->hellos.random);

	switch (nvc_hellos_server(&tls->hellos, message, &tls->hash_id)) {
	case NVC_HELLOS_SUITE:
		break;
	case NVC_HELLOS_RETRY:
		tls->hash_id = NVC_HASH_NONE;
		return;
	case NVC_HELLOS_OTHER:
		tls->state = NVC_TLS13_OTHER;
		return;
	}
	tls->algorithm = tls->hash_id == NVC_HASH_SHA256 ? EVP_aes_128_gcm() : EVP_aes_256_gcm();
	tls->state = tls->hellos.client_seen && keys ? NVC_TLS13_OPEN : NVC_TLS13_NO_KEYS;
	for (int i = 0; keys && i < 2; i++) {
		tls->sides[i].secret = keys->traffic[i];
		/* A handshake that failed has no traffic secrets, and nothing to be read. */
		if (keys->traffic[i].len == nvc_hash_len(tls->hash_id))
			set_keys(tls, &tls->sides[i]);
		else if (keys->traffic[i].len)
			tls->state = NVC_TLS13_UNFIT;
	}
}

static void take_plain(struct nvc_tls13 *tls, int side, uint8_t type, struct nvc_slice body)
{
	const uint8_t wanted = side == 0 ? CLIENT_HELLO : SERVER_HELLO;

	if (type == ALERT && body.len == 2)
		tls->sink.alert(tls->sink.self, side, body.data[1]);
	if (type != HANDSHAKE || body.len < 4 || body.data[0] != wanted)
		return;
	if (side == 0)
		nvc_hellos_client(&tls->hellos, body);
	else
		take_server_hello(tls, body);
}

/* ---- records ---- */

/* Messages after the handshake: all that matters of them is where KeyUpdate is. */
static void take_messages(struct nvc_tls13 *tls, int index, struct nvc_slice body)
{
	struct side *side = &tls->sides[index];

	while (body.len) {
		const size_t skipped =
			side->message_left < body.len ? side->message_left : body.len;

		side->message_left -= skipped;
		body = nvc_slice_sub(body, skipped, body.len);
		if (!body.len)
			break;
		side->head[side->head_len++] = body.data[0];
		body = nvc_slice_sub(body, 1, body.len);
		if (side->head_len < sizeof(side->head))
			continue;
		side->head_len = 0;
		side->message_left =
			(size_t)side->head[1] << 16 | (size_t)side->head[2] << 8 | side->head[3];
		if (side->head[0] == KEY_UPDATE) {
			/* It is the last of its record: what follows is under the new keys. */
			side->message_left = 0;
			if (!update_keys(tls, side))
				tls->state = NVC_TLS13_BROKEN;
			else if (tls->sink.updated)
				tls->sink.updated(tls->sink.self, index);
			break;
		}
	}
}

static void take_opened(struct nvc_tls13 *tls, int index, uint8_t *plain, size_t len)
{
	/* The content type is the last byte that is not padding. */
	while (len && !plain[len - 1])
		len--;
	if (!len) {
		tls->state = NVC_TLS13_BROKEN;
		return;
	}
	switch (plain[--len]) {
	case APPLICATION_DATA:
		if (len)
			tls->sink.bytes(tls->sink.self, index, nvc_slice_of(plain, len));
		break;
	case HANDSHAKE:
		take_messages(tls, index, nvc_slice_of(plain, len));
		break;
	case ALERT:
		if (len == 2)
			tls->sink.alert(tls->sink.self, index, plain[1]);
		break;
	default:
		tls->state = NVC_TLS13_BROKEN;
	}
}

/* Whether records that nothing opened are more than a handshake has. Data of the client comes after all of the server's
 * handshake (RFC 8446, 2). */
static bool too_many_unopened(const struct nvc_tls13 *tls, int index)
{
	const unsigned int most = index == 0 ? HANDSHAKE_RECORDS_CLIENT : HANDSHAKE_RECORDS_SERVER;

	return !tls->sides[index].opened && tls->sides[index].unopened > most;
}

static void take_record(struct nvc_tls13 *tls, int index, struct nvc_slice record)
{
	struct side *side = &tls->sides[index];
	uint8_t plain[RECORD_MAX];
	size_t len;

	if (record.data[0] == CHANGE_CIPHER_SPEC)
		return;
	if (record.data[0] != APPLICATION_DATA) {
		if (!side->opened)
			take_plain(tls, index, record.data[0],
				nvc_slice_sub(record, RECORD_HEAD, record.len));
		else
			tls->state = NVC_TLS13_BROKEN;
		return;
	}
	tls->began = true;
	if (tls->state == NVC_TLS13_NO_KEYS)
		return;
	if (record.len > RECORD_HEAD + TAG_LEN && side->cipher && side->secret.len &&
		open_record(side, record, plain, &len)) {
		side->opened = true;
		take_opened(tls, index, plain, len);
		OPENSSL_cleanse(plain, record.len);
	} else if (side->opened || (index == 1 && tls->sides[0].opened)) {
		tls->state = NVC_TLS13_BROKEN;
	} else {
		side->unopened++;
		if (side->cipher && too_many_unopened(tls, index))
			tls->state = NVC_TLS13_UNFIT;
	}
}

static bool is_record_head(const uint8_t *head)
{
	return head[0] >= CHANGE_CIPHER_SPEC && head[0] <= APPLICATION_DATA && head[1] == 3 &&
	       ((size_t)head[3] << 8 | head[4]) <= RECORD_MAX;
}

static bool is_over(const struct nvc_tls13 *tls)
{
	return tls->state == NVC_TLS13_UNFIT || tls->state == NVC_TLS13_BROKEN ||
	       tls->state == NVC_TLS13_OTHER;
}

/* Takes whole records off the front of `in` and returns what is left. */
static struct nvc_slice take_records(struct nvc_tls13 *tls, int index, struct nvc_slice in)
{
	while (in.len >= RECORD_HEAD && !is_over(tls)) {
		size_t len;

		if (!is_record_head(in.data)) {
			tls->state = NVC_TLS13_BROKEN;
			break;
		}
		len = RECORD_HEAD + ((size_t)in.data[3] << 8 | in.data[4]);
		if (in.len < len)
			break;
		take_record(tls, index, nvc_slice_sub(in, 0, len));
		in = nvc_slice_sub(in, len, in.len);
	}
	return in;
}

/* Keeps what is left of a record for the next call; a side holds at most one record. */
static void keep(struct side *side, struct nvc_slice rest)
{
	if (!rest.len) {
		free(side->data);
		side->data = NULL;
	} else if (rest.data != side->data) {
		memmove(side->data, rest.data, rest.len);
	}
	side->len = rest.len;
}

enum nvc_tls13_state nvc_tls13_feed(struct nvc_tls13 *tls, int index, struct nvc_slice bytes)
{
	struct side *side = &tls->sides[index];

	while (bytes.len && !is_over(tls)) {
		struct nvc_slice part;

		if (!side->data) {
			side->data = malloc(RECORD_HEAD + RECORD_MAX);
			if (!side->data) {
				tls->state = NVC_TLS13_BROKEN;
				break;
			}
			side->len = 0;
		}
		part = nvc_slice_sub(bytes, 0, RECORD_HEAD + RECORD_MAX - side->len);
		memcpy(side->data + side->len, part.data, part.len);
		side->len += part.len;
		bytes = nvc_slice_sub(bytes, part.len, bytes.len);
		keep(side, take_records(tls, index, nvc_slice_of(side->data, side->len)));
	}
	return tls->state;
}

bool nvc_tls13_names_nvme(const struct nvc_tls13 *tls)
{
	return tls->hellos.names_nvme;
}

struct nvc_tls13_hellos nvc_tls13_hellos(const struct nvc_tls13 *tls)
{
	return (struct nvc_tls13_hellos){.identity = nvc_hellos_identity(&tls->hellos),
		.chosen = tls->hellos.chosen != NVC_HELLOS_NOBODY,
		.hash_id = tls->hash_id};
}

enum nvc_result nvc_tls13_bound(
	const struct nvc_tls13 *tls, uint8_t hash_id, struct nvc_slice tls_psk)
{
	return nvc_hellos_bound(&tls->hellos, hash_id, tls_psk);
}

bool nvc_tls13_has_keys(const struct nvc_tls13 *tls)
{
	const struct nvc_keylog_entry *keys = nvc_keylog_find(tls->keylog, tls->hellos.random);

	return keys && keys->traffic[0].len && keys->traffic[1].len;
}

size_t nvc_tls13_unfinished(const struct nvc_tls13 *tls, int side)
{
	return tls->sides[side].len;
}

bool nvc_tls13_began(const struct nvc_tls13 *tls)
{
	return tls->began;
}

enum nvc_tls13_state nvc_tls13_finish(const struct nvc_tls13 *tls)
{
	if (tls->state == NVC_TLS13_OPEN &&
		(too_many_unopened(tls, 0) || too_many_unopened(tls, 1)))
		return NVC_TLS13_UNFIT;
	return tls->state;
}
