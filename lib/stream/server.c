/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream/server.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stream/link.h"
#include "stream/fifo.h"

enum {
	MAX_LISTENERS = 16,
	OUTBOX_LIMIT = 256 * 1024, /* a peer that does not read is not read from either */
	MAX_POLL_MS = 200, /* a signal between the look at *stop and poll() waits no longer */
};

static const uint64_t opening_limit = NVC_SEC(30); /* for the first byte and the TLS handshake */
static const uint64_t linger_limit = NVC_SEC(5);   /* for the peer's end after ours */
static const uint64_t write_limit = NVC_SEC(30); /* for a peer that takes nothing of what we send */
static const uint64_t accept_pause = NVC_MS(100); /* after running out of descriptors */

struct client {
	int fd;
	struct nvc_link *link; /* NULL: our end is sent, we wait for the peer's */
	struct nvc_fifo outbox;
	bool peer_ended;
	uint64_t deadline; /* NVC_NEVER while the service watches over the time */
	uint64_t write_deadline;
};

struct listener {
	int fd;
	uint16_t as_port;
};

struct nvc_server {
	const struct nvc_service *service;
	struct nvc_env env;
	int keylog_fd;
	uint64_t accept_after;
	struct listener listeners[MAX_LISTENERS];
	size_t num_listeners;
	struct client *clients;
	size_t num_clients;
	size_t max_clients;
	struct pollfd *items; /* listeners first, then clients */
};

struct nvc_server *nvc_server_new(
	const struct nvc_service *service, const struct nvc_env *env, size_t max_connections)
{
	struct nvc_server *server = calloc(1, sizeof(*server));

	if (!server)
		return NULL;
	server->clients = calloc(max_connections + 1, sizeof(*server->clients));
	server->items = calloc(MAX_LISTENERS + max_connections + 1, sizeof(*server->items));
	if (!server->clients || !server->items) {
		nvc_server_free(server);
		return NULL;
	}
	server->service = service;
	server->env = *env;
	server->keylog_fd = -1;
	server->max_clients = max_connections;
	return server;
}

static void close_client(struct client *client, bool reset)
{
	const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

	if (reset)
		setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(client->fd);
	client->fd = -1;
	nvc_link_free(client->link);
	client->link = NULL;
	nvc_fifo_fini(&client->outbox);
}

void nvc_server_free(struct nvc_server *server)
{
	if (!server)
		return;
	for (size_t i = 0; i < server->num_clients; i++)
		close_client(&server->clients[i], false);
	for (size_t i = 0; i < server->num_listeners; i++)
		close(server->listeners[i].fd);
	free(server->clients);
	free(server->items);
	free(server);
}

void nvc_server_keylog(struct nvc_server *server, int fd)
{
	server->keylog_fd = fd;
}

static void write_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t num = write(fd, text, len);

		if (num > 0) {
			text += num;
			len -= (size_t)num;
		} else if (num == 0 || errno != EINTR) {
			return;
		}
	}
}

static void on_keylog(void *self, const char *line)
{
	const struct nvc_server *server = self;

	write_all(server->keylog_fd, line, strlen(line));
	write_all(server->keylog_fd, "\n", 1);
}

/* ---- listening ---- */

static uint16_t local_port(int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address = {.v6 = {0}};
	socklen_t len = sizeof(address);

	if (getsockname(fd, &address.any, &len) != 0)
		return 0;
	return ntohs(
		address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

/* Returns the listening socket, or -1 with errno. */
static int listen_on(const struct addrinfo *address)
{
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
		address->ai_protocol);
	int on = 1;
	int error;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

enum nvc_result nvc_server_listen(struct nvc_server *server, const struct nvc_address *at,
	uint16_t as_port, uint16_t *port, struct nvc_error *err)
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
	};
	struct addrinfo *list = NULL;
	uint16_t number = 0;
	int error, fd;

	if (server->num_listeners == MAX_LISTENERS)
		return nvc_fail(err, NVC_E_NO_SPACE, "more than %d listening ports", MAX_LISTENERS);
	if (!nvc_port_parse(at->port, &number))
		return nvc_fail(err, NVC_E_INVALID, "'%s' is not a port (0 to 65535)", at->port);
	error = getaddrinfo(at->host, at->port, &hints, &list);
	if (error)
		return nvc_fail(err, NVC_E_INVALID, "cannot listen on '%s' port '%s': %s", at->host,
			at->port, gai_strerror(error));
	fd = listen_on(list);
	error = errno;
	freeaddrinfo(list);
	if (fd < 0)
		return nvc_fail(err, NVC_E_SYSTEM, "cannot listen on %s port %s: %s", at->host,
			at->port, strerror(error));
	if (port)
		*port = local_port(fd);
	server->listeners[server->num_listeners++] = (struct listener){fd, as_port};
	return NVC_OK;
}

static bool would_block(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK;
}

static void adopt(struct nvc_server *server, int fd, uint16_t as_port)
{
	struct client client = {.fd = fd, .write_deadline = NVC_NEVER};
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	client.link = nvc_link_new(
		server->service, as_port, server->keylog_fd >= 0 ? on_keylog : NULL, server);
	if (!client.link) {
		close_client(&client, true);
		return;
	}
	client.deadline = nvc_env_now(&server->env) + opening_limit;
	server->clients[server->num_clients++] = client;
}

static void accept_some(struct nvc_server *server, const struct listener *listener)
{
	while (server->num_clients < server->max_clients) {
		int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			adopt(server, fd, listener->as_port);
		} else if (errno != EINTR && errno != ECONNABORTED) {
			/* Descriptors or memory ran out: the listener stays ready, so look away for a while. */
			if (!would_block())
				server->accept_after = nvc_env_now(&server->env) + accept_pause;
			return;
		}
	}
}

/* ---- one connection ---- */

/* Reads once; a lingering client's bytes are thrown away. */
static void read_some(struct client *client)
{
	uint8_t bytes[65536];
	ssize_t num = recv(client->fd, bytes, sizeof(bytes), 0);

	if (num < 0 && (would_block() || errno == EINTR))
		return;
	if (!client->link) {
		if (num <= 0)
			close_client(client, false);
		return;
	}
	if (num > 0) {
		nvc_link_feed(client->link, nvc_slice_of(bytes, (size_t)num));
		return;
	}
	client->peer_ended = true;
	nvc_link_peer_ended(client->link, num == 0 ? NVC_END_FIN : NVC_END_RST);
}

static void send_outbox(struct client *client, uint64_t now)
{
	while (client->outbox.len) {
		struct nvc_slice bytes = nvc_fifo_peek(&client->outbox);
		ssize_t num = send(client->fd, bytes.data, bytes.len, MSG_NOSIGNAL);

		if (num >= 0) {
			nvc_fifo_drop(&client->outbox, (size_t)num);
			client->write_deadline = NVC_NEVER;
		} else if (would_block()) {
			if (client->write_deadline == NVC_NEVER)
				client->write_deadline = now + write_limit;
			return;
		} else if (errno != EINTR) {
			nvc_link_peer_ended(client->link, NVC_END_RST);
			nvc_fifo_drop(&client->outbox, client->outbox.len);
			return;
		}
	}
}

/* Our end is due and everything before it is with the kernel. */
static void end_client(struct client *client, uint64_t now)
{
	if (nvc_link_end(client->link) == NVC_END_RST || client->peer_ended) {
		close_client(client, nvc_link_end(client->link) == NVC_END_RST);
		return;
	}
	/* Closing over bytes of the peer that nobody read would turn the FIN into a reset: shut down, read on, close later. */
	shutdown(client->fd, SHUT_WR);
	nvc_link_free(client->link);
	client->link = NULL;
	client->deadline = now + linger_limit;
	client->write_deadline = NVC_NEVER;
}

/* Moves what the service says to the socket, as far as it goes, and ends the connection when that is wanted. */
static void serve(struct client *client, uint64_t now)
{
	uint8_t bytes[16384];

	while (client->fd >= 0 && client->link) {
		size_t num = 0;

		send_outbox(client, now);
		if (client->outbox.len >= OUTBOX_LIMIT)
			return;
		num = nvc_link_take(client->link, bytes, sizeof(bytes));
		if (num && nvc_fifo_put(&client->outbox, nvc_slice_of(bytes, num)))
			continue;
		if (num) {
			close_client(client, true);
			return;
		}
		if (nvc_link_end(client->link) != NVC_END_OPEN && !client->outbox.len)
			end_client(client, now);
		else if (!nvc_link_is_opening(client->link))
			client->deadline = NVC_NEVER;
		return;
	}
}

static void check_time(struct client *client, uint64_t now)
{
	if (client->fd >= 0 && (client->deadline <= now || client->write_deadline <= now))
		close_client(client, client->write_deadline <= now);
}

/* ---- the loop ---- */

static int poll_timeout(const struct nvc_server *server, uint64_t now)
{
	const struct nvc_service *service = server->service;
	uint64_t next = now + NVC_MS(MAX_POLL_MS);
	uint64_t timer = service->next_timer ? service->next_timer(service->self) : NVC_NEVER;

	if (timer < next)
		next = timer;
	for (size_t i = 0; i < server->num_clients; i++)
		if (server->clients[i].deadline < next)
			next = server->clients[i].deadline;
	if (next <= now)
		return 0;
	return (int)((next - now + NVC_MS(1) - 1) / NVC_MS(1));
}

static nfds_t prepare(struct nvc_server *server, uint64_t now)
{
	bool accepting = server->num_clients < server->max_clients && now >= server->accept_after;
	nfds_t num = 0;

	for (size_t i = 0; i < server->num_listeners; i++)
		server->items[num++] = (struct pollfd){
			.fd = accepting ? server->listeners[i].fd : -1,
			.events = POLLIN,
		};
	for (size_t i = 0; i < server->num_clients; i++) {
		const struct client *client = &server->clients[i];
		short events = 0;

		if (client->outbox.len < OUTBOX_LIMIT && !client->peer_ended)
			events |= POLLIN;
		if (client->outbox.len)
			events |= POLLOUT;
		server->items[num++] = (struct pollfd){.fd = client->fd, .events = events};
	}
	return num;
}

static void forget_closed(struct nvc_server *server)
{
	size_t kept = 0;

	for (size_t i = 0; i < server->num_clients; i++)
		if (server->clients[i].fd >= 0)
			server->clients[kept++] = server->clients[i];
	server->num_clients = kept;
}

static void one_round(struct nvc_server *server)
{
	const struct nvc_service *service = server->service;
	size_t num_polled = server->num_clients;
	const struct pollfd *items = server->items;
	uint64_t now = nvc_env_now(&server->env);

	for (size_t i = 0; i < num_polled; i++)
		if (items[server->num_listeners + i].revents)
			read_some(&server->clients[i]);
	if (service->tick && service->next_timer && service->next_timer(service->self) <= now)
		service->tick(service->self, now);
	for (size_t i = 0; i < server->num_clients; i++) {
		serve(&server->clients[i], now);
		check_time(&server->clients[i], now);
	}
	forget_closed(server);
	for (size_t i = 0; i < server->num_listeners; i++)
		if (items[i].revents)
			accept_some(server, &server->listeners[i]);
}

enum nvc_result nvc_server_run(
	struct nvc_server *server, const volatile int *stop, struct nvc_error *err)
{
	while (!*stop) {
		uint64_t now = nvc_env_now(&server->env);
		nfds_t num = prepare(server, now);
		int ready = poll(server->items, num, poll_timeout(server, now));

		if (ready < 0 && errno == EINTR)
			continue;
		if (ready < 0)
			return nvc_fail(err, NVC_E_SYSTEM, "waiting for connections failed: %s",
				strerror(errno));
		one_round(server);
	}
	return NVC_OK;
}
