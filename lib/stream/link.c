/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream/link.h"

#include <stdlib.h>

enum {
	CLIENT_HELLO_BYTE =
		0x16, /* TLSPlaintext.type handshake (RFC 8446, 5.1); no NVMe/TCP PDU type */
	CHUNK = NVC_TLS_RECORD_MAX,
};

enum mode {
	MODE_FIRST_BYTE, /* nothing came yet */
	MODE_PLAIN,
	MODE_TLS,
};

struct nvc_link {
	const struct nvc_service *service;
	void *conn;
	struct nvc_tls_accept accept;
	void (*keylog)(void *self, const char *line);
	void *keylog_self;
	struct nvc_tls_server *tls;
	enum mode mode;
	bool told_end;	 /* the service knows that the peer ended */
	bool failed;	 /* no more of the service: flush what TLS has to say, then end */
	bool closed_tls; /* close_notify is queued */
	enum nvc_end end;
};

struct nvc_link *nvc_link_new(const struct nvc_service *service, uint16_t port,
	void (*keylog)(void *self, const char *line), void *keylog_self)
{
	struct nvc_link *link = calloc(1, sizeof(*link));

	if (!link)
		return NULL;
	link->conn = service->accept(service->self, port);
	if (!link->conn) {
		free(link);
		return NULL;
	}
	link->service = service;
	link->keylog = keylog;
	link->keylog_self = keylog_self;
	if (service->tls)
		link->accept = service->tls(link->conn);
	return link;
}

void nvc_link_free(struct nvc_link *link)
{
	if (!link)
		return;
	nvc_tls_server_free(link->tls);
	link->service->release(link->conn);
	free(link);
}

static void tell_end(struct nvc_link *link, enum nvc_end how)
{
	if (link->told_end)
		return;
	link->told_end = true;
	link->service->ended(link->conn, how);
}

static void choose_mode(struct nvc_link *link, uint8_t first)
{
	bool hello = first == CLIENT_HELLO_BYTE;

	if (link->accept.policy == (hello ? NVC_TLS_NONE : NVC_TLS_REQUIRED))
		link->failed = true;
	link->mode = MODE_PLAIN;
	if (link->failed || !hello)
		return;
	link->tls = nvc_tls_server_new(&link->accept, link->conn);
	if (!link->tls) {
		link->failed = true;
		return;
	}
	link->mode = MODE_TLS;
	nvc_tls_server_keylog(link->tls, link->keylog, link->keylog_self);
}

static void feed_tls(struct nvc_link *link, struct nvc_slice bytes)
{
	enum nvc_result result = nvc_tls_server_feed(link->tls, bytes);
	uint8_t plain[CHUNK];
	bool closed = false;
	size_t num;

	while ((num = nvc_tls_server_read(link->tls, plain, &closed)) > 0)
		link->service->input(link->conn, nvc_slice_of(plain, num));
	if (result != NVC_OK) {
		if (nvc_tls_server_established(link->tls))
			tell_end(link, NVC_END_TLS_ALERT);
		link->failed = true;
	} else if (closed && !link->accept.half_open) {
		tell_end(link, NVC_END_CLOSE_NOTIFY);
	}
}

void nvc_link_feed(struct nvc_link *link, struct nvc_slice bytes)
{
	if (link->end != NVC_END_OPEN || link->failed || link->told_end || !bytes.len)
		return;
	if (link->mode == MODE_FIRST_BYTE)
		choose_mode(link, bytes.data[0]);
	if (link->failed)
		return;
	if (link->mode == MODE_TLS)
		feed_tls(link, bytes);
	else
		link->service->input(link->conn, bytes);
}

void nvc_link_peer_ended(struct nvc_link *link, enum nvc_end how)
{
	if (link->end != NVC_END_OPEN || (how == NVC_END_FIN && link->accept.half_open))
		return;
	tell_end(link, how);
	if (how == NVC_END_RST)
		link->end = NVC_END_RST;
}

bool nvc_link_is_opening(const struct nvc_link *link)
{
	return link->mode == MODE_FIRST_BYTE ||
	       (link->mode == MODE_TLS && !nvc_tls_server_established(link->tls));
}

/* Bytes of the service go out once it is clear in which form: a server speaks second in NVMe/TCP. */
static bool service_may_speak(const struct nvc_link *link)
{
	if (link->failed)
		return false;
	return !nvc_link_is_opening(link) ||
	       (link->mode == MODE_FIRST_BYTE && link->accept.policy == NVC_TLS_NONE);
}

static size_t take_tls(struct nvc_link *link, uint8_t *out, size_t size)
{
	uint8_t plain[CHUNK];
	size_t num = nvc_tls_server_take(link->tls, out, size);

	if (num || !service_may_speak(link))
		return num;
	num = link->service->output(link->conn, plain, sizeof(plain));
	if (!num)
		return 0;
	if (nvc_tls_server_write(link->tls, nvc_slice_of(plain, num)) != NVC_OK)
		link->failed = true;
	return nvc_tls_server_take(link->tls, out, size);
}

/* Nothing is left to send: is this the end? A peer that ended gets ours too. */
static enum nvc_end wanted_end(struct nvc_link *link)
{
	enum nvc_end wanted = NVC_END_FIN;

	if (!link->failed) {
		wanted = link->service->wants_end(link->conn);
		if (wanted == NVC_END_OPEN && link->told_end)
			wanted = NVC_END_FIN;
	}
	return wanted == NVC_END_OPEN || wanted == NVC_END_RST ? wanted : NVC_END_FIN;
}

size_t nvc_link_take(struct nvc_link *link, uint8_t *out, size_t size)
{
	size_t num = 0;

	if (link->end != NVC_END_OPEN)
		return 0;
	if (link->mode == MODE_TLS)
		num = take_tls(link, out, size);
	else if (service_may_speak(link))
		num = link->service->output(link->conn, out, size);
	if (num)
		return num;
	link->end = wanted_end(link);
	if (link->end == NVC_END_FIN && link->tls && !link->closed_tls &&
		nvc_tls_server_established(link->tls)) {
		link->closed_tls = true;
		link->failed = true;
		nvc_tls_server_close(link->tls);
		num = nvc_tls_server_take(link->tls, out, size);
		link->end = num ? NVC_END_OPEN : NVC_END_FIN;
	}
	return num;
}

enum nvc_end nvc_link_end(const struct nvc_link *link)
{
	return link->end;
}
