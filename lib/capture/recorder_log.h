/* SPDX-License-Identifier: BSD-3-Clause */
/* How a recorder keeps what it was told, for those who write it down; not for others. */
#ifndef NVC_CAPTURE_RECORDER_LOG_H
#define NVC_CAPTURE_RECORDER_LOG_H

#include "capture/recorder.h"

enum { NVC_COMMENTS_OF_ONE = 16 /* a packet has at most */ };

/* Packets come first: `kind <= NVC_ENTRY_RST` is one. */
enum nvc_entry_kind {
	NVC_ENTRY_OPENED,
	NVC_ENTRY_BYTES,
	NVC_ENTRY_FIN,
	NVC_ENTRY_RST,
	NVC_ENTRY_COMMENT,
	NVC_ENTRY_SECRET
};

/* One thing that happened, and its bytes: the ends of a connection, what was sent, a text. */
struct nvc_entry {
	uint64_t time;
	uint64_t mark; /* of a packet: its number; of a comment: that of the packet it is for */
	uint32_t conn;
	uint32_t len;
	uint8_t kind, direction;
	uint8_t data[6]; /* goes on behind the struct */
};

/* A log: what is behind `len` does not count, so that a process may be killed while it writes. */
struct nvc_recorder {
	size_t size, len; /* bytes of the log */
	size_t num_packets;
	bool full;
	_Alignas(8) uint8_t log[];
};

/* nvc_entry_next gives the entry at `at`, which moves to the next, and its bytes; false at the end. */
bool nvc_entry_next(const struct nvc_recorder *recorder, size_t *at, struct nvc_entry *entry,
	struct nvc_slice *data);

struct nvc_recorded_conn {
	uint32_t id;
	struct nvc_tcpframe frames;
};

struct nvc_recorded_comment {
	size_t mark, order;
	char *text; /* NULL without memory for it */
};

/* What one walk over the log brings together for the next. Comments are in the order of their packets. */
struct nvc_recorded {
	struct nvc_recorded_conn *conns;
	size_t num_conns, next_conn; /* those opened so far come before next_conn */
	struct nvc_recorded_comment *comments;
	size_t num_comments;
	char *keylog;
	size_t keylog_len;
};

/* nvc_recorded_begin walks over the log; false without memory. nvc_recorded_end frees in both cases. */
bool nvc_recorded_begin(const struct nvc_recorder *recorder, struct nvc_recorded *out);
void nvc_recorded_end(struct nvc_recorded *recorded);

/* nvc_recorded_find returns connection `id` among those opened so far, or NULL. */
struct nvc_recorded_conn *nvc_recorded_find(const struct nvc_recorded *recorded, uint32_t id);

/* nvc_recorded_head writes everything that comes before the packets. */
void nvc_recorded_head(const struct nvc_recorded *recorded, const struct nvc_recorder_about *about,
	uint16_t link, const char *interface, struct nvc_pcapng *out);

#endif
