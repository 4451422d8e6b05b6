/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is recorded comes out of the capture again, byte for byte; what a network and a capture do to packets changes
 * nothing, or is said; and whatever is not judged is never clean.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture/reassembly.h"
#include "capture_talk.h"

static struct frames other;

/* ---- the way through ---- */

struct collected {
	uint8_t bytes[2][TALK_SIZE];
	size_t len[2];
	unsigned int ended;
};

static void no_open(void *self, struct nvc_tcp_conn *conn)
{
	(void)self;
	ck_assert(conn->from_start);
}

static void collect(void *self, struct nvc_tcp_conn *conn, int side, struct nvc_slice bytes)
{
	struct collected *got = self;

	(void)conn;
	memcpy(got->bytes[side] + got->len[side], bytes.data, bytes.len);
	got->len[side] += bytes.len;
}

static void no_gap(void *self, struct nvc_tcp_conn *conn, int side, const char *why)
{
	(void)self;
	(void)conn;
	ck_abort_msg("gap on side %d: %s", side, why);
}

static void count_end(void *self, struct nvc_tcp_conn *conn, int side, bool reset)
{
	(void)conn;
	(void)side;
	ck_assert(!reset);
	((struct collected *)self)->ended++;
}

static void no_close(void *self, struct nvc_tcp_conn *conn)
{
	(void)self;
	(void)conn;
}

START_TEST(bytes_come_out_as_they_went_in)
{
	static struct collected got, want;
	const struct nvc_reassembly_sink sink = {
		&got, no_open, collect, no_gap, count_end, no_close, no_close};
	struct nvc_reassembly *reassembly = nvc_reassembly_new(&sink);
	struct nvc_segment segment;

	memset(&got, 0, sizeof(got));
	memset(&want, 0, sizeof(want));
	make_frames(_i);
	for (size_t i = 0; i < talk.num; i++)
		collect(&want, NULL, talk.direction[i] == NVC_H2C ? 0 : 1,
			nvc_slice_of(
				talk.bytes + talk.start[i], talk.start[i + 1] - talk.start[i]));
	for (size_t i = 0; i < frames.num; i++) {
		const struct nvc_slice frame = nvc_slice_of(frames.at[i].bytes, frames.at[i].len);

		ck_assert_int_eq(nvc_frame_parse(NVC_LINK_ETHERNET, frame, frame.len, &segment),
			NVC_FRAME_TCP);
		ck_assert_int_eq(nvc_reassembly_segment(reassembly, &segment), NVC_OK);
	}
	for (int side = 0; side < 2; side++) {
		ck_assert_uint_eq(got.len[side], want.len[side]);
		ck_assert_mem_eq(got.bytes[side], want.bytes[side], got.len[side]);
	}
	ck_assert_uint_eq(got.ended, 2);
	nvc_reassembly_free(reassembly);
}
END_TEST

START_TEST(conversation_is_clean)
{
	make_frames(_i);
	replay_frames(&frames, &told);
	assert_clean(&told);
	ck_assert_str_eq(
		told.label, _i ? "[2001:db8:0:0:0:0:0:1]:50000 to [2001:db8:0:0:0:0:0:2]:4420"
			       : "192.0.2.1:50000 to 192.0.2.2:4420");
}
END_TEST

START_TEST(violation_has_the_number_of_its_frame)
{
	const struct plan plan = {.s1 = 0};
	struct nvc_pcapng file;
	/* S1 lies at 12 in the Challenge, behind the header of C2HData. Frames: 3 of the handshake, then one for each PDU. The
	 * observer judges a message when its response has come. */
	const size_t s1 = NVC_PDU_DATA_HLEN + 12;

	converse(&talk, &plan);
	memset(talk.bytes + talk.start[CHALLENGE] + s1, 0, 4);
	record(&talk, ends_of(false), &file);
	replay(nvc_slice_of(file.data, file.len), &told);
	nvc_pcapng_fini(&file);
	ck_assert_int_eq(told.result.verdict, NVC_REPLAY_VIOLATED);
	ck_assert_uint_eq(told.num_violations, 1);
	ck_assert_str_eq(nvc_requirement(told.violation)->id, "C-122");
	ck_assert_uint_eq(told.violation_frame, 3 + CHALLENGE_RESP + 1);
}
END_TEST

/* ---- what networks do ---- */

START_TEST(repeated_frames_change_nothing)
{
	make_frames(false);
	other.num = 0;
	for (size_t i = 0; i < frames.num; i++) {
		other.at[other.num++] = frames.at[i];
		other.at[other.num++] = frames.at[i];
		if (i > 5)
			other.at[other.num++] = frames.at[i - 3];
	}
	replay_frames(&other, &told);
	assert_clean(&told);
}
END_TEST

/* Draws one direction of bytes in steps, each frame beginning `back` bytes before the end of the last one. */
static void draw_overlapping(struct nvc_tcpframe *conn, enum nvc_direction direction,
	struct nvc_slice bytes, size_t step, size_t back)
{
	size_t done = 0;

	while (done < bytes.len) {
		const size_t from = done > back ? done - back : 0;
		const struct nvc_slice piece = nvc_slice_sub(bytes, from, done + step - from);

		conn->next[direction] -= (uint32_t)(done - from);
		frames.at[frames.num].len = frames.at[frames.num].wire_len = nvc_tcpframe_make(
			conn, direction, NVC_TCP_ACK, piece, frames.at[frames.num].bytes);
		frames.num++;
		ck_assert_uint_lt(frames.num, MAX_FRAMES);
		done = from + piece.len;
	}
}

static void draw_talk(size_t step, size_t back)
{
	const struct plan plan = {.two_way = true, .identify = true, .dhgid = NVC_DH_2048};
	struct nvc_tcpframe conn = {.ends = ends_of(false), .next = {0xffffff00, 0xfffffff0}};
	const struct nvc_slice none = {0};

	converse(&talk, &plan);
	frames.num = 0;
	for (int i = 0; i < 3; i++) {
		static const unsigned int flags[] = {
			NVC_TCP_SYN, NVC_TCP_SYN | NVC_TCP_ACK, NVC_TCP_ACK};

		frames.at[frames.num].len = frames.at[frames.num].wire_len =
			nvc_tcpframe_make(&conn, i == 1 ? NVC_C2H : NVC_H2C, flags[i], none,
				frames.at[frames.num].bytes);
		frames.num++;
	}
	for (size_t i = 0; i < talk.num; i++)
		draw_overlapping(&conn, talk.direction[i],
			nvc_slice_of(talk.bytes + talk.start[i], talk.start[i + 1] - talk.start[i]),
			step, back);
}

/* The sequence numbers of these pass 2^32. */
START_TEST(overlapping_segments_change_nothing)
{
	static const size_t steps[][2] = {{100, 0}, {100, 40}, {64, 63}, {1000, 300}};

	draw_talk(steps[_i][0], steps[_i][1]);
	replay_frames(&frames, &told);
	assert_clean(&told);
}
END_TEST

START_TEST(neighbours_may_change_places)
{
	unsigned int swapped = 0;

	draw_talk(60, 0);
	for (size_t i = 3; i + 1 < frames.num; i++) {
		/* Frames of one direction have the same Ethernet header. */
		if (memcmp(frames.at[i].bytes, frames.at[i + 1].bytes, 12) != 0)
			continue;
		other.at[0] = frames.at[i];
		frames.at[i] = frames.at[i + 1];
		frames.at[i + 1] = other.at[0];
		swapped++;
		i++;
	}
	ck_assert_uint_gt(swapped, 10);
	replay_frames(&frames, &told);
	assert_clean(&told);
}
END_TEST

/* ---- link layers ---- */

static const struct {
	uint32_t link;
	const char *header; /* in place of Ethernet's 14 bytes; the Ethertype is that of IPv4 */
	size_t len;
} links[] = {
	{NVC_LINK_NULL, "\x02\0\0\0", 4},
	{NVC_LINK_LOOP, "\0\0\0\x02", 4},
	{NVC_LINK_RAW, "", 0},
	{NVC_LINK_IPV4, "", 0},
	{NVC_LINK_SLL, "\0\0\0\x01\0\x06\x02\0\0\0\0\x01\0\0\x08\0", 16},
	{NVC_LINK_SLL, "\0\0\0\x01\0\x06\x02\0\0\0\0\x01\0\0\x81\0\0\x05\x08\0", 20},
	{NVC_LINK_SLL2, "\x08\0\0\0\0\0\0\x01\0\x01\0\x06\x02\0\0\0\0\x01\0\0", 20},
	{NVC_LINK_ETHERNET, "\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x81\0\0\x05\x08\0", 18},
	{NVC_LINK_ETHERNET, "\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x88\xa8\0\x05\x81\0\0\x06\x08\0", 22},
	{NVC_LINK_ETHERNET, "\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x91\0\0\x05\x81\0\0\x06\x08\0", 22},
};

START_TEST(link_layers)
{
	struct nvc_slice file;

	draw_talk(1000, 0);
	for (size_t i = 0; i < frames.num; i++) {
		uint8_t *bytes = frames.at[i].bytes;
		const size_t len = frames.at[i].len - 14;

		ck_assert_uint_le(links[_i].len + len, NVC_TCPFRAME_MAX);
		memmove(bytes + links[_i].len, bytes + 14, len);
		memcpy(bytes, links[_i].header, links[_i].len);
		frames.at[i].len = frames.at[i].wire_len = links[_i].len + len;
	}
	file = write_pcap(&frames, links[_i].link);
	replay(file, &told);
	free((void *)(uintptr_t)file.data);
	assert_clean(&told);
}
END_TEST

START_TEST(padding_of_short_frames_is_no_payload)
{
	make_frames(false);
	for (size_t i = 0; i < frames.num; i++) {
		while (frames.at[i].len < 60)
			frames.at[i].bytes[frames.at[i].len++] = 0xee;
		frames.at[i].wire_len = frames.at[i].len;
	}
	replay_frames(&frames, &told);
	assert_clean(&told);
}
END_TEST

START_TEST(any_port_will_do)
{
	struct nvc_tcp_ends ends = ends_of(false);
	const struct plan plan = {.identify = true};
	struct nvc_pcapng file;

	ends.port[1] = 80;
	converse(&talk, &plan);
	record(&talk, ends, &file);
	replay(nvc_slice_of(file.data, file.len), &told);
	nvc_pcapng_fini(&file);
	assert_clean(&told);
}
END_TEST

/* ---- what is no capture of NVMe/TCP ---- */

START_TEST(other_traffic_is_said)
{
	struct nvc_tcp_ends ends = ends_of(false);
	struct nvc_recorder *recorder = nvc_recorder_new(1 << 20);
	struct nvc_pcapng file;

	ends.port[1] = 80;
	nvc_recorder_opened(recorder, 1, &ends, 0);
	nvc_recorder_bytes(recorder, 1, true, nvc_slice_str("GET / HTTP/1.1\r\n\r\n"), 0);
	nvc_pcapng_init(&file, 1 << 20);
	ck_assert_int_eq(nvc_recorder_write(recorder, &about, &file), NVC_OK);
	nvc_recorder_free(recorder);
	replay(nvc_slice_of(file.data, file.len), &told);
	nvc_pcapng_fini(&file);
	assert_not_judged(&told, "no NVMe/TCP inside");
}
END_TEST

START_TEST(empty_capture_is_said)
{
	frames.num = 0;
	replay_frames(&frames, &told);
	assert_not_judged(&told, "no NVMe/TCP inside");
}
END_TEST

START_TEST(no_capture_is_refused)
{
	struct nvc_slice file;

	replay(nvc_slice_str("this is no capture, but it is long enough to be one"), &told);
	ck_assert_int_eq(told.read, NVC_E_MALFORMED);
	ck_assert_msg(strstr(told.err.text, "is not a capture") != NULL, "%s", told.err.text);
	frames.num = 0;
	file = write_pcap(&frames, 147); /* a link type for private use */
	replay(file, &told);
	free((void *)(uintptr_t)file.data);
	ck_assert_int_eq(told.read, NVC_E_INVALID);
	ck_assert_msg(strstr(told.err.text, "link type") != NULL, "%s", told.err.text);
}
END_TEST

/* Cut after every byte: nothing crashes, nothing is violated, and a file that breaks off in a packet is not clean. */
START_TEST(truncated_everywhere)
{
	const struct plan plan = {.no_auth = true};
	struct nvc_pcapng file;
	unsigned int clean = 0, broken = 0;

	converse(&talk, &plan);
	record(&talk, ends_of(false), &file);
	for (size_t len = 1; len < file.len; len++) {
		uint8_t *exact = malloc(len);

		memcpy(exact, file.data, len);
		replay(nvc_slice_of(exact, len), &told);
		free(exact);
		ck_assert_uint_eq(told.num_violations, 0);
		if (told.read != NVC_OK)
			continue;
		if (told.result.verdict == NVC_REPLAY_CLEAN)
			clean++;
		else
			broken++;
	}
	nvc_pcapng_fini(&file);
	/* Only where a packet ends can the file end unnoticed. */
	ck_assert_uint_le(clean, 3 + talk.num + 2);
	ck_assert_uint_gt(broken, 1000);
}
END_TEST

/* ---- bounds ---- */

START_TEST(recorder_keeps_to_its_limit)
{
	const struct nvc_tcp_ends ends = ends_of(false);
	struct nvc_recorder *recorder = nvc_recorder_new(64 << 10);
	static const uint8_t block[1000];
	struct nvc_pcapng file;

	nvc_recorder_opened(recorder, 1, &ends, 0);
	for (int i = 0; i < 1000; i++)
		nvc_recorder_bytes(recorder, 1, true, NVC_SLICE(block), 0);
	nvc_recorder_bytes(recorder, 2, true, NVC_SLICE(block), 0); /* of nobody */
	nvc_pcapng_init(&file, 1 << 20);
	ck_assert_int_eq(nvc_recorder_write(recorder, &about, &file), NVC_OK);
	ck_assert_uint_lt(file.len, 80 << 10);
	ck_assert_ptr_nonnull(memmem(file.data, file.len, "reached its limit", 17));
	nvc_pcapng_fini(&file);
	nvc_pcapng_init(&file, 4096);
	ck_assert_int_eq(nvc_recorder_write(recorder, &about, &file), NVC_E_NO_SPACE);
	nvc_pcapng_fini(&file);
	nvc_recorder_free(recorder);
}
END_TEST

/* The process that recorded is killed; the one that shares the memory writes what it left. */
START_TEST(recording_survives_its_process)
{
	const struct plan plan = {.two_way = true};
	const struct nvc_tcp_ends ends = ends_of(false);
	const size_t size = 1 << 20;
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct nvc_recorder *recorder = nvc_recorder_over(memory, size);
	struct nvc_pcapng file;
	int status;
	pid_t child;

	ck_assert_ptr_nonnull(recorder);
	converse(&talk, &plan);
	fflush(NULL);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		nvc_recorder_opened(recorder, 1, &ends, 0);
		for (size_t i = 0; i < talk.num; i++)
			nvc_recorder_bytes(recorder, 1, talk.direction[i] == NVC_H2C,
				nvc_slice_of(talk.bytes + talk.start[i],
					talk.start[i + 1] - talk.start[i]),
				0);
		kill(getpid(), SIGKILL);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status));
	nvc_pcapng_init(&file, 1 << 22);
	ck_assert_int_eq(nvc_recorder_write(recorder, &about, &file), NVC_OK);
	replay(nvc_slice_of(file.data, file.len), &told);
	assert_clean(&told);
	nvc_pcapng_fini(&file);
	nvc_recorder_wipe(recorder);
	ck_assert_uint_eq(nvc_recorder_mark(recorder), 0);
	munmap(memory, size);
}
END_TEST

static void ignore_gap(void *self, struct nvc_tcp_conn *conn, int side, const char *why)
{
	(void)conn;
	(void)side;
	(void)why;
	++*(unsigned int *)self;
}

static void ignore_conn(void *self, struct nvc_tcp_conn *conn)
{
	(void)self;
	(void)conn;
}

static void ignore_bytes(void *self, struct nvc_tcp_conn *conn, int side, struct nvc_slice bytes)
{
	(void)self;
	(void)conn;
	(void)side;
	(void)bytes;
}

static void ignore_end(void *self, struct nvc_tcp_conn *conn, int side, bool reset)
{
	(void)self;
	(void)conn;
	(void)side;
	(void)reset;
}

/* A hole in each of very many connections: the longest idle is given up, and its hole is told. */
START_TEST(many_connections_are_bounded)
{
	enum { NUM = NVC_REASSEMBLY_MAX_CONNECTIONS + 1000 };
	unsigned int gaps = 0;
	const struct nvc_reassembly_sink sink = {
		&gaps, ignore_conn, ignore_bytes, ignore_gap, ignore_end, ignore_conn, ignore_conn};
	struct nvc_reassembly *reassembly = nvc_reassembly_new(&sink);
	struct nvc_segment segment = {.flags = NVC_TCP_SYN, .ends = ends_of(false)};

	for (uint32_t i = 0; i < NUM; i++) {
		memcpy(segment.ends.address[0], &i, sizeof(i));
		segment.flags = NVC_TCP_SYN;
		segment.seq = 0;
		segment.payload = nvc_slice_of(NULL, 0);
		ck_assert_int_eq(nvc_reassembly_segment(reassembly, &segment), NVC_OK);
		segment.flags = NVC_TCP_ACK;
		segment.seq = 100;
		segment.payload = nvc_slice_str("behind a hole");
		ck_assert_int_eq(nvc_reassembly_segment(reassembly, &segment), NVC_OK);
	}
	ck_assert_uint_eq(gaps, 1000);
	nvc_reassembly_free(reassembly);
	ck_assert_uint_eq(gaps, NUM);
}
END_TEST

static void add_tests(TCase *core)
{
	tcase_add_loop_test(core, bytes_come_out_as_they_went_in, 0, 2);
	tcase_add_loop_test(core, conversation_is_clean, 0, 2);
	tcase_add_test(core, violation_has_the_number_of_its_frame);
	tcase_add_test(core, repeated_frames_change_nothing);
	tcase_add_loop_test(core, overlapping_segments_change_nothing, 0, 4);
	tcase_add_test(core, neighbours_may_change_places);
	tcase_add_loop_test(core, link_layers, 0, (int)(sizeof(links) / sizeof(links[0])));
	tcase_add_test(core, padding_of_short_frames_is_no_payload);
	tcase_add_test(core, any_port_will_do);
	tcase_add_test(core, other_traffic_is_said);
	tcase_add_test(core, empty_capture_is_said);
	tcase_add_test(core, no_capture_is_refused);
	tcase_add_test(core, truncated_everywhere);
	tcase_add_test(core, recorder_keeps_to_its_limit);
	tcase_add_test(core, recording_survives_its_process);
	tcase_add_test(core, many_connections_are_bounded);
}

int main(void)
{
	Suite *suite = suite_create("capture");
	TCase *core = tcase_create("core");
	SRunner *runner;
	int failed;

	tcase_set_timeout(core, 60);
	add_tests(core);
	suite_add_tcase(suite, core);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
