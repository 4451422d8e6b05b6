/* SPDX-License-Identifier: BSD-3-Clause */
/* Captures made of frames that a test shuffles at will, and what replay says of them. */
#ifndef NVC_TESTS_CAPTURE_FRAMES_H
#define NVC_TESTS_CAPTURE_FRAMES_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture/file.h"
#include "capture/frame.h"
#include "capture/recorder.h"
#include "capture/replay.h"

enum { MAX_FRAMES = 512 };

struct frames {
	struct {
		uint8_t bytes[NVC_TCPFRAME_MAX];
		size_t len, wire_len;
		uint32_t pause; /* seconds that nothing came before it */
	} at[MAX_FRAMES];
	size_t num;
};

static inline bool has_payload(const struct frames *in, size_t i)
{
	struct nvc_segment segment;

	ck_assert_int_eq(
		nvc_frame_parse(NVC_LINK_ETHERNET, nvc_slice_of(in->at[i].bytes, in->at[i].len),
			in->at[i].len, &segment),
		NVC_FRAME_TCP);
	return segment.payload.len > 0;
}

/* Opens bytes as a file; the size must not be 0. */
static inline FILE *memory_file(struct nvc_slice bytes)
{
	FILE *in = fmemopen((void *)(uintptr_t)bytes.data, bytes.len, "rb");

	ck_assert_ptr_nonnull(in);
	return in;
}

static inline void read_frames(struct nvc_slice file, struct frames *frames)
{
	struct nvc_file *in = NULL;
	struct nvc_packet packet;
	struct nvc_error err = {0};

	frames->num = 0;
	ck_assert_msg(nvc_file_open(memory_file(file), &in, &err) == NVC_OK, "%s", err.text);
	while (nvc_file_next(in, &packet, &err) == NVC_OK) {
		ck_assert_uint_lt(frames->num, MAX_FRAMES);
		ck_assert_uint_le(packet.data.len, NVC_TCPFRAME_MAX);
		memcpy(frames->at[frames->num].bytes, packet.data.data, packet.data.len);
		frames->at[frames->num].len = frames->at[frames->num].wire_len = packet.data.len;
		frames->at[frames->num].pause = 0;
		frames->num++;
		ck_assert_uint_eq(packet.frame, frames->num);
	}
	nvc_file_close(in);
}

static inline void put32(uint8_t **at, uint32_t value)
{
	nvc_put_le(*at, value, 4);
	*at += 4;
}

/* Writes classic pcap, by hand, so that the reader is not tested with our own writer only. The caller frees. */
static inline struct nvc_slice write_pcap(const struct frames *frames, uint32_t link)
{
	uint8_t *file = malloc(24 + frames->num * (16 + NVC_TCPFRAME_MAX)), *at = file;
	uint32_t paused = 0;

	ck_assert_ptr_nonnull(file);
	put32(&at, 0xa1b2c3d4);
	put32(&at, 2 | 4u << 16);
	put32(&at, 0);
	put32(&at, 0);
	put32(&at, 65535);
	put32(&at, link);
	for (size_t i = 0; i < frames->num; i++) {
		paused += frames->at[i].pause;
		put32(&at, (uint32_t)i / 100 + paused);
		put32(&at, (uint32_t)i % 100 * 10000);
		put32(&at, (uint32_t)frames->at[i].len);
		put32(&at, (uint32_t)frames->at[i].wire_len);
		memcpy(at, frames->at[i].bytes, frames->at[i].len);
		at += frames->at[i].len;
	}
	return nvc_slice_of(file, (size_t)(at - file));
}

/* Cuts `len` bytes off the end of a frame over IPv4, as if the host or a switch had cut the segment there. */
static inline void shorten(struct frames *in, size_t which, size_t len)
{
	uint8_t *total = in->at[which].bytes + 14 + 2;
	const size_t left = (size_t)(total[0] << 8 | total[1]) - len;

	total[0] = (uint8_t)(left >> 8);
	total[1] = (uint8_t)left;
	in->at[which].len -= len;
	in->at[which].wire_len -= len;
}

/* What replay said. */
struct told {
	struct nvc_replay_result result;
	struct nvc_error err;
	enum nvc_result read;
	uint64_t violation_frame;
	enum req_id violation;
	unsigned int num_violations, num_unjudged, num_checks, num_notes;
	unsigned int association; /* of the last line about one */
	char unjudged[200], label[200], association_text[600], note[200], seen[200];
};

static inline void hear(void *self, const struct nvc_replay_event *event)
{
	struct told *told = self;

	ck_assert_ptr_nonnull(event->text);
	if (event->kind == NVC_REPLAY_VIOLATION) {
		told->num_violations++;
		told->violation_frame = event->frame;
		told->violation = event->req;
		snprintf(told->seen, sizeof(told->seen), "%s", event->text);
	} else if (event->kind == NVC_REPLAY_UNJUDGED) {
		told->num_unjudged++;
		snprintf(told->unjudged, sizeof(told->unjudged), "%s", event->text);
	} else if (event->kind == NVC_REPLAY_OPEN) {
		snprintf(told->label, sizeof(told->label), "%s", event->text);
	} else if (event->kind == NVC_REPLAY_NOTE) {
		told->num_notes++;
		snprintf(told->note, sizeof(told->note), "%s", event->text);
	} else if (event->kind == NVC_REPLAY_CHECK) {
		told->num_checks++;
	} else if (event->kind == NVC_REPLAY_ASSOCIATION) {
		told->association = event->association;
		snprintf(told->association_text, sizeof(told->association_text), "%s", event->text);
	}
}

static inline void replay_with(struct nvc_slice file, struct nvc_slice keylog, struct told *told)
{
	const struct nvc_replay_sink sink = {told, hear};
	const struct nvc_replay_options options = {.keylog = keylog};

	memset(told, 0, sizeof(*told));
	told->read = nvc_replay(memory_file(file), &options, &sink, &told->result, &told->err);
}

static inline void replay(struct nvc_slice file, struct told *told)
{
	replay_with(file, nvc_slice_of(NULL, 0), told);
}

static inline void replay_frames(const struct frames *frames, struct told *told)
{
	struct nvc_slice file = write_pcap(frames, NVC_LINK_ETHERNET);

	replay(file, told);
	free((void *)(uintptr_t)file.data);
}

#endif
