/* SPDX-License-Identifier: BSD-3-Clause */
/* A conversation made by hand, as a capture and as frames. */
#ifndef NVC_TESTS_CAPTURE_TALK_H
#define NVC_TESTS_CAPTURE_TALK_H

#include "capture_frames.h"
#include "observer_talk.h"

static const struct nvc_recorder_about about = {.application = "test",
	.command = "a test",
	.host_name = "host",
	.target_name = "target",
	.secrets = true};

static inline struct nvc_tcp_ends ends_of(bool ipv6)
{
	struct nvc_tcp_ends ends = {
		.ipv6 = ipv6, .address = {{192, 0, 2, 1}, {192, 0, 2, 2}}, .port = {50000, 4420}};

	if (ipv6) {
		memcpy(ends.address[0], "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16);
		memcpy(ends.address[1], "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02", 16);
	}
	return ends;
}

/* Records a conversation, PDU by PDU, and writes it; nvc_pcapng_fini is the caller's. */
static inline void record(const struct talk *talk, struct nvc_tcp_ends ends, struct nvc_pcapng *out)
{
	struct nvc_recorder *recorder = nvc_recorder_new(1 << 20);

	ck_assert_ptr_nonnull(recorder);
	nvc_recorder_opened(recorder, 1, &ends, 0);
	for (size_t i = 0; i < talk->num; i++)
		nvc_recorder_bytes(recorder, 1, talk->direction[i] == NVC_H2C,
			nvc_slice_of(
				talk->bytes + talk->start[i], talk->start[i + 1] - talk->start[i]),
			i * 1000);
	nvc_recorder_ended(recorder, 1, true, false, talk->num * 1000);
	nvc_recorder_ended(recorder, 1, false, false, talk->num * 1000);
	nvc_recorder_comment(recorder, 1, "the first");
	nvc_pcapng_init(out, 1 << 22);
	ck_assert_int_eq(nvc_recorder_write(recorder, &about, out), NVC_OK);
	nvc_recorder_free(recorder);
}

static struct talk talk;
static struct frames frames;
static struct told told;

/* A clean conversation as frames: SYN, SYN-ACK, ACK, a frame for each PDU, two FINs. */
static inline void make_frames(bool ipv6)
{
	const struct plan plan = {.two_way = true, .identify = true, .dhgid = NVC_DH_8192};
	struct nvc_pcapng file;

	converse(&talk, &plan);
	record(&talk, ends_of(ipv6), &file);
	read_frames(nvc_slice_of(file.data, file.len), &frames);
	nvc_pcapng_fini(&file);
	ck_assert_uint_eq(frames.num, 3 + talk.num + 2);
}

static inline void assert_clean(const struct told *heard)
{
	ck_assert_msg(heard->read == NVC_OK, "%s", heard->err.text);
	ck_assert_msg(heard->result.verdict == NVC_REPLAY_CLEAN, "%s", heard->result.reason);
	ck_assert_uint_eq(heard->num_violations, 0);
	ck_assert_uint_eq(heard->result.nvme, 1);
	ck_assert_uint_eq(heard->result.pdus, talk.num);
}

static inline void assert_not_judged(const struct told *heard, const char *why)
{
	ck_assert_msg(heard->read == NVC_OK, "%s", heard->err.text);
	ck_assert_int_eq(heard->result.verdict, NVC_REPLAY_CANNOT_JUDGE);
	ck_assert_uint_eq(heard->num_violations, 0);
	ck_assert_msg(strstr(heard->result.reason, why) != NULL, "%s", heard->result.reason);
}

#endif
