/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture/live.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "capture/interface.h"

enum {
	HAND_OVER_MS = 1, /* after which the kernel gives what it has */
	/* What the kernel hands over takes a quarter of a mebibyte of its buffer, be it one packet only, so that a full buffer
	   may be some hundred milliseconds. */
	DRAIN_MS = 10,
	STEP_MS = 1,
	QUIET_MS = 40, /* much more than that, so that silence means something */
	SETTLE_MS = 320,
	ANSWER_S = 10,
	ALIGNMENT = 8,
};

struct taken {
	uint64_t time, frame;
	uint32_t len, wire_len;
};

/* Either is answered by how much there is now; ASK_FORGET drops what was taken before. */
enum ask { ASK_COUNT = 'c', ASK_FORGET = 'f' };
struct answer {
	size_t len; /* of the bytes taken, which are in the shared memory */
	unsigned int lost;
};

/* What it says first. */
struct opened {
	enum nvc_result result;
	struct nvc_error err;
	int link;
};

struct nvc_live {
	uint8_t *bytes; /* `limit` of them, shared with the collector */
	size_t limit;
	int link, sock;
	pid_t collector;
	struct answer seen; /* the last */
};

static size_t size_of(size_t len)
{
	return (sizeof(struct taken) + len + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* ---- the collector: a process of its own, since whoever opened the capture waits for others ---- */

struct collector {
	pcap_t *pcap;
	uint8_t *bytes;
	size_t len, limit;
	uint64_t frame;
	unsigned int beyond;	/* packets that did not fit */
	unsigned int forgotten; /* what the kernel had dropped before */
};

static void on_packet(u_char *self, const struct pcap_pkthdr *header, const u_char *data)
{
	struct collector *collector = (struct collector *)(void *)self;
	struct taken head = {.time = (uint64_t)header->ts.tv_sec * 1000000000u +
				     (uint64_t)header->ts.tv_usec, /* nanoseconds, as asked for */
		.len = header->caplen,
		.wire_len = header->len};

	if (size_of(head.len) > collector->limit - collector->len) {
		collector->beyond++;
	} else {
		head.frame = ++collector->frame;
		memcpy(collector->bytes + collector->len, &head, sizeof(head));
		memcpy(collector->bytes + collector->len + sizeof(head), data, head.len);
		collector->len += size_of(head.len);
	}
}

static void take(struct collector *collector)
{
	while (pcap_dispatch(collector->pcap, -1, on_packet, (u_char *)collector) > 0)
		;
}

static unsigned int dropped(struct collector *collector)
{
	struct pcap_stat counts = {0};

	return pcap_stats(collector->pcap, &counts) == 0 ? counts.ps_drop : 0;
}

static bool answer(struct collector *collector, int sock)
{
	struct answer now;
	char ask;

	if (recv(sock, &ask, 1, 0) != 1)
		return false;
	take(collector);
	if (ask == ASK_FORGET) {
		collector->len = 0;
		collector->frame = 0;
		collector->beyond = 0;
		collector->forgotten = dropped(collector);
	}
	now = (struct answer){.len = collector->len,
		.lost = collector->beyond + dropped(collector) - collector->forgotten};
	return send(sock, &now, sizeof(now), MSG_NOSIGNAL) == (ssize_t)sizeof(now);
}

/* Takes packets until nobody can ask for them any more. */
static void collect(struct collector *collector, int sock)
{
	struct pollfd fds[] = {{.fd = sock, .events = POLLIN},
		{.fd = pcap_get_selectable_fd(collector->pcap), .events = POLLIN}};

	for (;;) {
		/* Packets wait for one another for a while, questions do not. */
		if (poll(fds, 2, -1) < 0 || (!fds[0].revents && poll(fds, 1, DRAIN_MS) < 0)) {
			if (errno != EINTR)
				return;
		} else if (!fds[0].revents) {
			take(collector);
		} else if (!answer(collector, sock)) {
			return;
		}
	}
}

static void be_collector(const char *interface, const char *filter, const struct nvc_live *live,
	int sock, pid_t parent)
{
	struct collector collector = {.bytes = live->bytes, .limit = live->limit};
	struct opened opened = {.result = NVC_OK};

	/* Ctrl-C is for the parent, which has captures to write yet; without it there is nothing to do. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		return;
	opened.result = nvc_interface_open(interface, HAND_OVER_MS, &collector.pcap, &opened.err);
	if (opened.result == NVC_OK)
		opened.result = nvc_interface_filter(collector.pcap, filter, &opened.err);
	if (opened.result == NVC_OK)
		opened.link = pcap_datalink(collector.pcap);
	if (send(sock, &opened, sizeof(opened), MSG_NOSIGNAL) == (ssize_t)sizeof(opened) &&
		opened.result == NVC_OK)
		collect(&collector, sock);
	if (collector.pcap)
		pcap_close(collector.pcap);
}

/* ---- opening ---- */

static enum nvc_result start(
	struct nvc_live *live, const char *interface, const char *filter, struct nvc_error *err)
{
	const struct timeval bound = {.tv_sec = ANSWER_S};
	const pid_t parent = getpid();
	struct opened opened;
	int socks[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks) != 0)
		return nvc_fail(err, NVC_E_SYSTEM, "live capture: %s", strerror(errno));
	live->sock = socks[0];
	live->collector = fork();
	if (live->collector == 0) {
		close(socks[0]);
		be_collector(interface, filter, live, socks[1], parent);
		_exit(0);
	}
	close(socks[1]);
	if (live->collector < 0)
		return nvc_fail(err, NVC_E_SYSTEM, "live capture: %s", strerror(errno));
	setsockopt(live->sock, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof(bound));
	if (recv(live->sock, &opened, sizeof(opened), 0) != (ssize_t)sizeof(opened))
		return nvc_fail(err, NVC_E_SYSTEM,
			"interface %s: the collector of its packets ended", interface);
	live->link = opened.link;
	if (opened.result != NVC_OK)
		*err = opened.err;
	return opened.result;
}

struct nvc_live *nvc_live_open(
	const char *interface, const char *filter, size_t limit, struct nvc_error *err)
{
	struct nvc_live *live = calloc(1, sizeof(*live));

	if (live) {
		live->sock = -1;
		live->limit = limit;
		live->bytes = mmap(
			NULL, limit, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (live->bytes == MAP_FAILED)
			live->bytes = NULL;
	}
	if (!live || !live->bytes)
		nvc_fail(err, NVC_E_NO_MEMORY, "no memory for a live capture");
	else if (start(live, interface, filter, err) == NVC_OK)
		return live;
	nvc_live_close(live);
	return NULL;
}

void nvc_live_close(struct nvc_live *live)
{
	if (!live)
		return;
	if (live->collector > 0) {
		kill(live->collector, SIGKILL);
		waitpid(live->collector, NULL, 0);
	}
	if (live->sock >= 0)
		close(live->sock);
	if (live->bytes)
		munmap(live->bytes, live->limit);
	free(live);
}

/* ---- what was taken ---- */

int nvc_live_link(const struct nvc_live *live)
{
	return live->link;
}

/* Without an answer what was seen last stands. */
static bool ask(struct nvc_live *live, enum ask what)
{
	const char byte = (char)what;
	struct answer now;

	if (send(live->sock, &byte, 1, MSG_NOSIGNAL) != 1 ||
		recv(live->sock, &now, sizeof(now), 0) != (ssize_t)sizeof(now))
		return false;
	live->seen = now;
	return true;
}

void nvc_live_forget(struct nvc_live *live)
{
	if (!ask(live, ASK_FORGET))
		live->seen = (struct answer){0};
}

void nvc_live_settle(struct nvc_live *live, bool (*whole)(void *self), void *self)
{
	const struct timespec moment = {.tv_nsec = STEP_MS * 1000000L};
	size_t before = 0;

	for (int ms = 0, quiet = 0; ms < SETTLE_MS && quiet < QUIET_MS; ms += STEP_MS) {
		if (!ask(live, ASK_COUNT) || whole(self))
			return;
		quiet = live->seen.len == before ? quiet + STEP_MS : 0;
		before = live->seen.len;
		nanosleep(&moment, NULL);
	}
	(void)ask(live, ASK_COUNT);
}

bool nvc_live_next(struct nvc_live *live, size_t *at, struct nvc_packet *packet)
{
	struct taken head;

	if (*at >= live->seen.len)
		return false;
	memcpy(&head, live->bytes + *at, sizeof(head));
	*packet = (struct nvc_packet){.frame = head.frame,
		.time = head.time,
		.data = nvc_slice_of(live->bytes + *at + sizeof(head), head.len),
		.wire_len = head.wire_len};
	*at += size_of(head.len);
	return true;
}

unsigned int nvc_live_lost(struct nvc_live *live)
{
	(void)ask(live, ASK_COUNT);
	return live->seen.lost;
}
