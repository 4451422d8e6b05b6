/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP segments, as a capture has them (repeated, out of order, overlapping, some missing), put back together into the two
 * byte streams of each connection, in bounded memory. Where bytes are missing for good the stream ends with a gap.
 */
#ifndef NVC_CAPTURE_REASSEMBLY_H
#define NVC_CAPTURE_REASSEMBLY_H

#include "capture/frame.h"

enum {
	NVC_REASSEMBLY_MAX_CONNECTIONS = 16384, /* the longest idle gives way */
	NVC_REASSEMBLY_MAX_PENDING = 1 << 20,	/* bytes kept of one direction behind a hole */
	NVC_REASSEMBLY_MAX_PENDING_ALL = 16 << 20,
	NVC_REASSEMBLY_PATIENCE = 64, /* segments after which an acknowledged hole is a gap */
};

/* A connection as the sink sees it. Side 0 opened it or, where that is not in the capture, was seen first. */
struct nvc_tcp_conn {
	struct nvc_tcp_ends ends;
	bool from_start; /* its SYN is in the capture */
	void *user;	 /* the sink's own */
};

/* What is told, from within nvc_reassembly_segment and _free. */
struct nvc_reassembly_sink {
	void *self;
	void (*opened)(void *self, struct nvc_tcp_conn *conn);
	/* The next bytes of what `side` sent. */
	void (*bytes)(void *self, struct nvc_tcp_conn *conn, int side, struct nvc_slice bytes);
	/* Nothing more will be told of what `side` sent. */
	void (*gap)(void *self, struct nvc_tcp_conn *conn, int side, const char *why);
	void (*ended)(void *self, struct nvc_tcp_conn *conn, int side, bool reset);
	/* Bytes were sent again and differ, or were sent behind a FIN: what the receiver took cannot be told. Once for each connection,
	 * also after `closed`. */
	void (*contradicted)(void *self, struct nvc_tcp_conn *conn);
	/* `conn` is forgotten: `user` has to be freed. */
	void (*closed)(void *self, struct nvc_tcp_conn *conn);
};

struct nvc_reassembly;

/* nvc_reassembly_new returns an empty table of connections, or NULL without memory. */
struct nvc_reassembly *nvc_reassembly_new(const struct nvc_reassembly_sink *sink);

/* nvc_reassembly_segment takes the next segment of the capture. NVC_E_NO_MEMORY. */
enum nvc_result nvc_reassembly_segment(
	struct nvc_reassembly *reassembly, const struct nvc_segment *segment);

/* nvc_reassembly_free tells of the gaps that are left and closes everything; NULL is allowed. */
void nvc_reassembly_free(struct nvc_reassembly *reassembly);

#endif
