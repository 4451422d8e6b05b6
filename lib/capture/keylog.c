/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture/keylog.h"

#include <stdlib.h>
#include <string.h>

#include "capture/scatter.h"
#include "crypto/hash.h"
#include "wire/auth.h"

enum { NUM_BUCKETS = 4096, NOBODY = 0x7fffffff };

struct row {
	uint8_t random[NVC_TLS_RANDOM_LEN];
	struct nvc_keylog_entry entry;
	uint32_t next; /* in its bucket */
};

struct nvc_keylog {
	struct nvc_scatter scatter;
	uint32_t buckets[NUM_BUCKETS];
	struct row *rows;
	size_t num, cap;
};

struct nvc_keylog *nvc_keylog_new(void)
{
	struct nvc_keylog *keylog = calloc(1, sizeof(*keylog));

	if (!keylog)
		return NULL;
	keylog->scatter = nvc_scatter_new();
	for (size_t i = 0; i < NUM_BUCKETS; i++)
		keylog->buckets[i] = NOBODY;
	return keylog;
}

void nvc_keylog_free(struct nvc_keylog *keylog)
{
	if (!keylog)
		return;
	if (keylog->rows)
		explicit_bzero(keylog->rows, keylog->cap * sizeof(*keylog->rows));
	free(keylog->rows);
	free(keylog);
}

static size_t bucket_of(const struct nvc_keylog *keylog, const uint8_t *random)
{
	return nvc_scatter(&keylog->scatter, nvc_slice_of(random, NVC_TLS_RANDOM_LEN)) %
	       NUM_BUCKETS;
}

static struct row *find(const struct nvc_keylog *keylog, const uint8_t *random)
{
	uint32_t at = keylog->buckets[bucket_of(keylog, random)];

	while (at != NOBODY && memcmp(keylog->rows[at].random, random, NVC_TLS_RANDOM_LEN) != 0)
		at = keylog->rows[at].next;
	return at == NOBODY ? NULL : &keylog->rows[at];
}

const struct nvc_keylog_entry *nvc_keylog_find(
	const struct nvc_keylog *keylog, const uint8_t random[NVC_TLS_RANDOM_LEN])
{
	const struct row *row = find(keylog, random);

	return row ? &row->entry : NULL;
}

const struct nvc_secret *nvc_keylog_exponent(
	const struct nvc_keylog *keylog, struct nvc_slice public_value)
{
	struct nvc_secret id = {.len = 0};
	const struct row *row;

	if (!keylog->num || nvc_hash(NVC_HASH_SHA256, public_value, &id) != NVC_OK)
		return NULL;
	row = find(keylog, id.data);
	return row && row->entry.exponent.len ? &row->entry.exponent : NULL;
}

static struct row *add_row(struct nvc_keylog *keylog, const uint8_t *random)
{
	size_t cap = keylog->cap ? keylog->cap * 2 : 16;
	size_t bucket = bucket_of(keylog, random);
	struct row *rows;

	if (keylog->num == NVC_KEYLOG_MAX)
		return NULL;
	if (keylog->num == keylog->cap) {
		/* No realloc: it would leave secrets behind. */
		rows = calloc(cap, sizeof(*rows));
		if (!rows)
			return NULL;
		if (keylog->rows) {
			memcpy(rows, keylog->rows, keylog->num * sizeof(*rows));
			explicit_bzero(keylog->rows, keylog->cap * sizeof(*rows));
		}
		free(keylog->rows);
		keylog->rows = rows;
		keylog->cap = cap;
	}
	rows = &keylog->rows[keylog->num];
	memcpy(rows->random, random, NVC_TLS_RANDOM_LEN);
	rows->next = keylog->buckets[bucket];
	keylog->buckets[bucket] = (uint32_t)keylog->num++;
	return rows;
}

static int digit(uint8_t character)
{
	if (character >= '0' && character <= '9')
		return character - '0';
	if (character >= 'a' && character <= 'f')
		return character - 'a' + 10;
	if (character >= 'A' && character <= 'F')
		return character - 'A' + 10;
	return -1;
}

/* Reads hex digits into `out`; 0 when they are not that, or more than `size` bytes. */
static size_t read_hex(struct nvc_slice text, uint8_t *out, size_t size)
{
	if (text.len % 2 || text.len / 2 > size)
		return 0;
	for (size_t i = 0; i < text.len / 2; i++) {
		const int high = digit(text.data[2 * i]), low = digit(text.data[2 * i + 1]);

		if (high < 0 || low < 0)
			return 0;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return text.len / 2;
}

/* Takes the next word off the front of `line`. */
static struct nvc_slice take_word(struct nvc_slice *line)
{
	size_t start = 0, end;

	while (start < line->len && line->data[start] == ' ')
		start++;
	for (end = start; end < line->len && line->data[end] != ' '; end++)
		;
	struct nvc_slice word = nvc_slice_sub(*line, start, end - start);
	*line = nvc_slice_sub(*line, end, line->len);
	return word;
}

static bool take_line(struct nvc_keylog *keylog, struct nvc_slice line)
{
	enum { EXPONENT = 4, NUM_LABELS };
	static const char *const labels[NUM_LABELS] = {"CLIENT_TRAFFIC_SECRET_0",
		"SERVER_TRAFFIC_SECRET_0", "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
		"SERVER_HANDSHAKE_TRAFFIC_SECRET", [EXPONENT] = NVC_DHCHAP_EXPONENT_LABEL};
	const struct nvc_slice label = take_word(&line);
	uint8_t random[NVC_TLS_RANDOM_LEN];
	struct nvc_secret secret;
	struct row *row;
	size_t which = 0;

	while (which < NUM_LABELS && !nvc_slice_equal(label, nvc_slice_str(labels[which])))
		which++;
	if (which == NUM_LABELS ||
		read_hex(take_word(&line), random, sizeof(random)) != sizeof(random))
		return false;
	secret.len = read_hex(take_word(&line), secret.data, sizeof(secret.data));
	if (which == EXPONENT ? !secret.len : secret.len != 32 && secret.len != 48)
		return false;
	row = find(keylog, random);
	if (!row)
		row = add_row(keylog, random);
	if (row && which < 2)
		row->entry.traffic[which] = secret;
	else if (row && which == EXPONENT)
		row->entry.exponent = secret;
	else if (row)
		row->entry.handshake = true;
	nvc_secret_wipe(&secret);
	return row != NULL;
}

size_t nvc_keylog_add(struct nvc_keylog *keylog, struct nvc_slice text)
{
	size_t num = 0;

	while (text.len) {
		const uint8_t *end = memchr(text.data, '\n', text.len);
		const size_t whole = end ? (size_t)(end - text.data) : text.len;
		size_t len = whole;

		if (len && text.data[len - 1] == '\r')
			len--;
		num += take_line(keylog, nvc_slice_sub(text, 0, len));
		text = nvc_slice_sub(text, whole + 1, text.len);
	}
	return num;
}
