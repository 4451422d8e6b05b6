/* SPDX-License-Identifier: BSD-3-Clause */
/* IP fragments and packets that are cut within their headers: they count only where they may be ours. Files that are packed. */
#include "capture_talk.h"

enum { IP_AT = 14, TCP_AT = IP_AT + 20, FOREIGN_PORT = 80 };

/* Adds a copy of a frame with payload, between `port` and the host. */
static uint8_t *add_copy(uint16_t port)
{
	struct frames *in = &frames;

	ck_assert_uint_lt(in->num, MAX_FRAMES);
	in->at[in->num] = in->at[3];
	in->at[in->num].bytes[TCP_AT + 2] = (uint8_t)(port >> 8);
	in->at[in->num].bytes[TCP_AT + 3] = (uint8_t)port;
	return in->at[in->num++].bytes;
}

static void add_fragment(uint16_t port, unsigned int offset, bool more)
{
	uint8_t *ip = add_copy(port) + IP_AT;

	ip[6] = (uint8_t)(offset >> 8 | (more ? 0x20 : 0));
	ip[7] = (uint8_t)offset;
}

static void add_cut(uint16_t port, size_t len)
{
	add_copy(port);
	frames.at[frames.num - 1].len = len;
}

START_TEST(foreign_fragments)
{
	make_frames(false);
	add_fragment(FOREIGN_PORT, 0, true);
	add_fragment(FOREIGN_PORT, 185, false);
	replay_frames(&frames, &told);
	assert_clean(&told);
}
END_TEST

START_TEST(fragments_that_may_be_ours)
{
	make_frames(false);
	add_fragment(4420, 0, true);
	replay_frames(&frames, &told);
	assert_not_judged(&told, "IP fragments");
	/* whose it is does not show */
	make_frames(false);
	add_fragment(4420, 185, false);
	replay_frames(&frames, &told);
	assert_not_judged(&told, "IP fragments");
}
END_TEST

START_TEST(foreign_cut_packets)
{
	make_frames(false);
	add_cut(FOREIGN_PORT, TCP_AT + 4);
	add_cut(FOREIGN_PORT, TCP_AT + 19);
	replay_frames(&frames, &told);
	assert_clean(&told);
}
END_TEST

START_TEST(cut_packets_that_may_be_ours)
{
	static const size_t lens[] = {IP_AT + 8, IP_AT + 20, TCP_AT + 3, TCP_AT + 4, TCP_AT + 19};

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		make_frames(false);
		add_cut(4420, lens[i]);
		replay_frames(&frames, &told);
		assert_not_judged(&told, "snap length");
	}
}
END_TEST

START_TEST(fragments_of_ipv6)
{
	/* its next header: TCP, and UDP, which is nothing to us */
	static const struct {
		uint8_t next, offset;
		bool ours;
	} rows[] = {{6, 0, true}, {17, 0, false}, {6, 1, true}, {17, 1, false}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t *ip;

		make_frames(true);
		frames.at[frames.num] = frames.at[4];
		ip = frames.at[frames.num++].bytes + IP_AT;
		ip[6] = 44;
		memcpy(ip + 40, (const uint8_t[8]){rows[i].next, 0, rows[i].offset, 1}, 8);
		memcpy(ip + 48, "\xc3\x50\x11\x44", 4); /* ports 50000 and 4420 */
		replay_frames(&frames, &told);
		if (rows[i].ours)
			assert_not_judged(&told, "IP fragments");
		else
			assert_clean(&told);
	}
}
END_TEST

START_TEST(packed_files)
{
	static const struct {
		const char *bytes, *name;
	} rows[] = {{"\x1f\x8b\x08\x01\x01\x01\x01\x01", "gzip"},
		{"\x28\xb5\x2f\xfd\x04\x01\x01\x01", "zstd"},
		{"\xfd"
		 "7zXZ\x01\x01\x01",
			"xz"},
		{"BZh91AY&", "bzip2"}, {"\x04\x22\x4d\x18\x01\x01\x01\x01", "lz4"}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		replay(nvc_slice_str(rows[i].bytes), &told);
		ck_assert_int_eq(told.read, NVC_E_MALFORMED);
		ck_assert_msg(strstr(told.err.text, "is compressed") &&
				      strstr(told.err.text, rows[i].name),
			"%s", told.err.text);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("unread");
	TCase *core = tcase_create("core");
	SRunner *runner;
	int failed;

	tcase_set_timeout(core, 60);
	tcase_add_test(core, foreign_fragments);
	tcase_add_test(core, fragments_that_may_be_ours);
	tcase_add_test(core, foreign_cut_packets);
	tcase_add_test(core, cut_packets_that_may_be_ours);
	tcase_add_test(core, fragments_of_ipv6);
	tcase_add_test(core, packed_files);
	suite_add_tcase(suite, core);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
