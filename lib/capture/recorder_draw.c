/* SPDX-License-Identifier: BSD-3-Clause */
/* A recorder's packets drawn from what its streams carried. */
#include "capture/recorder_log.h"

/* Three frames open a connection; the comments go on the first. */
static void draw_handshake(struct nvc_recorded_conn *conn, size_t index, uint64_t time,
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

/* Draws one packet or, where bytes are many, several; the comments go on the first. */
static void draw(struct nvc_recorded *recorded, const struct nvc_entry *entry,
	struct nvc_slice bytes, uint64_t time, const char *const *comments, size_t num_comments,
	struct nvc_pcapng *out)
{
	const unsigned int flags =
		NVC_TCP_ACK | (entry->kind == NVC_ENTRY_BYTES	     ? NVC_TCP_PSH
				      : entry->kind == NVC_ENTRY_RST ? NVC_TCP_RST
								     : NVC_TCP_FIN);
	struct nvc_recorded_conn *conn = nvc_recorded_find(recorded, entry->conn);
	uint8_t frame[NVC_TCPFRAME_MAX];

	if (entry->kind == NVC_ENTRY_OPENED) {
		conn = &recorded->conns[recorded->next_conn];
		draw_handshake(conn, recorded->next_conn++, time, comments, num_comments, out);
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

static void draw_all(const struct nvc_recorder *recorder, struct nvc_recorded *recorded,
	uint64_t epoch, struct nvc_pcapng *out)
{
	const char *texts[NVC_COMMENTS_OF_ONE + 1];
	struct nvc_entry entry;
	struct nvc_slice data;
	size_t next = 0;

	for (size_t at = 0; nvc_entry_next(recorder, &at, &entry, &data) && !out->failed;) {
		const bool last = entry.mark == recorder->num_packets;
		size_t num = 0;

		if (entry.kind > NVC_ENTRY_RST)
			continue;
		for (; next < recorded->num_comments &&
			(last || recorded->comments[next].mark <= entry.mark);
			next++)
			if (num < NVC_COMMENTS_OF_ONE && recorded->comments[next].text)
				texts[num++] = recorded->comments[next].text;
		if (last && recorder->full)
			texts[num++] = "the recording stops here: it has reached its limit";
		draw(recorded, &entry, data, entry.time + epoch, texts, num, out);
	}
}

enum nvc_result nvc_recorder_write(const struct nvc_recorder *recorder,
	const struct nvc_recorder_about *about, struct nvc_pcapng *out)
{
	struct nvc_recorded recorded = {0};
	enum nvc_result result = NVC_E_NO_MEMORY;

	if (nvc_recorded_begin(recorder, &recorded)) {
		nvc_recorded_head(&recorded, about, NVC_LINK_ETHERNET, "nvme-conform", out);
		draw_all(recorder, &recorded, about->epoch, out);
		result = out->failed ? NVC_E_NO_SPACE : NVC_OK;
	}
	nvc_recorded_end(&recorded);
	return result;
}
