/* SPDX-License-Identifier: BSD-3-Clause */
/* Conversations are shown to an observer, cut in every way, and what it says is compared. */
#ifndef NVC_TESTS_OBSERVER_HEARD_H
#define NVC_TESTS_OBSERVER_HEARD_H

#include <stdio.h>

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
	struct nvc_observer_sink sink = {
		.self = heard, .violation = hear_violation, .packet = hear_packet};
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

#endif
