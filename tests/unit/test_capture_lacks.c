/* SPDX-License-Identifier: BSD-3-Clause */
/* What a capture lacks: packets, its beginning, the ends of its packets. It is said, and what is not judged is never clean. */
#include "capture_talk.h"

static struct frames other;

static void drop_frame(size_t which)
{
	for (size_t i = which; i + 1 < frames.num; i++)
		frames.at[i] = frames.at[i + 1];
	frames.num--;
}

START_TEST(lost_frame_is_said)
{
	/* Every frame with payload but the last two, which nothing in the capture tells to have been there. */
	make_frames(false);
	if (_i + 2 >= (int)frames.num || !has_payload(&frames, (size_t)_i))
		return;
	drop_frame((size_t)_i);
	replay_frames(&frames, &told);
	assert_not_judged(&told, "missing in the capture");
	ck_assert_uint_eq(told.result.unjudged, 1);
}
END_TEST

START_TEST(beginning_without_the_syn_is_clean)
{
	make_frames(false);
	for (size_t i = 0; i < 3; i++)
		drop_frame(0);
	replay_frames(&frames, &told); /* without the SYN, but with all of NVMe/TCP */
	assert_clean(&told);
}
END_TEST

/* The port of a conversation on 4420 becomes `port`, and that of its host `own`. */
static void move_frames(struct frames *moved, uint16_t own, uint16_t port)
{
	enum { PORTS_AT = 14 + 20 };

	for (size_t i = 0; i < moved->num; i++) {
		uint8_t *ports = moved->at[i].bytes + PORTS_AT;
		const bool of_host = ports[2] == 4420 >> 8 && ports[3] == (4420 & 0xff);
		const uint16_t pair[2] = {of_host ? own : port, of_host ? port : own};

		for (int side = 0; side < 2; side++) {
			ports[2 * side] = (uint8_t)(pair[side] >> 8);
			ports[2 * side + 1] = (uint8_t)pair[side];
		}
	}
}

/* The frames of a whole conversation and of one that lacks its first `cut`, in either order. */
static void join_with_cut(uint16_t port, size_t cut, bool whole_first)
{
	make_frames(false);
	move_frames(&frames, 50001, port);
	other.num = 0;
	for (size_t i = cut; !whole_first && i < frames.num; i++)
		other.at[other.num++] = frames.at[i];
	make_frames(false);
	move_frames(&frames, 50000, port);
	for (size_t i = 0; i < frames.num; i++)
		other.at[other.num++] = frames.at[i];
	make_frames(false);
	move_frames(&frames, 50001, port);
	for (size_t i = cut; whole_first && i < frames.num; i++)
		other.at[other.num++] = frames.at[i];
}

enum { FIRST_CUT = 4, LAST_CUT = 19 }; /* the ICReq of the host is gone, and some payload is left */

/* Whoever is heard first. */
START_TEST(beginning_in_the_middle_is_said)
{
	make_frames(false);
	for (int i = 0; i < _i; i++)
		drop_frame(0);
	replay_frames(&frames, &told);
	assert_not_judged(&told, "began before the capture");
	ck_assert_uint_eq(told.result.unjudged, 1);
}
END_TEST

START_TEST(beginning_in_the_middle_beside_another)
{
	static const uint16_t ports[] = {4420, 5555};

	for (int i = 0; i < 4; i++) {
		join_with_cut(ports[i / 2], (size_t)_i, i % 2);
		replay_frames(&other, &told);
		assert_not_judged(&told, "began before the capture");
		ck_assert_uint_eq(told.result.nvme, 1);
		ck_assert_uint_eq(told.result.unjudged, 1);
	}
}
END_TEST

/* Nothing but the port tells what it is. */
START_TEST(beginning_in_the_middle_of_anything)
{
	make_frames(false);
	move_frames(&frames, 50001, 80);
	for (int i = 0; i < _i; i++)
		drop_frame(0);
	replay_frames(&frames, &told);
	assert_not_judged(&told, "no NVMe/TCP inside");
	ck_assert_uint_eq(told.result.unjudged, 0);
}
END_TEST

START_TEST(passed_over_before_its_port_was_known)
{
	const struct plan plan = {.identify = true};
	struct nvc_tcp_ends ends = ends_of(false);
	struct nvc_pcapng file;

	ends.port[0] = 50001;
	ends.port[1] = 5555;
	converse(&talk, &plan);
	memset(talk.bytes, 0xee, 8);
	record(&talk, ends, &file);
	read_frames(nvc_slice_of(file.data, file.len), &other);
	nvc_pcapng_fini(&file);
	make_frames(false);
	move_frames(&frames, 50000, 5555);
	for (size_t i = 0; i < frames.num; i++)
		other.at[other.num++] = frames.at[i];
	replay_frames(&other, &told);
	assert_not_judged(&told, "passed over");
	ck_assert_uint_eq(told.result.nvme, 1);
	ck_assert_uint_eq(told.result.unjudged, 1);
}
END_TEST

START_TEST(snap_length_is_said)
{
	make_frames(false);
	for (size_t i = 0; i < frames.num; i++)
		if (frames.at[i].len > 200)
			frames.at[i].len = 200;
	replay_frames(&frames, &told);
	assert_not_judged(&told, "snap length");
	for (size_t i = 0; i < frames.num; i++)
		if (frames.at[i].len > 40)
			frames.at[i].len = 40;
	replay_frames(&frames, &told);
	assert_not_judged(&told, "snap length");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("capture, what it lacks");
	TCase *tc = tcase_create("lacks");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, lost_frame_is_said, 3, 28);
	tcase_add_test(tc, beginning_without_the_syn_is_clean);
	tcase_add_loop_test(tc, beginning_in_the_middle_is_said, FIRST_CUT, LAST_CUT + 1);
	tcase_add_loop_test(tc, beginning_in_the_middle_beside_another, FIRST_CUT, LAST_CUT + 1);
	tcase_add_loop_test(tc, beginning_in_the_middle_of_anything, FIRST_CUT, LAST_CUT + 1);
	tcase_add_test(tc, passed_over_before_its_port_was_known);
	tcase_add_test(tc, snap_length_is_said);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
