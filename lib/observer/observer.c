/* SPDX-License-Identifier: BSD-3-Clause */
/* Connections, framing and reporting; what is judged is in the observe_*.c files. */
#include "observer/observer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "observer/observer_state.h"

struct nvc_observer *nvc_observer_new(const struct nvc_observer_sink *sink, unsigned int judge)
{
	struct nvc_observer *observer = calloc(1, sizeof(*observer));

	if (!observer)
		return NULL;
	observer->sink = *sink;
	observer->judge = judge;
	observer->patience = NVC_OBS_AUTH_TIMEOUT;
	observer->end_bound = NVC_OBS_END_BOUND;
	return observer;
}

static void free_conn(struct nvc_obs_conn *conn)
{
	for (size_t i = 0; i < conn->num_commands; i++)
		nvc_obs_drop_command(&conn->commands[i]);
	free(conn->commands);
	free(conn->streams[NVC_H2C].data);
	free(conn->streams[NVC_C2H].data);
	free(conn);
}

void nvc_observer_free(struct nvc_observer *observer)
{
	if (!observer)
		return;
	for (size_t i = 0; i < NVC_OBS_BUCKETS; i++) {
		while (observer->buckets[i]) {
			struct nvc_obs_conn *conn = observer->buckets[i];

			observer->buckets[i] = conn->next;
			free_conn(conn);
		}
	}
	free(observer->challenges.values);
	free(observer->replies.values);
	free(observer);
}

static struct nvc_obs_conn **find_conn(struct nvc_observer *observer, unsigned int id)
{
	struct nvc_obs_conn **place = &observer->buckets[id % NVC_OBS_BUCKETS];

	while (*place && (*place)->id != id)
		place = &(*place)->next;
	return place;
}

const struct nvc_obs_conn *nvc_obs_tls_admin(const struct nvc_obs_conn *conn)
{
	for (size_t i = 0; i < NVC_OBS_BUCKETS; i++) {
		for (const struct nvc_obs_conn *other = conn->observer->buckets[i]; other;
			other = other->next) {
			if (other->tls && other->connected && other->qid == 0 &&
				other->pair == conn->pair && other->cntlid == conn->cntlid &&
				!other->streams[NVC_C2H].ended)
				return other;
		}
	}
	return NULL;
}

static void tell(const struct nvc_obs_conn *conn, enum nvc_observed_kind kind,
	enum nvc_direction direction, struct nvc_slice bytes, const char *text)
{
	const struct nvc_observer *observer = conn->observer;
	struct nvc_observed_packet packet = {.kind = kind,
		.packet = observer->packets,
		.conn = conn->id,
		.direction = direction,
		.time = observer->now,
		.type = bytes.len ? bytes.data[0] : 0,
		.bytes = bytes,
		.text = text};

	if (observer->sink.packet)
		observer->sink.packet(observer->sink.self, &packet);
}

static void tell_event(const struct nvc_obs_conn *conn, enum nvc_observed_kind kind,
	enum nvc_direction direction, const char *text)
{
	tell(conn, kind, direction, nvc_slice_of(NULL, 0), text);
}

void nvc_obs_show(struct nvc_obs_conn *conn, enum nvc_direction direction, struct nvc_slice bytes,
	const char *text)
{
	tell(conn, NVC_OBSERVED_PDU, direction, bytes, text);
}

bool nvc_obs_judges(const struct nvc_obs_conn *conn, enum nvc_observer_judge side)
{
	return conn->observer->judge & (unsigned int)side;
}

/* `conn` may be NULL: then it is not known what was told of `id` before. */
static void report(struct nvc_observer *observer, struct nvc_obs_conn *conn, unsigned int id,
	enum req_id req, unsigned int packet, const char *expected, const char *seen)
{
	observer->violations[req]++;
	if (conn && conn->reported[req])
		return;
	if (conn)
		conn->reported[req] = true;
	if (observer->sink.violation)
		observer->sink.violation(observer->sink.self, req, expected, seen, packet, id);
}

static bool judges(const struct nvc_observer *observer, enum req_id req)
{
	bool of_host = nvc_requirement(req)->area == NVC_AREA_HOST;

	return observer->judge & (unsigned int)(of_host ? NVC_JUDGE_HOST : NVC_JUDGE_CONTROLLER);
}

void nvc_obs_violated(
	struct nvc_obs_conn *conn, enum req_id req, const char *expected, const char *format, ...)
{
	char seen[200];
	va_list args;

	if (!judges(conn->observer, req))
		return;
	va_start(args, format);
	vsnprintf(seen, sizeof(seen), format, args);
	va_end(args);
	report(conn->observer, conn, conn->id, req, conn->observer->packets, expected, seen);
}

void nvc_observer_report(struct nvc_observer *observer, unsigned int conn, enum req_id req,
	unsigned int packet, const char *expected, const char *seen)
{
	if (judges(observer, req))
		report(observer, *find_conn(observer, conn), conn, req,
			packet ? packet : observer->packets, expected, seen);
}

void nvc_obs_host_is_bent(struct nvc_obs_conn *conn, const char *why)
{
	char text[160];

	if (conn->host_bent)
		return;
	conn->host_bent = true;
	snprintf(text, sizeof(text), "%s: answers are no longer judged against what the host asked",
		why);
	tell_event(conn, NVC_OBSERVED_NOTE, NVC_H2C, text);
}

enum nvc_result nvc_observer_open(struct nvc_observer *observer, unsigned int conn, bool tls,
	uint64_t time, const char *label)
{
	struct nvc_obs_conn **place = find_conn(observer, conn), *opened;

	if (*place)
		return NVC_E_STATE;
	if (observer->num_conns == NVC_OBSERVER_MAX_CONNECTIONS)
		return NVC_E_NO_SPACE;
	opened = calloc(1, sizeof(*opened));
	if (!opened)
		return NVC_E_NO_MEMORY;
	opened->observer = observer;
	opened->id = conn;
	opened->tls = tls;
	*place = opened;
	observer->num_conns++;
	observer->now = time;
	tell_event(opened, NVC_OBSERVED_OPEN, NVC_H2C, label ? label : "");
	return NVC_OK;
}

void nvc_observer_forget(struct nvc_observer *observer, unsigned int conn)
{
	struct nvc_obs_conn **place = find_conn(observer, conn);
	struct nvc_obs_conn *gone = *place;

	if (!gone)
		return;
	*place = gone->next;
	observer->num_conns--;
	free_conn(gone);
}

/* Without framing, what follows on this side means nothing. */
static void lose(struct nvc_obs_conn *conn, enum nvc_direction direction, const char *why)
{
	struct nvc_obs_stream *stream = &conn->streams[direction];

	stream->lost = true;
	free(stream->data);
	stream->data = NULL;
	stream->len = stream->cap = 0;
	if (direction == NVC_H2C)
		nvc_obs_host_is_bent(conn, why);
	else
		tell_event(conn, NVC_OBSERVED_NOTE, direction, why);
	if (conn->observer->sink.lost)
		conn->observer->sink.lost(conn->observer->sink.self, conn->id, why);
}

static void bad_length(struct nvc_obs_conn *conn, enum nvc_direction direction, struct nvc_slice in)
{
	uint32_t plen = (uint32_t)nvc_get_le(in.data + 4, 4);
	char why[96];

	conn->observer->packets++;
	snprintf(why, sizeof(why), "PDU of type %02xh with PLEN %u, which cannot be", in.data[0],
		plen);
	nvc_obs_show(conn, direction, nvc_slice_sub(in, 0, NVC_PDU_CH_LEN), why);
	lose(conn, direction,
		direction == NVC_H2C ? "PDUs of the host cannot be told apart"
				     : "PDUs of the controller cannot be told apart: the rest is "
				       "not judged");
	if (direction == NVC_C2H)
		nvc_obs_violated(conn, REQ_N_003, "a PLEN that fits the PDU type", "%s", why);
}

/* Takes whole PDUs off the front of `in`; returns the bytes that are left over. */
static struct nvc_slice take_pdus(
	struct nvc_obs_conn *conn, enum nvc_direction direction, struct nvc_slice in)
{
	while (in.len > 0) {
		size_t plen;
		enum nvc_result result = nvc_pdu_frame(in, NVC_OBSERVER_MAX_PDU, &plen);

		if (result == NVC_E_TRUNCATED)
			break;
		if (result != NVC_OK) {
			bad_length(conn, direction, in);
			return nvc_slice_of(NULL, 0);
		}
		nvc_obs_pdu(conn, direction, nvc_slice_sub(in, 0, plen));
		in = nvc_slice_sub(in, plen, in.len - plen);
	}
	return in;
}

static bool reserve(struct nvc_obs_stream *stream, size_t len)
{
	size_t cap = stream->cap ? stream->cap : 256;
	uint8_t *data;

	if (len <= stream->cap)
		return true;
	while (cap < len)
		cap *= 2;
	data = realloc(stream->data, cap);
	if (!data)
		return false;
	stream->data = data;
	stream->cap = cap;
	return true;
}

/* Bytes are kept only until their PDU is whole, so a stream never holds more than one PDU and
 * what one call brought. */
static void add_bytes(
	struct nvc_obs_conn *conn, enum nvc_direction direction, struct nvc_slice bytes)
{
	struct nvc_obs_stream *stream = &conn->streams[direction];
	struct nvc_slice rest = bytes;

	if (stream->len > 0) {
		if (!reserve(stream, stream->len + bytes.len)) {
			lose(conn, direction, "out of memory");
			return;
		}
		memcpy(stream->data + stream->len, bytes.data, bytes.len);
		stream->len += bytes.len;
		rest = nvc_slice_of(stream->data, stream->len);
	}
	rest = take_pdus(conn, direction, rest);
	if (stream->lost)
		return;
	if (rest.len > 0 && !reserve(stream, rest.len)) {
		lose(conn, direction, "out of memory");
		return;
	}
	if (rest.len > 0 && rest.data != stream->data)
		memmove(stream->data, rest.data, rest.len);
	stream->len = rest.len;
}

void nvc_observer_bytes(struct nvc_observer *observer, unsigned int conn, bool h2c,
	struct nvc_slice bytes, uint64_t time)
{
	enum { STEP = 65536 };
	enum nvc_direction direction = h2c ? NVC_H2C : NVC_C2H;
	struct nvc_obs_conn *found = *find_conn(observer, conn);

	if (!found)
		return;
	observer->now = time;
	while (bytes.len > 0 && !found->streams[direction].lost) {
		struct nvc_slice part = nvc_slice_sub(bytes, 0, STEP);

		add_bytes(found, direction, part);
		bytes = nvc_slice_sub(bytes, part.len, bytes.len - part.len);
	}
}

void nvc_observer_waited(struct nvc_observer *observer, unsigned int conn, uint64_t time)
{
	struct nvc_obs_conn *found = *find_conn(observer, conn);

	if (!found)
		return;
	observer->now = time;
	if (!found->streams[NVC_C2H].ended)
		nvc_obs_still_open(found, time);
}

void nvc_observer_bear(struct nvc_observer *observer, uint64_t more)
{
	observer->end_bound =
		more < UINT64_MAX - NVC_OBS_END_BOUND ? NVC_OBS_END_BOUND + more : UINT64_MAX;
}

void nvc_observer_end(struct nvc_observer *observer, unsigned int conn, bool h2c,
	const char *reason, uint64_t time)
{
	struct nvc_obs_conn *found = *find_conn(observer, conn);

	if (!found)
		return;
	observer->now = time;
	tell_event(found, NVC_OBSERVED_END, h2c ? NVC_H2C : NVC_C2H, reason ? reason : "");
	found->streams[h2c ? NVC_H2C : NVC_C2H].ended = true;
	if (found->streams[NVC_H2C].ended && found->streams[NVC_C2H].ended)
		nvc_observer_forget(observer, conn);
}

void nvc_observer_generated(struct nvc_observer *observer, unsigned int conn)
{
	struct nvc_obs_conn *found = *find_conn(observer, conn);

	if (found)
		found->generated = true;
}

size_t nvc_observer_unfinished(struct nvc_observer *observer, unsigned int conn, bool h2c)
{
	const struct nvc_obs_conn *found = *find_conn(observer, conn);

	return found ? found->streams[h2c ? NVC_H2C : NVC_C2H].len : 0;
}

const char *nvc_observer_under_way(struct nvc_observer *observer, unsigned int conn)
{
	static const char authentication[] = "an authentication";
	const struct nvc_obs_conn *found = *find_conn(observer, conn);

	if (!found || found->host_bent)
		return NULL;
	if (found->ic_req_seen && !found->ic_resp_seen)
		return "the initialisation";
	for (size_t i = 0; i < found->num_commands; i++)
		if (nvc_obs_is_fabrics(&found->commands[i], NVC_FCTYPE_AUTH_SEND) ||
			nvc_obs_is_fabrics(&found->commands[i], NVC_FCTYPE_AUTH_RECEIVE))
			return authentication;
	switch (found->transaction.state) {
	case NVC_OBS_NEGOTIATED:
	case NVC_OBS_CHALLENGED:
	case NVC_OBS_REPLIED:
		return authentication;
	default:
		return NULL;
	}
}

unsigned int nvc_observer_packets(const struct nvc_observer *observer)
{
	return observer->packets;
}

unsigned int nvc_observer_violations(const struct nvc_observer *observer, enum req_id req)
{
	return req > REQ_NONE && req < NUM_REQS ? observer->violations[req] : 0;
}
