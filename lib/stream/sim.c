/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream/sim.h"

#include <stdlib.h>
#include <string.h>

#include "stream/link.h"
#include "stream/fifo.h"

enum {
	MAX_LISTENERS = 16,
	MAX_ENVS = 16,
};

/* The host's end of a connection. It outlives its link, and its world when that is freed first. */
struct sim_stream {
	struct nvc_stream base;
	struct nvc_sim *sim;
	struct sim_stream *next;
	struct nvc_link *link; /* NULL once the service's side has ended */
	struct nvc_fifo inbox; /* from the service to the host */
	enum nvc_end peer_end; /* what follows behind `inbox` */
	enum nvc_end own_end;
};

struct listener {
	uint16_t port;
	const struct nvc_service *service;
};

struct sim_env {
	struct nvc_sim *sim;
	struct nvc_seeded *random;
};

struct nvc_sim {
	uint64_t clock;
	uint64_t seed;
	struct listener listeners[MAX_LISTENERS];
	size_t num_listeners;
	struct sim_env envs[MAX_ENVS];
	size_t num_envs;
	struct sim_stream
		*streams; /* in order of their connect: the order in which services are polled */
};

/* A step of time for a service whose timer stays in the past: the world must not stand still. */
static const uint64_t stuck_step = NVC_MS(1);

static uint64_t sim_now(void *self)
{
	return ((struct sim_env *)self)->sim->clock;
}

static void sim_random(void *self, uint8_t *out, size_t len)
{
	nvc_seeded_random(((struct sim_env *)self)->random, out, len);
}

struct nvc_sim *nvc_sim_new(uint64_t seed)
{
	struct nvc_sim *sim = calloc(1, sizeof(*sim));

	if (!sim)
		return NULL;
	sim->clock = NVC_SEC(1);
	sim->seed = seed;
	if (!nvc_sim_env(sim, "world").self) {
		nvc_sim_free(sim);
		return NULL;
	}
	return sim;
}

struct nvc_env nvc_sim_env(struct nvc_sim *sim, const char *label)
{
	struct nvc_env env = {.now = sim_now, .random = sim_random};
	struct sim_env *slot;

	if (sim->num_envs == MAX_ENVS)
		return env;
	slot = &sim->envs[sim->num_envs];
	slot->random = nvc_seeded_new(sim->seed, label);
	if (!slot->random)
		return env;
	slot->sim = sim;
	sim->num_envs++;
	env.self = slot;
	return env;
}

enum nvc_result nvc_sim_listen(
	struct nvc_sim *sim, uint16_t port, const struct nvc_service *service)
{
	for (size_t i = 0; i < sim->num_listeners; i++)
		if (sim->listeners[i].port == port)
			return NVC_E_INVALID;
	if (sim->num_listeners == MAX_LISTENERS)
		return NVC_E_NO_SPACE;
	sim->listeners[sim->num_listeners++] = (struct listener){port, service};
	return NVC_OK;
}

/* ---- one connection ---- */

static void drop_link(struct sim_stream *stream, enum nvc_end how)
{
	struct nvc_link *link = stream->link;

	stream->link = NULL;
	stream->peer_end = how;
	if (how == NVC_END_RST)
		nvc_fifo_drop(&stream->inbox, stream->inbox.len);
	nvc_link_free(link);
}

/* Collects what the service says until it is silent or has ended. */
static void collect(struct sim_stream *stream)
{
	uint8_t bytes[16384];
	size_t num;

	if (!stream->link)
		return;
	while ((num = nvc_link_take(stream->link, bytes, sizeof(bytes))) > 0) {
		if (!nvc_fifo_put(&stream->inbox, nvc_slice_of(bytes, num))) {
			drop_link(stream, NVC_END_RST);
			return;
		}
	}
	if (nvc_link_end(stream->link) != NVC_END_OPEN)
		drop_link(stream, nvc_link_end(stream->link));
}

static void collect_all(struct nvc_sim *sim)
{
	for (struct sim_stream *stream = sim->streams; stream; stream = stream->next)
		collect(stream);
}

/* ---- time ---- */

/* The same service may stand behind several ports; its timers run once. */
static bool is_first_of_service(const struct nvc_sim *sim, size_t index)
{
	const struct nvc_service *service = sim->listeners[index].service;

	for (size_t i = 0; i < index; i++) {
		const struct nvc_service *other = sim->listeners[i].service;

		if (other == service || (other->self && other->self == service->self))
			return false;
	}
	return true;
}

static uint64_t next_timer(const struct nvc_sim *sim)
{
	uint64_t next = NVC_NEVER;

	for (size_t i = 0; i < sim->num_listeners; i++) {
		const struct nvc_service *service = sim->listeners[i].service;
		uint64_t time =
			service->next_timer ? service->next_timer(service->self) : NVC_NEVER;

		if (time < next)
			next = time;
	}
	return next;
}

static void tick_all(struct nvc_sim *sim)
{
	for (size_t i = 0; i < sim->num_listeners; i++) {
		const struct nvc_service *service = sim->listeners[i].service;

		if (service->tick && service->next_timer && is_first_of_service(sim, i) &&
			service->next_timer(service->self) <= sim->clock)
			service->tick(service->self, sim->clock);
	}
}

/* Moves the clock to the next timer, or to `limit` when that comes first. */
static void advance(struct nvc_sim *sim, uint64_t limit)
{
	uint64_t next = next_timer(sim);

	if (next <= sim->clock) {
		tick_all(sim);
		collect_all(sim);
		next = next_timer(sim);
		if (next > sim->clock)
			return;
		next = sim->clock + stuck_step;
	}
	sim->clock = next < limit ? next : limit;
	tick_all(sim);
	collect_all(sim);
}

static void sim_wait_until(void *self, uint64_t time)
{
	struct nvc_sim *sim = self;

	collect_all(sim);
	while (sim->clock < time)
		advance(sim, time);
}

/* ---- the host's end ---- */

static enum nvc_result ended(struct nvc_stream *s, enum nvc_end end)
{
	s->end = end;
	return end == NVC_END_RST ? NVC_E_RESET : NVC_E_CLOSED;
}

static enum nvc_result sim_send(struct nvc_stream *s, struct nvc_slice bytes, uint64_t deadline)
{
	struct sim_stream *stream = (struct sim_stream *)s;

	(void)deadline;
	if (stream->own_end != NVC_END_OPEN)
		return NVC_E_STATE;
	if (s->end != NVC_END_OPEN || stream->peer_end == NVC_END_RST)
		return ended(s, stream->peer_end);
	/* As with TCP: what is sent to a peer that has just ended is lost without a sound. */
	if (!stream->link)
		return NVC_OK;
	nvc_link_feed(stream->link, bytes);
	collect(stream);
	return NVC_OK;
}

static enum nvc_result sim_recv(
	struct nvc_stream *s, uint8_t *out, size_t size, uint64_t deadline, size_t *num)
{
	struct sim_stream *stream = (struct sim_stream *)s;

	if (stream->own_end == NVC_END_RST)
		return NVC_E_STATE;
	for (;;) {
		*num = nvc_fifo_take(&stream->inbox, out, size);
		if (*num)
			return NVC_OK;
		if (stream->peer_end != NVC_END_OPEN)
			return ended(s, stream->peer_end);
		collect_all(stream->sim);
		if (stream->inbox.len || stream->peer_end != NVC_END_OPEN)
			continue;
		if (stream->sim->clock >= deadline)
			return NVC_E_TIMEOUT;
		advance(stream->sim, deadline);
	}
}

static void sim_close(struct nvc_stream *s, enum nvc_end how)
{
	struct sim_stream *stream = (struct sim_stream *)s;

	if (stream->own_end != NVC_END_OPEN)
		return;
	stream->own_end = how == NVC_END_RST ? NVC_END_RST : NVC_END_FIN;
	if (!stream->link)
		return;
	nvc_link_peer_ended(stream->link, stream->own_end);
	collect(stream);
}

static void forget(struct nvc_sim *sim, const struct sim_stream *stream)
{
	struct sim_stream **place = &sim->streams;

	while (*place && *place != stream)
		place = &(*place)->next;
	if (*place)
		*place = stream->next;
}

static void sim_stream_free(struct nvc_stream *s)
{
	struct sim_stream *stream = (struct sim_stream *)s;

	sim_close(s, NVC_END_FIN);
	if (stream->sim)
		forget(stream->sim, stream);
	nvc_fifo_fini(&stream->inbox);
	free(stream);
}

static const struct nvc_service *service_at(const struct nvc_sim *sim, uint16_t port)
{
	for (size_t i = 0; i < sim->num_listeners; i++)
		if (sim->listeners[i].port == port)
			return sim->listeners[i].service;
	return NULL;
}

static enum nvc_result sim_connect(void *self, const struct nvc_address *to, uint64_t deadline,
	struct nvc_stream **out, struct nvc_error *err)
{
	static const struct nvc_stream_ops ops = {sim_send, sim_recv, sim_close, sim_stream_free};
	struct nvc_sim *sim = self;
	struct sim_stream **place = &sim->streams;
	const struct nvc_service *service;
	struct sim_stream *stream;
	uint16_t port = 0;

	(void)deadline;
	*out = NULL;
	if (!nvc_port_parse(to->port, &port))
		return nvc_fail(err, NVC_E_INVALID, "'%s' is not a port", to->port);
	service = service_at(sim, port);
	if (!service)
		return nvc_fail(err, NVC_E_REFUSED,
			"%s port %s refused the connection: nobody listens there", to->host,
			to->port);
	stream = calloc(1, sizeof(*stream));
	if (!stream)
		return nvc_fail(err, NVC_E_NO_MEMORY, "no memory for a connection");
	stream->base.ops = &ops;
	stream->sim = sim;
	stream->link = nvc_link_new(service, port, NULL, NULL);
	/* As on a real listener: the kernel accepts, the service turns it away. */
	if (!stream->link)
		stream->peer_end = NVC_END_RST;
	while (*place)
		place = &(*place)->next;
	*place = stream;
	*out = &stream->base;
	return NVC_OK;
}

static size_t sim_memory(void *self)
{
	const struct nvc_sim *sim = self;
	size_t total = 0;

	for (size_t i = 0; i < sim->num_listeners; i++) {
		const struct nvc_service *service = sim->listeners[i].service;

		if (service->memory && is_first_of_service(sim, i))
			total += service->memory(service->self);
	}
	return total;
}

struct nvc_world nvc_sim_world(struct nvc_sim *sim)
{
	return (struct nvc_world){
		.env = {.self = &sim->envs[0], .now = sim_now, .random = sim_random},
		.self = sim,
		.connect = sim_connect,
		.wait_until = sim_wait_until,
		.service_memory = sim_memory,
	};
}

void nvc_sim_free(struct nvc_sim *sim)
{
	if (!sim)
		return;
	while (sim->streams) {
		struct sim_stream *stream = sim->streams;

		sim->streams = stream->next;
		sim_close(&stream->base, NVC_END_RST);
		if (stream->link)
			drop_link(stream, NVC_END_RST);
		stream->sim = NULL;
	}
	for (size_t i = 0; i < sim->num_envs; i++)
		nvc_seeded_free(sim->envs[i].random);
	free(sim);
}
