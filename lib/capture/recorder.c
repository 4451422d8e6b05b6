/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture/recorder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_COMMENTS_OF_ONE = 16, LONGEST_COMMENT = 600 };

enum kind { OPENED, BYTES, FIN, RST };

/* One thing that happened. Bytes are a piece of the recorder's store. */
struct record {
	uint64_t time;
	size_t start, len;
	uint32_t conn; /* index of the connection */
	uint8_t kind;
	uint8_t direction;
};

struct conn {
	uint32_t id;
	struct nvc_tcpframe frames;
};

struct comment {
	size_t mark;
	size_t order;
	char *text;
};

struct nvc_recorder {
	size_t limit, used;
	bool full;
	uint8_t *store;
	size_t store_len, store_cap;
	struct record *records;
	size_t num_records, cap_records;
	struct conn *conns;
	size_t num_conns, cap_conns;
	struct comment *comments;
	size_t num_comments, cap_comments;
	char *keylog;
	size_t keylog_len, keylog_cap;
};

struct nvc_recorder *nvc_recorder_new(size_t limit)
{
	struct nvc_recorder *recorder = calloc(1, sizeof(*recorder));

	if (recorder)
		recorder->limit = limit;
	return recorder;
}

void nvc_recorder_free(struct nvc_recorder *recorder)
{
	if (!recorder)
		return;
	for (size_t i = 0; i < recorder->num_comments; i++)
		free(recorder->comments[i].text);
	if (recorder->keylog)
		explicit_bzero(recorder->keylog, recorder->keylog_cap);
	free(recorder->keylog);
	free(recorder->comments);
	free(recorder->conns);
	free(recorder->records);
	free(recorder->store);
	free(recorder);
}

/* Makes room for `more` elements of `size` bytes behind `num` of them and books them against the limit. The array is
 * left as it is when that cannot be. */
static bool grow(struct nvc_recorder *recorder, void **array, size_t *cap, size_t num, size_t more,
	size_t size)
{
	size_t wanted = *cap ? *cap : 64;
	void *grown;

	if (recorder->full || recorder->limit - recorder->used < more * size) {
		recorder->full = true;
		return false;
	}
	while (wanted < num + more)
		wanted *= 2;
	if (wanted != *cap) {
		grown = realloc(*array, wanted * size);
		if (!grown) {
			recorder->full = true;
			return false;
		}
		*array = grown;
		*cap = wanted;
	}
	recorder->used += more * size;
	return true;
}

static void add_record(struct nvc_recorder *recorder, size_t conn, enum kind kind,
	enum nvc_direction direction, struct nvc_slice bytes, uint64_t time)
{
	if (!grow(recorder, (void **)&recorder->store, &recorder->store_cap, recorder->store_len,
		    bytes.len, 1) ||
		!grow(recorder, (void **)&recorder->records, &recorder->cap_records,
			recorder->num_records, 1, sizeof(struct record)))
		return;
	if (bytes.len)
		memcpy(recorder->store + recorder->store_len, bytes.data, bytes.len);
	recorder->records[recorder->num_records++] = (struct record){.time = time,
		.start = recorder->store_len,
		.len = bytes.len,
		.conn = (uint32_t)conn,
		.kind = (uint8_t)kind,
		.direction = (uint8_t)direction};
	recorder->store_len += bytes.len;
}

void nvc_recorder_opened(struct nvc_recorder *recorder, uint32_t conn,
	const struct nvc_tcp_ends *ends, uint64_t time)
{
	const size_t index = recorder->num_conns;

	if (!grow(recorder, (void **)&recorder->conns, &recorder->cap_conns, index, 1,
		    sizeof(struct conn)))
		return;
	recorder->conns[index] = (struct conn){.id = conn, .frames.ends = *ends};
	recorder->num_conns++;
	add_record(recorder, index, OPENED, NVC_H2C, nvc_slice_of(NULL, 0), time);
}

/* The newest first: they are the ones that are open. */
static bool find(const struct nvc_recorder *recorder, uint32_t id, size_t *index)
{
	for (*index = recorder->num_conns; (*index)-- > 0;)
		if (recorder->conns[*index].id == id)
			return true;
	return false;
}

void nvc_recorder_bytes(struct nvc_recorder *recorder, uint32_t conn, bool h2c,
	struct nvc_slice bytes, uint64_t time)
{
	size_t index;

	if (bytes.len && find(recorder, conn, &index))
		add_record(recorder, index, BYTES, h2c ? NVC_H2C : NVC_C2H, bytes, time);
}

void nvc_recorder_ended(
	struct nvc_recorder *recorder, uint32_t conn, bool h2c, bool reset, uint64_t time)
{
	size_t index;

	if (find(recorder, conn, &index))
		add_record(recorder, index, reset ? RST : FIN, h2c ? NVC_H2C : NVC_C2H,
			nvc_slice_of(NULL, 0), time);
}

void nvc_recorder_secret(struct nvc_recorder *recorder, const char *line)
{
	const size_t len = strlen(line);
	char *keylog;
	size_t cap = recorder->keylog_cap ? recorder->keylog_cap : 4096;

	/* Secrets of connections that are not recorded any more are of no use. */
	if (recorder->full || recorder->limit - recorder->used < len + 1)
		return;
	while (cap < recorder->keylog_len + len + 1)
		cap *= 2;
	if (cap != recorder->keylog_cap) {
		keylog = calloc(1, cap);
		if (!keylog)
			return;
		if (recorder->keylog) {
			memcpy(keylog, recorder->keylog, recorder->keylog_len);
			explicit_bzero(recorder->keylog, recorder->keylog_cap);
		}
		free(recorder->keylog);
		recorder->keylog = keylog;
		recorder->keylog_cap = cap;
	}
	memcpy(recorder->keylog + recorder->keylog_len, line, len);
	recorder->keylog_len += len;
	if (!len || line[len - 1] != '\n')
		recorder->keylog[recorder->keylog_len++] = '\n';
	recorder->used += len + 1;
}

size_t nvc_recorder_mark(const struct nvc_recorder *recorder)
{
	return recorder->num_records;
}

void nvc_recorder_comment(struct nvc_recorder *recorder, size_t mark, const char *text)
{
	char *copy = strndup(text, LONGEST_COMMENT);

	if (!copy || !grow(recorder, (void **)&recorder->comments, &recorder->cap_comments,
			     recorder->num_comments, 1, sizeof(struct comment) + LONGEST_COMMENT)) {
		free(copy);
		return;
	}
	recorder->comments[recorder->num_comments] =
		(struct comment){mark ? mark : 1, recorder->num_comments, copy};
	recorder->num_comments++;
}

static int by_mark(const void *left, const void *right)
{
	const struct comment *a = left, *b = right;

	if (a->mark != b->mark)
		return a->mark < b->mark ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

/* Draws one record. Its comments go on its first packet. */
static void draw(struct nvc_recorder *recorder, const struct record *record, uint64_t time,
	const char *const *comments, size_t num_comments, struct nvc_pcapng *out)
{
	struct conn *conn = &recorder->conns[record->conn];
	const enum nvc_direction direction = (enum nvc_direction)record->direction;
	struct nvc_slice bytes =
		nvc_slice_of(recorder->store ? recorder->store + record->start : NULL, record->len);
	const struct nvc_slice none = {0};
	uint8_t frame[NVC_TCPFRAME_MAX];
	size_t len;

	switch ((enum kind)record->kind) {
	case OPENED:
		conn->frames.next[0] = UINT32_C(0x10000000) + record->conn * UINT32_C(0x10001);
		conn->frames.next[1] = UINT32_C(0x50000000) + record->conn * UINT32_C(0x10001);
		len = nvc_tcpframe_make(&conn->frames, NVC_H2C, NVC_TCP_SYN, none, frame);
		nvc_pcapng_packet(out, time, nvc_slice_of(frame, len), comments, num_comments);
		len = nvc_tcpframe_make(
			&conn->frames, NVC_C2H, NVC_TCP_SYN | NVC_TCP_ACK, none, frame);
		nvc_pcapng_packet(out, time, nvc_slice_of(frame, len), NULL, 0);
		len = nvc_tcpframe_make(&conn->frames, NVC_H2C, NVC_TCP_ACK, none, frame);
		nvc_pcapng_packet(out, time, nvc_slice_of(frame, len), NULL, 0);
		break;
	case BYTES:
		while (bytes.len && !out->failed) {
			len = nvc_tcpframe_make(
				&conn->frames, direction, NVC_TCP_PSH | NVC_TCP_ACK, bytes, frame);
			nvc_pcapng_packet(
				out, time, nvc_slice_of(frame, len), comments, num_comments);
			num_comments = 0;
			bytes = bytes.len > NVC_TCPFRAME_SEGMENT
					? nvc_slice_sub(bytes, NVC_TCPFRAME_SEGMENT, bytes.len)
					: none;
		}
		break;
	case FIN:
	case RST:
		len = nvc_tcpframe_make(&conn->frames, direction,
			(record->kind == RST ? NVC_TCP_RST : NVC_TCP_FIN) | NVC_TCP_ACK, none,
			frame);
		nvc_pcapng_packet(out, time, nvc_slice_of(frame, len), comments, num_comments);
		break;
	}
}

static void draw_all(struct nvc_recorder *recorder, uint64_t epoch, struct nvc_pcapng *out)
{
	const char *texts[MAX_COMMENTS_OF_ONE + 1];
	size_t next = 0;

	if (recorder->num_comments)
		qsort(recorder->comments, recorder->num_comments, sizeof(struct comment), by_mark);
	for (size_t i = 0; i < recorder->num_records && !out->failed; i++) {
		const struct record *record = &recorder->records[i];
		const bool last = i + 1 == recorder->num_records;
		size_t num = 0;

		for (; next < recorder->num_comments &&
			(last || recorder->comments[next].mark <= i + 1);
			next++)
			if (num < MAX_COMMENTS_OF_ONE)
				texts[num++] = recorder->comments[next].text;
		if (last && recorder->full)
			texts[num++] = "the recording stops here: it has reached its limit";
		draw(recorder, record, record->time + epoch, texts, num, out);
	}
}

static void put_names(const struct nvc_recorder *recorder, const struct nvc_recorder_about *about,
	struct nvc_pcapng *out)
{
	const struct nvc_tcp_ends *ends = &recorder->conns[0].frames.ends;
	const size_t len = ends->ipv6 ? 16 : 4;
	const struct nvc_pcapng_name names[] = {
		{nvc_slice_of(ends->address[0], len), about->host_name},
		{nvc_slice_of(ends->address[1], len), about->target_name},
	};

	/* On the loopback interface one address has no two names. */
	if (memcmp(ends->address[0], ends->address[1], len) != 0)
		nvc_pcapng_names(out, names, 2);
}

enum nvc_result nvc_recorder_write(struct nvc_recorder *recorder,
	const struct nvc_recorder_about *about, struct nvc_pcapng *out)
{
	nvc_pcapng_section(out, about->application, about->command);
	nvc_pcapng_interface(out, NVC_LINK_ETHERNET, "nvme-conform");
	if (recorder->num_conns && about->host_name && about->target_name)
		put_names(recorder, about, out);
	if (about->secrets && recorder->keylog_len)
		nvc_pcapng_secrets(out, nvc_slice_of(recorder->keylog, recorder->keylog_len));
	draw_all(recorder, about->epoch, out);
	return out->failed ? NVC_E_NO_SPACE : NVC_OK;
}
