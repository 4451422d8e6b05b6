/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture/recorder.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_COMMENTS_OF_ONE = 16, LONGEST_COMMENT = 600 };

/* Packets come first: `kind <= RST` is one. */
enum kind { OPENED, BYTES, FIN, RST, COMMENT, SECRET };

/* One thing that happened, and its bytes: the ends of a connection, what was sent, a text. */
struct entry {
	uint64_t time;
	uint64_t mark; /* of a packet: its number; of a comment: that of the packet it is for */
	uint32_t conn;
	uint32_t len;
	uint8_t kind, direction;
	uint8_t data[6]; /* goes on behind the struct */
};

enum { ENTRY_HEAD = offsetof(struct entry, data), ALIGNMENT = 8 };

/* A log: what is behind `len` does not count, so that a process may be killed while it writes. */
struct nvc_recorder {
	size_t size, len; /* bytes of the log */
	size_t num_packets;
	bool full;
	_Alignas(ALIGNMENT) uint8_t log[];
};

struct nvc_recorder *nvc_recorder_over(void *memory, size_t size)
{
	struct nvc_recorder *recorder = memory;

	if (size < sizeof(*recorder) + sizeof(struct entry))
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

static void add(struct nvc_recorder *recorder, struct entry head, struct nvc_slice data)
{
	const size_t size = size_of(data.len);
	uint8_t *place = recorder->log + recorder->len;

	if (recorder->full || size > recorder->size - recorder->len) {
		recorder->full = true;
		return;
	}
	head.len = (uint32_t)data.len;
	if (head.kind <= RST)
		head.mark = recorder->num_packets + 1;
	memcpy(place, &head, ENTRY_HEAD);
	if (data.len)
		memcpy(place + ENTRY_HEAD, data.data, data.len);
	recorder->len += size;
	recorder->num_packets += head.kind <= RST;
}

/* The entry at `at`, which moves to the next; false at the end. Its bytes go to `data`. */
static bool next_entry(const struct nvc_recorder *recorder, size_t *at, struct entry *entry,
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
	add(recorder, (struct entry){.time = time, .conn = conn, .kind = OPENED},
		nvc_slice_of(ends, sizeof(*ends)));
}

void nvc_recorder_bytes(struct nvc_recorder *recorder, uint32_t conn, bool h2c,
	struct nvc_slice bytes, uint64_t time)
{
	if (bytes.len)
		add(recorder,
			(struct entry){.time = time,
				.conn = conn,
				.kind = BYTES,
				.direction = h2c ? NVC_H2C : NVC_C2H},
			bytes);
}

void nvc_recorder_ended(
	struct nvc_recorder *recorder, uint32_t conn, bool h2c, bool reset, uint64_t time)
{
	add(recorder,
		(struct entry){.time = time,
			.conn = conn,
			.kind = reset ? RST : FIN,
			.direction = h2c ? NVC_H2C : NVC_C2H},
		nvc_slice_of(NULL, 0));
}

void nvc_recorder_secret(struct nvc_recorder *recorder, const char *line)
{
	add(recorder, (struct entry){.kind = SECRET}, nvc_slice_str(line));
}

size_t nvc_recorder_mark(const struct nvc_recorder *recorder)
{
	return recorder->num_packets;
}

void nvc_recorder_comment(struct nvc_recorder *recorder, size_t mark, const char *text)
{
	add(recorder, (struct entry){.kind = COMMENT, .mark = mark ? mark : 1},
		nvc_slice_sub(nvc_slice_str(text), 0, LONGEST_COMMENT));
}

/* ---- drawing ---- */

struct conn {
	uint32_t id;
	struct nvc_tcpframe frames;
};

struct comment {
	size_t mark, order;
	char *text;
};

/* What one walk over the log brings together for the next. */
struct drawing {
	struct conn *conns;
	size_t num_conns, next_conn; /* those opened so far come before next_conn */
	struct comment *comments;
	size_t num_comments;
	char *keylog;
	size_t keylog_len;
};

static void end_drawing(struct drawing *drawing)
{
	for (size_t i = 0; i < drawing->num_comments; i++)
		free(drawing->comments[i].text);
	if (drawing->keylog)
		explicit_bzero(drawing->keylog, drawing->keylog_len);
	free(drawing->keylog);
	free(drawing->comments);
	free(drawing->conns);
}

static void take_entry(
	struct drawing *drawing, const struct entry *entry, struct nvc_slice data, size_t *done)
{
	struct conn *conn;

	switch ((enum kind)entry->kind) {
	case OPENED:
		conn = &drawing->conns[drawing->num_conns++];
		conn->id = entry->conn;
		memcpy(&conn->frames.ends, data.data, sizeof(conn->frames.ends));
		break;
	case COMMENT:
		drawing->comments[drawing->num_comments] = (struct comment){(size_t)entry->mark,
			drawing->num_comments, strndup((const char *)data.data, data.len)};
		drawing->num_comments++;
		break;
	case SECRET:
		memcpy(drawing->keylog + *done, data.data, data.len);
		*done += data.len;
		drawing->keylog[(*done)++] = '\n';
		break;
	default:
		break;
	}
}

static bool begin_drawing(const struct nvc_recorder *recorder, struct drawing *drawing)
{
	struct entry entry;
	struct nvc_slice data;
	size_t conns = 0, comments = 0, done = 0;

	for (size_t at = 0; next_entry(recorder, &at, &entry, &data);) {
		conns += entry.kind == OPENED;
		comments += entry.kind == COMMENT;
		drawing->keylog_len += entry.kind == SECRET ? data.len + 1 : 0;
	}
	drawing->conns = calloc(conns + 1, sizeof(*drawing->conns));
	drawing->comments = calloc(comments + 1, sizeof(*drawing->comments));
	drawing->keylog = calloc(1, drawing->keylog_len + 1);
	if (!drawing->conns || !drawing->comments || !drawing->keylog)
		return false;
	for (size_t at = 0; next_entry(recorder, &at, &entry, &data);)
		take_entry(drawing, &entry, data, &done);
	return true;
}

static int by_mark(const void *left, const void *right)
{
	const struct comment *a = left, *b = right;

	if (a->mark != b->mark)
		return a->mark < b->mark ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

/* Three frames open a connection; the comments go on the first. */
static void draw_handshake(struct conn *conn, size_t index, uint64_t time,
	const char *const *comments, size_t num_comments, struct nvc_pcapng *out)
{
	static const unsigned int flags[] = {NVC_TCP_SYN, NVC_TCP_SYN | NVC_TCP_ACK, NVC_TCP_ACK};
	uint8_t frame[NVC_TCPFRAME_MAX];

	conn->frames.next[0] = UINT32_C(0x10000000) + (uint32_t)index * UINT32_C(0x10001);
	conn->frames.next[1] = UINT32_C(0x50000000) + (uint32_t)index * UINT32_C(0x10001);
	for (size_t i = 0; i < 3; i++) {
		const size_t len = nvc_tcpframe_make(&conn->frames, i == 1 ? NVC_C2H : NVC_H2C,
			flags[i], nvc_slice_of(NULL, 0), frame);

		nvc_pcapng_packet(
			out, time, nvc_slice_of(frame, len), comments, i == 0 ? num_comments : 0);
	}
}

/* The newest first: they are the ones that are open. */
static struct conn *find(const struct drawing *drawing, uint32_t id)
{
	for (size_t i = drawing->next_conn; i-- > 0;)
		if (drawing->conns[i].id == id)
			return &drawing->conns[i];
	return NULL;
}

/* Draws one packet or, where bytes are many, several; the comments go on the first. */
static void draw(struct drawing *drawing, const struct entry *entry, struct nvc_slice bytes,
	uint64_t time, const char *const *comments, size_t num_comments, struct nvc_pcapng *out)
{
	const unsigned int flags = NVC_TCP_ACK | (entry->kind == BYTES	      ? NVC_TCP_PSH
							 : entry->kind == RST ? NVC_TCP_RST
									      : NVC_TCP_FIN);
	struct conn *conn = find(drawing, entry->conn);
	uint8_t frame[NVC_TCPFRAME_MAX];

	if (entry->kind == OPENED) {
		conn = &drawing->conns[drawing->next_conn];
		draw_handshake(conn, drawing->next_conn++, time, comments, num_comments, out);
		return;
	}
	if (!conn)
		return;
	do {
		const size_t len = nvc_tcpframe_make(
			&conn->frames, (enum nvc_direction)entry->direction, flags, bytes, frame);

		nvc_pcapng_packet(out, time, nvc_slice_of(frame, len), comments, num_comments);
		num_comments = 0;
		bytes = nvc_slice_sub(bytes, NVC_TCPFRAME_SEGMENT, bytes.len);
	} while (bytes.len && !out->failed);
}

static void draw_all(const struct nvc_recorder *recorder, struct drawing *drawing, uint64_t epoch,
	struct nvc_pcapng *out)
{
	const char *texts[MAX_COMMENTS_OF_ONE + 1];
	struct entry entry;
	struct nvc_slice data;
	size_t next = 0;

	if (drawing->num_comments)
		qsort(drawing->comments, drawing->num_comments, sizeof(struct comment), by_mark);
	for (size_t at = 0; next_entry(recorder, &at, &entry, &data) && !out->failed;) {
		const bool last = entry.mark == recorder->num_packets;
		size_t num = 0;

		if (entry.kind > RST)
			continue;
		for (; next < drawing->num_comments &&
			(last || drawing->comments[next].mark <= entry.mark);
			next++)
			if (num < MAX_COMMENTS_OF_ONE && drawing->comments[next].text)
				texts[num++] = drawing->comments[next].text;
		if (last && recorder->full)
			texts[num++] = "the recording stops here: it has reached its limit";
		draw(drawing, &entry, data, entry.time + epoch, texts, num, out);
	}
}

static void put_names(const struct drawing *drawing, const struct nvc_recorder_about *about,
	struct nvc_pcapng *out)
{
	const struct nvc_tcp_ends *ends = &drawing->conns[0].frames.ends;
	const size_t len = ends->ipv6 ? 16 : 4;
	const struct nvc_pcapng_name names[] = {
		{nvc_slice_of(ends->address[0], len), about->host_name},
		{nvc_slice_of(ends->address[1], len), about->target_name},
	};

	/* On the loopback interface one address has no two names. */
	if (memcmp(ends->address[0], ends->address[1], len) != 0)
		nvc_pcapng_names(out, names, 2);
}

enum nvc_result nvc_recorder_write(const struct nvc_recorder *recorder,
	const struct nvc_recorder_about *about, struct nvc_pcapng *out)
{
	struct drawing drawing = {0};
	enum nvc_result result = NVC_E_NO_MEMORY;

	if (begin_drawing(recorder, &drawing)) {
		nvc_pcapng_section(out, about->application, about->command);
		nvc_pcapng_interface(out, NVC_LINK_ETHERNET, "nvme-conform");
		if (drawing.num_conns && about->host_name && about->target_name)
			put_names(&drawing, about, out);
		if (about->secrets && drawing.keylog_len)
			nvc_pcapng_secrets(out, nvc_slice_of(drawing.keylog, drawing.keylog_len));
		draw_all(recorder, &drawing, about->epoch, out);
		result = out->failed ? NVC_E_NO_SPACE : NVC_OK;
	}
	end_drawing(&drawing);
	return result;
}
