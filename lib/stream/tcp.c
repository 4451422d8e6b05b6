/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct tcp {
	struct nvc_stream base;
	int fd;
	enum nvc_end own_end;
};

static const struct nvc_env *clock_env(void)
{
	static struct nvc_env env;

	if (!env.now)
		env = nvc_env_system();
	return &env;
}

/* Waits until `fd` is ready for `events`; errors of the socket count as ready. */
static enum nvc_result wait_ready(int fd, short events, uint64_t deadline)
{
	for (;;) {
		struct pollfd item = {.fd = fd, .events = events};
		uint64_t now = nvc_env_now(clock_env());
		uint64_t left = deadline > now ? deadline - now : 0;
		uint64_t ms = left / NVC_MS(1) + (left % NVC_MS(1) != 0);
		int ready = poll(&item, 1, ms > INT_MAX ? INT_MAX : (int)ms);

		if (ready > 0)
			return NVC_OK;
		if (ready < 0 && errno != EINTR)
			return NVC_E_SYSTEM;
		if (ready == 0 && left == 0)
			return NVC_E_TIMEOUT;
	}
}

static bool would_block(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK;
}

/* A reset is remembered here: the kernel reports it once and calls the connection closed afterwards. */
static enum nvc_result broken(struct tcp *tcp)
{
	if (errno == ECONNRESET) {
		tcp->base.end = NVC_END_RST;
		return NVC_E_RESET;
	}
	if (errno == EPIPE)
		return tcp->base.end == NVC_END_RST ? NVC_E_RESET : NVC_E_CLOSED;
	return errno == ETIMEDOUT ? NVC_E_TIMEOUT : NVC_E_SYSTEM;
}

static enum nvc_result tcp_send(struct nvc_stream *s, struct nvc_slice bytes, uint64_t deadline)
{
	struct tcp *tcp = (struct tcp *)s;

	if (tcp->own_end != NVC_END_OPEN)
		return NVC_E_STATE;
	while (bytes.len) {
		ssize_t num = send(tcp->fd, bytes.data, bytes.len, MSG_NOSIGNAL);

		if (num >= 0) {
			bytes = nvc_slice_sub(bytes, (size_t)num, bytes.len);
		} else if (would_block()) {
			enum nvc_result result = wait_ready(tcp->fd, POLLOUT, deadline);

			if (result != NVC_OK)
				return result;
		} else if (errno != EINTR) {
			return broken(tcp);
		}
	}
	return NVC_OK;
}

static enum nvc_result tcp_recv(
	struct nvc_stream *s, uint8_t *out, size_t size, uint64_t deadline, size_t *num)
{
	struct tcp *tcp = (struct tcp *)s;

	if (tcp->fd < 0)
		return NVC_E_STATE;
	for (;;) {
		ssize_t got = recv(tcp->fd, out, size, 0);

		if (got > 0) {
			*num = (size_t)got;
			return NVC_OK;
		}
		if (got == 0) {
			if (s->end == NVC_END_RST)
				return NVC_E_RESET;
			s->end = NVC_END_FIN;
			return NVC_E_CLOSED;
		}
		if (would_block()) {
			enum nvc_result result = wait_ready(tcp->fd, POLLIN, deadline);

			if (result != NVC_OK)
				return result;
		} else if (errno != EINTR) {
			return broken(tcp);
		}
	}
}

static void tcp_close(struct nvc_stream *s, enum nvc_end how)
{
	const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
	struct tcp *tcp = (struct tcp *)s;

	if (tcp->own_end != NVC_END_OPEN)
		return;
	if (how == NVC_END_RST) {
		tcp->own_end = NVC_END_RST;
		setsockopt(tcp->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		close(tcp->fd);
		tcp->fd = -1;
		return;
	}
	tcp->own_end = NVC_END_FIN;
	shutdown(tcp->fd, SHUT_WR);
}

static void tcp_free(struct nvc_stream *s)
{
	struct tcp *tcp = (struct tcp *)s;
	uint8_t unread[4096];

	tcp_close(s, NVC_END_FIN);
	if (tcp->fd >= 0) {
		/* Closing over unread bytes would turn our FIN into a reset. */
		for (int i = 0; i < 256; i++)
			if (recv(tcp->fd, unread, sizeof(unread), MSG_DONTWAIT) <= 0)
				break;
		close(tcp->fd);
	}
	free(tcp);
}

static bool copy_end(const struct sockaddr_storage *from, struct nvc_stream_ends *ends, int side)
{
	struct sockaddr_in6 six;
	struct sockaddr_in four;

	if (from->ss_family == AF_INET) {
		memcpy(&four, from, sizeof(four));
		memcpy(ends->address[side], &four.sin_addr, sizeof(four.sin_addr));
		ends->port[side] = ntohs(four.sin_port);
		return true;
	}
	if (from->ss_family != AF_INET6)
		return false;
	memcpy(&six, from, sizeof(six));
	memcpy(ends->address[side], &six.sin6_addr, sizeof(six.sin6_addr));
	ends->port[side] = ntohs(six.sin6_port);
	ends->ipv6 = true;
	return true;
}

bool nvc_stream_tcp_ends(const struct nvc_stream *s, struct nvc_stream_ends *ends)
{
	const struct tcp *tcp = (const struct tcp *)s;
	struct sockaddr_storage own = {0}, peer = {0};
	socklen_t own_len = sizeof(own), peer_len = sizeof(peer);

	*ends = (struct nvc_stream_ends){0};
	if (s->ops->send != tcp_send || tcp->fd < 0 ||
		getsockname(tcp->fd, (struct sockaddr *)&own, &own_len) != 0 ||
		getpeername(tcp->fd, (struct sockaddr *)&peer, &peer_len) != 0)
		return false;
	return copy_end(&own, ends, 0) && copy_end(&peer, ends, 1);
}

static struct nvc_stream *tcp_new(int fd)
{
	static const struct nvc_stream_ops ops = {tcp_send, tcp_recv, tcp_close, tcp_free};
	struct tcp *tcp = calloc(1, sizeof(*tcp));
	int on = 1;

	if (!tcp)
		return NULL;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	tcp->base.ops = &ops;
	tcp->fd = fd;
	return &tcp->base;
}

static enum nvc_result explain(int error, const struct nvc_address *to, struct nvc_error *err)
{
	switch (error) {
	case ECONNREFUSED:
		return nvc_fail(err, NVC_E_REFUSED,
			"%s port %s refused the connection: nobody listens there", to->host,
			to->port);
	case ETIMEDOUT:
		return nvc_fail(err, NVC_E_TIMEOUT, "%s port %s did not answer in time", to->host,
			to->port);
	case ECONNRESET:
		return nvc_fail(err, NVC_E_RESET, "%s port %s reset the new connection", to->host,
			to->port);
	case EHOSTUNREACH:
	case ENETUNREACH:
	case ENETDOWN:
	case EACCES:
		return nvc_fail(err, NVC_E_SYSTEM, "%s port %s cannot be reached: %s", to->host,
			to->port, strerror(error));
	default:
		return nvc_fail(err, NVC_E_SYSTEM, "connecting to %s port %s failed: %s", to->host,
			to->port, strerror(error));
	}
}

/* Returns 0 and the connected socket, or an errno value. */
static int connect_one(const struct addrinfo *address, uint64_t deadline, int *out)
{
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
		address->ai_protocol);
	socklen_t len = sizeof(int);
	int error = 0;

	if (fd < 0)
		return errno;
	if (connect(fd, address->ai_addr, address->ai_addrlen) != 0)
		error = errno;
	/* Interrupted or not, a connect of a non-blocking socket goes on by itself. */
	if (error == EINPROGRESS || error == EINTR) {
		enum nvc_result result = wait_ready(fd, POLLOUT, deadline);

		if (result == NVC_E_TIMEOUT)
			error = ETIMEDOUT;
		else if (result != NVC_OK ||
			 getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
			error = errno;
	}
	if (error)
		close(fd);
	else
		*out = fd;
	return error;
}

static int resolve(const struct nvc_address *to, struct addrinfo **out)
{
	struct addrinfo hints = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
	};
	int error = getaddrinfo(to->host, to->port, &hints, out);

	if (error != EAI_NONAME)
		return error;
	hints.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG;
	return getaddrinfo(to->host, to->port, &hints, out);
}

static enum nvc_result tcp_connect(void *self, const struct nvc_address *to, uint64_t deadline,
	struct nvc_stream **out, struct nvc_error *err)
{
	struct addrinfo *list = NULL;
	uint16_t port = 0;
	int error, fd = -1;

	(void)self;
	*out = NULL;
	/* glibc would take 65537 for 1. */
	if (!nvc_port_parse(to->port, &port) || !port)
		return nvc_fail(err, NVC_E_INVALID, "'%s' is not a port (1 to 65535)", to->port);
	error = resolve(to, &list);
	if (error)
		return nvc_fail(err, error == EAI_SYSTEM ? NVC_E_SYSTEM : NVC_E_INVALID,
			"'%s' port '%s' is not an address that can be found: %s", to->host,
			to->port, gai_strerror(error));
	error = EHOSTUNREACH;
	for (struct addrinfo *one = list; one && fd < 0; one = one->ai_next)
		error = connect_one(one, deadline, &fd);
	freeaddrinfo(list);
	if (fd < 0)
		return explain(error, to, err);
	*out = tcp_new(fd);
	if (*out)
		return NVC_OK;
	close(fd);
	return nvc_fail(err, NVC_E_NO_MEMORY, "no memory for a connection");
}

static void system_wait_until(void *self, uint64_t time)
{
	struct timespec until = {
		.tv_sec = (time_t)(time / NVC_SEC(1)),
		.tv_nsec = (long)(time % NVC_SEC(1)),
	};

	(void)self;
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
}

static size_t system_memory(void *self)
{
	(void)self;
	return 0;
}

struct nvc_world nvc_world_system(struct nvc_seeded *random)
{
	struct nvc_world world = {
		.env = nvc_env_system(),
		.connect = tcp_connect,
		.wait_until = system_wait_until,
		.service_memory = system_memory,
	};

	if (random) {
		world.env.self = random;
		world.env.random = nvc_seeded_random;
	}
	return world;
}
