/* SPDX-License-Identifier: BSD-3-Clause */
/* PDUs: the vectors with their digests, placement of data, bends, framing, and what a receiver objects to. */
#include "tests/unit/vectors.h"
#include "wire/crc32c.h"
#include "wire/pdu.h"

static const struct nvc_pdu_mode plain = {0}, digests = {.hdgst = true, .ddgst = true};

static const uint8_t data48[48] = {0xd0, 0xd1, 0xd2};

static const json_t *crc_entry(json_t *root, const char *name)
{
	json_t *entry;
	size_t i;

	json_array_foreach(section_of(root, "crc32c", 12), i, entry)
	{
		if (strcmp(text_of(entry, "name"), name) == 0)
			return entry;
	}
	ck_abort_msg("no entry %s", name);
	return NULL;
}

/* A whole PDU out of a header of the vectors: its digest, `data` and the digest of that. */
static size_t build(json_t *root, const char *name, struct nvc_slice data, uint8_t *out, size_t cap)
{
	const json_t *entry = crc_entry(root, name);
	struct hexed header = hex_of(entry, "input"), hdgst = hex_of(entry, "wire");
	struct nvc_writer writer = nvc_writer_over(out, cap);

	nvc_write_bytes(&writer, HEXED(header));
	nvc_write_bytes(&writer, HEXED(hdgst));
	nvc_write_bytes(&writer, data);
	if (data.len)
		nvc_write_le(&writer, nvc_crc32c(data), 4);
	ck_assert(!writer.failed);
	return writer.len;
}

static void expect_encoded(const char *name, const struct nvc_pdu *pdu,
	const struct nvc_pdu_mode *mode, struct nvc_slice want)
{
	uint8_t out[2048];
	struct nvc_writer writer = nvc_writer_over(out, sizeof(out));

	ck_assert_int_eq(nvc_pdu_encode(pdu, mode, NULL, &writer), NVC_OK);
	expect_bytes(name, want, nvc_writer_slice(&writer));
	ck_assert_uint_le(writer.len, nvc_pdu_len(pdu));
}

/* Decodes what `build` makes, with every digest right, and encodes it to the same bytes. */
static struct nvc_pdu round_trip(
	json_t *root, const char *name, struct nvc_slice data, uint8_t *bytes, size_t cap)
{
	size_t len = build(root, name, data, bytes, cap);
	struct nvc_slice in = nvc_slice_of(bytes, len);
	enum nvc_direction direction = bytes[0] & 1 ? NVC_C2H : NVC_H2C;
	struct nvc_error err = {0};
	struct nvc_pdu pdu;
	uint32_t fei;

	ck_assert_msg(nvc_pdu_decode(in, &digests, &pdu, &err) == NVC_OK, "%s: %s", name, err.text);
	ck_assert(!pdu.hdgst_wrong && !pdu.ddgst_wrong);
	expect_bytes(name, data, pdu.data);
	ck_assert_int_eq(nvc_pdu_check(&pdu.ch, direction, &digests, &fei), NVC_FES_NONE);
	ck_assert(nvc_reserved_is_zero(nvc_pdu_layout(pdu.ch.type), in, NULL));
	expect_encoded(name, &pdu, &digests, in);
	return pdu;
}

START_TEST(vectors_round_trip)
{
	json_t *root = load_vectors();
	struct hexed connect = hex_of(crc_entry(root, "Connect_data"), "input");
	struct hexed negotiate = hex_of(crc_entry(root, "AUTH_Negotiate_data"), "input");
	struct nvc_slice none = {NULL, 0};
	uint8_t bytes[2048];
	struct nvc_pdu pdu;

	pdu = round_trip(root, "CapsuleCmd_Connect_header", HEXED(connect), bytes, sizeof(bytes));
	ck_assert_uint_eq(pdu.ch.pdo, 76);
	ck_assert_uint_eq(pdu.ch.plen, 1104);
	expect_bytes("hdgst", nvc_slice_of(bytes + 72, 4),
		NVC_SLICE(((uint8_t[]){0xb1, 0x88, 0xc4, 0xf4})));
	ck_assert_uint_eq(pdu.hdgst, 0xf4c488b1);
	ck_assert_uint_eq(pdu.ddgst, 0x30f5eab3);
	pdu = round_trip(
		root, "CapsuleCmd_AuthSend_header", HEXED(negotiate), bytes, sizeof(bytes));
	ck_assert_uint_eq(pdu.ddgst, 0xb809cd57);
	pdu = round_trip(root, "CapsuleCmd_AuthRecv_header", none, bytes, sizeof(bytes));
	ck_assert_uint_eq(pdu.ch.pdo, 0);
	ck_assert_uint_eq(pdu.ch.flags, NVC_FLAG_HDGST);
	pdu = round_trip(root, "CapsuleResp_Connect", none, bytes, sizeof(bytes));
	ck_assert_uint_eq(pdu.ch.plen, 28);
	pdu = round_trip(root, "R2T", none, bytes, sizeof(bytes));
	ck_assert_uint_eq(pdu.xfer.cccid, 7);
	ck_assert_uint_eq(pdu.xfer.ttag, 3);
	ck_assert_uint_eq(pdu.xfer.length, 4096);
	pdu = round_trip(root, "C2HData_header", NVC_SLICE(data48), bytes, sizeof(bytes));
	ck_assert_uint_eq(pdu.xfer.cccid, 2);
	ck_assert_uint_eq(pdu.xfer.length, 48);
	ck_assert_uint_eq(pdu.ch.flags, NVC_FLAG_HDGST | NVC_FLAG_DDGST | NVC_FLAG_LAST);
	pdu = round_trip(root, "H2CData_header", HEXED(negotiate), bytes, sizeof(bytes));
	ck_assert_uint_eq(pdu.xfer.cccid, 1);
	ck_assert_uint_eq(pdu.xfer.ttag, 3);
	json_decref(root);
}
END_TEST

START_TEST(icreq_vector)
{
	json_t *root = load_vectors();
	struct hexed want = hex_of(json_object_get(root, "capsules"), "icreq");
	struct nvc_pdu pdu = {.ch.type = NVC_PDU_IC_REQ}, got;

	expect_encoded("ICReq", &pdu, &plain, HEXED(want));
	expect_encoded("ICReq never has digests", &pdu, &digests, HEXED(want));
	ck_assert_int_eq(nvc_pdu_decode(HEXED(want), &digests, &got, NULL), NVC_OK);
	ck_assert_uint_eq(got.ch.hlen, 128);
	ck_assert_uint_eq(got.ch.plen, 128);
	json_decref(root);
}
END_TEST

/* Offsets of ICResp and TermReq, written out by hand from tables 1.4 and 1.5. */
START_TEST(ic_resp_and_term_req)
{
	struct nvc_pdu ic = {.ch.type = NVC_PDU_IC_RESP, .ic = {0x0102, 3, 1, 0x00020000}};
	struct nvc_pdu term = {.ch.type = NVC_PDU_C2H_TERM_REQ,
		.term = {1, 0x01020304},
		.data = NVC_SLICE(data48)};
	struct hexed want_ic = unhex("0100800080000000"
				     "0201030100000200");
	struct hexed want_term = unhex("0300180048000000"
				       "010004030201");
	struct nvc_pdu got;

	want_ic.len = 128;
	expect_encoded("ICResp", &ic, &plain, HEXED(want_ic));
	memcpy(want_term.data + 24, data48, sizeof(data48));
	want_term.len = 24 + sizeof(data48);
	expect_encoded("C2HTermReq", &term, &digests, HEXED(want_term));
	ck_assert_int_eq(nvc_pdu_decode(HEXED(want_term), &digests, &got, NULL), NVC_OK);
	ck_assert_uint_eq(got.term.fei, 0x01020304);
	expect_bytes("quoted header", NVC_SLICE(data48), got.data);
}
END_TEST

START_TEST(data_is_aligned)
{
	static const struct {
		uint8_t type, pda;
		bool hdgst;
		size_t pdo;
	} rows[] = {
		{NVC_PDU_CAPSULE_CMD, 0, false, 72},
		{NVC_PDU_CAPSULE_CMD, 0, true, 76},
		{NVC_PDU_CAPSULE_CMD, 1, false, 72},
		{NVC_PDU_CAPSULE_CMD, 1, true, 80},
		{NVC_PDU_CAPSULE_CMD, 31, true, 128},
		{NVC_PDU_H2C_DATA, 0, false, 24},
		{NVC_PDU_H2C_DATA, 7, false, 32},
		{NVC_PDU_C2H_DATA, 31, false, 128},
		{NVC_PDU_C2H_DATA, 62, false, 252},
	};
	uint8_t out[512];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct nvc_pdu_mode mode = {.hdgst = rows[i].hdgst, .pda = rows[i].pda};
		struct nvc_pdu pdu = {.ch.type = rows[i].type, .data = NVC_SLICE(data48)}, got;
		struct nvc_writer writer = nvc_writer_over(out, sizeof(out));
		size_t head = nvc_pdu_layout(rows[i].type)->fixed_len + (rows[i].hdgst ? 4 : 0);

		ck_assert_int_eq(nvc_pdu_encode(&pdu, &mode, NULL, &writer), NVC_OK);
		ck_assert_uint_eq(out[3], rows[i].pdo);
		ck_assert_uint_eq(writer.len, rows[i].pdo + sizeof(data48));
		ck_assert_uint_le(writer.len, nvc_pdu_len(&pdu));
		ck_assert(nvc_slice_is_zero(nvc_slice_of(out + head, rows[i].pdo - head)));
		ck_assert_int_eq(
			nvc_pdu_decode(nvc_writer_slice(&writer), &mode, &got, NULL), NVC_OK);
		expect_bytes("data", NVC_SLICE(data48), got.data);
	}
}
END_TEST

static enum nvc_result encode_result(const struct nvc_pdu *pdu, const struct nvc_pdu_mode *mode,
	const struct nvc_bends *bends, size_t cap)
{
	uint8_t out[512];
	struct nvc_writer writer = nvc_writer_over(out, cap);

	return nvc_pdu_encode(pdu, mode, bends, &writer);
}

START_TEST(what_cannot_be_encoded)
{
	struct nvc_pdu unknown = {.ch.type = 8},
		       resp = {.ch.type = NVC_PDU_CAPSULE_RESP, .data = NVC_SLICE(data48)};
	struct nvc_pdu c2h = {.ch.type = NVC_PDU_C2H_DATA, .data = NVC_SLICE(data48)};
	struct nvc_pdu_mode far = {.pda = 63};

	ck_assert_int_eq(encode_result(&unknown, &plain, NULL, 512), NVC_E_INVALID);
	ck_assert_int_eq(encode_result(&resp, &plain, NULL, 512), NVC_E_INVALID);
	ck_assert_int_eq(encode_result(&c2h, &far, NULL, 512), NVC_E_INVALID);
	ck_assert_int_eq(encode_result(&c2h, &digests, NULL, 80), NVC_OK);
	for (size_t cap = 0; cap < 80; cap++)
		ck_assert_int_eq(encode_result(&c2h, &digests, NULL, cap), NVC_E_NO_SPACE);
	ck_assert_int_eq(
		encode_result(&c2h, &plain,
			NVC_BENDS({.field = "hdgst", .kind = NVC_BEND_XOR, .value = 1}), 512),
		NVC_E_INVALID);
	ck_assert_int_eq(
		encode_result(&c2h, &plain,
			NVC_BENDS({.field = "ddgst", .kind = NVC_BEND_XOR, .value = 1}), 512),
		NVC_E_INVALID);
	ck_assert_int_eq(
		encode_result(&c2h, &plain,
			NVC_BENDS({.field = "sqe", .kind = NVC_BEND_XOR, .value = 1}), 512),
		NVC_E_INVALID);
}
END_TEST

static size_t encode_bent(const struct nvc_bends *bends, uint8_t *out, size_t cap)
{
	struct nvc_pdu pdu = {.ch = {.type = NVC_PDU_C2H_DATA, .flags = 0xff},
		.xfer = {5, 0, 0, 48},
		.data = NVC_SLICE(data48)};
	struct nvc_writer writer = nvc_writer_over(out, cap);

	ck_assert_int_eq(nvc_pdu_encode(&pdu, &digests, bends, &writer), NVC_OK);
	return writer.len;
}

static struct nvc_pdu decode_bent(const struct nvc_bends *bends)
{
	static uint8_t out[128];
	size_t len = encode_bent(bends, out, sizeof(out));
	struct nvc_pdu pdu;

	ck_assert_int_eq(nvc_pdu_decode(nvc_slice_of(out, len), &digests, &pdu, NULL), NVC_OK);
	return pdu;
}

START_TEST(bends_and_digests)
{
	struct nvc_pdu pdu = decode_bent(NULL);
	uint32_t right = pdu.hdgst;

	ck_assert_uint_eq(pdu.ch.flags, 0x0f);
	ck_assert(!pdu.hdgst_wrong && !pdu.ddgst_wrong);
	/* HDGST covers the bent header, so that the lie itself is what the peer judges. */
	pdu = decode_bent(NVC_BENDS({.field = "hlen", .kind = NVC_BEND_SET, .value = 99},
		{.field = "cccid", .kind = NVC_BEND_SET, .value = 0xffff},
		{.field = "reserved20", .kind = NVC_BEND_SET, .value = 1}));
	ck_assert(!pdu.hdgst_wrong);
	ck_assert_uint_ne(pdu.hdgst, right);
	ck_assert_uint_eq(pdu.ch.hlen, 99);
	ck_assert_uint_eq(pdu.xfer.cccid, 0xffff);
	pdu = decode_bent(NVC_BENDS({.field = "hdgst", .kind = NVC_BEND_XOR, .value = 0x80}));
	ck_assert(pdu.hdgst_wrong && !pdu.ddgst_wrong);
	ck_assert_uint_eq(pdu.hdgst, right ^ 0x80000000);
	pdu = decode_bent(NVC_BENDS({.field = "ddgst", .kind = NVC_BEND_SET, .value = 0x01020304}));
	ck_assert(!pdu.hdgst_wrong && pdu.ddgst_wrong);
	ck_assert_uint_eq(pdu.ddgst, 0x01020304);
}
END_TEST

START_TEST(bends_of_the_whole_pdu)
{
	static const uint8_t more[] = {1, 2, 3};
	uint8_t right[128], out[128];
	size_t len = encode_bent(NULL, right, sizeof(right));
	struct nvc_pdu pdu;

	ck_assert_uint_eq(len, 80);
	ck_assert_uint_eq(
		encode_bent(NVC_BENDS({.kind = NVC_BEND_TRUNCATE, .value = 79}), out, sizeof(out)),
		79);
	expect_bytes("cut", nvc_slice_of(right, 79), nvc_slice_of(out, 79));
	ck_assert_int_eq(
		nvc_pdu_decode(nvc_slice_of(out, 79), &digests, &pdu, NULL), NVC_E_TRUNCATED);
	ck_assert_uint_eq(
		encode_bent(NVC_BENDS({.kind = NVC_BEND_APPEND, .bytes = NVC_SLICE(more)}), out,
			sizeof(out)),
		83);
	expect_bytes("unchanged", nvc_slice_of(right, 80), nvc_slice_of(out, 80));
	expect_bytes("appended", NVC_SLICE(more), nvc_slice_of(out + 80, 3));
	ck_assert_int_eq(
		nvc_pdu_decode(nvc_slice_of(out, 83), &digests, &pdu, NULL), NVC_E_MALFORMED);
	encode_bent(NVC_BENDS({.field = "plen", .kind = NVC_BEND_SET, .value = 0xffffffff}), out,
		sizeof(out));
	ck_assert_uint_eq(nvc_get_le(out + 4, 4), 0xffffffff);
	encode_bent(
		NVC_BENDS({.field = "type", .kind = NVC_BEND_SET, .value = 8}), out, sizeof(out));
	ck_assert_int_eq(
		nvc_pdu_decode(nvc_slice_of(out, 80), &digests, &pdu, NULL), NVC_E_MALFORMED);
}
END_TEST

/* Every type, cut at every byte: as it came, and with a PLEN that agrees with the cut. Only the sanitizers can tell
 * whether the second reads outside; it may be taken apart or not. */
START_TEST(cut_anywhere)
{
	struct nvc_pdu pdu = {.ch.type = (uint8_t)_i}, got;
	uint8_t out[512];
	struct nvc_writer writer = nvc_writer_over(out, sizeof(out));
	char text[512];

	if (!nvc_pdu_layout(pdu.ch.type))
		return;
	if (nvc_pdu_encode(&pdu, &digests, NULL, &writer) == NVC_OK) {
		pdu.data = nvc_slice_of(data48, sizeof(data48));
		writer = nvc_writer_over(out, sizeof(out));
		if (nvc_pdu_encode(&pdu, &digests, NULL, &writer) != NVC_OK) {
			pdu.data.len = 0;
			ck_assert_int_eq(nvc_pdu_encode(&pdu, &digests, NULL, &writer), NVC_OK);
		}
	}
	for (size_t cut = 0; cut < writer.len; cut++) {
		uint8_t *copy = exact_copy(nvc_writer_slice(&writer), cut);

		ck_assert_int_eq(nvc_pdu_decode(nvc_slice_of(copy, cut), &digests, &got, NULL),
			NVC_E_TRUNCATED);
		if (cut >= NVC_PDU_CH_LEN) {
			nvc_put_le(copy + 4, cut, 4);
			nvc_pdu_decode(nvc_slice_of(copy, cut), &digests, &got, NULL);
			nvc_pdu_describe(&got, text, sizeof(text));
			nvc_pdu_decode(nvc_slice_of(copy, cut), &plain, &got, NULL);
			nvc_pdu_describe(&got, text, sizeof(text));
		}
		free(copy);
	}
}
END_TEST

START_TEST(frames)
{
	uint8_t in[24] = {NVC_PDU_CAPSULE_RESP, 0, 24, 0, 24};
	size_t plen;

	for (size_t len = 0; len < sizeof(in); len++) {
		uint8_t *copy = exact_copy(NVC_SLICE(in), len);

		ck_assert_int_eq(
			nvc_pdu_frame(nvc_slice_of(copy, len), 4096, &plen), NVC_E_TRUNCATED);
		free(copy);
	}
	ck_assert_int_eq(nvc_pdu_frame(NVC_SLICE(in), 4096, &plen), NVC_OK);
	ck_assert_uint_eq(plen, 24);
	ck_assert_int_eq(nvc_pdu_frame(NVC_SLICE(in), 24, &plen), NVC_OK);
	ck_assert_int_eq(nvc_pdu_frame(NVC_SLICE(in), 23, &plen), NVC_E_MALFORMED);
	in[4] = 8;
	ck_assert_int_eq(nvc_pdu_frame(NVC_SLICE(in), 4096, &plen), NVC_OK);
	ck_assert_uint_eq(plen, 8);
	in[4] = 7;
	ck_assert_int_eq(nvc_pdu_frame(NVC_SLICE(in), 4096, &plen), NVC_E_MALFORMED);
	memset(in + 4, 0xff, 4); /* refused at the header, not waited for */
	ck_assert_int_eq(nvc_pdu_frame(nvc_slice_of(in, 8), 16384, &plen), NVC_E_MALFORMED);
	ck_assert_uint_eq(plen, 0);
}
END_TEST

enum { D = 1, A = 2 }; /* digests on; receiver asks for alignment to 16 bytes */

static const struct check_row {
	struct nvc_ch ch; /* type, flags, hlen, pdo, plen */
	enum nvc_direction direction;
	int mode;
	int fei; /* -1: in order */
} check_rows[] = {
	{{0, 0, 128, 0, 128}, NVC_H2C, 0, -1}, {{0, 0, 128, 0, 128}, NVC_C2H, 0, 0},
	{{1, 0, 128, 0, 128}, NVC_H2C, 0, 0}, {{8, 0, 24, 0, 24}, NVC_H2C, 0, 0},
	{{10, 0, 24, 0, 24}, NVC_H2C, 0, 0}, {{255, 0, 24, 0, 24}, NVC_C2H, 0, 0},
	{{0, 0, 127, 0, 128}, NVC_H2C, 0, 2}, {{0, 0, 128, 0, 129}, NVC_H2C, 0, 4},
	{{0, 0, 128, 128, 128}, NVC_H2C, 0, 3}, {{0, 1, 128, 0, 128}, NVC_H2C, 0, 1},
	{{1, 0, 128, 0, 128}, NVC_C2H, D, -1}, /* never digests */
	{{1, 2, 128, 0, 128}, NVC_C2H, D, 1}, {{2, 0, 24, 0, 24}, NVC_H2C, D, -1},
	{{3, 0, 24, 0, 152}, NVC_C2H, D, -1}, {{3, 0, 24, 0, 153}, NVC_C2H, D, 4},
	{{3, 0, 24, 0, 23}, NVC_C2H, 0, 4},
	{{3, 0, 24, 24, 30}, NVC_C2H, 0, -1}, /* PDO of a TermReq is nobody's business */
	{{4, 0, 72, 0, 72}, NVC_H2C, 0, -1}, {{4, 0, 72, 72, 72}, NVC_H2C, 0, 3},
	{{4, 0, 72, 0, 71}, NVC_H2C, 0, 4}, {{4, 0, 72, 72, 144}, NVC_H2C, 0, -1},
	{{4, 0, 72, 0, 144}, NVC_H2C, 0, 3}, {{4, 0, 72, 71, 144}, NVC_H2C, 0, 3},
	{{4, 0, 72, 74, 144}, NVC_H2C, 0, 3}, {{4, 0, 72, 144, 144}, NVC_H2C, 0, 3},
	{{4, 0, 72, 80, 152}, NVC_H2C, A, -1}, {{4, 0, 72, 72, 144}, NVC_H2C, A, 3},
	{{4, 0, 71, 72, 144}, NVC_H2C, 0, 2}, {{4, 1, 72, 72, 144}, NVC_H2C, 0, 1},
	{{4, 2, 72, 72, 144}, NVC_H2C, 0, 1}, {{4, 3, 72, 76, 152}, NVC_H2C, D, -1},
	{{4, 1, 72, 76, 152}, NVC_H2C, D, 1}, {{4, 2, 72, 76, 152}, NVC_H2C, D, 1},
	{{4, 1, 72, 0, 76}, NVC_H2C, D, -1},
	{{4, 3, 72, 0, 76}, NVC_H2C, D, 1},  /* DDGSTF without data */
	{{4, 3, 72, 76, 80}, NVC_H2C, D, 4}, /* digest and no data */
	{{5, 0, 24, 0, 24}, NVC_C2H, 0, -1}, {{5, 0, 24, 0, 28}, NVC_C2H, 0, 4},
	{{5, 1, 24, 0, 28}, NVC_C2H, D, -1}, {{5, 0, 24, 0, 28}, NVC_C2H, D, 1},
	{{5, 0, 24, 24, 24}, NVC_C2H, 0, 3}, {{5, 3, 24, 0, 28}, NVC_C2H, D, 1},
	{{6, 4, 24, 24, 96}, NVC_H2C, 0, -1}, {{6, 4, 24, 24, 24}, NVC_H2C, 0, 4},
	{{6, 4, 24, 0, 96}, NVC_H2C, 0, 3}, {{6, 7, 24, 28, 104}, NVC_H2C, D, -1},
	{{6, 6, 24, 28, 104}, NVC_H2C, D, 1}, {{6, 5, 24, 28, 104}, NVC_H2C, D, 1},
	{{6, 7, 24, 28, 30}, NVC_H2C, D, 4}, {{7, 4, 24, 24, 96}, NVC_C2H, 0, -1},
	{{7, 12, 24, 24, 96}, NVC_C2H, 0, -1},
	{{7, 8, 24, 24, 96}, NVC_C2H, 0, 1}, /* SUCCESS without LAST */
	{{7, 4, 23, 24, 96}, NVC_C2H, 0, 2}, {{7, 4, 24, 28, 96}, NVC_C2H, A, 3},
	{{9, 0, 24, 0, 24}, NVC_C2H, 0, -1}, {{9, 0, 24, 0, 25}, NVC_C2H, 0, 4},
	{{9, 0, 24, 24, 24}, NVC_C2H, 0, 3}, {{9, 1, 24, 0, 28}, NVC_C2H, D, -1},
	{{9, 0, 24, 0, 24}, NVC_H2C, 0, 0},
	{{9, 0xf0, 24, 0, 24}, NVC_C2H, 0, -1}, /* reserved flags are not looked at */
};

START_TEST(checks)
{
	const struct check_row *row = &check_rows[_i];
	struct nvc_pdu_mode mode = {row->mode & D, row->mode & D, row->mode & A ? 3 : 0};
	uint32_t fei = 99;
	enum nvc_fes fes = nvc_pdu_check(&row->ch, row->direction, &mode, &fei);

	ck_assert_int_eq(fes, row->fei < 0 ? NVC_FES_NONE : NVC_FES_INVALID_FIELD);
	ck_assert_uint_eq(fei, row->fei < 0 ? 0 : (uint32_t)row->fei);
}
END_TEST

START_TEST(data_pdu_without_data)
{
	struct nvc_pdu pdu = {.ch.type = NVC_PDU_C2H_DATA, .xfer.cccid = 5}, got;
	uint8_t out[64];
	struct nvc_writer writer = nvc_writer_over(out, sizeof(out));
	uint32_t fei;

	ck_assert_int_eq(nvc_pdu_encode(&pdu, &digests, NULL, &writer), NVC_OK);
	ck_assert_uint_eq(writer.len, 28);
	ck_assert_int_eq(nvc_pdu_decode(nvc_writer_slice(&writer), &digests, &got, NULL), NVC_OK);
	ck_assert_uint_eq(got.ch.pdo, 0);
	ck_assert_uint_eq(got.xfer.cccid, 5);
	ck_assert_uint_eq(got.data.len, 0);
	ck_assert_int_eq(nvc_pdu_check(&got.ch, NVC_C2H, &digests, &fei), NVC_FES_INVALID_FIELD);
	ck_assert_uint_eq(fei, 4);
}
END_TEST

START_TEST(pdo_outside)
{
	uint8_t out[128];
	size_t len = encode_bent(
		NVC_BENDS({.field = "pdo", .kind = NVC_BEND_SET, .value = 27}), out, sizeof(out));
	struct nvc_error err = {0};
	struct nvc_pdu pdu;

	ck_assert_int_eq(
		nvc_pdu_decode(nvc_slice_of(out, len), &digests, &pdu, &err), NVC_E_MALFORMED);
	ck_assert_str_eq(err.text, "C2HData: PDO 27, data may lie between 28 and PLEN 80");
	encode_bent(
		NVC_BENDS({.field = "pdo", .kind = NVC_BEND_SET, .value = 81}), out, sizeof(out));
	ck_assert_int_eq(
		nvc_pdu_decode(nvc_slice_of(out, len), &digests, &pdu, NULL), NVC_E_MALFORMED);
	encode_bent(
		NVC_BENDS({.field = "pdo", .kind = NVC_BEND_SET, .value = 78}), out, sizeof(out));
	ck_assert_int_eq(
		nvc_pdu_decode(nvc_slice_of(out, len), &digests, &pdu, NULL), NVC_E_TRUNCATED);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wire pdu");
	TCase *tcase = tcase_create("pdu");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, vectors_round_trip);
	tcase_add_test(tcase, icreq_vector);
	tcase_add_test(tcase, ic_resp_and_term_req);
	tcase_add_test(tcase, data_is_aligned);
	tcase_add_test(tcase, what_cannot_be_encoded);
	tcase_add_test(tcase, bends_and_digests);
	tcase_add_test(tcase, bends_of_the_whole_pdu);
	tcase_add_loop_test(tcase, cut_anywhere, 0, 10);
	tcase_add_test(tcase, frames);
	tcase_add_loop_test(tcase, checks, 0, sizeof(check_rows) / sizeof(check_rows[0]));
	tcase_add_test(tcase, data_pdu_without_data);
	tcase_add_test(tcase, pdo_outside);
	tcase_set_timeout(tcase, 30);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
