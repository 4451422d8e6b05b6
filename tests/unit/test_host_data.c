/* SPDX-License-Identifier: BSD-3-Clause */
/* The data of the host emulator's commands, in both directions, against scripted controllers that give it well and badly. */
#include "host_data.h"

START_TEST(data_in_pieces_is_put_together)
{
	struct stage *stage = STAGE(OPENING, COMMAND(give_identify_in_pieces));
	struct nvc_completion done;

	stage->host.ic.dgst = stage->script.dgst = (uint8_t)(_i & 3);
	stage->host.fault.max_segment = _i < 4 ? 0 : 1;
	stage_connect(stage);
	ck_assert_int_eq(nvc_do_identify(stage->queue, NVC_CNS_CONTROLLER, 0, &done, NULL), NVC_OK);
	expect_bytes("Identify data", NVC_SLICE(pattern), done.data);
	ck_assert(done.data_last && !done.success_flag);
	ck_assert_uint_eq(nvc_queue_info(stage->queue)->num_violations, 0);
	stage_close(stage);
}
END_TEST

static void give_block_with_success(struct script *script, const struct nvc_pdu *pdu)
{
	say_data(script, cid_of(pdu), 0, nvc_slice_of(pattern, 512),
		NVC_FLAG_LAST | NVC_FLAG_SUCCESS, NULL);
}

START_TEST(success_flag_is_a_completion)
{
	const bool no_flow = _i == 0;
	struct stage *stage = STAGE(LINE(NVC_PDU_IC_REQ, answer_ic),
		COMMAND(no_flow ? answer_connect_no_flow : answer_connect),
		COMMAND(give_block_with_success));
	struct nvc_completion done;

	stage_connect(stage);
	ck_assert_int_eq(nvc_do_read(stage->queue, 1, 0, 512, &done, NULL), NVC_OK);
	ck_assert(done.answered && done.success_flag && done.data_last);
	ck_assert_uint_eq(done.status, 0);
	expect_bytes("block", nvc_slice_of(pattern, 512), done.data);
	/* It is only allowed when SQ flow control is disabled. */
	ck_assert_uint_eq(nvc_queue_info(stage->queue)->num_violations, no_flow ? 0 : 1);
	stage_close(stage);
}
END_TEST

/* A data PDU that breaks a rule, then an honest completion: nothing may be overrun, everything noticed. */
struct lie {
	const char *what;
	uint16_t cid_offset;
	uint32_t datao;
	size_t len;
	uint8_t flags;
	struct nvc_bend bend;
	size_t usable; /* bytes that count */
};
static const struct lie lies[] = {
	{"beyond the 512 asked for", 0, 0, 516, NVC_FLAG_LAST, {0}, 512},
	{"beyond the 512 asked for", 0, 0, 4096, NVC_FLAG_LAST, {0}, 512},
	{"not on its way", 77, 0, 512, NVC_FLAG_LAST, {0}, 0},
	{"DATAO 4, not 0", 0, 4, 508, NVC_FLAG_LAST, {0}, 0},
	{"DATAO 4294967292, not 0", 0, UINT32_MAX - 3, 512, NVC_FLAG_LAST, {0}, 0},
	{"DATAL 4294967295 but 512 bytes", 0, 0, 512, NVC_FLAG_LAST,
		{.field = "datal", .kind = NVC_BEND_SET, .value = UINT32_MAX}, 512},
	{"DATAL 4 but 512 bytes", 0, 0, 512, NVC_FLAG_LAST,
		{.field = "datal", .kind = NVC_BEND_SET, .value = 4}, 512},
	{"FES 01h, FEI 1", 0, 0, 512, NVC_FLAG_SUCCESS, {0}, 512},
};
static const struct lie *told;

static void tell_lie(struct script *script, const struct nvc_pdu *pdu)
{
	const struct nvc_bends bends = {&told->bend, told->bend.field != NULL ? 1 : 0};

	say_data(script, (uint16_t)(cid_of(pdu) + told->cid_offset), told->datao,
		nvc_slice_of(pattern, told->len), told->flags, &bends);
	answer_success(script, pdu);
}

START_TEST(lies_about_data_are_noticed)
{
	struct stage *stage = STAGE(OPENING, COMMAND(tell_lie));
	struct nvc_completion done;
	const struct nvc_queue_info *info;

	told = &lies[_i];
	stage_connect(stage);
	info = nvc_queue_info(stage->queue);
	ck_assert_int_eq(nvc_do_read(stage->queue, 1, 0, 512, &done, NULL), NVC_OK);
	ck_assert_uint_gt(info->num_violations, 0);
	ck_assert_msg(strstr(info->violation, told->what) != NULL, "%s", info->violation);
	expect_bytes("data", nvc_slice_of(pattern, told->usable), done.data);
	stage_close(stage);
}
END_TEST

static void give_wrong_ddgst(struct script *script, const struct nvc_pdu *pdu)
{
	say_data(script, cid_of(pdu), 0, nvc_slice_of(pattern, 512), NVC_FLAG_LAST,
		NVC_BENDS({.field = "ddgst", .kind = NVC_BEND_XOR, .value = 1}));
	answer_success(script, pdu);
}

START_TEST(wrong_data_digest_spoils_the_data_only)
{
	struct stage *stage = STAGE(OPENING, COMMAND(give_wrong_ddgst), COMMAND(answer_success));
	struct nvc_completion done;

	stage->host.ic.dgst = stage->script.dgst = 3;
	stage_connect(stage);
	ck_assert_int_eq(nvc_do_read(stage->queue, 1, 0, 512, &done, NULL), NVC_OK);
	ck_assert(done.data_digest_wrong);
	ck_assert_int_eq(nvc_do_keep_alive(stage->queue, &done, NULL), NVC_OK);
	ck_assert(!done.data_digest_wrong);
	stage_close(stage);
}
END_TEST

static void give_wrong_hdgst(struct script *script, const struct nvc_pdu *pdu)
{
	struct nvc_pdu answer = {.ch.type = NVC_PDU_CAPSULE_RESP};

	nvc_put_le(answer.cqe + 12, cid_of(pdu), 2);
	say(script, &answer, NVC_BENDS({.field = "hdgst", .kind = NVC_BEND_XOR, .value = 0x80}));
}

START_TEST(wrong_header_digest_is_fatal)
{
	struct stage *stage = STAGE(OPENING, COMMAND(give_wrong_hdgst));
	struct nvc_completion done;
	struct nvc_error err = {0};

	stage->host.ic.dgst = stage->script.dgst = 1;
	stage_connect(stage);
	ck_assert_int_eq(nvc_do_keep_alive(stage->queue, &done, &err), NVC_E_MALFORMED);
	ck_assert_ptr_nonnull(strstr(err.text, "wrong header digest"));
	ck_assert(!done.answered);
	stage_close(stage);
}
END_TEST

/* ---- R2T ---- */

static uint8_t collected[256];
static size_t num_collected;

static void ask_for_data(struct script *script, const struct nvc_pdu *pdu)
{
	const struct nvc_pdu r2t = {
		.ch.type = NVC_PDU_R2T, .xfer = {cid_of(pdu), 0x5151, 0, sizeof(collected)}};
	const struct hexed want = capsule_of("auth_send_sqe_transport_sgl_72");
	uint8_t sqe[NVC_SQE_LEN];

	/* The vector is one of 72 bytes; all but the two lengths has to be equal. */
	memcpy(sqe, pdu->sqe, sizeof(sqe));
	nvc_put_le(sqe + 32, 72, 4);
	nvc_put_le(sqe + 44, 72, 4);
	expect_bytes("SQE of Authentication Send", HEXED(want), NVC_SLICE(sqe));
	ck_assert_uint_eq(pdu->data.len, 0);
	note_cid(script, pdu);
	num_collected = 0;
	say(script, &r2t, NULL);
}

static void collect_data(struct script *script, const struct nvc_pdu *pdu)
{
	ck_assert_uint_eq(pdu->xfer.cccid, script->cids[0]);
	ck_assert_uint_eq(pdu->xfer.ttag, 0x5151);
	ck_assert_uint_eq(pdu->xfer.offset, num_collected);
	ck_assert_uint_eq(pdu->xfer.length, pdu->data.len);
	ck_assert_uint_le(pdu->data.len, 100);
	memcpy(collected + num_collected, pdu->data.data, pdu->data.len);
	num_collected += pdu->data.len;
	ck_assert_int_eq((pdu->ch.flags & NVC_FLAG_LAST) != 0, num_collected == sizeof(collected));
	if (num_collected == sizeof(collected))
		say_cqe(script, (struct nvc_cqe){.cid = script->cids[0]});
}

static void answer_ic_max_100(struct script *script, const struct nvc_pdu *pdu)
{
	const struct nvc_pdu icresp = {.ch.type = NVC_PDU_IC_RESP, .ic = {.max = 100}};

	(void)pdu;
	say(script, &icresp, NULL);
}

START_TEST(r2t_is_answered_in_pieces)
{
	struct stage *stage =
		STAGE(LINE(NVC_PDU_IC_REQ, answer_ic_max_100), COMMAND(answer_connect),
			COMMAND(ask_for_data), LINE(NVC_PDU_H2C_DATA, collect_data),
			LINE(NVC_PDU_H2C_DATA, collect_data), LINE(NVC_PDU_H2C_DATA, collect_data));
	struct nvc_auth auth;

	stage_connect(stage);
	ck_assert_int_eq(nvc_auth_init(&auth, stage->queue, 0, NVC_AUTH_UNIDIRECTIONAL), NVC_OK);
	auth.transport_sgl = true;
	ck_assert_int_eq(
		nvc_auth_send_raw(&auth, nvc_slice_of(pattern, sizeof(collected)), NULL), NVC_OK);
	expect_bytes("H2CData", nvc_slice_of(pattern, sizeof(collected)), NVC_SLICE(collected));
	ck_assert_uint_eq(nvc_queue_info(stage->queue)->num_violations, 0);
	nvc_auth_fini(&auth);
	stage_close(stage);
}
END_TEST

static const struct nvc_data bad_r2ts[] = {{0, 1, 0, 513}, {0, 1, 512, 4}, {0, 1, UINT32_MAX, 4},
	{0, 1, 0, 0}, {0, 1, 4, UINT32_MAX}, {99, 1, 0, 4}};

static int bad_r2t;

static void ask_for_nonsense(struct script *script, const struct nvc_pdu *pdu)
{
	struct nvc_pdu r2t = {.ch.type = NVC_PDU_R2T, .xfer = bad_r2ts[bad_r2t]};

	r2t.xfer.cccid = (uint16_t)(r2t.xfer.cccid + cid_of(pdu));
	say(script, &r2t, NULL);
	answer_success(script, pdu);
}

START_TEST(nonsense_r2t_gets_nothing)
{
	struct stage *stage = STAGE(OPENING, COMMAND(ask_for_nonsense));
	struct nvc_completion done;

	bad_r2t = _i;
	stage_connect(stage);
	ck_assert_int_eq(
		nvc_do_write(stage->queue, 1, 0, nvc_slice_of(pattern, 512), true, &done, NULL),
		NVC_OK);
	ck_assert_uint_eq(nvc_queue_info(stage->queue)->num_violations, 1);
	ck_assert_ptr_nonnull(strstr(nvc_queue_info(stage->queue)->violation, "no such data"));
	stage_close(stage);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("host data");
	TCase *tc = tcase_create("data");
	SRunner *runner = srunner_create(suite);
	int failed;

	fill_pattern();
	suite_add_tcase(suite, tc);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, data_in_pieces_is_put_together, 0, 8);
	tcase_add_loop_test(tc, success_flag_is_a_completion, 0, 2);
	tcase_add_loop_test(
		tc, lies_about_data_are_noticed, 0, (int)(sizeof(lies) / sizeof(lies[0])));
	tcase_add_test(tc, wrong_data_digest_spoils_the_data_only);
	tcase_add_test(tc, wrong_header_digest_is_fatal);
	tcase_add_test(tc, r2t_is_answered_in_pieces);
	tcase_add_loop_test(
		tc, nonsense_r2t_gets_nothing, 0, (int)(sizeof(bad_r2ts) / sizeof(bad_r2ts[0])));
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
