/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A service is the sans-I/O far side of connections: it is handed bytes and asked for bytes. The reference target is one; it
 * runs in a simulated world (stream/sim.h) or behind real sockets (stream/server.h) without knowing which.
 */
#ifndef NVC_STREAM_SERVICE_H
#define NVC_STREAM_SERVICE_H

#include "crypto/secret.h"
#include "stream/stream.h"

enum nvc_tls_policy {
	NVC_TLS_NONE,	   /* plain TCP only: a ClientHello closes the connection */
	NVC_TLS_PERMITTED, /* the first byte decides: 16h is a ClientHello */
	NVC_TLS_REQUIRED,  /* anything but a ClientHello closes the connection */
};

/* What the service has to say about a TLS handshake on a connection. */
struct nvc_tls_accept {
	enum nvc_tls_policy policy;
	/* What no target should do: */
	bool tls12;	     /* take TLS 1.2, in which nobody proves anything */
	bool early_data;     /* take data that comes before the handshake is complete */
	bool psk_ke;	     /* take psk_ke where a host offers nothing else */
	bool nul_identities; /* take a NUL at the end of an identity for none */
	bool half_open;	     /* go on when the peer has ended its side, over TLS or in clear */
	bool no_key_update;  /* take a KeyUpdate for the end of the connection */
	/* Finds the TLS PSK of `identity`; false refuses the handshake. `hash_id` (1, 2) decides the suite. */
	bool (*find_psk)(
		void *conn, const char *identity, struct nvc_secret *psk, uint8_t *hash_id);
	/* The handshake is complete under `identity`; application bytes follow. NULL: nobody wants to know. */
	void (*secured)(void *conn, const char *identity, uint16_t suite);
};

struct nvc_service {
	void *self;
	/* A new connection to local port `port` (0: the default one); NULL refuses it. */
	void *(*accept)(void *self, uint16_t port);
	/* How to treat TLS on this connection. */
	struct nvc_tls_accept (*tls)(void *conn);
	/* Application bytes from the peer, in any segmentation; those of a TLS record at once. */
	void (*input)(void *conn, struct nvc_slice bytes);
	/* The peer ended the connection; no further input follows. */
	void (*ended)(void *conn, enum nvc_end how);
	/* Takes at most `size` bytes to send; returns how many. */
	size_t (*output)(void *conn, uint8_t *out, size_t size);
	/* What the service wants of the connection once its output is drained: NVC_END_OPEN to keep it. */
	enum nvc_end (*wants_end)(void *conn);
	/* The connection is gone; `conn` is freed. Called exactly once for each accepted one. */
	void (*release)(void *conn);
	/* The earliest time at which `tick` has something to do; NVC_NEVER for none. */
	uint64_t (*next_timer)(void *self);
	void (*tick)(void *self, uint64_t now);
	/* Bytes of memory held for connections and controllers. */
	size_t (*memory)(void *self);
};

#endif
