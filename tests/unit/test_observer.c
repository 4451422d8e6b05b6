/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A clean conversation violates nothing; with one field of one PDU bent it violates exactly the requirement which that field
 * belongs to, however the bytes are cut.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "observer/observer.h"
#include "observer_talk.h"

/* What the observer said. */
struct heard {
	enum req_id reqs[16];
	unsigned int at[16];
	size_t num;
	unsigned int num_packets;
	char last_text[700];
};

static void hear_violation(void *self, enum req_id req, const char *expected, const char *seen,
	unsigned int packet, unsigned int conn)
{
	struct heard *heard = self;

	(void)conn;
	ck_assert(expected[0] && seen[0]);
	ck_assert_uint_lt(heard->num, 16);
	heard->at[heard->num] = packet;
	heard->reqs[heard->num++] = req;
}

static void hear_packet(void *self, const struct nvc_observed_packet *packet)
{
	struct heard *heard = self;

	if (packet->kind != NVC_OBSERVED_PDU)
		return;
	heard->num_packets++;
	ck_assert_uint_eq(packet->packet, heard->num_packets);
	snprintf(heard->last_text, sizeof(heard->last_text), "%s", packet->text);
}

/* How the bytes of a conversation are cut. */
enum cut { WHOLE, BYTEWISE, MERGED, NUM_CUTS };

static void show_run(struct nvc_observer *observer, unsigned int conn, bool h2c,
	struct nvc_slice bytes, enum cut cut)
{
	if (cut != BYTEWISE) {
		nvc_observer_bytes(observer, conn, h2c, bytes, 0);
		return;
	}
	for (size_t i = 0; i < bytes.len; i++)
		nvc_observer_bytes(observer, conn, h2c, nvc_slice_sub(bytes, i, 1), 0);
}

static void show(struct nvc_observer *observer, unsigned int conn, const struct talk *talk,
	size_t until, enum cut cut)
{
	for (size_t i = 0, end; i < talk->num && i < until; i = end) {
		end = i + 1;
		while (cut == MERGED && end < talk->num && end < until &&
			talk->direction[end] == talk->direction[i])
			end++;
		show_run(observer, conn, talk->direction[i] == NVC_H2C,
			nvc_slice_of(
				talk->bytes + talk->start[i], talk->start[end] - talk->start[i]),
			cut);
	}
}

static void observe(const struct talk *talk, bool tls, size_t until, enum cut cut,
	unsigned int judge, struct heard *heard)
{
	struct nvc_observer_sink sink = {heard, hear_violation, hear_packet};
	struct nvc_observer *observer = nvc_observer_new(&sink, judge);

	memset(heard, 0, sizeof(*heard));
	ck_assert_ptr_nonnull(observer);
	ck_assert_int_eq(nvc_observer_open(observer, 1, tls, 0, "test"), NVC_OK);
	show(observer, 1, talk, until, cut);
	ck_assert_uint_eq(nvc_observer_packets(observer), heard->num_packets);
	nvc_observer_free(observer);
}

static const char *id_text(enum req_id req)
{
	return req == REQ_NONE ? "nothing" : nvc_requirement(req)->id;
}

/* Every way of cutting must give the same verdict. */
static void expect(const struct talk *talk, bool tls, size_t until, unsigned int judge,
	enum req_id want, const char *what)
{
	for (enum cut cut = WHOLE; cut < NUM_CUTS; cut++) {
		struct heard heard;

		observe(talk, tls, until, cut, judge, &heard);
		ck_assert_msg(
			heard.num == (want != REQ_NONE) && (!heard.num || heard.reqs[0] == want),
			"%s, cut %d: want %s, %zu reported, first %s, second %s", what, cut,
			id_text(want), heard.num, id_text(heard.num ? heard.reqs[0] : REQ_NONE),
			id_text(heard.num > 1 ? heard.reqs[1] : REQ_NONE));
	}
}

static const struct clean {
	const char *what;
	struct plan plan;
} clean[] = {
	{"one-way", {.dhgid = NVC_DH_2048, .identify = true}},
	{"one-way with ATR", {.authreq = NVC_CONNECT_ATR, .identify = true}},
	{"two-way", {.two_way = true, .dhgid = NVC_DH_3072}},
	{"NULL group", {.dhgid = NVC_DH_NULL}},
	{"I/O queue", {.qid = 1}},
	{"NEWTLSPSK", {.sc_c = NVC_SC_C_NEWTLSPSK, .dhgid = NVC_DH_3072}},
	{"NEWTLSPSK, two-way", {.sc_c = NVC_SC_C_NEWTLSPSK, .two_way = true, .dhgid = NVC_DH_3072}},
	{"REPLACETLSPSK", {.tls = true, .sc_c = NVC_SC_C_REPLACETLSPSK, .dhgid = NVC_DH_8192}},
	{"refused", {.refuse = true}},
	{"padded to AL", {.send_al = NVC_AUTH_RECEIVE_LEN, .dhgid = NVC_DH_2048}},
	{"two C2HData", {.split = true, .dhgid = NVC_DH_2048}},
	{"header digest", {.dgst = NVC_DGST_HEADER, .identify = true}},
	{"data digest", {.dgst = NVC_DGST_DATA, .split = true}},
	{"both digests",
		{.dgst = NVC_DGST_HEADER | NVC_DGST_DATA, .dhgid = NVC_DH_2048, .split = true}},
	{"without authentication", {.no_auth = true}},
	{"DISSQFC asked for, not granted", {.cattr = NVC_CATTR_DISSQFC}},
};

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

/* One field, overwritten little-endian; no digests, so that nothing else has to follow. */
static const struct bent {
	enum req_id want;
	unsigned int pdu, at, size;
	uint64_t value;
	unsigned int until; /* PDUs shown; 0: all */
	struct plan plan;
} bent[] = {
	{REQ_C_001, IC_RESP, 1, 1, 0x10, 0, {0}},
	{REQ_C_001, IC_RESP, 2, 1, 24, 0, {0}},
	{REQ_C_001, IC_RESP, 3, 1, 8, 0, {0}},
	{REQ_C_002, IC_RESP, 8, 1, 1, 0, {0}},
	{REQ_C_003, IC_RESP, 10, 1, 32, 2, {0}},
	{REQ_C_003, IC_RESP, 11, 1, 4, 0, {0}},
	{REQ_C_003, IC_RESP, 16, 1, 1, 0, {0}},
	{REQ_C_003, IC_RESP, 127, 1, 1, 0, {0}},
	{REQ_C_004, IC_RESP, 12, 1, 2, 0, {0}},
	{REQ_C_005, IC_RESP, 12, 4, 4092, 0, {0}},
	{REQ_C_006, IC_RESP, 11, 1, NVC_DGST_HEADER, 0, {0}},
	{REQ_C_006, IC_RESP, 11, 1, NVC_DGST_DATA, 0, {0}},
	{REQ_C_008, IC_REQ, 8, 1, 1, 0, {0}},
	{REQ_C_009, IC_REQ, 10, 1, 32, 2, {0}},
	{REQ_C_010, IC_REQ, 10, 1, 31, 0, {.no_auth = true}},
	{REQ_C_021, CONNECT_RESP, 1, 1, NVC_FLAG_HDGST, 0, {0}},
	{REQ_C_022, CHALLENGE, 1, 1, NVC_FLAG_LAST | NVC_FLAG_DDGST, 0, {0}},
	{REQ_C_040, CONNECT_RESP, 1, 1, 0x80, 0, {0}},
	{REQ_C_040, CONNECT_RESP, 1, 1, NVC_FLAG_LAST, 0, {0}},
	{REQ_N_003, CONNECT_RESP, 2, 1, 25, 0, {0}},
	{REQ_N_003, CONNECT_RESP, 0, 1, 0x0b, 4, {0}},
	{REQ_N_003, CONNECT_RESP, 4, 4, 7, 0, {0}},
	{REQ_N_003, CONNECT_RESP, 4, 4, UINT32_MAX, 0, {0}},
	{REQ_C_068, CONNECT_RESP, CQE_AT + 12, 2, 77, 0, {0}},
	{REQ_C_068, CONNECT_RESP, CQE_AT + 8, 2, QUEUE_SIZE, 0, {0}},
	{REQ_C_068, CONNECT_RESP, CQE_AT + 8, 2, 0xffff, 0, {0}},
	{REQ_C_068, NEGOTIATE_RESP, CQE_AT + 8, 2, 0xffff, 0, {0}},
	{REQ_C_068, NEGOTIATE_RESP, CQE_AT + 14, 1, 1, 0, {0}},
	{REQ_C_047, CONNECT_RESP, CQE_AT + 14, 2, NVC_SC_INVALID_FIELD << 1, 4, {0}},
	{REQ_C_042, CONNECT, CQE_AT + 40, 2, 1, 0, {0}},
	{REQ_C_043, CONNECT, CQE_AT + 44, 2, 0, 3 + 1, {.cattr = NVC_CATTR_DISSQFC}},
	{REQ_C_045, CONNECT, HEAD + 48 + 256, 1, 0, 0, {0}},
	{REQ_C_046, CONNECT, HEAD + 48 + 512, 1, 0, 0, {0}},
	{REQ_C_054, CONNECT_RESP, CQE_AT + 1, 1, 0xff, 0, {0}},
	{REQ_C_054, CONNECT_RESP, CQE_AT + 2, 1, 1, 0, {0}},
	{REQ_C_054, CONNECT_RESP, CQE_AT + 3, 1, 0x80, 0, {0}},
	{REQ_C_056, CONNECT_RESP, CQE_AT + 2, 1, 6, 0, {0}},
	{REQ_C_075, NEGOTIATE_RESP, CQE_AT + 14, 2, NVC_SC_AUTH_REQUIRED << 1, 6, {0}},
	{REQ_C_076, NEGOTIATE, CQE_AT + 43, 1, 0xea, 0, {0}},
	{REQ_C_077, NEGOTIATE, CQE_AT + 41, 1, 2, 0, {0}},
	{REQ_C_079, NEGOTIATE, CQE_AT + 44, 1, 71, 0, {0}},
	{REQ_C_080, CHALLENGE, 0, 0, 0, 0, {.al = 40}},
	{REQ_C_080, CHALLENGE, 0, 0, 0, 9, {.al = 40, .send_al = 40}},
	{REQ_C_037, CHALLENGE, 1, 1, 0, 0, {0}},
	{REQ_C_037, CHALLENGE, 12, 1, 4, 0, {0}},
	{REQ_C_037, CHALLENGE, 1, 1, NVC_FLAG_LAST, 0, {.split = true}},
	{REQ_C_037, CHALLENGE + 1, 12, 1, 8, 0, {.split = true}},
	{REQ_C_038, CHALLENGE, 1, 1, NVC_FLAG_SUCCESS | NVC_FLAG_LAST, CHALLENGE_RESP, {0}},
	{REQ_N_003, CHALLENGE, 16, 1, 1, 0, {0}},
	{REQ_C_120, CHALLENGE, HEAD + 1, 1, 3, 9, {0}},
	{REQ_C_120, CHALLENGE, HEAD + 0, 1, 2, 9, {0}},
	{REQ_C_120, CHALLENGE, HEAD + 2, 1, 1, 0, {0}},
	{REQ_C_120, CHALLENGE, HEAD + 4, 1, 1, 0, {0}},
	{REQ_C_120, CHALLENGE, HEAD + 6, 1, 48, 0, {0}},
	{REQ_C_120, CHALLENGE, HEAD + 7, 1, 1, 0, {0}},
	{REQ_C_092, CHALLENGE, HEAD + 8, 1, 2, 0, {0}},
	{REQ_C_093, CHALLENGE, HEAD + 9, 1, 1, 0, {0}},
	{REQ_C_093, CHALLENGE, HEAD + 9, 1, 0x7f, 0, {.dhgid = NVC_DH_2048}},
	{REQ_C_121, CHALLENGE, HEAD + 10, 2, 252, 0, {.dhgid = NVC_DH_2048}},
	{REQ_C_121, CHALLENGE, HEAD + 10, 2, 4, 0, {0}},
	{REQ_C_122, CHALLENGE, HEAD + 12, 4, 0, 0, {0}},
	{REQ_C_125, CHALLENGE, HEAD + 16 + 32 + 255, 1, 0, 0, {.dhgid = NVC_DH_2048}},
	{REQ_C_125, CHALLENGE, HEAD + 16 + 32 + 255, 1, 1, 0, {.dhgid = NVC_DH_2048}},
	{REQ_C_195, CHALLENGE, HEAD + 9, 1, 0, 0,
		{.dhgid = NVC_DH_2048, .sc_c = NVC_SC_C_NEWTLSPSK}},
	{REQ_C_086, CHALLENGE, HEAD + 48, 1, 1, 0, {.send_al = 4096}},
	{REQ_C_086, CHALLENGE, HEAD + 4095, 1, 1, 0, {.send_al = 4096}},
	{REQ_C_130, SUCCESS1, HEAD + 8, 1, 1, 0, {0}},
	{REQ_C_190, SUCCESS1, HEAD + 8, 1, 1, 0,
		{.dhgid = NVC_DH_2048, .sc_c = NVC_SC_C_NEWTLSPSK}},
	{REQ_C_132, SUCCESS1, HEAD + 8, 1, 0, 0, {.two_way = true}},
	{REQ_C_131, SUCCESS1, HEAD + 2, 1, 1, 0, {0}},
	{REQ_C_131, SUCCESS1, HEAD + 4, 1, 1, 0, {0}},
	{REQ_C_131, SUCCESS1, HEAD + 6, 1, 48, 0, {0}},
	{REQ_C_131, SUCCESS1, HEAD + 15, 1, 1, 0, {0}},
	{REQ_C_131, SUCCESS1, HEAD + 16, 1, 1, 0, {0}},
	{REQ_C_131, SUCCESS1, 0, 0, 0, 0, {.short_success = true}},
	{REQ_C_131, SUCCESS1, HEAD + 1, 1, 1, 0, {0}},
	{REQ_C_086, SUCCESS1, HEAD + 16 + 32, 1, 1, 0, {.send_al = 4096}},
	{REQ_C_171, SUCCESS1, HEAD + 2, 1, 1, 0, {.refuse = true}},
	{REQ_C_171, SUCCESS1, HEAD + 4, 1, 1, 0, {.refuse = true}},
	{REQ_C_171, SUCCESS1, HEAD + 6, 1, 2, 0, {.refuse = true}},
	{REQ_C_171, SUCCESS1, HEAD + 7, 1, 0, 0, {.refuse = true}},
	{REQ_C_171, SUCCESS1, HEAD + 7, 1, 8, 0, {.refuse = true}},
	{REQ_C_086, SUCCESS1, HEAD + 8, 1, 1, 0, {.refuse = true, .send_al = 4096}},
	{REQ_C_110, CHALLENGE, 0, 0, 0, 0, {.dhgid = NVC_DH_2048, .sc_c = 1}},
	{REQ_C_112, CHALLENGE, 0, 0, 0, 0,
		{.dhgid = NVC_DH_2048, .qid = 1, .sc_c = NVC_SC_C_NEWTLSPSK}},
	{REQ_C_113, CHALLENGE, 0, 0, 0, 0, {.dhgid = NVC_DH_2048, .sc_c = NVC_SC_C_REPLACETLSPSK}},
	{REQ_C_114, CHALLENGE, 0, 0, 0, 0,
		{.dhgid = NVC_DH_2048, .tls = true, .sc_c = NVC_SC_C_NEWTLSPSK}},
	{REQ_C_210, CHALLENGE, 0, 0, 0, 0,
		{.dhgid = NVC_DH_2048, .tls = true, .qid = 1, .sc_c = NVC_SC_C_REPLACETLSPSK}},
	{REQ_C_071, CONNECT_RESP, CQE_AT + 2, 1, 2, 0, {.no_auth = true}},
	{REQ_C_071, CONNECT_RESP, CQE_AT + 2, 1, 4, 0, {.no_auth = true}},
	{REQ_C_074, CONNECT_RESP, CQE_AT + 2, 1, 2, 0, {.no_auth = true, .qid = 1}},
};

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

/* The same for the host, whose side only replay judges. */
static const struct bent bent_host[] = {
	{REQ_H_01, IC_REQ, 8, 1, 1, 1, {0}},
	{REQ_H_01, IC_REQ, 10, 1, 32, 1, {0}},
	{REQ_H_01, IC_REQ, 20, 1, 1, 1, {0}},
	{REQ_H_01, IC_REQ, 2, 1, 24, 1, {0}},
	{REQ_H_14, CONNECT, CQE_AT + 40, 2, 1, 3, {0}},
	{REQ_H_14, CONNECT, HEAD + 48, 1, 0, 3, {0}},
	{REQ_H_15, CONNECT_RESP, CQE_AT + 2, 1, 2, 5, {.no_auth = true}},
	{REQ_H_19, NEGOTIATE, CQE_AT + 43, 1, 0xea, 5, {0}},
	{REQ_H_20, RECEIVE_1, 0, 0, 0, 7, {.al = 64}},
	{REQ_H_21, NEGOTIATE, HEAD + 48 + 2, 1, 1, 6, {0}},
	{REQ_H_21, NEGOTIATE, HEAD + 48 + 7, 1, 0, 6, {0}},
	{REQ_H_21, NEGOTIATE, HEAD + 48 + 8 + 2, 1, 31, 6, {0}},
	{REQ_H_21, NEGOTIATE, HEAD + 48 + 8 + 5, 1, 9, 6, {0}},
	{REQ_H_23, NEGOTIATE, 0, 0, 0, 6, {.sc_c = NVC_SC_C_NEWTLSPSK}},
	{REQ_H_24, NEGOTIATE, 0, 0, 0, 6,
		{.qid = 1, .sc_c = NVC_SC_C_NEWTLSPSK, .dhgid = NVC_DH_2048}},
	{REQ_H_25, NEGOTIATE, 0, 0, 0, 6, {.sc_c = NVC_SC_C_REPLACETLSPSK, .dhgid = NVC_DH_2048}},
	{REQ_H_26, REPLY, HEAD + 48 + 4, 1, 1, 0, {0}},
	{REQ_H_27, REPLY, HEAD + 48 + 6, 1, 48, 0, {0}},
	{REQ_H_29, REPLY, HEAD + 48 + 16 + 64 + 255, 1, 1, 0, {.dhgid = NVC_DH_2048}},
	{REQ_H_31, REPLY, HEAD + 48 + 16 + 32, 1, 1, 0, {0}},
	{REQ_H_33, REPLY, HEAD + 48 + 8, 1, 2, 0,
		{.sc_c = NVC_SC_C_NEWTLSPSK, .dhgid = NVC_DH_2048}},
};

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

static void say_term(struct talk *talk, enum nvc_direction direction)
{
	struct nvc_pdu pdu = {.term = {.fes = NVC_FES_SEQUENCE},
		.ch = {.type = direction == NVC_H2C ? NVC_PDU_H2C_TERM_REQ : NVC_PDU_C2H_TERM_REQ},
		.data = nvc_slice_of(talk->bytes, NVC_PDU_RESP_HLEN)};

	say(talk, direction, &pdu);
}

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
	struct nvc_observer_sink sink = {heard, hear_violation, NULL};
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
	struct nvc_observer_sink sink = {&heard, hear_violation, NULL};
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
	tcase_add_test(core, wrong_digests);
	tcase_add_test(core, bent_host_silences_what_leans_on_it);
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
