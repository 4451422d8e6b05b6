/* SPDX-License-Identifier: BSD-3-Clause */
/* The reference target and headers, digests and segmentation of PDUs. */
#include "target_wire.h"

struct header_fault {
	uint8_t type;
	const char *field;
	uint32_t value;
	bool after_icresp;
	uint16_t fes;
	uint32_t fei;
};

static const struct header_fault header_faults[] = {
	{NVC_PDU_IC_REQ, "pfv", 1, false, NVC_FES_UNSUPPORTED, 8},
	{NVC_PDU_IC_REQ, "hpda", 32, false, NVC_FES_INVALID_FIELD, 10},
	{NVC_PDU_IC_REQ, "plen", 127, false, NVC_FES_INVALID_FIELD, 4},
	{NVC_PDU_IC_REQ, "plen", 129, false, NVC_FES_INVALID_FIELD, 4},
	{NVC_PDU_IC_REQ, "hlen", 24, false, NVC_FES_INVALID_FIELD, 2},
	{NVC_PDU_CAPSULE_CMD, NULL, 0, false, NVC_FES_SEQUENCE, 0},
	{NVC_PDU_IC_REQ, NULL, 0, true, NVC_FES_SEQUENCE, 0},
	{NVC_PDU_CAPSULE_CMD, "type", 0x08, true, NVC_FES_INVALID_FIELD, 0},
	{NVC_PDU_CAPSULE_CMD, "type", 0x0b, true, NVC_FES_INVALID_FIELD, 0},
	{NVC_PDU_CAPSULE_CMD, "type", 0xff, true, NVC_FES_INVALID_FIELD, 0},
	{NVC_PDU_CAPSULE_CMD, "type", NVC_PDU_CAPSULE_RESP, true, NVC_FES_INVALID_FIELD, 0},
	{NVC_PDU_CAPSULE_CMD, "type", NVC_PDU_R2T, true, NVC_FES_INVALID_FIELD, 0},
	{NVC_PDU_CAPSULE_CMD, "hlen", 71, true, NVC_FES_INVALID_FIELD, 2},
	{NVC_PDU_CAPSULE_CMD, "plen", 8, true, NVC_FES_INVALID_FIELD, 4},
	{NVC_PDU_CAPSULE_CMD, "plen", 0xffffffff, true, NVC_FES_INVALID_FIELD, 4},
	{NVC_PDU_H2C_DATA, NULL, 0, true, NVC_FES_INVALID_FIELD, 8},
};

START_TEST(wrong_headers_are_fatal)
{
	const struct header_fault *fault = &header_faults[_i];
	struct bench *bench = bench_new(NULL);
	struct wire *wire = wire_new(bench);
	const struct nvc_bend bend = {
		.field = fault->field, .kind = NVC_BEND_SET, .value = fault->value};
	const struct nvc_bends bends = {&bend, fault->field ? 1 : 0};
	struct nvc_pdu pdu = {.ch.type = fault->type};

	if (fault->type == NVC_PDU_H2C_DATA) {
		pdu.data = nvc_slice_of("abcd", 4);
		pdu.xfer.length = 4;
	}
	if (fault->after_icresp)
		initialise(wire, 0);
	put_pdu(wire, &pdu, &bends);
	expect_term(wire, fault->fes, fault->fei);
	wire_free(wire);
	bench_free(bench);
}
END_TEST

/* Bytes one at a time end as the same bytes at once. */
START_TEST(segmentation_changes_nothing)
{
	uint8_t bytes[256];
	struct nvc_writer writer = nvc_writer_over(bytes, sizeof(bytes));
	struct bench *bench = bench_new(NULL);
	struct wire *wire = wire_new(bench);
	struct nvc_pdu icreq = {.ch.type = NVC_PDU_IC_REQ}, cmd = {.ch.type = NVC_PDU_CAPSULE_CMD};
	struct nvc_pdu got;

	ck_assert_int_eq(nvc_pdu_encode(&icreq, &wire->mode, NULL, &writer), NVC_OK);
	ck_assert_int_eq(nvc_pdu_encode(&cmd, &wire->mode, NULL, &writer), NVC_OK);
	for (size_t i = 0; i < writer.len; i++)
		put(wire, nvc_slice_of(bytes + i, 1));
	ck_assert(take(wire, &got));
	ck_assert_uint_eq(got.ch.type, NVC_PDU_IC_RESP);
	ck_assert(take(wire, &got));
	ck_assert_uint_eq(got.ch.type, NVC_PDU_CAPSULE_RESP);
	ck_assert_uint_eq(
		nvc_cqe_status((uint16_t)nvc_get_le(got.cqe + 14, 2)), NVC_SC_COMMAND_SEQUENCE);
	wire_free(wire);
	bench_free(bench);
}
END_TEST

START_TEST(header_digest_error_is_fatal)
{
	struct bench *bench = bench_new(NULL);
	struct wire *wire = wire_new(bench);
	const struct nvc_bend bend = {.field = "hdgst", .kind = NVC_BEND_SET, .value = 0x12345678};
	const struct nvc_bends bends = {&bend, 1};
	struct nvc_pdu pdu = {.ch.type = NVC_PDU_CAPSULE_CMD};

	initialise(wire, NVC_DGST_HEADER | NVC_DGST_DATA);
	put_pdu(wire, &pdu, &bends);
	expect_term(wire, NVC_FES_HEADER_DIGEST, 0x12345678);
	wire_free(wire);
	bench_free(bench);
}
END_TEST

START_TEST(term_req_of_the_host_closes)
{
	struct bench *bench = bench_new(NULL);
	struct wire *wire = wire_new(bench);
	struct nvc_pdu pdu = {.ch.type = NVC_PDU_H2C_TERM_REQ, .term.fes = 1};
	const struct nvc_bend bend = {.field = "plen", .kind = NVC_BEND_SET, .value = 153};
	const struct nvc_bends bends = {&bend, _i ? 1 : 0};

	initialise(wire, 0);
	put_pdu(wire, &pdu, &bends);
	ck_assert(!take(wire, &pdu));
	ck_assert_int_eq(bench->service->wants_end(wire->conn), NVC_END_FIN);
	wire_free(wire);
	bench_free(bench);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("reference target, PDU headers");
	TCase *tc = tcase_create("bytes");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tc);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, wrong_headers_are_fatal, 0,
		(int)(sizeof(header_faults) / sizeof(header_faults[0])));
	tcase_add_test(tc, segmentation_changes_nothing);
	tcase_add_test(tc, header_digest_error_is_fatal);
	tcase_add_loop_test(tc, term_req_of_the_host_closes, 0, 2);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
