/* SPDX-License-Identifier: BSD-3-Clause */
/* Layouts as such: what holds for every table, bends, text; and CRC-32C. */
#include "tests/unit/vectors.h"
#include "tests/unit/wire_layouts.h"
#include "wire/crc32c.h"

START_TEST(crc32c_vectors)
{
	json_t *root = load_vectors(), *entry;
	size_t i;

	json_array_foreach(section_of(root, "crc32c", 12), i, entry)
	{
		struct hexed input = hex_of(entry, "input"), wire = hex_of(entry, "wire");
		uint8_t got[4];

		ck_assert_uint_eq(input.len, number_of(entry, "len"));
		nvc_put_le(got, nvc_crc32c(HEXED(input)), 4);
		expect_bytes(text_of(entry, "name"), HEXED(wire), NVC_SLICE(got));
	}
	json_decref(root);
	ck_assert_uint_eq(nvc_crc32c(nvc_slice_of(NULL, 0)), 0);
}
END_TEST

/* Every byte of a figure belongs to exactly one row, and every row stays inside. */
static void expect_sound(const struct nvc_layout *layout, bool gaps)
{
	uint8_t owners[4096] = {0};
	bool seen_var = false;

	ck_assert_uint_le(layout->fixed_len, sizeof(owners));
	for (size_t i = 0; i < layout->num_fields; i++) {
		const struct nvc_field *field = &layout->fields[i];
		size_t member_len = field->kind == NVC_VAR ? sizeof(struct nvc_slice) : field->size;

		if (field->kind != NVC_CONST && field->kind != NVC_RESERVED)
			ck_assert_uint_le(field->member + member_len, layout->struct_size);
		if (field->kind == NVC_VAR) {
			seen_var = true;
			ck_assert_uint_le(field->count + field->count_size, layout->struct_size);
			continue;
		}
		ck_assert_msg(!seen_var, "%s: %s lies behind a variable field", layout->name,
			field->name);
		ck_assert_uint_le(field->offset + field->size, layout->fixed_len);
		for (size_t b = 0; b < field->size; b++)
			ck_assert_msg(owners[field->offset + b]++ == 0, "%s: byte %zu has two rows",
				layout->name, field->offset + b);
	}
	for (size_t b = 0; b < layout->fixed_len && !gaps; b++)
		ck_assert_msg(owners[b] == 1, "%s: byte %zu has no row", layout->name, b);
}

/* A message with a different byte in every described place; lists get three units. Returns its length. */
static size_t make_message(const struct nvc_layout *layout, uint8_t *out)
{
	size_t len = layout->fixed_len;

	memset(out, 0, layout->fixed_len);
	for (size_t i = 0; i < layout->num_fields; i++) {
		const struct nvc_field *field = &layout->fields[i];

		if (field->kind == NVC_CONST)
			nvc_put_le(out + field->offset, field->value, field->size);
		if (field->kind == NVC_UINT || field->kind == NVC_BYTES)
			for (size_t b = 0; b < field->size; b++)
				out[field->offset + b] = (uint8_t)(0x11 + 7 * (field->offset + b));
	}
	for (size_t i = 0; i < layout->num_fields; i++) {
		const struct nvc_field *field = &layout->fields[i];

		if (field->kind != NVC_VAR)
			continue;
		for (size_t c = 0; c < layout->num_fields; c++)
			if (layout->fields[c].kind == NVC_UINT &&
				layout->fields[c].member == field->count)
				nvc_put_le(
					out + layout->fields[c].offset, 3, layout->fields[c].size);
		memset(out + len, 0x80 + (int)i, 3 * (size_t)field->size);
		len += 3 * (size_t)field->size;
	}
	return len;
}

static void expect_round_trip(const struct nvc_layout *layout)
{
	uint8_t bytes[8192], again[8192];
	size_t len = make_message(layout, bytes), num_read;
	struct nvc_slice in = nvc_slice_of(bytes, len);
	struct nvc_writer writer = nvc_writer_over(again, len),
			  small = nvc_writer_over(again, len - 1);
	union wire_message message;
	struct nvc_error err;

	for (size_t cut = 0; cut < len; cut++) {
		uint8_t *copy = exact_copy(in, cut);

		err = (struct nvc_error){0};
		ck_assert_int_eq(nvc_decode(layout, nvc_slice_of(copy, cut), &message, NULL, &err),
			NVC_E_TRUNCATED);
		ck_assert_msg(
			strncmp(err.text, layout->name, strlen(layout->name)) == 0, "%s", err.text);
		nvc_reserved_is_zero(layout, nvc_slice_of(copy, cut), NULL);
		free(copy);
	}
	ck_assert_uint_le(layout->struct_size, sizeof(message));
	ck_assert_int_eq(nvc_decode(layout, in, &message, &num_read, NULL), NVC_OK);
	ck_assert_uint_eq(num_read, len);
	ck_assert_int_eq(nvc_encode(layout, &message, NULL, &small), NVC_E_NO_SPACE);
	ck_assert_int_eq(nvc_encode(layout, &message, NULL, &writer), NVC_OK);
	expect_bytes(layout->name, in, nvc_writer_slice(&writer));
}

/* A reserved byte that is set is named, and decoding does not care. */
static void expect_reserved(const struct nvc_layout *layout)
{
	uint8_t bytes[8192];
	size_t len = make_message(layout, bytes);
	struct nvc_slice in = nvc_slice_of(bytes, len);
	union wire_message message;
	const char *field = NULL;

	ck_assert(nvc_reserved_is_zero(layout, in, &field));
	ck_assert_ptr_null(field);
	for (size_t i = 0; i < layout->num_fields; i++) {
		const struct nvc_field *row = &layout->fields[i];
		uint8_t *last = &bytes[row->offset + row->size - 1];

		if (row->kind != NVC_RESERVED)
			continue;
		*last = 1;
		ck_assert(!nvc_reserved_is_zero(layout, in, &field));
		ck_assert_str_eq(field, row->name);
		ck_assert_int_eq(strtol(field + strlen("reserved"), NULL, 10), row->offset);
		ck_assert_int_eq(nvc_decode(layout, in, &message, NULL, NULL), NVC_OK);
		ck_assert(nvc_reserved_is_zero(layout, nvc_slice_of(bytes, row->offset), NULL));
		*last = 0;
	}
}

START_TEST(every_layout)
{
	bool gaps;
	const struct nvc_layout *layout = wire_layout((size_t)_i, &gaps);

	if (!layout) {
		ck_assert_int_eq(_i, NUM_WIRE_LAYOUTS + 8);
		return;
	}
	expect_sound(layout, gaps);
	expect_round_trip(layout);
	expect_reserved(layout);
}
END_TEST

/* The message the tests below bend: t_id 0102h, hl 2, c 3 bytes on purpose. */
static const uint8_t cval[] = {0xc0, 0xc1, 0xc2}, dhval[] = {0xd0, 0xd1};
static const struct nvc_challenge challenge = {.t_id = 0x0102,
	.hl = 2,
	.hash_id = 1,
	.dhgid = 1,
	.dhvlen = 2,
	.seqnum = 0x01020304,
	.cval = {cval, 3},
	.dhval = {dhval, 2}};

static void expect_bent(const struct nvc_bends *bends, const char *want)
{
	uint8_t out[64];
	struct nvc_writer writer = nvc_writer_over(out, sizeof(out));
	struct hexed bytes = unhex(want);

	nvc_write_le(&writer, 0xeeeeee, 3); /* bends count from the message, not from the buffer */
	ck_assert_int_eq(nvc_encode(&nvc_challenge_layout, &challenge, bends, &writer), NVC_OK);
	expect_bytes("bent", HEXED(bytes), nvc_slice_sub(nvc_writer_slice(&writer), 3, writer.len));
}

static enum nvc_result bend_result(const struct nvc_bends *bends)
{
	uint8_t out[24];
	struct nvc_writer writer = nvc_writer_over(out, sizeof(out));

	return nvc_encode(&nvc_challenge_layout, &challenge, bends, &writer);
}

static const uint8_t four[] = {0xa0, 0xa1, 0xa2, 0xa3};

START_TEST(bends_write_anything)
{
	expect_bent(NULL, "01010000020102000101020004030201c0c1c2d0d1");
	expect_bent(&(struct nvc_bends){NULL, 0}, "01010000020102000101020004030201c0c1c2d0d1");
	expect_bent(NVC_BENDS({.field = "t_id", .kind = NVC_BEND_SET, .value = 0xaabbccdd}),
		"01010000ddcc02000101020004030201c0c1c2d0d1");
	expect_bent(NVC_BENDS({.field = "auth_id", .kind = NVC_BEND_SET, .value = 0xf1},
			    {.field = "reserved2", .kind = NVC_BEND_SET, .value = 0x0203},
			    {.field = "hl", .kind = NVC_BEND_SET, .value = 0xff}),
		"01f103020201ff000101020004030201c0c1c2d0d1");
	expect_bent(
		NVC_BENDS({.field = "seqnum", .kind = NVC_BEND_BYTES, .bytes = NVC_SLICE(four)}),
		"010100000201020001010200a0a1a2a3c0c1c2d0d1");
	expect_bent(NVC_BENDS({.field = "cval", .kind = NVC_BEND_BYTES, .bytes = {four, 1}}),
		"01010000020102000101020004030201a0c1c2d0d1");
	expect_bent(NVC_BENDS({.field = "dhval", .kind = NVC_BEND_XOR, .value = 0x81}),
		"01010000020102000101020004030201c0c1c2d050");
	expect_bent(NVC_BENDS({.field = "dhval", .kind = NVC_BEND_SET, .value = 0x7}),
		"01010000020102000101020004030201c0c1c20700");
	expect_bent(NVC_BENDS({.kind = NVC_BEND_TRUNCATE, .value = 5}), "0101000002");
	expect_bent(NVC_BENDS({.kind = NVC_BEND_TRUNCATE, .value = 0}), "");
	expect_bent(NVC_BENDS({.kind = NVC_BEND_APPEND, .bytes = NVC_SLICE(four)}),
		"01010000020102000101020004030201c0c1c2d0d1a0a1a2a3");
	expect_bent(NVC_BENDS({.kind = NVC_BEND_TRUNCATE, .value = 4},
			    {.kind = NVC_BEND_APPEND, .bytes = {four, 2}},
			    {.field = "auth_type", .kind = NVC_BEND_SET, .value = 9}),
		"09010000a0a1");
}
END_TEST

START_TEST(set_of_a_long_field)
{
	static const struct nvc_success2 message = {.t_id = 1};
	const struct nvc_bends *bends =
		NVC_BENDS({.field = "reserved6", .kind = NVC_BEND_SET, .value = UINT64_MAX});
	uint8_t out[16];
	struct nvc_writer writer = nvc_writer_over(out, sizeof(out));
	struct hexed want = unhex("010400000100ffffffffffffffff0000");

	ck_assert_int_eq(nvc_encode(&nvc_success2_layout, &message, bends, &writer), NVC_OK);
	expect_bytes("eight bytes at most", HEXED(want), nvc_writer_slice(&writer));
}
END_TEST

START_TEST(bends_that_do_nothing_are_refused)
{
	ck_assert_int_eq(
		bend_result(NVC_BENDS({.field = "no_such", .kind = NVC_BEND_SET})), NVC_E_INVALID);
	ck_assert_int_eq(bend_result(NVC_BENDS({.kind = NVC_BEND_SET})), NVC_E_INVALID);
	ck_assert_int_eq(
		bend_result(NVC_BENDS({.field = "hl", .kind = NVC_BEND_BYTES, .bytes = {four, 2}})),
		NVC_E_INVALID);
	ck_assert_int_eq(
		bend_result(NVC_BENDS({.kind = NVC_BEND_TRUNCATE, .value = 21})), NVC_E_INVALID);
	ck_assert_int_eq(bend_result(NVC_BENDS({.kind = NVC_BEND_TRUNCATE, .value = 17},
				 {.field = "dhval", .kind = NVC_BEND_XOR, .value = 1})),
		NVC_E_INVALID);
	ck_assert_int_eq(
		bend_result(NVC_BENDS({.kind = NVC_BEND_APPEND, .bytes = NVC_SLICE(four)})),
		NVC_E_NO_SPACE);
}
END_TEST

START_TEST(text_is_cut_not_overrun)
{
	static const char want[] =
		"DH-HMAC-CHAP_Challenge t_id=258 hl=2 hash_id=1 SHA-256 dhgid=1 ffdhe2048 dhvlen=2 "
		"seqnum=16909060 cval=c0c1c2 dhval=d0d1";
	char out[256];

	ck_assert_str_eq(nvc_print(&nvc_challenge_layout, &challenge, out, sizeof(out)), want);
	for (size_t size = 1; size < sizeof(want); size++) {
		char *small = malloc(size);

		ck_assert_ptr_nonnull(small);
		nvc_print(&nvc_challenge_layout, &challenge, small, size);
		ck_assert_uint_eq(strlen(small), size - 1);
		ck_assert_int_eq(strncmp(small, want, size - 1), 0);
		free(small);
	}
	nvc_print(&nvc_challenge_layout, &challenge, NULL, 0);
}
END_TEST

START_TEST(cursors_stay_inside)
{
	uint8_t *bytes = exact_copy(NVC_SLICE(four), sizeof(four));
	struct nvc_reader reader = nvc_reader_of(nvc_slice_of(bytes, 4));
	struct nvc_writer writer = nvc_writer_over(bytes, 4);
	char hex[16];

	ck_assert_uint_eq(nvc_read_le(&reader, 2), 0xa1a0);
	ck_assert_uint_eq(nvc_read_le(&reader, 4), 0);
	ck_assert(reader.failed);
	ck_assert_uint_eq(nvc_read_le(&reader, 1), 0); /* it was there, but the failure sticks */
	nvc_write_le(&writer, 0x11223344, 3);
	nvc_write_le(&writer, 1, 2);
	nvc_write_zeros(&writer, 1);
	ck_assert(writer.failed);
	ck_assert_uint_eq(writer.len, 3);
	ck_assert_str_eq(nvc_hex(nvc_slice_of(bytes, 4), hex, sizeof(hex)), "443322a3");
	ck_assert_str_eq(nvc_hex(nvc_slice_of(bytes, 4), hex, 9), "443322a3");
	ck_assert_str_eq(nvc_hex(nvc_slice_of(bytes, 4), hex, 8), "4433..");
	ck_assert_str_eq(nvc_hex(nvc_slice_of(bytes, 4), hex, 2), "");
	ck_assert_uint_eq(nvc_slice_sub(nvc_slice_of(bytes, 4), 4, 1).len, 0);
	ck_assert_uint_eq(nvc_slice_sub(nvc_slice_of(bytes, 4), 3, SIZE_MAX).len, 1);
	ck_assert(nvc_slice_equal(nvc_slice_str("ab"), nvc_slice_of("abc", 2)));
	ck_assert(!nvc_slice_equal(nvc_slice_str("ab"), nvc_slice_str("abc")));
	free(bytes);
}
END_TEST

START_TEST(first_error_wins)
{
	struct nvc_error err = {0};

	ck_assert_int_eq(nvc_fail(&err, NVC_E_TRUNCATED, "byte %d", 7), NVC_E_TRUNCATED);
	ck_assert_int_eq(nvc_fail(&err, NVC_E_MALFORMED, "later"), NVC_E_MALFORMED);
	ck_assert_int_eq(err.result, NVC_E_TRUNCATED);
	ck_assert_str_eq(err.text, "byte 7");
	ck_assert_int_eq(nvc_fail(NULL, NVC_E_STATE, "nobody listens"), NVC_E_STATE);
	ck_assert_str_eq(nvc_result_name(NVC_E_NO_SPACE), "no space");
	ck_assert_str_eq(nvc_result_name((enum nvc_result)99), "unknown result");
	for (int i = 0; i < NVC_NUM_RESULTS; i++)
		ck_assert_ptr_nonnull(nvc_result_name((enum nvc_result)i));
}
END_TEST

START_TEST(names)
{
	ck_assert_str_eq(nvc_name_of(nvc_sc_c_names, 3), "REPLACETLSPSK");
	ck_assert_ptr_null(nvc_name_of(nvc_sc_c_names, 1));
	ck_assert_ptr_null(nvc_name_of(NULL, 0));
	ck_assert_str_eq(nvc_name_of(nvc_fes_names, NVC_FES_HEADER_DIGEST), "header digest error");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wire");
	TCase *tcase = tcase_create("layout");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, crc32c_vectors);
	tcase_add_loop_test(tcase, every_layout, 0, NUM_ALL_LAYOUTS);
	tcase_add_test(tcase, bends_write_anything);
	tcase_add_test(tcase, bends_that_do_nothing_are_refused);
	tcase_add_test(tcase, text_is_cut_not_overrun);
	tcase_add_test(tcase, set_of_a_long_field);
	tcase_add_test(tcase, cursors_stay_inside);
	tcase_add_test(tcase, first_error_wins);
	tcase_add_test(tcase, names);
	tcase_set_timeout(tcase, 30);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
