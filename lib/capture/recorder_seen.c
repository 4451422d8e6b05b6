/* SPDX-License-Identifier: BSD-3-Clause */
/* A recorder's comments and secrets with packets that were seen on an interface. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture/frame.h"
#include "capture/recorder_log.h"

/* A connection on the interface: where the streams of its sides begin. */
struct seen_conn {
	const struct nvc_tcp_ends *ends;
	bool known[2];
	uint32_t first[2]; /* sequence number of the first byte */
};

/* What a comment is about: something that one side did, and of bytes the offset of the first in its stream. */
struct place {
	size_t conn;
	enum nvc_entry_kind kind;
	int side;
	uint32_t offset;
	bool known, done;
};

struct merge {
	const struct nvc_recorder *recorder;
	const struct nvc_recorder_seen *seen;
	struct nvc_recorded recorded;
	struct seen_conn *conns;
	struct place *places; /* by comment */
	size_t next;	      /* all places before are done */
};

/* ---- where the comments belong ---- */

static struct place place_of(
	const struct merge *merge, const struct nvc_entry *entry, uint32_t offset)
{
	struct place place = {.kind = (enum nvc_entry_kind)entry->kind,
		.side = entry->direction == NVC_H2C ? 0 : 1,
		.offset = offset};

	/* Of several with one number the newest opened so far. */
	for (size_t i = merge->recorded.next_conn; i-- > 0 && !place.known;)
		if (merge->recorded.conns[i].id == entry->conn) {
			place.conn = i;
			place.known = true;
		}
	if (place.kind == NVC_ENTRY_OPENED)
		place.side = 0;
	return place;
}

/* Walks over the log; `next` of the frames that are not drawn counts the bytes of each stream. */
static void find_places(struct merge *merge)
{
	struct nvc_recorded *recorded = &merge->recorded;
	struct nvc_entry entry;
	struct nvc_slice data;
	size_t comment = 0;

	for (size_t at = 0; nvc_entry_next(merge->recorder, &at, &entry, &data);) {
		struct nvc_recorded_conn *conn;
		uint32_t offset = 0;

		if (entry.kind > NVC_ENTRY_RST)
			continue;
		recorded->next_conn += entry.kind == NVC_ENTRY_OPENED;
		conn = nvc_recorded_find(recorded, entry.conn);
		if (conn && entry.kind == NVC_ENTRY_BYTES) {
			const int side = entry.direction == NVC_H2C ? 0 : 1;

			offset = conn->frames.next[side];
			conn->frames.next[side] += (uint32_t)data.len;
		}
		for (; comment < recorded->num_comments &&
			recorded->comments[comment].mark <= entry.mark;
			comment++)
			merge->places[comment] = place_of(merge, &entry, offset);
	}
}

/* ---- packets ---- */

static bool same_end(const struct nvc_tcp_ends *a, int i, const struct nvc_tcp_ends *b, int j)
{
	return a->ipv6 == b->ipv6 && a->port[i] == b->port[j] &&
	       memcmp(a->address[i], b->address[j], a->ipv6 ? 16 : 4) == 0;
}

/* Finds the connection of a segment and the side that sent it; a number beyond all when it is none of ours. The host's SYN begins
 * the first of those with its ends that has not begun; everything else belongs to the last that has. */
static size_t conn_of(struct merge *merge, const struct nvc_segment *segment, int *side)
{
	const size_t none = merge->recorded.num_conns;
	size_t found = none;

	for (size_t i = 0; i < none; i++) {
		const struct seen_conn *conn = &merge->conns[i];
		const int sender = same_end(conn->ends, 0, &segment->ends, 0) ? 0 : 1;
		const bool begins = segment->flags & NVC_TCP_SYN && sender == 0;

		if (!same_end(conn->ends, sender, &segment->ends, 0) ||
			!same_end(conn->ends, !sender, &segment->ends, 1))
			continue;
		*side = sender;
		if (begins && (!conn->known[0] || conn->first[0] == segment->seq + 1)) {
			found = i;
			break;
		}
		if (!begins && (conn->known[0] || found == none))
			found = i;
	}
	if (found < none && segment->flags & NVC_TCP_SYN) {
		merge->conns[found].known[*side] = true;
		merge->conns[found].first[*side] = segment->seq + 1;
	}
	return found;
}

static bool is_about(const struct place *place, const struct seen_conn *conn, int side,
	const struct nvc_segment *segment)
{
	uint32_t offset;

	if (place->side != side)
		return false;
	switch (place->kind) {
	case NVC_ENTRY_OPENED:
		return segment->flags & NVC_TCP_SYN;
	case NVC_ENTRY_FIN:
		return segment->flags & NVC_TCP_FIN;
	case NVC_ENTRY_RST:
		return segment->flags & NVC_TCP_RST;
	default:
		offset = place->offset - (segment->seq - conn->first[side]);
		return conn->known[side] && offset < segment->payload.len + segment->missing;
	}
}

/* Collects the comments for a packet into `texts`, which has room for NVC_COMMENTS_OF_ONE; `last` takes all that are left. */
static size_t comments_for(struct merge *merge, size_t index, int side,
	const struct nvc_segment *segment, bool last, const char **texts)
{
	size_t num = 0;

	while (merge->next < merge->recorded.num_comments && merge->places[merge->next].done)
		merge->next++;
	for (size_t i = merge->next; i < merge->recorded.num_comments && num < NVC_COMMENTS_OF_ONE;
		i++) {
		struct place *place = &merge->places[i];
		const char *text = merge->recorded.comments[i].text;

		if (place->done || !text)
			continue;
		if (!last && !(place->known && place->conn == index &&
				     is_about(place, &merge->conns[index], side, segment)))
			continue;
		place->done = true;
		texts[num++] = text;
	}
	return num;
}

/* Tells whether `packet` belongs to a recorded connection. */
static bool is_ours(struct merge *merge, const struct nvc_packet *packet, size_t *index, int *side,
	struct nvc_segment *segment)
{
	if (nvc_frame_parse(merge->seen->link, packet->data, packet->wire_len, segment) !=
		NVC_FRAME_TCP)
		return false;
	*index = conn_of(merge, segment, side);
	return *index < merge->recorded.num_conns;
}

static size_t count(struct merge *merge)
{
	struct nvc_packet packet;
	struct nvc_segment segment;
	size_t num = 0, index;
	int side;

	for (size_t at = 0; merge->seen->next(merge->seen->self, &at, &packet);)
		num += is_ours(merge, &packet, &index, &side, &segment);
	for (size_t i = 0; i < merge->recorded.num_conns; i++)
		merge->conns[i].known[0] = merge->conns[i].known[1] = false;
	return num;
}

static void put_packets(struct merge *merge, size_t num, struct nvc_pcapng *out)
{
	const char *texts[NVC_COMMENTS_OF_ONE + 2];
	struct nvc_packet packet;
	struct nvc_segment segment;
	char lost[80];
	size_t done = 0, index;
	int side = 0;

	for (size_t at = 0; !out->failed && merge->seen->next(merge->seen->self, &at, &packet);) {
		size_t num_texts;

		if (!is_ours(merge, &packet, &index, &side, &segment))
			continue;
		num_texts = comments_for(merge, index, side, &segment, ++done == num, texts);
		if (done == num && merge->recorder->full)
			texts[num_texts++] =
				"the comments stop here: their recording has reached its limit";
		if (done == num && merge->seen->lost) {
			snprintf(lost, sizeof(lost), "%u packets of the interface are missing",
				merge->seen->lost);
			texts[num_texts++] = lost;
		}
		nvc_pcapng_packet(out, packet.time, packet.data, texts, num_texts);
	}
}

static bool begin(struct merge *merge)
{
	if (nvc_recorded_begin(merge->recorder, &merge->recorded)) {
		merge->conns = calloc(merge->recorded.num_conns + 1, sizeof(*merge->conns));
		merge->places = calloc(merge->recorded.num_comments + 1, sizeof(*merge->places));
	}
	for (size_t i = 0; merge->conns && i < merge->recorded.num_conns; i++)
		merge->conns[i].ends = &merge->recorded.conns[i].frames.ends;
	return merge->conns && merge->places;
}

static void end(struct merge *merge)
{
	free(merge->places);
	free(merge->conns);
	nvc_recorded_end(&merge->recorded);
}

bool nvc_recorder_all_seen(
	const struct nvc_recorder *recorder, const struct nvc_recorder_seen *seen)
{
	struct merge merge = {.recorder = recorder, .seen = seen};
	int64_t bytes = 0, ends = 0; /* that are missing */
	struct nvc_entry entry;
	struct nvc_slice data;
	struct nvc_packet packet;
	struct nvc_segment segment;
	size_t index;
	int side;
	const bool begun = begin(&merge);

	for (size_t at = 0; begun && nvc_entry_next(recorder, &at, &entry, &data);) {
		bytes += entry.kind == NVC_ENTRY_BYTES ? (int64_t)data.len : 0;
		ends += entry.kind == NVC_ENTRY_FIN || entry.kind == NVC_ENTRY_RST;
	}
	for (size_t at = 0; begun && seen->next(seen->self, &at, &packet);) {
		if (!is_ours(&merge, &packet, &index, &side, &segment))
			continue;
		bytes -= (int64_t)(segment.payload.len + segment.missing);
		ends -= (segment.flags & (NVC_TCP_FIN | NVC_TCP_RST)) != 0;
	}
	end(&merge);
	return begun && bytes <= 0 && ends <= 0;
}

enum nvc_result nvc_recorder_write_seen(const struct nvc_recorder *recorder,
	const struct nvc_recorder_about *about, const struct nvc_recorder_seen *seen, size_t *num,
	struct nvc_pcapng *out)
{
	struct merge merge = {.recorder = recorder, .seen = seen};
	enum nvc_result result = NVC_E_NO_MEMORY;

	*num = 0;
	if (begin(&merge)) {
		find_places(&merge);
		*num = count(&merge);
		nvc_recorded_head(
			&merge.recorded, about, (uint16_t)seen->link, seen->interface, out);
		put_packets(&merge, *num, out);
		result = out->failed ? NVC_E_NO_SPACE : NVC_OK;
	}
	end(&merge);
	return result;
}
