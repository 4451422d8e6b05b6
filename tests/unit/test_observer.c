/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A clean conversation violates nothing; with one field of one PDU bent it violates exactly the
 * requirement which that field belongs to, however the bytes are cut.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "observer_heard.h"
#include "observer_rows.h"

START_TEST(clean_violates_nothing)
{
	const struct clean *row = &clean[_i];
	static struct talk talk;
	struct heard heard;

	converse(&talk, &row->plan);
	expect(&talk, row->plan.tls, ALL, NVC_JUDGE_BOTH, REQ_NONE, row->what);
	observe(&talk, row->plan.tls, ALL, WHOLE, NVC_JUDGE_BOTH, &heard);
	ck_assert_uint_eq(heard.num_packets, talk.num);
}
END_TEST

static void bend(struct talk *talk, const struct bent *row)
{
	if (row->size) /* otherwise the plan is what is wrong */
		nvc_put_le(talk->bytes + talk->start[row->pdu] + row->at, row->value, row->size);
}

START_TEST(one_bent_field_violates_one_requirement)
{
	const struct bent *row = &bent[_i];
	static struct talk talk;
	char what[64];

	converse(&talk, &row->plan);
	bend(&talk, row);
	snprintf(what, sizeof(what), "row %d: PDU %u byte %u", _i, row->pdu, row->at);
	expect(&talk, row->plan.tls, row->until ? row->until : ALL, NVC_JUDGE_CONTROLLER, row->want,
		what);
}
END_TEST

START_TEST(bent_host_is_judged_in_replay_only)
{
	const struct bent *row = &bent_host[_i];
	static struct talk talk;
	char what[64];

	converse(&talk, &row->plan);
	bend(&talk, row);
	snprintf(what, sizeof(what), "row %d: PDU %u byte %u", _i, row->pdu, row->at);
	expect(&talk, row->plan.tls, row->until ? row->until : ALL, NVC_JUDGE_HOST, row->want,
		what);
}
END_TEST

/* Digests are bent behind the encoder: header, data and the digests themselves. */
START_TEST(wrong_digests)
{
	static const struct plan plan = {.dgst = NVC_DGST_HEADER | NVC_DGST_DATA};
	static struct talk talk;

	converse(&talk, &plan);
	talk.bytes[talk.start[CONNECT_RESP] + HEAD] ^= 1;
	expect(&talk, false, ALL, NVC_JUDGE_CONTROLLER, REQ_C_021, "HDGST");
	converse(&talk, &plan);
	talk.bytes[talk.start[CHALLENGE + 1] - 1] ^= 0x80;
	expect(&talk, false, ALL, NVC_JUDGE_CONTROLLER, REQ_C_022, "DDGST");
	converse(&talk, &plan);
	talk.bytes[talk.start[CHALLENGE + 1] - 9] ^= 1;
	expect(&talk, false, ALL, NVC_JUDGE_CONTROLLER, REQ_C_022, "data under DDGST");
}
END_TEST

/* A host that cannot be understood makes the observer careful, never loud. */
START_TEST(bent_host_silences_what_leans_on_it)
{
	static const struct plan plan = {.dhgid = NVC_DH_2048};
	static struct talk talk;

	converse(&talk, &plan);
	nvc_put_le(talk.bytes + talk.start[CONNECT] + 4, UINT32_MAX, 4);
	expect(&talk, false, ALL, NVC_JUDGE_CONTROLLER, REQ_NONE, "PLEN of the host");
	converse(&talk, &plan);
	talk.bytes[talk.start[CONNECT] + 2] = 71;
	expect(&talk, false, ALL, NVC_JUDGE_CONTROLLER, REQ_NONE, "HLEN of the host");
	converse(&talk, &plan);
	talk.bytes[talk.start[RECEIVE_1] + CQE_AT + 2] = 9;
	expect(&talk, false, CHALLENGE, NVC_JUDGE_CONTROLLER, REQ_NONE, "CID of the host");
}
END_TEST

static void append(struct talk *talk, const struct talk *from, unsigned int pdu)
{
	size_t len = from->start[pdu + 1] - from->start[pdu];

	memcpy(talk->bytes + talk->len, from->bytes + from->start[pdu], len);
	talk->direction[talk->num] = from->direction[pdu];
	talk->start[talk->num++] = talk->len;
	talk->len += len;
	talk->start[talk->num] = talk->len;
}

/* PDUs of a clean conversation in another order; CIDs are unique, so that each stands alone. */
START_TEST(messages_out_of_order)
{
	static const struct order {
		enum req_id want;
		unsigned int pdus[20];
	} orders[] = {
		{REQ_C_083, {0, 1, 2, 3, RECEIVE_1, CHALLENGE, CHALLENGE_RESP}},
		{REQ_C_083, {0, 1, 2, 3, RECEIVE_2, SUCCESS1, SUCCESS1_RESP}},
		{REQ_C_088, {0, 1, 2, 3, 4, 5, 4, 5, RECEIVE_1, CHALLENGE, CHALLENGE_RESP}},
		{REQ_C_160,
			{0, 1, 2, 3, 4, 5, REPLY, REPLY_RESP, RECEIVE_2, SUCCESS1, SUCCESS1_RESP}},
		{REQ_C_129, {0, 1, 2, 3, 4, 5, 6, 7, 8, RECEIVE_1, CHALLENGE, CHALLENGE_RESP}},
		{REQ_C_129, {0, 1, 2, 3, 4, 5, 6, 7, 8, RECEIVE_2, SUCCESS1, SUCCESS1_RESP}},
		{REQ_C_161, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 9, 10, 11, 12, 13}},
		{REQ_C_014, {0, 1, 0, 1}},
		{REQ_C_001, {0, 2, 3}},
		{REQ_C_013, {2, 3}},
		{REQ_C_041, {0, 1, NEGOTIATE, NEGOTIATE_RESP}},
		{REQ_C_068, {0, 1, 2, 3, 3}},
		{REQ_NONE, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}},
	};
	static const struct plan plan = {.dhgid = NVC_DH_2048};
	static struct talk whole, talk;
	char what[32];

	converse(&whole, &plan);
	memset(&talk, 0, sizeof(talk));
	append(&talk, &whole, orders[_i].pdus[0]);
	for (int i = 1; i < 20 && orders[_i].pdus[i]; i++)
		append(&talk, &whole, orders[_i].pdus[i]);
	if (_i == 7) { /* 0 ends the list above, but is what is repeated here */
		append(&talk, &whole, IC_REQ);
		append(&talk, &whole, IC_RESP);
	}
	snprintf(what, sizeof(what), "order %d", _i);
	expect(&talk, false, ALL, NVC_JUDGE_CONTROLLER, orders[_i].want, what);
}
END_TEST

/* AUTH_Failure1 may be about a message that came before AUTH_Negotiate and is not answered yet. */
START_TEST(failure1_to_a_stray_message)
{
	enum { MESSAGE_AT = 72, T_ID_AT = MESSAGE_AT + 4, OTHER_T_ID = 0x5678 };
	static const unsigned int stray[] = {REPLY, REPLY_RESP};
	static const unsigned int refused[] = {
		NEGOTIATE, NEGOTIATE_RESP, RECEIVE_2, SUCCESS1, SUCCESS1_RESP};
	static const struct plan plan = {.dhgid = NVC_DH_2048, .refuse = true};
	static struct talk whole, talk;

	converse(&whole, &plan);
	nvc_put_le(whole.bytes + whole.start[NEGOTIATE] + T_ID_AT, OTHER_T_ID, 2);
	for (int strayed = 0; strayed < 2; strayed++) {
		memset(&talk, 0, sizeof(talk));
		for (unsigned int pdu = 0; pdu <= CONNECT_RESP; pdu++)
			append(&talk, &whole, pdu);
		for (size_t i = 0; strayed && i < 2; i++)
			append(&talk, &whole, stray[i]);
		for (size_t i = 0; i < 5; i++)
			append(&talk, &whole, refused[i]);
		expect(&talk, false, ALL, NVC_JUDGE_CONTROLLER, strayed ? REQ_NONE : REQ_C_171,
			strayed ? "after a stray Reply" : "without one");
	}
}
END_TEST

/* A command may be refused before the data that its PLEN promises has come. */
START_TEST(answer_to_an_unfinished_capsule)
{
	static const struct plan plan = {.dhgid = NVC_DH_2048};
	static struct talk whole, talk;

	converse(&whole, &plan);
	memset(&talk, 0, sizeof(talk));
	for (unsigned int pdu = 0; pdu <= CONNECT_RESP; pdu++)
		append(&talk, &whole, pdu);
	append(&talk, &whole, NEGOTIATE);
	talk.len -= 10;
	talk.start[talk.num] = talk.len;
	append(&talk, &whole, NEGOTIATE_RESP);
	expect(&talk, false, ALL, NVC_JUDGE_CONTROLLER, REQ_NONE, "unfinished capsule");
}
END_TEST

/* One Fabrics command that succeeds on a connected queue. */
struct gate {
	enum req_id want;
	uint8_t fctype;
	uint16_t qid;
	uint32_t authreq;
};

START_TEST(commands_that_must_not_succeed)
{
	static const struct gate gates[] = {
		{REQ_C_072, NVC_FCTYPE_PROPERTY_SET, 0, NVC_CONNECT_ATR},
		{REQ_C_073, NVC_FCTYPE_PROPERTY_GET, 0, NVC_CONNECT_ASCR},
		{REQ_C_064, NVC_FCTYPE_DISCONNECT, 0, 0},
		{REQ_C_067, NVC_FCTYPE_PROPERTY_GET, 1, 0},
		{REQ_NONE, NVC_FCTYPE_PROPERTY_SET, 0, 0},
		{REQ_NONE, NVC_FCTYPE_PROPERTY_GET, 0, 0},
		{REQ_NONE, NVC_FCTYPE_DISCONNECT, 1, 0},
	};
	const struct gate *gate = &gates[_i];
	struct plan plan = {.qid = gate->qid, .authreq = gate->authreq};
	struct nvc_cmd_fabrics command = {.fctype = gate->fctype};
	static struct talk talk;

	memset(&talk, 0, sizeof(talk));
	say_ic(&talk, 0);
	say_connect(&talk, &plan);
	command.head = head(&talk, NVC_OPC_FABRICS, 0, 0);
	say_command(&talk, &nvc_cmd_fabrics_layout, &command, nvc_slice_of(NULL, 0));
	say_response(&talk, NVC_SC_SUCCESS, 0);
	expect(&talk, false, ALL, NVC_JUDGE_CONTROLLER, gate->want, "gate");
}
END_TEST

/* After the Reply of a one-way authentication the queue may be open; after that of a two-way one it may not. */
START_TEST(property_set_after_reply)
{
	struct plan plan = {.authreq = NVC_CONNECT_ATR, .two_way = _i};
	struct nvc_cmd_fabrics command = {.fctype = NVC_FCTYPE_PROPERTY_SET};
	static struct talk talk;

	memset(&talk, 0, sizeof(talk));
	say_ic(&talk, 0);
	say_connect(&talk, &plan);
	say_negotiate(&talk, &plan);
	say_challenge(&talk, &plan);
	say_reply(&talk, &plan);
	command.head = head(&talk, NVC_OPC_FABRICS, 0, 0);
	say_command(&talk, &nvc_cmd_fabrics_layout, &command, nvc_slice_of(NULL, 0));
	say_response(&talk, NVC_SC_SUCCESS, 0);
	expect(&talk, false, ALL, NVC_JUDGE_CONTROLLER, _i ? REQ_C_072 : REQ_NONE, "after Reply");
}
END_TEST

/* NULL beside another group: the choice is right, to answer at all is not. */
START_TEST(null_group_with_concatenation)
{
	static const struct plan plan = {.sc_c = NVC_SC_C_NEWTLSPSK, .dhgid = NVC_DH_2048};
	static struct talk talk;

	converse(&talk, &plan);
	talk.bytes[talk.start[NEGOTIATE] + HEAD + 48 + 8 + 3] = 2; /* DHLEN; the second id is 0 */
	expect(&talk, false, ALL, NVC_JUDGE_CONTROLLER, REQ_C_115, "NULL offered too");
}
END_TEST

static void count_notes(void *self, const struct nvc_observed_packet *packet)
{
	*(unsigned int *)self += packet->kind == NVC_OBSERVED_NOTE;
}

/* A hostile peer gets no memory out of the observer by never ending anything. */
START_TEST(memory_is_bounded)
{
	static const struct plan plan = {.no_auth = true};
	unsigned int conn, notes = 0;
	struct nvc_observer_sink sink = {.self = &notes, .packet = count_notes};
	struct nvc_observer *observer = nvc_observer_new(&sink, NVC_JUDGE_BOTH);
	uint8_t huge[NVC_PDU_CH_LEN] = {NVC_PDU_CAPSULE_RESP, 0, 24, 0};
	static struct talk talk;

	for (conn = 0; conn < NVC_OBSERVER_MAX_CONNECTIONS; conn++)
		ck_assert_int_eq(nvc_observer_open(observer, conn, false, 0, ""), NVC_OK);
	ck_assert_int_eq(nvc_observer_open(observer, conn, false, 0, ""), NVC_E_NO_SPACE);
	nvc_observer_bytes(observer, conn, true, NVC_SLICE(huge), 0);
	ck_assert_uint_eq(nvc_observer_packets(observer), 0);
	converse(&talk, &plan);
	show(observer, 1, &talk, CONNECT_RESP + 1, WHOLE);
	for (unsigned int cid = 100; cid < 100 + 2 * NVC_OBSERVER_MAX_COMMANDS; cid++) {
		uint8_t *pdu = talk.bytes + talk.start[CONNECT_RESP + 1];

		nvc_put_le(pdu + CQE_AT + 2, cid, 2);
		nvc_observer_bytes(observer, 1, true, nvc_slice_of(pdu, NVC_PDU_CMD_HLEN), 0);
	}
	ck_assert_uint_eq(
		notes, 1); /* that there are more outstanding commands than are followed */
	nvc_put_le(huge + 4, NVC_OBSERVER_MAX_PDU + 1, 4);
	nvc_observer_bytes(observer, 2, false, NVC_SLICE(huge), 0);
	nvc_observer_bytes(observer, 2, false, NVC_SLICE(huge), 0);
	ck_assert_uint_eq(nvc_observer_violations(observer, REQ_N_003), 1);
	nvc_observer_free(observer);
}
END_TEST

/* More challenges than are remembered: the latest are, the first are not. */
START_TEST(freshness_is_bounded)
{
	struct nvc_observer_sink sink = {0};
	struct nvc_observer *observer = nvc_observer_new(&sink, NVC_JUDGE_CONTROLLER);
	static struct talk talk;
	struct plan plan = {0};
	uint32_t round;

	for (round = 1; round <= NVC_OBSERVER_MAX_CHALLENGES + 1; round++) {
		plan.s1 = round;
		converse(&talk, &plan);
		nvc_put_le(talk.bytes + talk.start[CHALLENGE] + HEAD + 16, round, 4);
		ck_assert_int_eq(nvc_observer_open(observer, 1, false, 0, ""), NVC_OK);
		show(observer, 1, &talk, ALL, WHOLE);
		nvc_observer_forget(observer, 1);
	}
	ck_assert_uint_eq(nvc_observer_violations(observer, REQ_C_124), 0);
	ck_assert_int_eq(nvc_observer_open(observer, 1, false, 0, ""), NVC_OK);
	show(observer, 1, &talk, ALL, WHOLE);
	ck_assert_uint_eq(nvc_observer_violations(observer, REQ_C_124), 1);
	ck_assert_uint_eq(nvc_observer_violations(observer, REQ_C_123), 1);
	nvc_observer_free(observer);
}
END_TEST

struct digests {
	enum req_id req[8];
	uint8_t digest[8][NVC_OBSERVER_DIGEST_LEN];
	size_t num;
};

static void hear_fresh(void *self, enum req_id req, const uint8_t digest[NVC_OBSERVER_DIGEST_LEN],
	unsigned int packet, unsigned int conn)
{
	struct digests *digests = self;

	(void)conn;
	ck_assert_uint_gt(packet, 0);
	ck_assert_uint_lt(digests->num, 8);
	digests->req[digests->num] = req;
	memcpy(digests->digest[digests->num++], digest, NVC_OBSERVER_DIGEST_LEN);
}

/* Two observers give the same value the same digest, and another value another one. */
START_TEST(fresh_values_have_digests)
{
	static struct talk talk;
	struct digests digests[3] = {{.num = 0}};
	struct plan plan = {.s1 = 7};

	for (int round = 0; round < 3; round++) {
		struct nvc_observer_sink sink = {.self = &digests[round], .fresh = hear_fresh};
		struct nvc_observer *observer = nvc_observer_new(&sink, NVC_JUDGE_CONTROLLER);

		plan.s1 = round < 2 ? 7 : 8;
		converse(&talk, &plan);
		ck_assert_int_eq(nvc_observer_open(observer, 1, false, 0, ""), NVC_OK);
		show(observer, 1, &talk, ALL, WHOLE);
		nvc_observer_free(observer);
		ck_assert_uint_ge(digests[round].num, 2);
		ck_assert_int_eq(digests[round].req[0], REQ_C_124);
		ck_assert_int_eq(digests[round].req[1], REQ_C_123);
	}
	ck_assert_mem_eq(digests[0].digest[0], digests[1].digest[0], NVC_OBSERVER_DIGEST_LEN);
	ck_assert_mem_eq(digests[0].digest[1], digests[1].digest[1], NVC_OBSERVER_DIGEST_LEN);
	ck_assert_mem_ne(digests[0].digest[1], digests[2].digest[1], NVC_OBSERVER_DIGEST_LEN);
	ck_assert_mem_ne(digests[0].digest[0], digests[0].digest[1], NVC_OBSERVER_DIGEST_LEN);
}
END_TEST

/* A transaction whose time is over may be gone: then a second AUTH_Negotiate begins another. */
START_TEST(time_ends_a_transaction)
{
	static const uint64_t seconds[] = {1, 119, 121};
	static const struct plan plan = {.dhgid = NVC_DH_2048};
	struct nvc_observer_sink sink = {0};
	struct nvc_observer *observer = nvc_observer_new(&sink, NVC_JUDGE_CONTROLLER);
	static struct talk talk;

	converse(&talk, &plan);
	ck_assert_int_eq(nvc_observer_open(observer, 1, false, 0, ""), NVC_OK);
	show(observer, 1, &talk, NEGOTIATE_RESP + 1, WHOLE);
	for (unsigned int i = NEGOTIATE; i <= CHALLENGE_RESP; i++)
		nvc_observer_bytes(observer, 1, talk.direction[i] == NVC_H2C,
			nvc_slice_of(talk.bytes + talk.start[i], talk.start[i + 1] - talk.start[i]),
			seconds[_i] * 1000000000u);
	ck_assert_uint_eq(nvc_observer_violations(observer, REQ_C_088), seconds[_i] < 120);
	nvc_observer_free(observer);
}
END_TEST

static void say_term(struct talk *talk, enum nvc_direction direction)
{
	struct nvc_pdu pdu = {.term = {.fes = NVC_FES_SEQUENCE},
		.ch = {.type = direction == NVC_H2C ? NVC_PDU_H2C_TERM_REQ : NVC_PDU_C2H_TERM_REQ},
		.data = nvc_slice_of(talk->bytes, NVC_PDU_RESP_HLEN)};

	say(talk, direction, &pdu);
}

static void count_due(void *self, const struct nvc_observed_message *message)
{
	unsigned int *due = self;

	due[message->late] += message->due;
}

/* ... but where its messages go on they are judged, whatever the clock says. */
START_TEST(time_hides_nothing)
{
	static const struct plan plan = {.two_way = true, .dhgid = NVC_DH_2048};
	unsigned int due[2] = {0};
	struct nvc_observer_sink sink = {.self = due, .message = count_due};
	struct nvc_observer *observer = nvc_observer_new(&sink, NVC_JUDGE_BOTH);
	static struct talk talk;

	converse(&talk, &plan);
	talk.bytes[talk.start[SUCCESS1] + NVC_PDU_DATA_HLEN + 8] = 0; /* RVALID */
	ck_assert_int_eq(nvc_observer_open(observer, 1, false, 0, ""), NVC_OK);
	show(observer, 1, &talk, NEGOTIATE_RESP + 1, WHOLE);
	for (unsigned int i = NEGOTIATE_RESP + 1; i < talk.num; i++)
		nvc_observer_bytes(observer, 1, talk.direction[i] == NVC_H2C,
			nvc_slice_of(talk.bytes + talk.start[i], talk.start[i + 1] - talk.start[i]),
			UINT64_C(121000000000));
	ck_assert_uint_eq(due[false], 1);
	ck_assert_uint_eq(due[true], 3);
	ck_assert_uint_eq(nvc_observer_violations(observer, REQ_C_132), 1);
	nvc_observer_free(observer);
}
END_TEST

START_TEST(term_req)
{
	static const struct plan plan = {.no_auth = true};
	static struct talk talk;
	size_t term;

	converse(&talk, &plan);
	term = talk.num;
	say_term(&talk, NVC_C2H);
	expect(&talk, false, ALL, NVC_JUDGE_CONTROLLER, REQ_NONE, "C2HTermReq");
	talk.bytes[talk.start[term] + 1] = NVC_FLAG_HDGST;
	expect(&talk, false, ALL, NVC_JUDGE_CONTROLLER, REQ_C_027, "TermReq with digest flag");
	talk.bytes[talk.start[term] + 1] = 0;
	append(&talk, &talk, CONNECT_RESP + 2);
	expect(&talk, false, term + 1, NVC_JUDGE_CONTROLLER, REQ_NONE, "until the TermReq");
	talk.bytes[talk.start[term + 1]] = NVC_PDU_C2H_TERM_REQ; /* any second PDU will do */
	talk.bytes[talk.start[term + 1] + 1] = 0;
	talk.bytes[talk.start[term + 1] + 3] = 0;
	expect(&talk, false, ALL, NVC_JUDGE_CONTROLLER, REQ_C_028, "a PDU after C2HTermReq");
	converse(&talk, &plan);
	say_term(&talk, NVC_H2C);
	say_identify(&talk);
	expect(&talk, false, term + 2, NVC_JUDGE_CONTROLLER, REQ_NONE, "asked after H2CTermReq");
	expect(&talk, false, ALL, NVC_JUDGE_CONTROLLER, REQ_C_028, "answered after H2CTermReq");
}
END_TEST

/* Two connections seen by one observer. */
static void observe_two(const struct plan *a, const struct plan *b, struct heard *heard)
{
	struct nvc_observer_sink sink = {.self = heard, .violation = hear_violation};
	struct nvc_observer *observer = nvc_observer_new(&sink, NVC_JUDGE_CONTROLLER);
	static struct talk talk;

	memset(heard, 0, sizeof(*heard));
	ck_assert_int_eq(nvc_observer_open(observer, 1, false, 0, "first"), NVC_OK);
	ck_assert_int_eq(nvc_observer_open(observer, 1, false, 0, "again"), NVC_E_STATE);
	ck_assert_int_eq(nvc_observer_open(observer, 2, false, 0, "second"), NVC_OK);
	converse(&talk, a);
	show(observer, 1, &talk, ALL, WHOLE);
	nvc_observer_forget(observer, 1);
	converse(&talk, b);
	show(observer, 2, &talk, ALL, WHOLE);
	nvc_observer_free(observer);
}

START_TEST(challenges_are_fresh_over_the_run)
{
	static const struct plan plain = {0}, other_c1 = {.c1 = 1}, other_s1 = {.s1 = 8},
				 other = {.c1 = 1, .s1 = 8};
	struct heard heard;

	observe_two(&plain, &other, &heard);
	ck_assert_uint_eq(heard.num, 0);
	observe_two(&plain, &other_s1, &heard);
	ck_assert_uint_eq(heard.num, 1);
	ck_assert_int_eq(heard.reqs[0], REQ_C_124);
	observe_two(&plain, &other_c1, &heard);
	ck_assert_uint_eq(heard.num, 1);
	ck_assert_int_eq(heard.reqs[0], REQ_C_123);
}
END_TEST

/* Violations are told once for each connection, and counted. */
START_TEST(violations_are_told_once)
{
	static const struct plan plan = {.identify = true};
	struct heard heard = {.num = 0};
	struct nvc_observer_sink sink = {.self = &heard, .violation = hear_violation};
	struct nvc_observer *observer = nvc_observer_new(&sink, NVC_JUDGE_CONTROLLER);
	static struct talk talk;

	converse(&talk, &plan);
	talk.bytes[talk.start[CONNECT_RESP] + 1] = 0x40;
	talk.bytes[talk.start[REPLY_RESP] + 1] = 0x40;
	ck_assert_int_eq(nvc_observer_open(observer, 5, false, 0, "test"), NVC_OK);
	show(observer, 5, &talk, ALL, WHOLE);
	ck_assert_uint_eq(heard.num, 1);
	ck_assert_uint_eq(heard.at[0], CONNECT_RESP + 1);
	ck_assert_uint_eq(nvc_observer_violations(observer, REQ_C_040), 2);
	ck_assert_uint_eq(nvc_observer_violations(observer, REQ_C_001), 0);
	ck_assert_uint_eq(nvc_observer_violations(observer, REQ_NONE), 0);
	nvc_observer_end(observer, 5, true, "FIN", 0);
	nvc_observer_end(observer, 5, false, "FIN", 0);
	ck_assert_int_eq(nvc_observer_open(observer, 5, false, 0, "the id is free"), NVC_OK);
	nvc_observer_free(observer);
}
END_TEST

START_TEST(transcript_shows_split_messages)
{
	static const struct plan plan = {.split = true, .dhgid = NVC_DH_2048};
	static struct talk talk;
	struct heard heard;

	converse(&talk, &plan);
	observe(&talk, false, CHALLENGE + 2, WHOLE, NVC_JUDGE_CONTROLLER, &heard);
	ck_assert_msg(
		strstr(heard.last_text, "DH-HMAC-CHAP_Challenge") != NULL, "%s", heard.last_text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("observer");
	TCase *core = tcase_create("core");
	SRunner *runner;
	int failed;

	tcase_set_timeout(core, 60);
	tcase_add_loop_test(
		core, clean_violates_nothing, 0, (int)(sizeof(clean) / sizeof(clean[0])));
	tcase_add_loop_test(core, one_bent_field_violates_one_requirement, 0,
		(int)(sizeof(bent) / sizeof(bent[0])));
	tcase_add_loop_test(core, bent_host_is_judged_in_replay_only, 0,
		(int)(sizeof(bent_host) / sizeof(bent_host[0])));
	tcase_add_loop_test(core, messages_out_of_order, 0, 13);
	tcase_add_loop_test(core, commands_that_must_not_succeed, 0, 7);
	tcase_add_loop_test(core, property_set_after_reply, 0, 2);
	tcase_add_test(core, null_group_with_concatenation);
	tcase_add_test(core, memory_is_bounded);
	tcase_add_test(core, freshness_is_bounded);
	tcase_add_test(core, fresh_values_have_digests);
	tcase_add_loop_test(core, time_ends_a_transaction, 0, 3);
	tcase_add_test(core, time_hides_nothing);
	tcase_add_test(core, wrong_digests);
	tcase_add_test(core, bent_host_silences_what_leans_on_it);
	tcase_add_test(core, failure1_to_a_stray_message);
	tcase_add_test(core, answer_to_an_unfinished_capsule);
	tcase_add_test(core, term_req);
	tcase_add_test(core, challenges_are_fresh_over_the_run);
	tcase_add_test(core, violations_are_told_once);
	tcase_add_test(core, transcript_shows_split_messages);
	suite_add_tcase(suite, core);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
