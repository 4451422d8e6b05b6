/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets of an interface under the comments of a recorder: when they are those that it would have drawn, so is the file. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "capture/frame.h"
#include "capture/recorder.h"

enum { RECORDER_SIZE = 1 << 20, FILE_LIMIT = 1 << 22, MAX_PACKETS = 256 };

static const struct nvc_recorder_about about = {.application = "test",
	.command = "none",
	.host_name = "host",
	.target_name = "target",
	.epoch = 1000000000,
	.secrets = true};

static const struct nvc_tcp_ends ends = {
	.address = {{192, 0, 2, 1}, {192, 0, 2, 2}}, .port = {40000, 4420}};

static struct nvc_packet packets[MAX_PACKETS];
static size_t num_packets;

static bool next(void *self, size_t *at, struct nvc_packet *packet)
{
	(void)self;
	if (*at == num_packets)
		return false;
	*packet = packets[(*at)++];
	return true;
}

/* Connection 1 is followed by connection 2, from the same port; both ways, in pieces, with comments on everything. */
static struct nvc_recorder *record(uint16_t port)
{
	struct nvc_recorder *recorder = nvc_recorder_new(RECORDER_SIZE);
	struct nvc_tcp_ends mine = ends;
	uint64_t time = 0;
	char text[64];

	ck_assert_ptr_nonnull(recorder);
	mine.port[0] = port;
	nvc_recorder_secret(recorder, "CLIENT_RANDOM 00 11");
	for (uint32_t conn = 1; conn <= 2; conn++) {
		nvc_recorder_comment(recorder, nvc_recorder_mark(recorder) + 1, "a connection");
		nvc_recorder_opened(recorder, conn, &mine, time++);
		for (int i = 0; i < 6; i++) {
			static const uint8_t bytes[3000];

			snprintf(text, sizeof(text), "piece %d of %u", i, (unsigned int)conn);
			if (i != 3)
				nvc_recorder_comment(
					recorder, nvc_recorder_mark(recorder) + 1, text);
			nvc_recorder_bytes(recorder, conn, i % 2 == 0,
				nvc_slice_of(bytes, (size_t)i * 500 + 1), time++);
		}
		nvc_recorder_comment(recorder, nvc_recorder_mark(recorder) + 1, "the end");
		nvc_recorder_ended(recorder, conn, true, false, time++);
		nvc_recorder_ended(recorder, conn, false, conn == 2, time++);
	}
	nvc_recorder_comment(recorder, nvc_recorder_mark(recorder) + 1, "the verdict");
	return recorder;
}

static void add_packets(struct nvc_slice file)
{
	struct nvc_packet packet;
	struct nvc_file *in;
	struct nvc_error err = {0};

	ck_assert_int_eq(
		nvc_file_open(fmemopen((void *)(uintptr_t)file.data, file.len, "rb"), &in, &err),
		NVC_OK);
	while (nvc_file_next(in, &packet, &err) == NVC_OK) {
		uint8_t *copy = malloc(packet.data.len);

		ck_assert(copy && num_packets < MAX_PACKETS);
		memcpy(copy, packet.data.data, packet.data.len);
		packet.data.data = copy;
		packets[num_packets++] = packet;
	}
	nvc_file_close(in);
}

static void draw(const struct nvc_recorder *recorder, struct nvc_pcapng *file)
{
	nvc_pcapng_init(file, FILE_LIMIT);
	ck_assert_int_eq(nvc_recorder_write(recorder, &about, file), NVC_OK);
}

static size_t write_seen(
	const struct nvc_recorder *recorder, unsigned int lost, struct nvc_pcapng *file)
{
	const struct nvc_recorder_seen seen = {
		.interface = "nvme-conform", .link = NVC_LINK_ETHERNET, .next = next, .lost = lost};
	size_t num;

	nvc_pcapng_init(file, FILE_LIMIT);
	ck_assert_int_eq(nvc_recorder_write_seen(recorder, &about, &seen, &num, file), NVC_OK);
	return num;
}

static void forget_packets(void)
{
	while (num_packets)
		free((void *)(uintptr_t)packets[--num_packets].data.data);
}

static bool holds(const struct nvc_pcapng *file, const char *text)
{
	return memmem(file->data, file->len, text, strlen(text)) != NULL;
}

START_TEST(drawn_packets_give_the_drawn_file)
{
	struct nvc_recorder *recorder = record(40000);
	struct nvc_pcapng drawn, seen;

	draw(recorder, &drawn);
	add_packets(nvc_slice_of(drawn.data, drawn.len));
	ck_assert_uint_eq(write_seen(recorder, 0, &seen), num_packets);
	ck_assert(nvc_slice_equal(
		nvc_slice_of(drawn.data, drawn.len), nvc_slice_of(seen.data, seen.len)));
	forget_packets();
	nvc_pcapng_fini(&drawn);
	nvc_pcapng_fini(&seen);
	nvc_recorder_free(recorder);
}
END_TEST

START_TEST(packets_of_others_are_left_out)
{
	struct nvc_recorder *recorder = record(40000), *other = record(40001);
	struct nvc_pcapng drawn, foreign, seen;
	size_t mine;

	draw(recorder, &drawn);
	draw(other, &foreign);
	add_packets(nvc_slice_of(foreign.data, foreign.len));
	add_packets(nvc_slice_of(drawn.data, drawn.len));
	mine = num_packets / 2;
	add_packets(nvc_slice_of(foreign.data, foreign.len));
	ck_assert_uint_eq(write_seen(recorder, 0, &seen), mine);
	ck_assert(nvc_slice_equal(
		nvc_slice_of(drawn.data, drawn.len), nvc_slice_of(seen.data, seen.len)));
	forget_packets();
	nvc_pcapng_fini(&drawn);
	nvc_pcapng_fini(&foreign);
	nvc_pcapng_fini(&seen);
	nvc_recorder_free(recorder);
	nvc_recorder_free(other);
}
END_TEST

START_TEST(a_missing_packet_takes_no_comment_with_it)
{
	struct nvc_recorder *recorder = record(40000);
	struct nvc_pcapng drawn, seen;

	draw(recorder, &drawn);
	add_packets(nvc_slice_of(drawn.data, drawn.len));
	/* The first piece is not there; the kernel says so. */
	free((void *)(uintptr_t)packets[3].data.data);
	num_packets--;
	for (size_t i = 3; i < num_packets; i++)
		packets[i] = packets[i + 1];
	ck_assert_uint_eq(write_seen(recorder, 1, &seen), num_packets);
	ck_assert(holds(&seen, "piece 0 of 1"));
	ck_assert(holds(&seen, "the verdict"));
	ck_assert(holds(&seen, "1 packets of the interface are missing"));
	ck_assert(!holds(&drawn, "packets of the interface"));
	forget_packets();
	nvc_pcapng_fini(&drawn);
	nvc_pcapng_fini(&seen);
	nvc_recorder_free(recorder);
}
END_TEST

/* Each packet with data or an end in turn has not come yet; the others are no reason to wait. */
START_TEST(what_is_awaited)
{
	struct nvc_recorder *recorder = record(3000);
	const struct nvc_recorder_seen seen = {.link = NVC_LINK_ETHERNET, .next = next};
	struct nvc_pcapng drawn;
	unsigned int awaited = 0;

	draw(recorder, &drawn);
	add_packets(nvc_slice_of(drawn.data, drawn.len));
	ck_assert(nvc_recorder_all_seen(recorder, &seen));
	for (size_t i = 0; i < num_packets; i++) {
		const struct nvc_packet missing = packets[i];
		const size_t behind = (num_packets - i - 1) * sizeof(missing);
		struct nvc_segment segment;

		ck_assert_int_eq(nvc_frame_parse(NVC_LINK_ETHERNET, missing.data, missing.wire_len,
					 &segment),
			NVC_FRAME_TCP);
		/* The SYN tells whose the others are. */
		if (segment.flags & NVC_TCP_SYN)
			continue;
		memmove(&packets[i], &packets[i + 1], behind);
		num_packets--;
		ck_assert(nvc_recorder_all_seen(recorder, &seen) ==
			  (!segment.payload.len && !(segment.flags & (NVC_TCP_FIN | NVC_TCP_RST))));
		awaited += segment.payload.len > 0;
		memmove(&packets[i + 1], &packets[i], behind);
		packets[i] = missing;
		num_packets++;
	}
	ck_assert_uint_gt(awaited, 1);
	forget_packets();
	nvc_pcapng_fini(&drawn);
	nvc_recorder_free(recorder);
}
END_TEST

START_TEST(nothing_seen_is_told)
{
	struct nvc_recorder *recorder = record(40000);
	struct nvc_pcapng seen;

	ck_assert_uint_eq(write_seen(recorder, 0, &seen), 0);
	nvc_pcapng_fini(&seen);
	nvc_recorder_free(recorder);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("recorder_seen");
	TCase *tcase = tcase_create("seen");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, drawn_packets_give_the_drawn_file);
	tcase_add_test(tcase, packets_of_others_are_left_out);
	tcase_add_test(tcase, a_missing_packet_takes_no_comment_with_it);
	tcase_add_test(tcase, what_is_awaited);
	tcase_add_test(tcase, nothing_seen_is_told);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
