/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What went over the connections of one case, kept in memory until it is known whether anybody wants to see it, and then
 * written as a pcapng.
 */
#ifndef NVC_CAPTURE_RECORDER_H
#define NVC_CAPTURE_RECORDER_H

#include "capture/file.h"
#include "capture/pcapng.h"
#include "capture/tcpframe.h"

struct nvc_recorder;

/* nvc_recorder_over begins a recorder in `memory` (`size` bytes, aligned as malloc does), which it borrows and in which it
 * keeps everything: memory that is shared with another process survives the one that records. When it is full nothing more
 * is recorded, and the last packet says so. NULL when `size` is too small for anything. */
struct nvc_recorder *nvc_recorder_over(void *memory, size_t size);

/* nvc_recorder_wipe overwrites what was recorded, secrets included, and begins anew. */
void nvc_recorder_wipe(struct nvc_recorder *recorder);

/* nvc_recorder_new returns a recorder in `limit` bytes of its own, or NULL without memory. */
struct nvc_recorder *nvc_recorder_new(size_t limit);

/* nvc_recorder_free wipes and frees what nvc_recorder_new returned; NULL is allowed. */
void nvc_recorder_free(struct nvc_recorder *recorder);

/* nvc_recorder_opened begins connection `conn`, an id not used before, at `time` (nanoseconds). */
void nvc_recorder_opened(struct nvc_recorder *recorder, uint32_t conn,
	const struct nvc_tcp_ends *ends, uint64_t time);

/* nvc_recorder_bytes takes bytes as they were on the network, sent by the host (`h2c`) or by the controller. Those of a
 * connection that was not opened are ignored. */
void nvc_recorder_bytes(struct nvc_recorder *recorder, uint32_t conn, bool h2c,
	struct nvc_slice bytes, uint64_t time);

/* nvc_recorder_ended tells that a side ended the connection: with RST when `reset`, else with FIN. */
void nvc_recorder_ended(
	struct nvc_recorder *recorder, uint32_t conn, bool h2c, bool reset, uint64_t time);

/* nvc_recorder_secret takes a line of a TLS key log (NSS format). */
void nvc_recorder_secret(struct nvc_recorder *recorder, const char *line);

/* nvc_recorder_mark returns the number of the last thing recorded (from 1; 0: nothing yet). */
size_t nvc_recorder_mark(const struct nvc_recorder *recorder);

/* nvc_recorder_comment puts `text` on the packet recorded under `mark`, which may be one more than the last: then on what
 * comes next. Where nothing comes, it is put on the last packet. */
void nvc_recorder_comment(struct nvc_recorder *recorder, size_t mark, const char *text);

/* What the head of the file says. */
struct nvc_recorder_about {
	const char *application; /* "nvme-conform 0.1.0" */
	const char *command;	 /* how to run it again */
	const char *host_name, *target_name;
	uint64_t epoch; /* added to all times to make them nanoseconds since 1970 */
	bool secrets;	/* the key log goes in */
};

/* nvc_recorder_write appends everything to `out`, with packets drawn from the streams. NVC_E_NO_SPACE or NVC_E_NO_MEMORY when
 * it does not fit. */
enum nvc_result nvc_recorder_write(const struct nvc_recorder *recorder,
	const struct nvc_recorder_about *about, struct nvc_pcapng *out);

/* Packets that were seen on an interface meanwhile. */
struct nvc_recorder_seen {
	const char *interface;
	int link;
	void *self;
	/* The packet at `*at`, 0 being the first, which moves to the next; false behind the last. */
	bool (*next)(void *self, size_t *at, struct nvc_packet *packet);
	unsigned int lost; /* how many are missing, of whatever connection */
};

/* nvc_recorder_all_seen tells whether the packets of `seen` carry as much as was recorded: as many bytes and ends. */
bool nvc_recorder_all_seen(
	const struct nvc_recorder *recorder, const struct nvc_recorder_seen *seen);

/* nvc_recorder_write_seen does the same with the packets of `seen` that belong to the recorded connections, each comment on the
 * packet that carries what it is about, or on the last one. `num` is how many there were. */
enum nvc_result nvc_recorder_write_seen(const struct nvc_recorder *recorder,
	const struct nvc_recorder_about *about, const struct nvc_recorder_seen *seen, size_t *num,
	struct nvc_pcapng *out);

#endif
