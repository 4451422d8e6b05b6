/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A conversation that stops inside a PDU: what was whole is judged, and it is said that the rest was not there, and why. A
 * capture that merely ends there is not clean; a side that ended there is seen to have.
 */
#include "capture_talk.h"

/* Cuts the frame of a PDU and drops what follows; returns its direction. */
static enum nvc_direction stop_inside(size_t pdu, size_t cut)
{
	make_frames(false);
	frames.num = 3 + pdu + 1; /* behind the handshake */
	shorten(&frames, frames.num - 1, cut);
	return talk.direction[pdu];
}

static size_t len_of(size_t pdu)
{
	return talk.start[pdu + 1] - talk.start[pdu];
}

/* Adds a segment of `direction` without data, at the place in the streams where the conversation has stopped. */
static void add_flags(enum nvc_direction direction, unsigned int flags)
{
	struct nvc_tcpframe conn = {.ends = ends_of(false)};
	struct nvc_segment segment;

	for (size_t i = 0; i < frames.num; i++) {
		ck_assert_int_eq(nvc_frame_parse(NVC_LINK_ETHERNET,
					 nvc_slice_of(frames.at[i].bytes, frames.at[i].len),
					 frames.at[i].len, &segment),
			NVC_FRAME_TCP);
		conn.next[segment.ends.port[0] == 4420 ? NVC_C2H : NVC_H2C] =
			segment.seq + (uint32_t)segment.payload.len +
			((segment.flags & NVC_TCP_SYN) ? 1 : 0);
	}
	frames.at[frames.num].len = frames.at[frames.num].wire_len = nvc_tcpframe_make(
		&conn, direction, flags, nvc_slice_of(NULL, 0), frames.at[frames.num].bytes);
	frames.num++;
}

static void assert_noted(const char *text)
{
	ck_assert_msg(told.result.verdict == NVC_REPLAY_CLEAN, "%s", told.result.reason);
	ck_assert_uint_eq(told.num_violations, 0);
	ck_assert_uint_eq(told.num_notes, 1);
	ck_assert_str_eq(told.note, text);
}

/* One byte is missing, or all but one are there of the head. */
START_TEST(capture_ends_inside_a_pdu)
{
	for (size_t pdu = 0; pdu < talk.num || pdu == 0; pdu++) {
		make_frames(false);
		for (size_t cut = 1; cut < len_of(pdu); cut += len_of(pdu) - 2) {
			const bool of_host = stop_inside(pdu, cut) == NVC_H2C;

			replay_frames(&frames, &told);
			/* Before the head of ICReq is there, it is no NVMe/TCP but by its port. */
			assert_not_judged(&told, of_host ? "ends inside a PDU of the host"
							 : "ends inside a PDU of the controller");
			ck_assert_uint_eq(told.num_unjudged, 1);
			ck_assert_uint_eq(told.result.unjudged, 1);
			ck_assert_uint_eq(told.result.pdus, pdu);
		}
	}
	ck_assert_uint_gt(talk.num, 10);
}
END_TEST

/* What is under way when `pdu` was the last, or NULL. */
static const char *under_way(size_t pdu)
{
	if (pdu == IC_REQ)
		return "in the middle of the initialisation";
	if (pdu >= NEGOTIATE && pdu <= SUCCESS1)
		return "in the middle of an authentication";
	return NULL;
}

START_TEST(capture_ends_between_pdus)
{
	make_frames(false);
	for (size_t num = 3 + 1; num <= 3 + talk.num; num++) {
		make_frames(false);
		frames.num = num;
		replay_frames(&frames, &told);
		if (under_way(num - 1 - 3)) {
			assert_not_judged(&told, under_way(num - 1 - 3));
			ck_assert_uint_eq(told.num_unjudged, 1);
		} else {
			ck_assert_msg(
				told.result.verdict == NVC_REPLAY_CLEAN, "%s", told.result.reason);
			ck_assert_uint_eq(told.num_unjudged, 0);
		}
		ck_assert_uint_eq(told.num_notes, 0);
		ck_assert_uint_eq(told.result.pdus, num - 3);
	}
}
END_TEST

/* Both sides have ended, or one has: nothing is due. */
START_TEST(an_end_in_the_middle)
{
	static const unsigned int flags[] = {NVC_TCP_FIN, NVC_TCP_RST};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		make_frames(false);
		frames.num = 3 + CHALLENGE_RESP + 1;
		add_flags(NVC_H2C, flags[i] | NVC_TCP_ACK);
		replay_frames(&frames, &told);
		ck_assert_msg(told.result.verdict == NVC_REPLAY_CLEAN, "%s", told.result.reason);
	}
}
END_TEST

START_TEST(side_ends_inside_its_pdu)
{
	static const struct {
		size_t pdu;
		unsigned int flags;
		const char *text;
	} rows[] = {
		{CONNECT, NVC_TCP_FIN, "the host ended with FIN inside a PDU"},
		{CONNECT, NVC_TCP_RST, "the host ended with RST inside a PDU"},
		{CHALLENGE, NVC_TCP_FIN, "the controller ended with FIN inside a PDU"},
		{CHALLENGE, NVC_TCP_RST, "the controller ended with RST inside a PDU"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const enum nvc_direction direction = stop_inside(rows[i].pdu, 2);

		add_flags(direction, rows[i].flags | NVC_TCP_ACK);
		replay_frames(&frames, &told);
		assert_noted(rows[i].text);
	}
}
END_TEST

/* An AUTH_Failure1, a pause, and then an end of the controller, of the host, or none in the capture. */
START_TEST(connection_outlives_failure1)
{
	static const struct {
		enum req_id want;
		uint32_t pause;
		enum nvc_direction direction;
		unsigned int flags;
	} rows[] = {{REQ_NONE, 29, NVC_C2H, NVC_TCP_FIN}, {REQ_C_172, 31, NVC_C2H, NVC_TCP_FIN},
		{REQ_NONE, 29, NVC_H2C, NVC_TCP_FIN}, {REQ_C_172, 31, NVC_H2C, NVC_TCP_RST},
		{REQ_NONE, 29, NVC_H2C, 0}, {REQ_C_172, 31, NVC_H2C, 0}};
	const struct plan plan = {.refuse = true};
	struct nvc_pcapng file;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		converse(&talk, &plan);
		record(&talk, ends_of(false), &file);
		read_frames(nvc_slice_of(file.data, file.len), &frames);
		nvc_pcapng_fini(&file);
		frames.num -= 2; /* the ends that it was recorded with */
		frames.at[frames.num].pause = rows[i].pause;
		add_flags(rows[i].direction, rows[i].flags | NVC_TCP_ACK);
		replay_frames(&frames, &told);
		ck_assert_uint_eq(told.num_violations, rows[i].want != REQ_NONE);
		ck_assert_int_eq(told.violation, rows[i].want);
	}
}
END_TEST

/* What the other side was sending is lost with a reset. */
START_TEST(reset_comes_inside_a_pdu)
{
	ck_assert_int_eq(stop_inside(CHALLENGE, 2), NVC_C2H);
	add_flags(NVC_H2C, NVC_TCP_RST | NVC_TCP_ACK);
	replay_frames(&frames, &told);
	assert_noted("RST came inside a PDU of the controller");
}
END_TEST

/* The other side has ended, this one is still sending. */
START_TEST(fin_of_the_other_side_ends_no_pdu)
{
	ck_assert_int_eq(stop_inside(CHALLENGE, 2), NVC_C2H);
	add_flags(NVC_H2C, NVC_TCP_FIN | NVC_TCP_ACK);
	replay_frames(&frames, &told);
	assert_not_judged(&told, "ends inside a PDU of the controller");
}
END_TEST

/* The same ends open again: what was under way is over. */
START_TEST(next_connection_comes_inside_a_pdu)
{
	static struct frames next;

	make_frames(false);
	next = frames;
	stop_inside(CONNECT, 2);
	for (size_t i = 0; i < next.num; i++) {
		uint8_t *seq = next.at[i].bytes + 14 + 20 + 4;

		seq[0]++; /* another life has other numbers */
		if (i > 0)
			seq[4]++;
		frames.at[frames.num++] = next.at[i];
	}
	replay_frames(&frames, &told);
	assert_not_judged(&told, "ends inside a PDU of the host");
	ck_assert_uint_eq(told.result.nvme, 2);
	ck_assert_uint_eq(told.result.pdus, CONNECT + talk.num);
}
END_TEST

static bool more_to_come(void *self, bool wait)
{
	(void)self;
	return !wait;
}

/* Who follows a capture ends it where it is. */
START_TEST(follower_may_stop_anywhere)
{
	const struct nvc_replay_follow follow = {.more = more_to_come};
	const struct nvc_replay_options options = {.follow = &follow};
	const struct nvc_replay_sink sink = {&told, hear};
	struct nvc_slice file;

	stop_inside(CHALLENGE, 2);
	file = write_pcap(&frames, NVC_LINK_ETHERNET);
	memset(&told, 0, sizeof(told));
	told.read = nvc_replay(memory_file(file), &options, &sink, &told.result, &told.err);
	free((void *)(uintptr_t)file.data);
	assert_noted("the capture of the connection ends inside a PDU of the controller");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ends of captures");
	TCase *core = tcase_create("core");
	SRunner *runner;
	int failed;

	tcase_set_timeout(core, 60);
	tcase_add_test(core, capture_ends_inside_a_pdu);
	tcase_add_test(core, capture_ends_between_pdus);
	tcase_add_test(core, an_end_in_the_middle);
	tcase_add_test(core, side_ends_inside_its_pdu);
	tcase_add_test(core, connection_outlives_failure1);
	tcase_add_test(core, reset_comes_inside_a_pdu);
	tcase_add_test(core, fin_of_the_other_side_ends_no_pdu);
	tcase_add_test(core, next_connection_comes_inside_a_pdu);
	tcase_add_test(core, follower_may_stop_anywhere);
	suite_add_tcase(suite, core);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
