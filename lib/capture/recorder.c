/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture/recorder_log.h"

#include <stdlib.h>
#include <string.h>

enum {
	LONGEST_COMMENT = 600,
	ENTRY_HEAD = offsetof(struct nvc_entry, data),
	ALIGNMENT = _Alignof(struct nvc_recorder),
};

struct nvc_recorder *nvc_recorder_over(void *memory, size_t size)
{
	struct nvc_recorder *recorder = memory;

	if (size < sizeof(*recorder) + sizeof(struct nvc_entry))
		return NULL;
	memset(recorder, 0, sizeof(*recorder));
	recorder->size = size - sizeof(*recorder);
	return recorder;
}

void nvc_recorder_wipe(struct nvc_recorder *recorder)
{
	explicit_bzero(recorder->log, recorder->len);
	recorder->len = recorder->num_packets = 0;
	recorder->full = false;
}

struct nvc_recorder *nvc_recorder_new(size_t limit)
{
	void *memory = malloc(limit);
	struct nvc_recorder *recorder = memory ? nvc_recorder_over(memory, limit) : NULL;

	if (!recorder)
		free(memory);
	return recorder;
}

void nvc_recorder_free(struct nvc_recorder *recorder)
{
	if (recorder)
		nvc_recorder_wipe(recorder);
	free(recorder);
}

static size_t size_of(size_t len)
{
	return (ENTRY_HEAD + len + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void add(struct nvc_recorder *recorder, struct nvc_entry head, struct nvc_slice data)
{
	const size_t size = size_of(data.len);
	uint8_t *place = recorder->log + recorder->len;

	if (recorder->full || size > recorder->size - recorder->len) {
		recorder->full = true;
		return;
	}
	head.len = (uint32_t)data.len;
	if (head.kind <= NVC_ENTRY_RST)
		head.mark = recorder->num_packets + 1;
	memcpy(place, &head, ENTRY_HEAD);
	if (data.len)
		memcpy(place + ENTRY_HEAD, data.data, data.len);
	recorder->len += size;
	recorder->num_packets += head.kind <= NVC_ENTRY_RST;
}

bool nvc_entry_next(const struct nvc_recorder *recorder, size_t *at, struct nvc_entry *entry,
	struct nvc_slice *data)
{
	if (*at >= recorder->len)
		return false;
	memcpy(entry, recorder->log + *at, ENTRY_HEAD);
	*data = nvc_slice_of(recorder->log + *at + ENTRY_HEAD, entry->len);
	*at += size_of(entry->len);
	return true;
}

void nvc_recorder_opened(struct nvc_recorder *recorder, uint32_t conn,
	const struct nvc_tcp_ends *ends, uint64_t time)
{
	add(recorder, (struct nvc_entry){.time = time, .conn = conn, .kind = NVC_ENTRY_OPENED},
		nvc_slice_of(ends, sizeof(*ends)));
}

void nvc_recorder_bytes(struct nvc_recorder *recorder, uint32_t conn, bool h2c,
	struct nvc_slice bytes, uint64_t time)
{
	if (bytes.len)
		add(recorder,
			(struct nvc_entry){.time = time,
				.conn = conn,
				.kind = NVC_ENTRY_BYTES,
				.direction = h2c ? NVC_H2C : NVC_C2H},
			bytes);
}

void nvc_recorder_ended(
	struct nvc_recorder *recorder, uint32_t conn, bool h2c, bool reset, uint64_t time)
{
	add(recorder,
		(struct nvc_entry){.time = time,
			.conn = conn,
			.kind = reset ? NVC_ENTRY_RST : NVC_ENTRY_FIN,
			.direction = h2c ? NVC_H2C : NVC_C2H},
		nvc_slice_of(NULL, 0));
}

void nvc_recorder_secret(struct nvc_recorder *recorder, const char *line)
{
	add(recorder, (struct nvc_entry){.kind = NVC_ENTRY_SECRET}, nvc_slice_str(line));
}

size_t nvc_recorder_mark(const struct nvc_recorder *recorder)
{
	return recorder->num_packets;
}

void nvc_recorder_comment(struct nvc_recorder *recorder, size_t mark, const char *text)
{
	add(recorder, (struct nvc_entry){.kind = NVC_ENTRY_COMMENT, .mark = mark ? mark : 1},
		nvc_slice_sub(nvc_slice_str(text), 0, LONGEST_COMMENT));
}

/* ---- what is in the log ---- */

void nvc_recorded_end(struct nvc_recorded *recorded)
{
	for (size_t i = 0; i < recorded->num_comments; i++)
		free(recorded->comments[i].text);
	if (recorded->keylog)
		explicit_bzero(recorded->keylog, recorded->keylog_len);
	free(recorded->keylog);
	free(recorded->comments);
	free(recorded->conns);
}

static int by_mark(const void *left, const void *right)
{
	const struct nvc_recorded_comment *a = left, *b = right;

	if (a->mark != b->mark)
		return a->mark < b->mark ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

static void take_entry(struct nvc_recorded *recorded, const struct nvc_entry *entry,
	struct nvc_slice data, size_t *done)
{
	struct nvc_recorded_conn *conn;

	switch ((enum nvc_entry_kind)entry->kind) {
	case NVC_ENTRY_OPENED:
		conn = &recorded->conns[recorded->num_conns++];
		conn->id = entry->conn;
		memcpy(&conn->frames.ends, data.data, sizeof(conn->frames.ends));
		break;
	case NVC_ENTRY_COMMENT:
		recorded->comments[recorded->num_comments] =
			(struct nvc_recorded_comment){(size_t)entry->mark, recorded->num_comments,
				strndup((const char *)data.data, data.len)};
		recorded->num_comments++;
		break;
	case NVC_ENTRY_SECRET:
		memcpy(recorded->keylog + *done, data.data, data.len);
		*done += data.len;
		recorded->keylog[(*done)++] = '\n';
		break;
	default:
		break;
	}
}

bool nvc_recorded_begin(const struct nvc_recorder *recorder, struct nvc_recorded *recorded)
{
	struct nvc_entry entry;
	struct nvc_slice data;
	size_t conns = 0, comments = 0, done = 0;

	for (size_t at = 0; nvc_entry_next(recorder, &at, &entry, &data);) {
		conns += entry.kind == NVC_ENTRY_OPENED;
		comments += entry.kind == NVC_ENTRY_COMMENT;
		recorded->keylog_len += entry.kind == NVC_ENTRY_SECRET ? data.len + 1 : 0;
	}
	recorded->conns = calloc(conns + 1, sizeof(*recorded->conns));
	recorded->comments = calloc(comments + 1, sizeof(*recorded->comments));
	recorded->keylog = calloc(1, recorded->keylog_len + 1);
	if (!recorded->conns || !recorded->comments || !recorded->keylog)
		return false;
	for (size_t at = 0; nvc_entry_next(recorder, &at, &entry, &data);)
		take_entry(recorded, &entry, data, &done);
	if (comments)
		qsort(recorded->comments, comments, sizeof(*recorded->comments), by_mark);
	return true;
}

struct nvc_recorded_conn *nvc_recorded_find(const struct nvc_recorded *recorded, uint32_t id)
{
	for (size_t i = recorded->next_conn; i-- > 0;)
		if (recorded->conns[i].id == id)
			return &recorded->conns[i];
	return NULL;
}

static void put_names(const struct nvc_recorded *recorded, const struct nvc_recorder_about *about,
	struct nvc_pcapng *out)
{
	const struct nvc_tcp_ends *ends = &recorded->conns[0].frames.ends;
	const size_t len = ends->ipv6 ? 16 : 4;
	const struct nvc_pcapng_name names[] = {
		{nvc_slice_of(ends->address[0], len), about->host_name},
		{nvc_slice_of(ends->address[1], len), about->target_name},
	};

	/* On the loopback interface one address has no two names. */
	if (memcmp(ends->address[0], ends->address[1], len) != 0)
		nvc_pcapng_names(out, names, 2);
}

void nvc_recorded_head(const struct nvc_recorded *recorded, const struct nvc_recorder_about *about,
	uint16_t link, const char *interface, struct nvc_pcapng *out)
{
	nvc_pcapng_section(out, about->application, about->command);
	nvc_pcapng_interface(out, link, interface);
	if (recorded->num_conns && about->host_name && about->target_name)
		put_names(recorded, about, out);
	if (about->secrets && recorded->keylog_len)
		nvc_pcapng_secrets(out, nvc_slice_of(recorded->keylog, recorded->keylog_len));
}
