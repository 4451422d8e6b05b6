/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What takes more than one PDU to see: how data is asked for, what comes after AUTH_Failure1, values that come again in a run, and
 * what goes on in clear. Each rule is shown broken, and kept.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "observer_heard.h"

enum { TL = 72, IDENTIFY_PDUS = 3 };

/* ---- R2T ---- */

/* An Authentication Send whose message is fetched by R2T is followed like one in the capsule. */
START_TEST(message_by_r2t)
{
	static const uint8_t garbage[72];
	struct nvc_cmd_auth command = {.fctype = NVC_FCTYPE_AUTH_SEND,
		.spsp0 = NVC_SPSP0,
		.spsp1 = NVC_SPSP1,
		.secp = NVC_SECP,
		.length = 72};
	struct nvc_pdu r2t = {.ch = {.type = NVC_PDU_R2T}, .xfer = {.cccid = 2, .length = 72}};
	struct nvc_pdu data = {.ch = {.type = NVC_PDU_H2C_DATA, .flags = NVC_FLAG_LAST},
		.xfer = {.cccid = 2, .length = 72},
		.data = NVC_SLICE(garbage)};
	struct plan plan = {0};
	static struct talk talk;
	size_t at;

	memset(&talk, 0, sizeof(talk));
	say_ic(&talk, 0);
	say_connect(&talk, &plan);
	command.head = head(&talk, NVC_OPC_FABRICS, NVC_SGL_TRANSPORT, 72);
	say_command(&talk, &nvc_cmd_auth_send_layout, &command, nvc_slice_of(NULL, 0));
	at = talk.num;
	say(&talk, NVC_C2H, &r2t);
	say(&talk, NVC_H2C, &data);
	say_response(&talk, NVC_SC_SUCCESS, 0);
	say_challenge(&talk, &plan);
	/* Zeros are an AUTH_Negotiate that offers nothing, so no hash can have been chosen from
	 * it. */
	expect(&talk, false, ALL, NVC_JUDGE_CONTROLLER, REQ_C_092, "message by R2T");
	expect(&talk, false, at + 3, NVC_JUDGE_CONTROLLER, REQ_NONE, "R2T within TL");
	talk.bytes[talk.start[at] + 16] = 73;
	expect(&talk, false, at + 3, NVC_JUDGE_CONTROLLER, REQ_C_029, "R2T beyond TL");
}
END_TEST

/* A command, and the R2Ts for it; those `answered` get their H2CData before the next one. */
static const struct fetch {
	const char *what;
	enum req_id want;
	uint8_t opc, sgl_id;
	uint32_t maxr2t;
	uint16_t cid; /* 0: that of the command */
	size_t num;
	struct {
		uint32_t offset, length;
		bool answered;
	} r2ts[3];
} fetches[] = {
	{"whole", REQ_NONE, NVC_OPC_FABRICS, NVC_SGL_TRANSPORT, 0, 0, 1, {{0, TL, true}}},
	{"in parts", REQ_NONE, NVC_OPC_FABRICS, NVC_SGL_TRANSPORT, 0, 0, 3,
		{{0, 24, true}, {24, 24, true}, {48, 24, true}}},
	{"as many as MAXR2T allows", REQ_NONE, NVC_OPC_FABRICS, NVC_SGL_TRANSPORT, 2, 0, 3,
		{{0, 24, false}, {24, 24, false}, {48, 24, false}}},
	{"a write", REQ_NONE, NVC_IO_WRITE, NVC_SGL_TRANSPORT, 0, 0, 1, {{0, TL, true}}},
	{"not from 0", REQ_C_029, NVC_OPC_FABRICS, NVC_SGL_TRANSPORT, 0, 0, 1, {{8, 64, true}}},
	{"a gap", REQ_C_029, NVC_OPC_FABRICS, NVC_SGL_TRANSPORT, 0, 0, 2,
		{{0, 24, true}, {28, 24, true}}},
	{"the same again", REQ_C_029, NVC_OPC_FABRICS, NVC_SGL_TRANSPORT, 1, 0, 2,
		{{0, 24, false}, {0, 24, false}}},
	{"beyond the end", REQ_C_029, NVC_OPC_FABRICS, NVC_SGL_TRANSPORT, 0, 0, 2,
		{{0, 64, true}, {64, 12, true}}},
	{"a length that wraps", REQ_C_029, NVC_OPC_FABRICS, NVC_SGL_TRANSPORT, 0, 0, 1,
		{{4, UINT32_MAX, true}}},
	{"one too many", REQ_N_027, NVC_OPC_FABRICS, NVC_SGL_TRANSPORT, 0, 0, 2,
		{{0, 24, false}, {24, 24, false}}},
	{"one too many of three", REQ_N_027, NVC_OPC_FABRICS, NVC_SGL_TRANSPORT, 1, 0, 3,
		{{0, 24, false}, {24, 24, false}, {48, 24, false}}},
	{"a write, not from 0", REQ_N_027, NVC_IO_WRITE, NVC_SGL_TRANSPORT, 0, 0, 1,
		{{8, 64, true}}},
	{"data in the capsule", REQ_N_027, NVC_OPC_FABRICS, NVC_SGL_IN_CAPSULE, 0, 0, 1,
		{{0, TL, false}}},
	{"a read", REQ_N_027, NVC_IO_READ, NVC_SGL_TRANSPORT, 0, 0, 1, {{0, TL, false}}},
	{"no command", REQ_N_027, NVC_OPC_FABRICS, NVC_SGL_TRANSPORT, 0, 999, 1, {{0, TL, false}}},
};

static void say_fetch(struct talk *talk, const struct fetch *row, const uint8_t data[TL])
{
	const bool fabrics = row->opc == NVC_OPC_FABRICS;
	const struct nvc_slice inside =
		nvc_slice_of(data, row->sgl_id == NVC_SGL_IN_CAPSULE ? TL : 0);
	struct nvc_cmd_auth send = {.fctype = NVC_FCTYPE_AUTH_SEND,
		.spsp0 = NVC_SPSP0,
		.spsp1 = NVC_SPSP1,
		.secp = NVC_SECP,
		.length = TL};
	struct nvc_cmd_nvme io = {.cdw10 = 0};

	send.head = io.head = head(talk, row->opc, row->sgl_id, TL);
	if (fabrics)
		say_command(talk, &nvc_cmd_auth_send_layout, &send, inside);
	else
		say_command(talk, &nvc_cmd_nvme_layout, &io, inside);
	for (size_t i = 0; i < row->num; i++) {
		const uint32_t offset = row->r2ts[i].offset;
		struct nvc_pdu r2t = {.ch = {.type = NVC_PDU_R2T},
			.xfer = {.cccid = row->cid ? row->cid : talk->cid,
				.offset = offset,
				.length = row->r2ts[i].length}};
		struct nvc_pdu given = {.ch = {.type = NVC_PDU_H2C_DATA, .flags = NVC_FLAG_LAST},
			.xfer = {.cccid = talk->cid, .offset = offset},
			.data = nvc_slice_sub(nvc_slice_of(data, TL), offset, row->r2ts[i].length)};

		given.xfer.length = (uint32_t)given.data.len;
		say(talk, NVC_C2H, &r2t);
		if (row->r2ts[i].answered)
			say(talk, NVC_H2C, &given);
	}
}

START_TEST(data_is_asked_for_in_order)
{
	const struct fetch *row = &fetches[_i];
	const struct plan plan = {.qid = row->opc != NVC_OPC_FABRICS};
	const uint8_t data[TL] = {0};
	static struct talk talk;

	memset(&talk, 0, sizeof(talk));
	say_ic(&talk, 0);
	nvc_put_le(talk.bytes + talk.start[IC_REQ] + 12, row->maxr2t, 4);
	say_connect(&talk, &plan);
	say_fetch(&talk, row, data);
	expect(&talk, false, ALL, NVC_JUDGE_CONTROLLER, row->want, row->what);
}
END_TEST

START_TEST(reserved_bytes_of_r2t)
{
	const uint8_t data[TL] = {0};
	const struct plan plan = {0};
	static struct talk talk;

	memset(&talk, 0, sizeof(talk));
	say_ic(&talk, 0);
	say_connect(&talk, &plan);
	say_fetch(&talk, &fetches[0], data);
	talk.bytes[talk.start[talk.num - 2] + 23] = 1;
	expect(&talk, false, ALL, NVC_JUDGE_CONTROLLER, REQ_N_028, "reserved bytes of R2T");
}
END_TEST

/* ---- after AUTH_Failure1 ---- */

#define SECONDS(n) ((n)*UINT64_C(1000000000))

static void show_at(struct nvc_observer *observer, unsigned int conn, const struct talk *talk,
	size_t from, uint64_t time)
{
	for (size_t i = from; i < talk->num; i++)
		nvc_observer_bytes(observer, conn, talk->direction[i] == NVC_H2C,
			nvc_slice_of(
				talk->bytes + talk->start[i], talk->start[i + 1] - talk->start[i]),
			time);
}

/* A queue that is authenticated, or not, is refused, and then goes on. */
START_TEST(no_command_after_a_failed_reauthentication)
{
	static const struct {
		enum req_id want;
		bool authenticated, refused, denied;
	} rows[] = {{REQ_C_174, true, true, false}, {REQ_NONE, true, true, true},
		{REQ_NONE, true, false, false}, {REQ_NONE, false, true, false}};
	const struct plan first = {.c1 = 1, .s1 = 1};
	const struct plan second = {.c1 = 2, .s1 = 2, .refuse = rows[_i].refused};
	static struct talk talk;

	memset(&talk, 0, sizeof(talk));
	say_ic(&talk, 0);
	say_connect(&talk, &first);
	for (int round = !rows[_i].authenticated; round < 2; round++) {
		const struct plan *plan = round ? &second : &first;

		say_negotiate(&talk, plan);
		say_challenge(&talk, plan);
		say_reply(&talk, plan);
		say_outcome(&talk, plan);
	}
	say_identify(&talk);
	if (rows[_i].denied)
		nvc_put_le(talk.bytes + talk.start[talk.num - 1] + CQE_AT + 14,
			NVC_SC_OPERATION_DENIED << 1, 2);
	expect(&talk, false, ALL, NVC_JUDGE_CONTROLLER, rows[_i].want, "Identify");
}
END_TEST

static struct nvc_observer *refused(const struct plan *plan, struct talk *talk)
{
	const struct nvc_observer_sink sink = {.self = NULL};
	struct nvc_observer *observer = nvc_observer_new(&sink, NVC_JUDGE_CONTROLLER);

	converse(talk, plan);
	ck_assert_int_eq(nvc_observer_open(observer, 1, false, 0, ""), NVC_OK);
	show_at(observer, 1, talk, 0, SECONDS(5));
	return observer;
}

/* 30 s after AUTH_Failure1 the connection is over: seen by who waits for its end, or by an answer to a later command. */
START_TEST(connection_ends_after_failure1)
{
	static const struct {
		unsigned int violations;
		bool refuse, ended, answered;
		uint64_t bear;
		unsigned int after; /* seconds */
	} rows[] = {{0, true, false, false, 0, 29}, {1, true, false, false, 0, 30},
		{0, true, false, false, SECONDS(10), 39}, {1, true, false, false, SECONDS(10), 40},
		{0, true, false, false, UINT64_MAX, 60}, {0, false, false, false, 0, 60},
		{0, true, true, false, 0, 60}, {0, true, false, true, 0, 29},
		{1, true, false, true, 0, 30}};
	const struct plan plan = {.refuse = rows[_i].refuse};
	const uint64_t then = SECONDS(5 + (uint64_t)rows[_i].after);
	static struct talk talk;
	struct nvc_observer *observer = refused(&plan, &talk);

	nvc_observer_bear(observer, rows[_i].bear);
	nvc_observer_waited(observer, 1, SECONDS(6));
	if (rows[_i].ended)
		nvc_observer_end(observer, 1, false, "FIN", SECONDS(6));
	if (rows[_i].answered) {
		say_identify(&talk);
		show_at(observer, 1, &talk, talk.num - IDENTIFY_PDUS, then);
	} else {
		nvc_observer_waited(observer, 1, then);
	}
	ck_assert_uint_eq(nvc_observer_violations(observer, REQ_C_172), rows[_i].violations);
	nvc_observer_free(observer);
}
END_TEST

/* A re-authentication whose time is over is no failure, and the queue stays (C-176), whatever AUTH_Failure1 says of it. */
START_TEST(time_over_is_no_failure)
{
	static const uint64_t seconds[] = {1, 119, 121};
	const struct plan plan = {.refuse = true};
	const struct nvc_observer_sink sink = {.self = NULL};
	struct nvc_observer *observer = nvc_observer_new(&sink, NVC_JUDGE_CONTROLLER);
	static struct talk talk;

	converse(&talk, &plan);
	ck_assert_int_eq(nvc_observer_open(observer, 1, false, 0, ""), NVC_OK);
	show(observer, 1, &talk, NEGOTIATE_RESP + 1, WHOLE);
	show_at(observer, 1, &talk, NEGOTIATE_RESP + 1, SECONDS(seconds[_i]));
	nvc_observer_waited(observer, 1, SECONDS(200));
	ck_assert_uint_eq(nvc_observer_violations(observer, REQ_C_172), seconds[_i] < 120);
	nvc_observer_free(observer);
}
END_TEST

/* What was sent early and is read late says nothing; nor does an AUTH_Failure1 that refuses no message. */
START_TEST(no_end_is_due)
{
	const struct plan plan = {.refuse = true};
	const struct nvc_observer_sink sink = {.self = NULL};
	struct nvc_observer *observer;
	static struct talk talk;
	size_t answer;

	observer = refused(&plan, &talk);
	say_identify(&talk);
	answer = talk.num - IDENTIFY_PDUS + 1;
	nvc_observer_bytes(observer, 1, true,
		nvc_slice_of(talk.bytes + talk.start[answer - 1],
			talk.start[answer] - talk.start[answer - 1]),
		SECONDS(6));
	show_at(observer, 1, &talk, answer, SECONDS(60));
	ck_assert_uint_eq(nvc_observer_violations(observer, REQ_C_172), 0);
	nvc_observer_free(observer);

	observer = nvc_observer_new(&sink, NVC_JUDGE_CONTROLLER);
	memset(&talk, 0, sizeof(talk));
	say_ic(&talk, 0);
	say_connect(&talk, &plan);
	say_outcome(&talk, &plan);
	ck_assert_int_eq(nvc_observer_open(observer, 1, false, 0, ""), NVC_OK);
	show_at(observer, 1, &talk, 0, 0);
	nvc_observer_waited(observer, 1, SECONDS(60));
	ck_assert_uint_eq(nvc_observer_violations(observer, REQ_C_172), 0);
	nvc_observer_free(observer);
}
END_TEST

/* ---- values that come again ---- */

/* Two conversations of a run; returns how often `req` was violated. */
static unsigned int again(
	const struct plan *a, const struct plan *b, enum req_id req, unsigned int judge)
{
	const struct nvc_observer_sink sink = {.self = NULL};
	struct nvc_observer *observer = nvc_observer_new(&sink, judge);
	const struct plan *plans[] = {a, b};
	static struct talk talk;
	unsigned int violations;

	for (unsigned int i = 0; i < 2; i++) {
		converse(&talk, plans[i]);
		ck_assert_int_eq(nvc_observer_open(observer, i, false, 0, ""), NVC_OK);
		show(observer, i, &talk, ALL, WHOLE);
	}
	violations = nvc_observer_violations(observer, req);
	nvc_observer_free(observer);
	return violations;
}

START_TEST(host_values_are_fresh_over_the_run)
{
	const struct plan first = {.two_way = true, .c2 = 1, .s2 = 1};
	const struct plan other = {.two_way = true, .c2 = 2, .s2 = 2};
	const struct plan same_c2 = {.two_way = true, .c2 = 1, .s2 = 2};
	const struct plan same_s2 = {.two_way = true, .c2 = 2, .s2 = 1};
	const struct plan one_way = {.c2 = 1};

	ck_assert_uint_eq(again(&first, &other, REQ_H_32, NVC_JUDGE_BOTH), 0);
	ck_assert_uint_eq(again(&first, &same_c2, REQ_H_32, NVC_JUDGE_BOTH), 1);
	ck_assert_uint_eq(again(&first, &same_s2, REQ_H_32, NVC_JUDGE_BOTH), 1);
	ck_assert_uint_eq(again(&first, &first, REQ_H_32, NVC_JUDGE_BOTH), 2);
	ck_assert_uint_eq(again(&one_way, &one_way, REQ_H_32, NVC_JUDGE_BOTH), 0);
	ck_assert_uint_eq(again(&first, &first, REQ_H_32, NVC_JUDGE_CONTROLLER), 0);
}
END_TEST

START_TEST(public_values_are_reported_when_they_repeat)
{
	const struct plan first = {.dhgid = NVC_DH_2048}, other = {.dhgid = NVC_DH_2048, .dh = 4};
	const struct plan null = {.dhgid = NVC_DH_NULL};

	ck_assert_uint_eq(again(&first, &other, REQ_C_127, NVC_JUDGE_CONTROLLER), 0);
	ck_assert_uint_eq(again(&null, &null, REQ_C_127, NVC_JUDGE_CONTROLLER), 0);
	ck_assert_uint_eq(again(&first, &first, REQ_C_127, NVC_JUDGE_CONTROLLER), 1);
}
END_TEST

/* ---- in clear ---- */

START_TEST(io_queue_in_clear_beside_tls)
{
	static const struct {
		unsigned int violations;
		bool admin_tls, io_tls, admin_over;
		uint16_t io_cntlid;
	} rows[] = {{1, true, false, false, 0xf1}, {0, false, false, false, 0xf1},
		{0, true, true, false, 0xf1}, {0, true, false, true, 0xf1},
		{0, true, false, false, 0xf2}};
	const struct plan admin = {.no_auth = true}, io = {.no_auth = true, .qid = 1};
	const struct nvc_observer_sink sink = {.self = NULL};
	struct nvc_observer *observer = nvc_observer_new(&sink, NVC_JUDGE_CONTROLLER);
	static struct talk talk;

	converse(&talk, &admin);
	nvc_observer_open(observer, 1, rows[_i].admin_tls, 0, "admin");
	show(observer, 1, &talk, ALL, WHOLE);
	if (rows[_i].admin_over)
		nvc_observer_end(observer, 1, false, "FIN", 0);
	converse(&talk, &io);
	nvc_put_le(talk.bytes + talk.start[CONNECT_RESP] + CQE_AT, rows[_i].io_cntlid, 2);
	nvc_observer_open(observer, 2, rows[_i].io_tls, 0, "I/O");
	show(observer, 2, &talk, ALL, WHOLE);
	ck_assert_uint_eq(nvc_observer_violations(observer, REQ_C_203), rows[_i].violations);
	nvc_observer_free(observer);
}
END_TEST

static void say_cc(struct talk *talk, uint32_t cc)
{
	struct nvc_cmd_property command = {.head = head(talk, NVC_OPC_FABRICS, 0, 0),
		.fctype = NVC_FCTYPE_PROPERTY_SET,
		.ofst = NVC_PROP_CC,
		.value = cc};

	say_command(talk, &nvc_cmd_property_set_layout, &command, nvc_slice_of(NULL, 0));
	say_response(talk, NVC_SC_SUCCESS, 0);
}

START_TEST(host_leaves_after_newtlspsk)
{
	static const struct {
		enum req_id want;
		uint8_t sc_c;
		bool tls, identify;
		uint32_t cc;
	} rows[] = {
		{REQ_H_58, NVC_SC_C_NEWTLSPSK, false, true, 0},
		{REQ_H_58, NVC_SC_C_NEWTLSPSK, false, false, NVC_CC_ENABLE},
		{REQ_NONE, NVC_SC_C_NEWTLSPSK, false, false, NVC_CC_ENABLE | 1 << 14}, /* SHN */
		{REQ_NONE, NVC_SC_C_NEWTLSPSK, false, false, 0},
		{REQ_NONE, NVC_SC_C_NOSC, false, true, NVC_CC_ENABLE},
		{REQ_NONE, NVC_SC_C_REPLACETLSPSK, true, true, NVC_CC_ENABLE},
	};
	const struct plan plan = {.dhgid = NVC_DH_2048,
		.tls = rows[_i].tls,
		.sc_c = rows[_i].sc_c,
		.identify = rows[_i].identify};
	static struct talk talk;

	converse(&talk, &plan);
	if (rows[_i].cc)
		say_cc(&talk, rows[_i].cc);
	expect(&talk, rows[_i].tls, ALL, NVC_JUDGE_HOST, rows[_i].want, "after the exchange");
	expect(&talk, rows[_i].tls, ALL, NVC_JUDGE_CONTROLLER, REQ_NONE, "the controller");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("observer_rules");
	TCase *core = tcase_create("core");
	SRunner *runner;
	int failed;

	tcase_set_timeout(core, 60);
	tcase_add_test(core, message_by_r2t);
	tcase_add_loop_test(
		core, data_is_asked_for_in_order, 0, (int)(sizeof(fetches) / sizeof(fetches[0])));
	tcase_add_test(core, reserved_bytes_of_r2t);
	tcase_add_loop_test(core, no_command_after_a_failed_reauthentication, 0, 4);
	tcase_add_loop_test(core, connection_ends_after_failure1, 0, 9);
	tcase_add_loop_test(core, time_over_is_no_failure, 0, 3);
	tcase_add_test(core, no_end_is_due);
	tcase_add_test(core, host_values_are_fresh_over_the_run);
	tcase_add_test(core, public_values_are_reported_when_they_repeat);
	tcase_add_loop_test(core, io_queue_in_clear_beside_tls, 0, 5);
	tcase_add_loop_test(core, host_leaves_after_newtlspsk, 0, 6);
	suite_add_tcase(suite, core);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
