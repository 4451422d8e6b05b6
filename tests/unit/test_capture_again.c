/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a capture holds twice: the same bytes change nothing; where they differ it cannot be told what the receiver took, so that the
 * whole is not clean, though nobody is blamed for it.
 */
#include "capture/history.h"
#include "capture_talk.h"

static struct frames other;

enum { PAYLOAD_AT = 14 + 20 + 20 };

/* The last byte of the frame is another one. */
static void bend(struct frames *in, size_t i)
{
	in->at[i].bytes[in->at[i].len - 1] ^= 0x80;
}

static void insert(struct frames *in, size_t at, const struct frames *from, size_t which)
{
	ck_assert_uint_lt(in->num, MAX_FRAMES);
	for (size_t i = in->num++; i > at; i--)
		in->at[i] = in->at[i - 1];
	in->at[at] = from->at[which];
}

/* Each frame again, `later` frames behind itself, and bent; also behind the end of the connection. */
START_TEST(sent_again_with_other_bytes)
{
	static const size_t later[] = {1, 4, MAX_FRAMES};
	unsigned int tried = 0;

	make_frames(false);
	for (size_t i = 3; has_payload(&frames, i); i++) {
		for (size_t k = 0; k < sizeof(later) / sizeof(later[0]); k++) {
			const size_t at = i + later[k] < frames.num ? i + later[k] : frames.num;

			other = frames;
			insert(&other, at, &frames, i);
			replay_frames(&other, &told);
			assert_clean(&told);
			bend(&other, at);
			replay_frames(&other, &told);
			assert_not_judged(&told, "contradict each other");
			ck_assert_uint_eq(told.num_unjudged, 1);
			tried++;
		}
	}
	ck_assert_uint_eq(tried, 3 * talk.num);
}
END_TEST

/* Both copies wait behind a hole. */
START_TEST(waiting_twice_with_other_bytes)
{
	const size_t hole = 3 + CHALLENGE, behind = 3 + CHALLENGE_RESP;

	make_frames(false);
	other = frames;
	insert(&other, hole, &frames, behind);
	insert(&other, hole, &frames, behind);
	replay_frames(&other, &told);
	assert_clean(&told);
	bend(&other, hole);
	replay_frames(&other, &told);
	assert_not_judged(&told, "contradict each other");
}
END_TEST

/* Two recordings in process have the same addresses, ports and sequence numbers: one behind the other, and put together by time. */
START_TEST(two_conversations_look_like_one)
{
	const struct plan plan = {.two_way = true, .identify = true, .dhgid = NVC_DH_8192, .c1 = 9};
	struct nvc_pcapng file;

	make_frames(false);
	converse(&talk, &plan);
	record(&talk, ends_of(false), &file);
	read_frames(nvc_slice_of(file.data, file.len), &other);
	nvc_pcapng_fini(&file);
	for (size_t i = 0; i < frames.num; i++)
		insert(&other, _i ? 2 * i : i, &frames, i);
	replay_frames(&other, &told);
	assert_not_judged(&told, "two conversations look like one");
}
END_TEST

/* The second says more than the first, with the same bytes as far as that went. */
START_TEST(bytes_behind_the_end)
{
	const struct plan shorter = {.two_way = true, .dhgid = NVC_DH_8192};
	struct nvc_pcapng file;

	converse(&talk, &shorter);
	record(&talk, ends_of(false), &file);
	read_frames(nvc_slice_of(file.data, file.len), &other);
	nvc_pcapng_fini(&file);
	make_frames(false);
	for (size_t i = 0; i < frames.num; i++)
		insert(&other, other.num, &frames, i);
	replay_frames(&other, &told);
	assert_not_judged(&told, "contradict each other");
}
END_TEST

START_TEST(foreign_contradictions_are_none_of_ours)
{
	enum { PORT_OF_RECEIVER_LOW = 14 + 20 + 3 };

	make_frames(false);
	other = frames;
	for (int copy = 0; copy < 2; copy++) {
		insert(&other, other.num, &frames, 3);
		other.at[other.num - 1].bytes[PORT_OF_RECEIVER_LOW] ^= 0x55;
		memset(other.at[other.num - 1].bytes + PAYLOAD_AT, 'a' + copy, 8);
	}
	replay_frames(&other, &told);
	assert_clean(&told);
	ck_assert_uint_eq(told.result.connections, 2);
}
END_TEST

/* RFC 1122 4.2.3.6: a keep-alive may carry one byte of garbage at the place of the last one. */
START_TEST(garbage_of_a_keep_alive)
{
	struct nvc_tcpframe conn = {.ends = ends_of(false)};
	struct nvc_segment segment;
	const size_t at = 3 + CONNECT + 1;

	make_frames(false);
	ck_assert_int_eq(nvc_frame_parse(NVC_LINK_ETHERNET,
				 nvc_slice_of(frames.at[at - 1].bytes, frames.at[at - 1].len),
				 frames.at[at - 1].len, &segment),
		NVC_FRAME_TCP);
	conn.next[NVC_H2C] = segment.seq + (uint32_t)segment.payload.len - 1;
	conn.next[NVC_C2H] = segment.ack;
	other.at[0].len = other.at[0].wire_len = nvc_tcpframe_make(
		&conn, NVC_H2C, NVC_TCP_ACK, nvc_slice_str("\x5a"), other.at[0].bytes);
	insert(&frames, at, &other, 0);
	replay_frames(&frames, &told);
	assert_clean(&told);
}
END_TEST

/* An RST that its receiver passed over (RFC 5961 3.2), such as one that was made up: what comes behind it is not judged, and that is said. */
START_TEST(goes_on_behind_a_reset)
{
	static const int32_t places[] = {-1000, 0, 2, 1000000}; /* before and behind what is due */
	struct nvc_tcpframe conn = {.ends = ends_of(false)};
	struct nvc_segment segment;
	const size_t at = 3 + CONNECT + 1;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		make_frames(false);
		nvc_frame_parse(NVC_LINK_ETHERNET,
			nvc_slice_of(frames.at[at - 1].bytes, frames.at[at - 1].len),
			frames.at[at - 1].len, &segment);
		conn.next[NVC_H2C] =
			segment.seq + (uint32_t)segment.payload.len + (uint32_t)places[i];
		conn.next[NVC_C2H] = segment.ack;
		other.at[0].len = other.at[0].wire_len = nvc_tcpframe_make(
			&conn, NVC_H2C, NVC_TCP_RST, nvc_slice_of(NULL, 0), other.at[0].bytes);
		insert(&frames, at, &other, 0);
		replay_frames(&frames, &told);
		assert_not_judged(&told, "segments");
	}
}
END_TEST

/* The SYN is captured behind what it begins, as from interfaces with several queues. */
START_TEST(syn_comes_late)
{
	make_frames(false);
	other.num = 0;
	for (size_t i = 0; i < 4; i++)
		other.at[other.num++] = frames.at[i];
	for (size_t place = 1; place < 4; place++) {
		for (size_t i = 0; i < place; i++)
			frames.at[i] = other.at[i + 1];
		frames.at[place] = other.at[0];
		for (size_t i = place + 1; i < 4; i++)
			frames.at[i] = other.at[i];
		replay_frames(&frames, &told);
		assert_clean(&told);
		ck_assert_uint_eq(told.result.connections, 1);
	}
}
END_TEST

/* ---- the history ---- */

START_TEST(history_has_the_last_bytes)
{
	static uint8_t bytes[3 * NVC_HISTORY_LEN];
	const uint32_t from = UINT32_MAX - NVC_HISTORY_LEN; /* passes 2^32 */
	struct nvc_history *history = nvc_history_new();
	struct nvc_history_part *part = NULL;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + i / 251);
	ck_assert(!nvc_history_differs(part, from, NVC_SLICE(bytes)));
	for (size_t at = 0; at < sizeof(bytes); at += sizeof(bytes) / 4)
		nvc_history_add(history, &part, from + (uint32_t)at,
			nvc_slice_of(bytes + at, sizeof(bytes) / 4));
	ck_assert(!nvc_history_differs(part, from, NVC_SLICE(bytes)));
	bytes[sizeof(bytes) - NVC_HISTORY_LEN - 1] ^= 1; /* too long ago */
	ck_assert(!nvc_history_differs(part, from, NVC_SLICE(bytes)));
	bytes[sizeof(bytes) - NVC_HISTORY_LEN] ^= 1;
	ck_assert(nvc_history_differs(part, from, NVC_SLICE(bytes)));
	nvc_history_release(&part);
	ck_assert_ptr_null(part);
	nvc_history_free(history);
}
END_TEST

START_TEST(history_is_bounded)
{
	static struct nvc_history_part *parts[NVC_HISTORY_STREAMS + 2];
	struct nvc_history *history = nvc_history_new();

	for (size_t i = 0; i < NVC_HISTORY_STREAMS + 2; i++)
		nvc_history_add(history, &parts[i], 0, nvc_slice_str("seen"));
	ck_assert_ptr_null(parts[0]);
	ck_assert_ptr_null(parts[1]);
	ck_assert(nvc_history_differs(parts[2], 0, nvc_slice_str("sees")));
	ck_assert(nvc_history_differs(parts[NVC_HISTORY_STREAMS + 1], 0, nvc_slice_str("sees")));
	nvc_history_add(history, &parts[0], 0, nvc_slice_str("again"));
	ck_assert(!nvc_history_differs(parts[0], 0, nvc_slice_str("again")));
	nvc_history_free(history);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sent again");
	TCase *core = tcase_create("core");
	SRunner *runner;
	int failed;

	tcase_set_timeout(core, 60);
	tcase_add_test(core, sent_again_with_other_bytes);
	tcase_add_test(core, waiting_twice_with_other_bytes);
	tcase_add_loop_test(core, two_conversations_look_like_one, 0, 2);
	tcase_add_test(core, bytes_behind_the_end);
	tcase_add_test(core, foreign_contradictions_are_none_of_ours);
	tcase_add_test(core, garbage_of_a_keep_alive);
	tcase_add_test(core, goes_on_behind_a_reset);
	tcase_add_test(core, syn_comes_late);
	tcase_add_test(core, history_has_the_last_bytes);
	tcase_add_test(core, history_is_bounded);
	suite_add_tcase(suite, core);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
