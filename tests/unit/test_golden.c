/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The library call of replay over the golden captures: each gets the verdict that captures/manifest.json explains; cut or bent
 * anywhere it never crashes, and cut it never blames anybody for what the whole does not.
 */
#include <jansson.h>

#include "capture_frames.h"

static json_t *entries;

static const char *text(const json_t *entry, const char *member)
{
	const char *value = json_string_value(json_object_get(entry, member));

	return value ? value : "";
}

static void setup(void)
{
	json_error_t why;
	json_t *manifest = json_load_file(NVC_CAPTURES "/manifest.json", 0, &why);

	ck_assert_msg(manifest != NULL, "manifest.json: line %d: %s", why.line, why.text);
	entries = json_incref(json_object_get(manifest, "captures"));
	json_decref(manifest);
	ck_assert_uint_gt(json_array_size(entries), 0);
}

static void teardown(void)
{
	json_decref(entries);
}

static void judge(const json_t *entry, struct told *told)
{
	const struct nvc_replay_sink sink = {told, hear};
	const struct nvc_replay_options options = {.brief = true};
	char path[4096];
	FILE *in;

	snprintf(path, sizeof(path), "%s/%s", NVC_CAPTURES, text(entry, "file"));
	in = fopen(path, "rb");
	ck_assert_msg(in != NULL, "%s cannot be opened", path);
	memset(told, 0, sizeof(*told));
	told->read = nvc_replay(in, &options, &sink, &told->result, &told->err);
	ck_assert_msg(told->read == NVC_OK, "%s: %s", path, told->err.text);
}

static bool is_listed(const json_t *list, const char *id)
{
	const json_t *value;
	size_t i;

	json_array_foreach(list, i, value)
	{
		if (strcmp(json_string_value(value), id) == 0)
			return true;
	}
	return false;
}

START_TEST(verdicts)
{
	static const char *const names[] = {"clean", "violated", "cannot-judge"};
	static struct told told;
	const json_t *entry;
	size_t i;

	json_array_foreach(entries, i, entry)
	{
		const char *file = text(entry, "file");
		unsigned int violated = 0;

		judge(entry, &told);
		ck_assert_msg(strcmp(names[told.result.verdict], text(entry, "verdict")) == 0,
			"%s: %s: %s", file, names[told.result.verdict], told.result.reason);
		for (int req = REQ_NONE + 1; req < NUM_REQS; req++) {
			const struct nvc_requirement *row = nvc_requirement((enum req_id)req);

			if (!told.result.violations[req] || row->level != NVC_LEVEL_SHALL)
				continue;
			violated++;
			ck_assert_msg(is_listed(json_object_get(entry, "violations"), row->id),
				"%s: %s is not in the manifest", file, row->id);
		}
		ck_assert_uint_eq(violated, json_array_size(json_object_get(entry, "violations")));
		ck_assert_int_eq((json_int_t)told.result.nvme_tls,
			json_integer_value(json_object_get(entry, "tls")));
		ck_assert_msg(strstr(told.result.reason, text(entry, "reason")) != NULL, "%s: %s",
			file, told.result.reason);
	}
}
END_TEST

/* ---- hostile ---- */

/* A prime, so that all offsets within words and blocks have their turn; `make broken-captures` takes every byte. */
static size_t stride(void)
{
	const char *wanted = getenv("GOLDEN_STRIDE");
	const long value = wanted ? strtol(wanted, NULL, 10) : 509;

	ck_assert_int_gt(value, 0);
	return (size_t)value;
}

static size_t load(const json_t *entry, uint8_t **bytes)
{
	char path[4096];
	FILE *in;
	long len;

	snprintf(path, sizeof(path), "%s/%s", NVC_CAPTURES, text(entry, "file"));
	in = fopen(path, "rb");
	ck_assert_msg(in != NULL, "%s cannot be opened", path);
	ck_assert_int_eq(fseek(in, 0, SEEK_END), 0);
	len = ftell(in);
	ck_assert_int_gt(len, 0);
	rewind(in);
	*bytes = malloc((size_t)len);
	ck_assert_ptr_nonnull(*bytes);
	ck_assert_uint_eq(fread(*bytes, 1, (size_t)len, in), (size_t)len);
	fclose(in);
	return (size_t)len;
}

/* The same packets as classic pcap, which has no secrets. */
static size_t as_pcap(uint8_t *pcapng, size_t len, uint8_t **out)
{
	struct nvc_file *in = NULL;
	struct nvc_packet packet;
	struct nvc_error err = {0};
	uint8_t *at;

	ck_assert_msg(nvc_file_open(memory_file(nvc_slice_of(pcapng, len)), &in, &err) == NVC_OK,
		"%s", err.text);
	/* A packet has 16 bytes of header here, and more than that in a pcapng. */
	*out = at = malloc(24 + len);
	ck_assert_ptr_nonnull(at);
	put32(&at, 0xa1b2c3d4);
	put32(&at, 2 | 4u << 16);
	put32(&at, 0);
	put32(&at, 0);
	put32(&at, 262144);
	put32(&at, (uint32_t)nvc_file_link(in));
	while (nvc_file_next(in, &packet, &err) == NVC_OK) {
		put32(&at, (uint32_t)(packet.time / 1000000000u));
		put32(&at, (uint32_t)(packet.time % 1000000000u / 1000));
		put32(&at, (uint32_t)packet.data.len);
		put32(&at, (uint32_t)packet.wire_len);
		memcpy(at, packet.data.data, packet.data.len);
		at += packet.data.len;
	}
	nvc_file_close(in);
	return (size_t)(at - *out);
}

static void assert_blames_no_more(const json_t *entry, const struct told *told, size_t len)
{
	if (told->read != NVC_OK) {
		ck_assert_msg(told->err.text[0] != '\0', "%s, %zu bytes: refused without a reason",
			text(entry, "file"), len);
		return;
	}
	ck_assert(told->result.verdict != NVC_REPLAY_CANNOT_JUDGE || told->result.reason[0]);
	for (int req = REQ_NONE + 1; req < NUM_REQS; req++)
		ck_assert_msg(!told->result.violations[req] ||
				      nvc_requirement((enum req_id)req)->level != NVC_LEVEL_SHALL ||
				      is_listed(json_object_get(entry, "violations"),
					      nvc_requirement((enum req_id)req)->id),
			"%s, %zu bytes: %s", text(entry, "file"), len,
			nvc_requirement((enum req_id)req)->id);
}

static size_t cut_everywhere(const json_t *entry, const uint8_t *bytes, size_t len)
{
	static struct told told;
	size_t unclean = 0;

	for (size_t part = 1; part < len; part += stride()) {
		/* Memory of the exact size, so that a read past it is seen. */
		uint8_t *exact = malloc(part);

		ck_assert_ptr_nonnull(exact);
		memcpy(exact, bytes, part);
		replay(nvc_slice_of(exact, part), &told);
		free(exact);
		assert_blames_no_more(entry, &told, part);
		unclean += told.read != NVC_OK || told.result.verdict != NVC_REPLAY_CLEAN;
	}
	return unclean;
}

/* Of all cuts only those where a packet ends may go unnoticed. */
START_TEST(cut)
{
	const json_t *entry = json_array_get(entries, (size_t)_i);
	uint8_t *pcapng, *pcap;
	const size_t len = load(entry, &pcapng), pcap_len = as_pcap(pcapng, len, &pcap);

	ck_assert_uint_gt(cut_everywhere(entry, pcapng, len), len / stride() * 9 / 10);
	ck_assert_uint_gt(cut_everywhere(entry, pcap, pcap_len), pcap_len / stride() * 9 / 10);
	free(pcapng);
	free(pcap);
}
END_TEST

enum { NUM_BENDS = 4 };

/* Lengths of blocks, options, packets, headers, PDUs, messages and TLS records are all somewhere. */
START_TEST(bent)
{
	static const uint8_t values[NUM_BENDS][4] = {
		{0xff, 0xff, 0xff, 0xff}, {0, 0, 0, 0}, {0xff, 0xff, 0xff, 0x7f}, {1, 0, 0, 0}};
	static struct told told;
	const size_t bend = (size_t)_i % NUM_BENDS;
	uint8_t *bytes, kept[4];
	const size_t len = load(json_array_get(entries, (size_t)_i / NUM_BENDS), &bytes);

	for (size_t at = bend; at + sizeof(kept) <= len; at += stride()) {
		memcpy(kept, bytes + at, sizeof(kept));
		memcpy(bytes + at, values[bend], sizeof(kept));
		replay(nvc_slice_of(bytes, len), &told);
		memcpy(bytes + at, kept, sizeof(kept));
		ck_assert(told.read == NVC_OK ? told.result.verdict != NVC_REPLAY_CANNOT_JUDGE ||
							told.result.reason[0]
					      : told.err.text[0]);
	}
	free(bytes);
}
END_TEST

/* ---- beginning in the middle ---- */

enum { MAX_CONNS = 64, EPB = 6, BLOCK_MIN = 12 };

/* Connections of a capture, and which of their frames carry payload first and last. */
struct spans {
	struct nvc_tcp_ends ends[MAX_CONNS];
	size_t first[MAX_CONNS], last[MAX_CONNS], num;
};

static bool of_one_conn(const struct nvc_tcp_ends *a, const struct nvc_tcp_ends *b)
{
	for (int turn = 0; turn < 2; turn++) {
		if (a->port[0] == b->port[turn] && a->port[1] == b->port[!turn] &&
			memcmp(a->address[0], b->address[turn], 16) == 0 &&
			memcmp(a->address[1], b->address[!turn], 16) == 0)
			return true;
	}
	return false;
}

static size_t find_spans(uint8_t *pcapng, size_t len, struct spans *spans)
{
	struct nvc_file *in = NULL;
	struct nvc_packet packet;
	struct nvc_segment segment;
	struct nvc_error err = {0};
	size_t num = 0;

	spans->num = 0;
	ck_assert_int_eq(nvc_file_open(memory_file(nvc_slice_of(pcapng, len)), &in, &err), NVC_OK);
	for (; nvc_file_next(in, &packet, &err) == NVC_OK; num++) {
		size_t which = 0;

		if (nvc_frame_parse(nvc_file_link(in), packet.data, packet.wire_len, &segment) !=
				NVC_FRAME_TCP ||
			!segment.payload.len)
			continue;
		while (which < spans->num && !of_one_conn(&spans->ends[which], &segment.ends))
			which++;
		ck_assert_uint_lt(which, MAX_CONNS);
		if (which == spans->num) {
			spans->ends[spans->num] = segment.ends;
			spans->first[spans->num++] = num;
		}
		spans->last[which] = num;
	}
	nvc_file_close(in);
	return num;
}

/* The capture without its first `gone` packets, with everything else; the caller frees. */
static struct nvc_slice without_packets(const uint8_t *pcapng, size_t len, size_t gone)
{
	uint8_t *out = malloc(len);
	size_t kept = 0;

	ck_assert_ptr_nonnull(out);
	for (size_t at = 0; at + BLOCK_MIN <= len;) {
		const size_t block = (size_t)nvc_get_le(pcapng + at + 4, 4);

		ck_assert(block >= BLOCK_MIN && block <= len - at);
		if (nvc_get_le(pcapng + at, 4) != EPB || gone == 0) {
			memcpy(out + kept, pcapng + at, block);
			kept += block;
		} else {
			gone--;
		}
		at += block;
	}
	return nvc_slice_of(out, kept);
}

/* Whatever of a connection is left when its beginning is gone, the whole is not clean; and nobody is blamed for it. */
START_TEST(begun_in_the_middle)
{
	static struct told told;
	static struct spans spans;
	const json_t *entry = json_array_get(entries, (size_t)_i);
	uint8_t *bytes;
	const size_t len = load(entry, &bytes), num = find_spans(bytes, len, &spans);

	ck_assert_uint_gt(spans.num, 0);
	for (size_t gone = 1; gone < num; gone++) {
		const struct nvc_slice rest = without_packets(bytes, len, gone);
		bool broken = false;

		for (size_t i = 0; i < spans.num; i++)
			broken = broken || (spans.first[i] < gone && gone <= spans.last[i]);
		replay(rest, &told);
		free((void *)(uintptr_t)rest.data);
		ck_assert_int_eq(told.read, NVC_OK);
		ck_assert_msg(!broken || told.result.verdict != NVC_REPLAY_CLEAN,
			"%s, from packet %zu on", text(entry, "file"), gone + 1);
		assert_blames_no_more(entry, &told, gone);
	}
	free(bytes);
}
END_TEST

/* ---- a clock that jumps ---- */

/* Moves the time of every packet from the `from`th on by two days; times are in nanoseconds or microseconds since 1970. */
static void jump(uint8_t *pcapng, size_t len, size_t from)
{
	size_t num = 0;

	for (size_t at = 0; at + BLOCK_MIN <= len; at += (size_t)nvc_get_le(pcapng + at + 4, 4)) {
		uint64_t time;

		if (nvc_get_le(pcapng + at, 4) != EPB || num++ < from)
			continue;
		time = nvc_get_le(pcapng + at + 12, 4) << 32 | nvc_get_le(pcapng + at + 16, 4);
		time += UINT64_C(2) * 86400 * 1000000000;
		nvc_put_le(pcapng + at + 12, time >> 32, 4);
		nvc_put_le(pcapng + at + 16, time & UINT32_MAX, 4);
	}
}

/* Order and contents are judged all the same. */
START_TEST(clock_jumps)
{
	static struct told told, whole;
	static struct spans spans;
	const json_t *entry = json_array_get(entries, (size_t)_i);
	uint8_t *bytes;
	const size_t len = load(entry, &bytes), num = find_spans(bytes, len, &spans);

	replay(nvc_slice_of(bytes, len), &whole);
	for (size_t from = 1; from < num; from++) {
		uint8_t *jumped = malloc(len);

		ck_assert_ptr_nonnull(jumped);
		memcpy(jumped, bytes, len);
		jump(jumped, len, from);
		replay(nvc_slice_of(jumped, len), &told);
		free(jumped);
		ck_assert_uint_eq(told.result.clock_jumped, from + 1);
		ck_assert_msg(told.result.verdict == whole.result.verdict &&
				      strcmp(told.result.reason, whole.result.reason) == 0,
			"%s, packet %zu: verdict %d, %s", text(entry, "file"), from + 1,
			told.result.verdict, told.result.reason);
		ck_assert_mem_eq(told.result.violations, whole.result.violations,
			sizeof(whole.result.violations));
		ck_assert_mem_eq(told.result.responses, whole.result.responses,
			sizeof(whole.result.responses));
	}
	free(bytes);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("golden captures");
	TCase *core = tcase_create("core"),
	      *hostile[] = {tcase_create("cut"), tcase_create("bent"),
		      tcase_create("begun in the middle"), tcase_create("clock jumps")};
	json_t *manifest = json_load_file(NVC_CAPTURES "/manifest.json", 0, NULL);
	SRunner *runner;
	int failed, num;

	tcase_set_timeout(core, 60);
	tcase_add_checked_fixture(core, setup, teardown);
	tcase_add_test(core, verdicts);
	suite_add_tcase(suite, core);
	for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		tcase_set_timeout(hostile[i], 60);
		tcase_add_checked_fixture(hostile[i], setup, teardown);
		suite_add_tcase(suite, hostile[i]);
	}
	/* A capture each: Check cannot tell the time of a test of more than 35 minutes. */
	num = (int)json_array_size(json_object_get(manifest, "captures"));
	json_decref(manifest);
	tcase_add_loop_test(hostile[0], cut, 0, num);
	tcase_add_loop_test(hostile[1], bent, 0, num * NUM_BENDS);
	tcase_add_loop_test(hostile[2], begun_in_the_middle, 0, num);
	tcase_add_loop_test(hostile[3], clock_jumps, 0, num);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
