/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture/reassembly.h"

#include <stdlib.h>
#include <string.h>

#include "capture/history.h"
#include "capture/scatter.h"

enum {
	NUM_BUCKETS = 4096,
	MAX_PENDING_SEGMENTS = 1024, /* of one direction: the list is walked */
	FARTHEST = 1 << 30, /* a sequence number beyond this is no segment of this stream */
};

/* Bytes behind a hole, in the order of their sequence numbers, or bytes that answer to something that is missing. */
struct pending {
	struct pending *next;
	uint32_t seq, ack;
	size_t len, missing;
	uint8_t data[];
};

struct stream {
	bool started, syn; /* ... with its SYN */
	uint32_t first;	   /* sequence number of what was seen first */
	uint32_t next;	   /* sequence number of the byte that is due */
	bool lost, ended;
	bool fin;
	uint32_t fin_seq, fin_ack;
	bool acked;
	uint32_t acked_seq; /* what the peer has acknowledged */
	unsigned int patience;
	struct pending *pending;
	size_t pending_len, num_pending;
	struct nvc_history_part *history;
};

struct entry {
	struct nvc_tcp_conn conn;
	struct stream streams[2];
	struct entry *chain;	     /* of the bucket */
	struct entry *newer, *older; /* by last segment */
	bool over;		     /* kept only to know late repetitions */
	bool contradicted;
};

struct nvc_reassembly {
	struct nvc_reassembly_sink sink;
	struct nvc_scatter scatter;
	struct nvc_history *history;
	struct entry *buckets[NUM_BUCKETS];
	struct entry *newest, *oldest;
	size_t num_entries, pending_len;
};

struct nvc_reassembly *nvc_reassembly_new(const struct nvc_reassembly_sink *sink)
{
	struct nvc_reassembly *reassembly = calloc(1, sizeof(*reassembly));

	if (!reassembly)
		return NULL;
	reassembly->sink = *sink;
	reassembly->scatter = nvc_scatter_new();
	reassembly->history = nvc_history_new();
	if (!reassembly->history) {
		free(reassembly);
		return NULL;
	}
	return reassembly;
}

/* ---- the table ---- */

/* The same for both directions. */
static size_t bucket_of(const struct nvc_reassembly *reassembly, const struct nvc_tcp_ends *ends)
{
	uint64_t sum = 0;

	for (int i = 0; i < 2; i++) {
		uint8_t end[sizeof(ends->address[i]) + sizeof(ends->port[i])];

		memcpy(end, ends->address[i], sizeof(ends->address[i]));
		memcpy(end + sizeof(ends->address[i]), &ends->port[i], sizeof(ends->port[i]));
		sum += nvc_scatter(&reassembly->scatter, NVC_SLICE(end));
	}
	return sum % NUM_BUCKETS;
}

static bool same_end(const struct nvc_tcp_ends *a, int i, const struct nvc_tcp_ends *b, int j)
{
	return a->port[i] == b->port[j] && memcmp(a->address[i], b->address[j], 16) == 0;
}

/* Finds the connection of a segment; `side` is which of its ends sent it. */
static struct entry *find(
	const struct nvc_reassembly *reassembly, const struct nvc_tcp_ends *ends, int *side)
{
	struct entry *entry = reassembly->buckets[bucket_of(reassembly, ends)];

	for (; entry; entry = entry->chain) {
		const struct nvc_tcp_ends *known = &entry->conn.ends;

		if (known->ipv6 != ends->ipv6)
			continue;
		*side = same_end(known, 0, ends, 0) ? 0 : 1;
		if (same_end(known, *side, ends, 0) && same_end(known, !*side, ends, 1))
			return entry;
	}
	return NULL;
}

static void unlink_use(struct nvc_reassembly *reassembly, struct entry *entry)
{
	if (entry->newer)
		entry->newer->older = entry->older;
	else
		reassembly->newest = entry->older;
	if (entry->older)
		entry->older->newer = entry->newer;
	else
		reassembly->oldest = entry->newer;
}

static void link_newest(struct nvc_reassembly *reassembly, struct entry *entry)
{
	entry->newer = NULL;
	entry->older = reassembly->newest;
	if (reassembly->newest)
		reassembly->newest->newer = entry;
	else
		reassembly->oldest = entry;
	reassembly->newest = entry;
}

static void drop_pending(struct nvc_reassembly *reassembly, struct stream *stream)
{
	while (stream->pending) {
		struct pending *gone = stream->pending;

		stream->pending = gone->next;
		free(gone);
	}
	reassembly->pending_len -= stream->pending_len;
	stream->pending_len = stream->num_pending = 0;
}

static void lose(struct nvc_reassembly *reassembly, struct entry *entry, int side, const char *why)
{
	struct stream *stream = &entry->streams[side];

	if (stream->lost || stream->ended)
		return;
	stream->lost = true;
	drop_pending(reassembly, stream);
	reassembly->sink.gap(reassembly->sink.self, &entry->conn, side, why);
}

/* One byte that was acknowledged and not seen may be the FIN. */
static bool has_hole(const struct stream *stream)
{
	return stream->started && !stream->lost && !stream->ended &&
	       (stream->pending ||
		       (stream->acked && (int32_t)(stream->acked_seq - stream->next) > 1));
}

/* Nothing more will come of this connection; it stays in the table to know late repetitions. */
static void finish(struct nvc_reassembly *reassembly, struct entry *entry)
{
	if (entry->over)
		return;
	for (int side = 0; side < 2; side++) {
		if (has_hole(&entry->streams[side]))
			lose(reassembly, entry, side, "segments are missing in the capture");
		drop_pending(reassembly, &entry->streams[side]);
	}
	entry->over = true;
	reassembly->sink.closed(reassembly->sink.self, &entry->conn);
}

static void forget(struct nvc_reassembly *reassembly, struct entry *entry)
{
	struct entry **place = &reassembly->buckets[bucket_of(reassembly, &entry->conn.ends)];

	finish(reassembly, entry);
	while (*place != entry)
		place = &(*place)->chain;
	*place = entry->chain;
	for (int side = 0; side < 2; side++)
		nvc_history_release(&entry->streams[side].history);
	unlink_use(reassembly, entry);
	reassembly->num_entries--;
	free(entry);
}

void nvc_reassembly_free(struct nvc_reassembly *reassembly)
{
	if (!reassembly)
		return;
	while (reassembly->oldest)
		forget(reassembly, reassembly->oldest);
	nvc_history_free(reassembly->history);
	free(reassembly);
}

static struct entry *add(struct nvc_reassembly *reassembly, const struct nvc_segment *segment)
{
	const bool answer = (segment->flags & NVC_TCP_SYN) && (segment->flags & NVC_TCP_ACK);
	struct entry *entry = calloc(1, sizeof(*entry));
	size_t bucket = bucket_of(reassembly, &segment->ends);

	if (!entry)
		return NULL;
	if (reassembly->num_entries == NVC_REASSEMBLY_MAX_CONNECTIONS)
		forget(reassembly, reassembly->oldest);
	entry->conn.ends = segment->ends;
	if (answer) { /* side 0 is who opened it */
		for (int side = 0; side < 2; side++) {
			memcpy(entry->conn.ends.address[side], segment->ends.address[!side], 16);
			entry->conn.ends.port[side] = segment->ends.port[!side];
		}
	}
	entry->conn.from_start = segment->flags & NVC_TCP_SYN;
	entry->chain = reassembly->buckets[bucket];
	reassembly->buckets[bucket] = entry;
	link_newest(reassembly, entry);
	reassembly->num_entries++;
	reassembly->sink.opened(reassembly->sink.self, &entry->conn);
	return entry;
}

/* ---- the streams ---- */

/* A segment without a byte costs memory too. */
static size_t cost_of(size_t len)
{
	return sizeof(struct pending) + len;
}

/* Says, once for each connection, that its packets do not tell what was received. */
static void contradict(struct nvc_reassembly *reassembly, struct entry *entry)
{
	if (!entry->contradicted)
		reassembly->sink.contradicted(reassembly->sink.self, &entry->conn);
	entry->contradicted = true;
}

/* Holds the bytes of a segment against those that were there before. One byte behind which nothing is new may be the garbage of a
 * keep-alive (RFC 1122 4.2.3.6). */
static void compare(struct nvc_reassembly *reassembly, struct entry *entry, int side, uint32_t seq,
	struct nvc_slice data)
{
	const struct stream *stream = &entry->streams[side];

	if (!(data.len == 1 && seq + 1 == stream->next) &&
		nvc_history_differs(stream->history, seq, data))
		contradict(reassembly, entry);
}

/* A side that has ended sends nothing but what it has sent. */
static void take_late(struct nvc_reassembly *reassembly, struct entry *entry, int side,
	const struct nvc_segment *segment)
{
	const struct stream *stream = &entry->streams[side];
	const uint32_t end = segment->seq + (uint32_t)segment->payload.len;

	if (stream->lost || !segment->payload.len)
		return;
	compare(reassembly, entry, side, segment->seq, segment->payload);
	/* Who goes on behind an RST has not sent it, or its receiver has passed over it (RFC 5961 3.2). */
	if ((stream->fin || stream->ended) &&
		(int32_t)(end - (stream->fin ? stream->fin_seq : stream->next)) > 0)
		contradict(reassembly, entry);
}

/* Hands over what of `data` at `seq` has not been seen yet. */
static void deliver(struct nvc_reassembly *reassembly, struct entry *entry, int side, uint32_t seq,
	struct nvc_slice data, size_t missing)
{
	struct stream *stream = &entry->streams[side];
	const size_t known = stream->next - seq, whole = data.len + missing;

	compare(reassembly, entry, side, seq, nvc_slice_sub(data, 0, known));
	if (known < data.len) {
		data = nvc_slice_sub(data, known, data.len);
		nvc_history_add(reassembly->history, &stream->history, stream->next, data);
		stream->next += (uint32_t)data.len;
		reassembly->sink.bytes(reassembly->sink.self, &entry->conn, side, data);
	}
	if (missing && stream->next - seq < whole)
		lose(reassembly, entry, side, "packets are cut short in the capture (snap length)");
}

/* Whether everything is there that the peer had sent when this was acknowledged. What answers to bytes that are missing
 * must not be shown before them: it would look like an answer to nothing. */
static bool is_due(const struct entry *entry, int side, uint32_t ack)
{
	const struct stream *peer = &entry->streams[!side];

	return !peer->started || peer->ended || (int32_t)(ack - peer->next) <= 0;
}

/* Hands over what has become due of `side`; tells whether there was any. */
static bool deliver_pending(struct nvc_reassembly *reassembly, struct entry *entry, int side)
{
	struct stream *stream = &entry->streams[side];
	bool any = false;

	while (!stream->lost && stream->pending &&
		(int32_t)(stream->pending->seq - stream->next) <= 0 &&
		is_due(entry, side, stream->pending->ack)) {
		struct pending *first = stream->pending;

		stream->pending = first->next;
		stream->num_pending--;
		stream->pending_len -= cost_of(first->len);
		reassembly->pending_len -= cost_of(first->len);
		deliver(reassembly, entry, side, first->seq, nvc_slice_of(first->data, first->len),
			first->missing);
		free(first);
		any = true;
	}
	return any;
}

static enum nvc_result keep(struct nvc_reassembly *reassembly, struct entry *entry, int side,
	const struct nvc_segment *segment)
{
	struct stream *stream = &entry->streams[side];
	struct pending **place = &stream->pending, *kept;
	const struct nvc_slice data = segment->payload;

	if (stream->num_pending == MAX_PENDING_SEGMENTS ||
		stream->pending_len + cost_of(data.len) > NVC_REASSEMBLY_MAX_PENDING ||
		reassembly->pending_len + cost_of(data.len) > NVC_REASSEMBLY_MAX_PENDING_ALL) {
		lose(reassembly, entry, side, "segments are missing in the capture");
		return NVC_OK;
	}
	while (*place && (int32_t)((*place)->seq - segment->seq) < 0)
		place = &(*place)->next;
	if (*place && (*place)->seq == segment->seq && (*place)->len >= data.len) {
		if (data.len && memcmp((*place)->data, data.data, data.len) != 0)
			contradict(reassembly, entry);
		return NVC_OK;
	}
	kept = malloc(cost_of(data.len));
	if (!kept)
		return NVC_E_NO_MEMORY;
	*kept = (struct pending){.next = *place,
		.seq = segment->seq,
		.ack = segment->ack,
		.len = data.len,
		.missing = segment->missing};
	if (data.len)
		memcpy(kept->data, data.data, data.len);
	*place = kept;
	stream->num_pending++;
	stream->pending_len += cost_of(data.len);
	reassembly->pending_len += cost_of(data.len);
	return NVC_OK;
}

static void end_side(struct nvc_reassembly *reassembly, struct entry *entry, int side, bool reset)
{
	struct stream *stream = &entry->streams[side];

	if (!stream->ended) {
		if (has_hole(stream))
			lose(reassembly, entry, side, "segments are missing in the capture");
		stream->ended = true;
		drop_pending(reassembly, stream);
		reassembly->sink.ended(reassembly->sink.self, &entry->conn, side, reset);
	}
	if (reset || entry->streams[!side].ended || entry->streams[!side].lost)
		finish(reassembly, entry);
}

/* Judges the hole in what `side` sent, after another segment has come. */
static void watch_hole(struct nvc_reassembly *reassembly, struct entry *entry, int side)
{
	struct stream *stream = &entry->streams[side];

	if (!has_hole(stream))
		stream->patience = 0;
	else if (stream->acked && (int32_t)(stream->acked_seq - stream->next) > 0 &&
		 ++stream->patience > NVC_REASSEMBLY_PATIENCE)
		lose(reassembly, entry, side, "segments are missing in the capture");
}

static enum nvc_result take_payload(struct nvc_reassembly *reassembly, struct entry *entry,
	int side, const struct nvc_segment *segment)
{
	struct stream *stream = &entry->streams[side];
	const int32_t ahead = (int32_t)(segment->seq - stream->next);

	if (stream->lost || segment->payload.len + segment->missing == 0)
		return NVC_OK;
	if (stream->ended) {
		take_late(reassembly, entry, side, segment);
		return NVC_OK;
	}
	if (ahead > FARTHEST || ahead < -FARTHEST) {
		contradict(reassembly, entry);
		return NVC_OK;
	}
	if (ahead > 0 || ((segment->flags & NVC_TCP_ACK) && !is_due(entry, side, segment->ack)))
		return keep(reassembly, entry, side, segment);
	deliver(reassembly, entry, side, segment->seq, segment->payload, segment->missing);
	return NVC_OK;
}

/* Begins a stream at its first segment: behind the SYN, or in the middle. */
static void start(struct stream *stream, uint32_t seq, bool syn)
{
	if (stream->started)
		return;
	stream->started = true;
	stream->syn = syn;
	stream->first = seq;
	stream->next = syn ? seq + 1 : seq;
}

/* Whether a SYN begins another connection between the same ends; it may also come late, behind what it begins. */
static bool is_new_life(const struct entry *entry, int side, const struct nvc_segment *segment)
{
	const struct stream *stream = &entry->streams[side];

	return (segment->flags & NVC_TCP_SYN) && !(segment->flags & NVC_TCP_ACK) &&
	       stream->started && stream->first != segment->seq + (stream->syn ? 0 : 1);
}

static void take_fin(struct nvc_reassembly *reassembly, struct entry *entry, int side)
{
	struct stream *stream = &entry->streams[side];

	if (!stream->fin || stream->lost || stream->ended || stream->next != stream->fin_seq ||
		!is_due(entry, side, stream->fin_ack))
		return;
	stream->next++;
	end_side(reassembly, entry, side, false);
}

/* Hands over everything that a segment of `side` made due. */
static void settle(struct nvc_reassembly *reassembly, struct entry *entry, int side,
	const struct nvc_segment *segment)
{
	struct stream *stream = &entry->streams[side];
	const size_t len = segment->payload.len + segment->missing;
	bool any;

	if ((segment->flags & NVC_TCP_FIN) && !stream->fin) {
		stream->fin = true;
		stream->fin_seq = segment->seq + (uint32_t)len;
		stream->fin_ack = segment->ack;
	}
	do {
		any = deliver_pending(reassembly, entry, side);
		any = deliver_pending(reassembly, entry, !side) || any;
	} while (any);
	watch_hole(reassembly, entry, side);
	watch_hole(reassembly, entry, !side);
	take_fin(reassembly, entry, side);
	if (!entry->over)
		take_fin(reassembly, entry, !side);
	if (!entry->over && (segment->flags & NVC_TCP_RST)) {
		/* One byte before it that was not seen may be the FIN. */
		if ((int32_t)(segment->seq - stream->next) > 1)
			lose(reassembly, entry, side, "segments are missing in the capture");
		end_side(reassembly, entry, side, true);
	}
}

enum nvc_result nvc_reassembly_segment(
	struct nvc_reassembly *reassembly, const struct nvc_segment *segment)
{
	int side = 0;
	struct entry *entry = find(reassembly, &segment->ends, &side);
	struct nvc_segment behind = *segment; /* its payload lies behind the SYN */
	struct stream *peer;
	enum nvc_result result;

	if (entry && is_new_life(entry, side, segment)) {
		forget(reassembly, entry);
		entry = NULL;
	}
	if (entry && entry->over) {
		take_late(reassembly, entry, side, segment);
		return NVC_OK;
	}
	if (!entry) {
		if (!(segment->flags & NVC_TCP_SYN) && !segment->payload.len)
			return NVC_OK;
		entry = add(reassembly, segment);
		if (!entry)
			return NVC_E_NO_MEMORY;
		side = same_end(&entry->conn.ends, 0, &segment->ends, 0) ? 0 : 1;
	}
	if (reassembly->newest != entry) {
		unlink_use(reassembly, entry);
		link_newest(reassembly, entry);
	}
	peer = &entry->streams[!side];
	start(&entry->streams[side], segment->seq, segment->flags & NVC_TCP_SYN);
	if ((segment->flags & NVC_TCP_ACK) &&
		(!peer->acked || (int32_t)(segment->ack - peer->acked_seq) > 0)) {
		peer->acked = true;
		peer->acked_seq = segment->ack;
		start(peer, segment->ack, false);
	}
	if (segment->flags & NVC_TCP_SYN)
		behind.seq++;
	result = take_payload(reassembly, entry, side, &behind);
	if (result == NVC_OK && !entry->over)
		settle(reassembly, entry, side, &behind);
	return result;
}
