/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The service under which the stream tests run: it echoes. A byte of the alphabet below asks for more than its echo, each
 * connection tells what became of it, and a call after release is caught.
 */
#ifndef ECHO_SERVICE_H
#define ECHO_SERVICE_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "stream/fifo.h"
#include "stream/sim.h"
#include "stream/tls.h"

enum {
	ECHO_FIN = 'F',	  /* echo, then end with FIN */
	ECHO_RST = 'R',	  /* echo, then reset */
	ECHO_TIMER = 'T', /* say "!" after echo->delay */
	ECHO_PORT_REFUSED = 7,
};

struct echo {
	struct nvc_env env;
	uint64_t delay; /* 0: five seconds */
	enum nvc_tls_policy policy;
	struct nvc_tls_accept oddities; /* its bools */
	const struct nvc_tls_psk *psks;
	size_t num_psks;
	unsigned int num_accepted;
	unsigned int num_released;
	unsigned int num_secured;
	enum nvc_end last_end; /* of the peer, as the service was told */
	char identity[640];
	uint16_t suite;
	struct echo_conn *conns;
};

struct echo_conn {
	struct echo *echo;
	struct echo_conn *next;
	struct nvc_fifo out;
	uint64_t timer;
	enum nvc_end wants;
	bool ended;
};

static void *echo_accept(void *self, uint16_t port)
{
	struct echo *echo = self;
	struct echo_conn *conn;

	if (port == ECHO_PORT_REFUSED)
		return NULL;
	conn = calloc(1, sizeof(*conn));
	conn->echo = echo;
	conn->timer = NVC_NEVER;
	conn->next = echo->conns;
	echo->conns = conn;
	echo->num_accepted++;
	return conn;
}

static bool echo_find_psk(
	void *self, const char *identity, struct nvc_secret *psk, uint8_t *hash_id)
{
	const struct echo *echo = ((struct echo_conn *)self)->echo;

	for (size_t i = 0; i < echo->num_psks; i++) {
		if (strcmp(echo->psks[i].identity, identity) == 0) {
			*psk = echo->psks[i].psk;
			*hash_id = echo->psks[i].hash_id;
			return true;
		}
	}
	return false;
}

static void echo_secured(void *self, const char *identity, uint16_t suite)
{
	struct echo *echo = ((struct echo_conn *)self)->echo;

	strcpy(echo->identity, identity);
	echo->suite = suite;
	echo->num_secured++;
}

static struct nvc_tls_accept echo_tls(void *self)
{
	const struct echo *echo = ((struct echo_conn *)self)->echo;
	struct nvc_tls_accept accept = echo->oddities;

	accept.policy = echo->policy;
	accept.find_psk = echo_find_psk;
	accept.secured = echo_secured;
	return accept;
}

static void echo_input(void *self, struct nvc_slice bytes)
{
	struct echo_conn *conn = self;

	ck_assert(!conn->ended && bytes.len);
	ck_assert(nvc_fifo_put(&conn->out, bytes));
	/* Not in a ClientHello that found its way here. */
	if (bytes.data[0] == 0x16)
		return;
	if (memchr(bytes.data, ECHO_FIN, bytes.len))
		conn->wants = NVC_END_FIN;
	if (memchr(bytes.data, ECHO_RST, bytes.len))
		conn->wants = NVC_END_RST;
	if (memchr(bytes.data, ECHO_TIMER, bytes.len))
		conn->timer = nvc_env_now(&conn->echo->env) +
			      (conn->echo->delay ? conn->echo->delay : NVC_SEC(5));
}

static void echo_ended(void *self, enum nvc_end how)
{
	struct echo_conn *conn = self;

	ck_assert(!conn->ended && how != NVC_END_OPEN);
	conn->ended = true;
	conn->echo->last_end = how;
}

static size_t echo_output(void *self, uint8_t *out, size_t size)
{
	return nvc_fifo_take(&((struct echo_conn *)self)->out, out, size);
}

static enum nvc_end echo_wants_end(void *self)
{
	return ((struct echo_conn *)self)->wants;
}

static void echo_release(void *self)
{
	struct echo_conn *conn = self;
	struct echo_conn **place = &conn->echo->conns;

	while (*place != conn)
		place = &(*place)->next;
	*place = conn->next;
	conn->echo->num_released++;
	nvc_fifo_fini(&conn->out);
	free(conn);
}

static uint64_t echo_next_timer(void *self)
{
	uint64_t next = NVC_NEVER;

	for (const struct echo_conn *conn = ((struct echo *)self)->conns; conn; conn = conn->next)
		if (conn->timer < next)
			next = conn->timer;
	return next;
}

static void echo_tick(void *self, uint64_t now)
{
	for (struct echo_conn *conn = ((struct echo *)self)->conns; conn; conn = conn->next) {
		if (conn->timer <= now) {
			conn->timer = NVC_NEVER;
			ck_assert(nvc_fifo_put(&conn->out, nvc_slice_str("!")));
		}
	}
}

static size_t echo_memory(void *self)
{
	size_t total = 0;

	for (const struct echo_conn *conn = ((struct echo *)self)->conns; conn; conn = conn->next)
		total += sizeof(*conn);
	return total;
}

static struct nvc_service echo_service(struct echo *echo)
{
	return (struct nvc_service){
		.self = echo,
		.accept = echo_accept,
		.tls = echo_tls,
		.input = echo_input,
		.ended = echo_ended,
		.output = echo_output,
		.wants_end = echo_wants_end,
		.release = echo_release,
		.next_timer = echo_next_timer,
		.tick = echo_tick,
		.memory = echo_memory,
	};
}

/* ---- the client's side of the talk ---- */

static struct echo echo;
static struct nvc_service service;
static struct nvc_world world;

static uint64_t in_ms(unsigned int ms)
{
	return nvc_env_now(&world.env) + NVC_MS(ms);
}

static void say(struct nvc_stream *s, const char *text)
{
	ck_assert_int_eq(nvc_stream_send(s, nvc_slice_str(text), in_ms(5000)), NVC_OK);
}

static void hear(struct nvc_stream *s, const char *text)
{
	char got[64] = "";
	size_t len = 0;

	while (len < strlen(text)) {
		size_t num = 0;

		ck_assert_int_eq(nvc_stream_recv(s, (uint8_t *)got + len, strlen(text) - len,
					 in_ms(10000), &num),
			NVC_OK);
		len += num;
	}
	ck_assert_str_eq(got, text);
}

/* Expects that no byte comes within `ms` and returns why. */
static enum nvc_result hear_nothing(struct nvc_stream *s, unsigned int ms)
{
	uint8_t byte[1];
	size_t num = 99;
	enum nvc_result result = nvc_stream_recv(s, byte, 1, in_ms(ms), &num);

	ck_assert_uint_eq(num, 0);
	return result;
}

#endif
