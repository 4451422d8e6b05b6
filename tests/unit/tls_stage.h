/* SPDX-License-Identifier: BSD-3-Clause */
/* The simulated world with an echo behind TLS, and handshakes with it. */
#ifndef TLS_STAGE_H
#define TLS_STAGE_H

#include <check.h>

#include "tests/unit/echo_service.h"

static struct nvc_sim *sim;
static struct nvc_tls_psk psks[3];

static void fill_psk(struct nvc_tls_psk *psk, const char *identity, uint8_t hash_id)
{
	strcpy(psk->identity, identity);
	psk->hash_id = hash_id;
	psk->psk.len = hash_id == 1 ? 32 : 48;
	nvc_env_random(&world.env, psk->psk.data, psk->psk.len);
}

static void setup(void)
{
	char longest[640];

	sim = nvc_sim_new(1);
	world = nvc_sim_world(sim);
	fill_psk(&psks[0], "NVMe1G01 nqn.host nqn.subsystem digest", 1);
	fill_psk(&psks[1], "NVMe1G02 nqn.host nqn.subsystem digest", 2);
	memset(longest, 'x', 639);
	longest[639] = '\0';
	fill_psk(&psks[2], longest, 1);
	echo = (struct echo){.env = nvc_sim_env(sim, "echo"),
		.policy = NVC_TLS_PERMITTED,
		.psks = psks,
		.num_psks = 3};
	service = echo_service(&echo);
	ck_assert_int_eq(nvc_sim_listen(sim, 4420, &service), NVC_OK);
}

static void teardown(void)
{
	nvc_sim_free(sim);
	ck_assert_uint_eq(echo.num_accepted, echo.num_released);
}

static struct nvc_stream *connect_plain(void)
{
	const struct nvc_address to = {"192.0.2.1", "4420"};
	struct nvc_stream *s = NULL;

	ck_assert_int_eq(world.connect(world.self, &to, in_ms(1000), &s, NULL), NVC_OK);
	return s;
}

/* What a handshake came to. */
struct outcome {
	enum nvc_result result;
	struct nvc_stream *s;
	enum nvc_end end;
	uint8_t alert;
	struct nvc_error err;
};

static struct outcome connect_over(struct nvc_stream *lower, struct nvc_tls_options options)
{
	struct outcome outcome = {0};

	outcome.result = nvc_tls_connect(lower, &world, &options, in_ms(5000), &outcome.s,
		&outcome.end, &outcome.alert, &outcome.err);
	ck_assert(!outcome.s == (outcome.result != NVC_OK));
	ck_assert_int_eq(outcome.err.result, outcome.result);
	return outcome;
}

static struct outcome connect_tls(struct nvc_tls_options options)
{
	return connect_over(connect_plain(), options);
}

static struct nvc_stream *secure(struct nvc_tls_options options)
{
	struct outcome outcome = connect_tls(options);

	ck_assert_msg(outcome.result == NVC_OK, "%s", outcome.err.text);
	return outcome.s;
}

/* OpenSSL 3.0 calls a binder that does not verify an illegal_parameter (47), 3.5 a decrypt_error (51) as RFC 8446 has it. */
enum { BAD_BINDER = 0 };

static void expect_refused(struct outcome outcome, uint8_t alert)
{
	ck_assert_int_eq(outcome.result, NVC_E_TLS);
	ck_assert_int_eq(outcome.end, NVC_END_TLS_ALERT);
	if (alert == BAD_BINDER)
		ck_assert_msg(
			outcome.alert == 47 || outcome.alert == 51, "alert %u", outcome.alert);
	else
		ck_assert_uint_eq(outcome.alert, alert);
	ck_assert_uint_eq(echo.num_secured, 0);
}

#endif
