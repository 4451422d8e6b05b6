/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One accepted connection of a service without its socket: decides between plain and TLS, feeds the service, collects its
 * answers and tells when the connection has to end. stream/sim.c and stream/server.c carry the bytes.
 */
#ifndef NVC_STREAM_LINK_H
#define NVC_STREAM_LINK_H

#include "stream/tls.h"

struct nvc_link;

/* nvc_link_new offers a connection to local port `port` to `service` (borrowed); NULL when it is refused, or without memory.
 * `keylog` (may be NULL) as in struct nvc_tls_options. */
struct nvc_link *nvc_link_new(const struct nvc_service *service, uint16_t port,
	void (*keylog)(void *self, const char *line), void *keylog_self);

/* nvc_link_free releases the connection at the service; NULL is allowed. */
void nvc_link_free(struct nvc_link *link);

/* nvc_link_feed hands over bytes of the network; they are dropped once the connection is ending. */
void nvc_link_feed(struct nvc_link *link, struct nvc_slice bytes);

/* nvc_link_peer_ended tells that the peer's TCP side ended with NVC_END_FIN or NVC_END_RST. */
void nvc_link_peer_ended(struct nvc_link *link, enum nvc_end how);

/* nvc_link_take asks for bytes for the network, at most `size`; 0 when there is nothing to send now. */
size_t nvc_link_take(struct nvc_link *link, uint8_t *out, size_t size);

/* nvc_link_end tells, after nvc_link_take has returned 0, how to end the connection; NVC_END_OPEN: not at all yet.
 * The answer is final: the link has nothing more to say and waits to be freed. */
enum nvc_end nvc_link_end(const struct nvc_link *link);

/* nvc_link_is_opening tells whether the first byte or the end of the TLS handshake is still awaited. */
bool nvc_link_is_opening(const struct nvc_link *link);

#endif
