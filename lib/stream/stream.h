/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A byte stream as the host emulator sees it: TCP, an in-process pair, TLS or a fault over either of them.
 * Calls block until the deadline; in process, waiting is what makes the other side run.
 */
#ifndef NVC_STREAM_STREAM_H
#define NVC_STREAM_STREAM_H

#include "stream/env.h"

/* How a connection ended, as seen from this side (DESIGN: two verdicts). */
enum nvc_end {
	NVC_END_OPEN = 0,     /* not ended */
	NVC_END_FIN,	      /* orderly TCP end */
	NVC_END_RST,	      /* reset */
	NVC_END_CLOSE_NOTIFY, /* TLS close_notify came first */
	NVC_END_TLS_ALERT,    /* a fatal TLS alert came first */
};

struct nvc_stream;

struct nvc_stream_ops {
	/* Sends all of `bytes` or fails (NVC_E_TIMEOUT, _CLOSED, _RESET, _TLS, _SYSTEM). */
	enum nvc_result (*send)(struct nvc_stream *s, struct nvc_slice bytes, uint64_t deadline);
	/* Takes between 1 and `size` bytes. NVC_E_CLOSED / NVC_E_RESET / NVC_E_TLS when ended: see nvc_stream_end. */
	enum nvc_result (*recv)(
		struct nvc_stream *s, uint8_t *out, size_t size, uint64_t deadline, size_t *num);
	/* Ends this side: NVC_END_FIN (TLS sends close_notify first), NVC_END_RST. Idempotent. */
	void (*close)(struct nvc_stream *s, enum nvc_end how);
	/* Closes (FIN) if still open and frees, the lower streams too. */
	void (*free)(struct nvc_stream *s);
};

/* First member of every implementation. */
struct nvc_stream {
	const struct nvc_stream_ops *ops;
	enum nvc_end end; /* set by recv/send when the peer's end was seen */
	uint8_t alert;	  /* TLS alert description with NVC_END_TLS_ALERT */
};

enum nvc_result nvc_stream_send(struct nvc_stream *s, struct nvc_slice bytes, uint64_t deadline);
enum nvc_result nvc_stream_recv(
	struct nvc_stream *s, uint8_t *out, size_t size, uint64_t deadline, size_t *num);
void nvc_stream_close(struct nvc_stream *s, enum nvc_end how);
/* nvc_stream_free frees `s` and what it stands on; NULL is allowed. */
void nvc_stream_free(struct nvc_stream *s);
/* nvc_end_name returns "FIN", "RST", "close_notify", "TLS alert" or "open". */
const char *nvc_end_name(enum nvc_end end);

/* Where to connect to. `host` is a numeric IPv4/IPv6 address or a name; `port` as text ("4420"). */
struct nvc_address {
	const char *host;
	const char *port;
};

/* Between whom a TCP connection runs; [0] is this side. An IPv4 address is the first 4 bytes. */
struct nvc_stream_ends {
	bool ipv6;
	uint8_t address[2][16];
	uint16_t port[2];
};
/* nvc_stream_tcp_ends fills `ends` for a stream that the system world connected; false for any other, and once it is closed. */
bool nvc_stream_tcp_ends(const struct nvc_stream *s, struct nvc_stream_ends *ends);

/* nvc_port_parse reads a port of up to 65535 in decimal digits; false for anything else. */
bool nvc_port_parse(const char *text, uint16_t *port);

/*
 * A world is an environment in which one can connect and let time pass. The system world uses TCP; the
 * simulated world (stream/sim.h) holds services in this process under a virtual clock.
 */
struct nvc_world {
	struct nvc_env env;
	void *self;
	enum nvc_result (*connect)(void *self, const struct nvc_address *to, uint64_t deadline,
		struct nvc_stream **out, struct nvc_error *err);
	/* Lets time pass until `time`; everything else that lives in the world goes on meanwhile. */
	void (*wait_until)(void *self, uint64_t time);
	/* Bytes of memory the services of this world hold, for the soak cases; 0 where that cannot be told. */
	size_t (*service_memory)(void *self);
};

/* nvc_world_system returns the real world: TCP with TCP_NODELAY, the system's clock and random bytes (those of `random`
 * when it is not NULL, so that a run against a real target can be seeded too). */
struct nvc_world nvc_world_system(struct nvc_seeded *random);

/* ---- faults: a stream whose segments are shaped or broken on purpose ---- */
/* Records of 1, 2, 3, 5, 8, ... 16384 bytes in turn, from a place in that row that the world's randomness chooses. */
#define NVC_RECORDS_MIXED SIZE_MAX

struct nvc_fault_plan {
	size_t max_segment; /* every send and recv moves at most so many bytes; 0: no limit */
	bool merge; /* sends are held back until the next recv or close, so that PDUs share a segment */
	/* TLS: application data goes into records of so many bytes, 1 to 16384, or NVC_RECORDS_MIXED; 0: one for each send.
	 * With `merge` sends are held back above TLS, so that PDUs share a record. Nothing in clear. */
	size_t record_len;
	uint64_t delay;	      /* nanoseconds before each send */
	size_t cut_after;     /* after so many bytes sent: end with `cut_end`; 0: never */
	enum nvc_end cut_end; /* NVC_END_FIN or NVC_END_RST */
};
/* nvc_fault_new puts `plan` in front of `lower` and owns it; NULL without memory (then `lower` is freed). */
struct nvc_stream *nvc_fault_new(
	struct nvc_stream *lower, const struct nvc_world *world, const struct nvc_fault_plan *plan);

/* ---- taps: somebody who sees the bytes and changes nothing ---- */
struct nvc_tap {
	void *self;
	/* `h2c` is true for bytes sent by this side. */
	void (*bytes)(void *self, bool h2c, struct nvc_slice bytes, uint64_t time);
	/* `h2c` tells which side ended. */
	void (*ended)(void *self, bool h2c, enum nvc_end how, uint64_t time);
	/* Bytes were waited for, and neither they nor an end have come. May be NULL. */
	void (*waited)(void *self, uint64_t time);
};
/* nvc_tap_new shows all bytes of `lower` to `tap` (borrowed, must outlive the stream) and owns `lower`. */
struct nvc_stream *nvc_tap_new(
	struct nvc_stream *lower, const struct nvc_world *world, struct nvc_tap tap);

#endif
