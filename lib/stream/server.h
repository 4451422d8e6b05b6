/* SPDX-License-Identifier: BSD-3-Clause */
/* A service behind real TCP sockets: accepts, terminates TLS as the service asks, polls. One thread. */
#ifndef NVC_STREAM_SERVER_H
#define NVC_STREAM_SERVER_H

#include "stream/service.h"

struct nvc_server;

/* nvc_server_new returns an empty server for `service` (borrowed). `max_connections` bounds what it accepts at once. */
struct nvc_server *nvc_server_new(
	const struct nvc_service *service, const struct nvc_env *env, size_t max_connections);
void nvc_server_free(struct nvc_server *server);
/* nvc_server_keylog writes TLS secrets in NSS key log format to `fd` (borrowed; -1: none). */
void nvc_server_keylog(struct nvc_server *server, int fd);
/* nvc_server_listen opens a listening socket; "0" picks a free port. `port` receives the number. The service's accept()
 * is called with `as_port` for its connections. */
enum nvc_result nvc_server_listen(struct nvc_server *server, const struct nvc_address *at,
	uint16_t as_port, uint16_t *port, struct nvc_error *err);
/* nvc_server_run serves until `*stop` is not 0 (set by a signal handler) or a fatal error. */
enum nvc_result nvc_server_run(
	struct nvc_server *server, const volatile int *stop, struct nvc_error *err);

#endif
