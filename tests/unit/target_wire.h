/* SPDX-License-Identifier: BSD-3-Clause */
/* A reference target as a service and bytes to it and from it, no host emulator between. */
#ifndef TARGET_WIRE_H
#define TARGET_WIRE_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target/target.h"
#include "wire/auth.h"
#include "wire/command.h"

#define HOST_NQN "nqn.2014-08.org.example:host"
#define OPEN_NQN "nqn.2014-08.org.example:open"
#define SUB_NQN	 "nqn.2014-08.org.example:subsystem"

struct bench {
	struct nvc_target *target;
	const struct nvc_service *service;
	uint64_t now;
	uint32_t random;
	char said[4096];
};

struct wire {
	struct bench *bench;
	void *conn;
	struct nvc_pdu_mode mode;
	uint8_t in[65536];
	size_t len, pos;
	uint16_t cid;
};

static inline uint64_t bench_now(void *self)
{
	return ((struct bench *)self)->now;
}

static inline void bench_random(void *self, uint8_t *out, size_t len)
{
	struct bench *bench = self;

	for (size_t i = 0; i < len; i++) {
		bench->random = bench->random * 1103515245u + 12345u;
		out[i] = (uint8_t)(bench->random >> 16);
	}
}

static inline void bench_log(void *self, const char *text)
{
	struct bench *bench = self;

	snprintf(bench->said, sizeof(bench->said), "%s", text);
}

static inline struct bench *bench_new(const char *defect)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	const struct nvc_target_subsystem subsystems[] = {{.nqn = SUB_NQN, .num_blocks = 512}};
	struct nvc_target_host hosts[] = {
		{.hostnqn = HOST_NQN, .auth = NVC_POLICY_REQUIRED}, {.hostnqn = OPEN_NQN}};
	const struct nvc_target_config config = {.subsystems = subsystems,
		.num_subsystems = 1,
		.hosts = hosts,
		.num_hosts = 2,
		.log = bench_log,
		.log_self = bench};
	struct nvc_env env = {.self = bench, .now = bench_now, .random = bench_random};
	struct nvc_error err = {0};

	ck_assert_ptr_nonnull(bench);
	bench->now = NVC_SEC(1);
	hosts[0].host_key.secret.len = 32;
	bench->target = nvc_target_new(&config, &env, &err);
	ck_assert_msg(bench->target != NULL, "%s", err.text);
	if (defect)
		ck_assert_int_eq(nvc_target_set_defect(bench->target, defect, &err), NVC_OK);
	bench->service = nvc_target_service(bench->target);
	return bench;
}

static inline void bench_free(struct bench *bench)
{
	nvc_target_free(bench->target);
	free(bench);
}

static inline struct wire *wire_new(struct bench *bench)
{
	struct wire *wire = calloc(1, sizeof(*wire));

	ck_assert_ptr_nonnull(wire);
	wire->bench = bench;
	wire->conn = bench->service->accept(bench->service->self, 0);
	ck_assert_ptr_nonnull(wire->conn);
	return wire;
}

static inline void wire_free(struct wire *wire)
{
	wire->bench->service->release(wire->conn);
	free(wire);
}

static inline void pass_time(struct bench *bench, uint64_t seconds)
{
	uint64_t until = bench->now + NVC_SEC(seconds);

	while (bench->service->next_timer(bench->service->self) <= until) {
		bench->now = bench->service->next_timer(bench->service->self);
		bench->service->tick(bench->service->self, bench->now);
	}
	bench->now = until;
}

static inline void put(struct wire *wire, struct nvc_slice bytes)
{
	wire->bench->service->input(wire->conn, bytes);
}

/* Encodes with `bends` and hands the bytes over one by one or at once. */
static inline void put_pdu(
	struct wire *wire, const struct nvc_pdu *pdu, const struct nvc_bends *bends)
{
	uint8_t bytes[40000];
	struct nvc_writer writer = nvc_writer_over(bytes, sizeof(bytes));

	ck_assert_int_eq(nvc_pdu_encode(pdu, &wire->mode, bends, &writer), NVC_OK);
	put(wire, nvc_writer_slice(&writer));
}

/* Takes the next PDU of the target; false when there is none. */
static inline bool take(struct wire *wire, struct nvc_pdu *pdu)
{
	size_t plen, num;

	memmove(wire->in, wire->in + wire->pos, wire->len - wire->pos);
	wire->len -= wire->pos;
	wire->pos = 0;
	while ((num = wire->bench->service->output(
			wire->conn, wire->in + wire->len, sizeof(wire->in) - wire->len)) > 0)
		wire->len += num;
	if (nvc_pdu_frame(nvc_slice_of(wire->in, wire->len), sizeof(wire->in), &plen) != NVC_OK)
		return false;
	ck_assert_int_eq(
		nvc_pdu_decode(nvc_slice_of(wire->in, plen), &wire->mode, pdu, NULL), NVC_OK);
	ck_assert(!pdu->hdgst_wrong && !pdu->ddgst_wrong);
	wire->pos = plen;
	return true;
}

static inline void initialise(struct wire *wire, uint8_t dgst)
{
	struct nvc_pdu pdu = {.ch.type = NVC_PDU_IC_REQ, .ic.dgst = dgst};

	put_pdu(wire, &pdu, NULL);
	ck_assert(take(wire, &pdu));
	ck_assert_uint_eq(pdu.ch.type, NVC_PDU_IC_RESP);
	ck_assert_uint_eq(pdu.ic.pfv, 0);
	ck_assert_uint_eq(pdu.ic.dgst, dgst);
	ck_assert_uint_eq(pdu.ic.max % 4, 0);
	wire->mode.hdgst = dgst & NVC_DGST_HEADER;
	wire->mode.ddgst = dgst & NVC_DGST_DATA;
}

static inline void expect_term(struct wire *wire, uint16_t fes, uint32_t fei)
{
	static const struct nvc_pdu_mode bare = {0};
	struct nvc_pdu pdu;

	wire->mode = bare; /* a TermReq has no digests */
	ck_assert(take(wire, &pdu));
	ck_assert_uint_eq(pdu.ch.type, NVC_PDU_C2H_TERM_REQ);
	ck_assert_uint_eq(pdu.term.fes, fes);
	ck_assert_uint_eq(pdu.term.fei, fei);
	ck_assert_uint_ge(pdu.data.len, NVC_PDU_CH_LEN);
	ck_assert_int_eq(wire->bench->service->wants_end(wire->conn), NVC_END_OPEN);
	put(wire, NVC_SLICE(wire->in));
	ck_assert(!take(wire, &pdu));
	pass_time(wire->bench, 31);
	ck_assert_int_eq(wire->bench->service->wants_end(wire->conn), NVC_END_FIN);
}

#endif
